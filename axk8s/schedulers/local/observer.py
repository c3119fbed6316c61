"""Reports each change of any number of local jobs at once, from one thread and without asking them again and again.

On Linux the kernel wakes it: inotify(7) when a job's supervisor writes down a change, a pidfd when the supervisor
dies. Where one of the two is not to be had (macOS, no watches or descriptors left, a supervisor that lives on another
machine) the job's files are read every 0.2 s instead.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from axk8s.schedulers.local import process, record
from axk8s.schedulers.local.record import Record
from axk8s.sweep.model import ExitFacts, JobView, Phase

_POLL = 0.2
_IN_MOVED_TO = 0x80
_IN_CREATE = 0x100
_IN_ONLYDIR = 0x01000000
_IN_NONBLOCK = 0o4000
_IN_CLOEXEC = 0o2000000
_EVENT = struct.Struct("iIII")


@dataclass(slots=True)
class _Followed:
    job: str
    folder: Path
    watch: int | None = None
    """Descriptor of the inotify watch of its folder."""
    pidfd: int | None = None
    last: JobView | None = None

    @property
    def instant(self) -> bool:
        return self.watch is not None and self.pidfd is not None


class LocalObserver:
    """Calls `seen` from its own thread with the present view of each followed job, and with every later one.

    After the view whose phase is `ended` or `lost` nothing more comes of that job.
    """

    def __init__(self, seen: Callable[[JobView], None]) -> None:
        self._seen = seen
        self._new: deque[_Followed] = deque()
        self._followed: dict[str, _Followed] = {}
        self._closing = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._waking, self._wake = os.pipe()
        for descriptor in (self._waking, self._wake):
            os.set_blocking(descriptor, False)
        self._selector.register(self._waking, selectors.EVENT_READ)
        self._inotify = _Inotify.opened()
        if self._inotify is not None:
            self._selector.register(self._inotify.descriptor, selectors.EVENT_READ)

    def follow(self, job: str, folder: str | os.PathLike[str]) -> None:
        """Report this job from now on; from any thread. A job that never began, or whose folder is gone, is `lost`."""
        with self._starting:
            if self._closing:
                return
            self._new.append(_Followed(job, Path(folder)))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="local-jobs", daemon=True)
                self._thread.start()
        self._rouse()

    def close(self) -> None:
        """Stop reporting; the jobs go on. Returns when the last call of `seen` has returned; may be called twice."""
        with self._starting:
            if self._closing:
                return
            self._closing = True
        self._rouse()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if self._thread is None:
            self._shut()

    def _rouse(self) -> None:
        # A full pipe wakes just as well; a closed one has nobody left to wake.
        with contextlib.suppress(OSError):
            os.write(self._wake, b"!")

    def _run(self) -> None:
        try:
            while not self._closing:
                for one in self._due():
                    self._look(one)
        finally:
            self._shut()

    def _due(self) -> list[_Followed]:
        """Wait for something to happen; the jobs that should be looked at now."""
        slow = [one for one in self._followed.values() if not one.instant]
        ready = {key.fd for key, _ in self._selector.select(_POLL if slow else None)}
        watches: set[int] = set()
        everything = False
        if self._inotify is not None and self._inotify.descriptor in ready:
            watches, everything = self._inotify.events()
        due = [
            one
            for one in self._followed.values()
            if everything or not one.instant or one.pidfd in ready or one.watch in watches
        ]
        if self._waking in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._waking, 4096)
            while self._new:
                one = self._new.popleft()
                if one.job not in self._followed:
                    self._followed[one.job] = one
                    due.append(one)
        return due

    def _look(self, one: _Followed) -> None:
        if self._closing:
            return
        if one.watch is None and self._inotify is not None:
            one.watch = self._inotify.watch(one.folder)
        found = self._read(one)
        view = found if isinstance(found, JobView) else found.view(one.job)
        if view != one.last:
            one.last = view
            self._seen(view)
        if view.exit is not None:
            self._drop(one)

    def _read(self, one: _Followed) -> Record | JobView:
        try:
            found = record.read(one.folder)
            if found is not None and found.exit is None and one.pidfd is None and self._attach(one, found):
                # What happened before the descriptor was opened is not announced by it.
                found = record.read(one.folder)
            elif found is not None and found.exit is None and one.pidfd is not None and not _lives(found):
                self._detach(one)  # dead, and yet not settled: somebody else is at it, or it lives elsewhere
        except OSError as error:
            reason = f"its folder {one.folder} cannot be read: {error.strerror}"
            return JobView(one.job, Phase.LOST, reason, exit=ExitFacts("lost", message=reason))
        if found is not None:
            return found
        reason = (
            f"no job was ever started in {one.folder}" if one.folder.is_dir() else f"its folder {one.folder} is gone"
        )
        return JobView(one.job, Phase.LOST, reason, exit=ExitFacts("lost", message=reason))

    def _attach(self, one: _Followed, found: Record) -> bool:
        if sys.platform != "linux" or not found.here:
            return False
        try:
            one.pidfd = os.pidfd_open(found.supervisor.pid)
        except OSError:
            return False  # gone, or no descriptors left: the files are read instead
        if not _lives(found):  # the number may have become another process before it was opened
            os.close(one.pidfd)
            one.pidfd = None
            return True
        self._selector.register(one.pidfd, selectors.EVENT_READ)
        return True

    def _detach(self, one: _Followed) -> None:
        if one.pidfd is not None:
            self._selector.unregister(one.pidfd)
            os.close(one.pidfd)
            one.pidfd = None

    def _drop(self, one: _Followed) -> None:
        self._detach(one)
        if one.watch is not None and self._inotify is not None:
            self._inotify.forget(one.watch)
        del self._followed[one.job]

    def _shut(self) -> None:
        for one in list(self._followed.values()):
            self._detach(one)
        self._selector.close()
        if self._inotify is not None:
            self._inotify.close()
        os.close(self._waking)
        os.close(self._wake)


def _lives(found: Record) -> bool:
    return process.alive(found.supervisor)


class _Inotify:
    """The three calls of inotify(7) that Python's standard library does not have."""

    def __init__(self, library: ctypes.CDLL, descriptor: int) -> None:
        self._library = library
        self.descriptor = descriptor

    @classmethod
    def opened(cls) -> _Inotify | None:
        """None where there is no inotify, or all of this user's instances are taken."""
        if sys.platform != "linux":
            return None
        library = ctypes.CDLL(None, use_errno=True)
        descriptor = library.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        return cls(library, descriptor) if descriptor >= 0 else None

    def watch(self, folder: Path) -> int | None:
        """Announce files that are put into `folder`; None when that cannot be."""
        mask = _IN_MOVED_TO | _IN_CREATE | _IN_ONLYDIR
        found: int = self._library.inotify_add_watch(self.descriptor, os.fsencode(folder), mask)
        return found if found >= 0 else None

    def forget(self, watch: int) -> None:
        self._library.inotify_rm_watch(self.descriptor, watch)

    def events(self) -> tuple[set[int], bool]:
        """The watches that have news, and whether the kernel lost some, so that all may have."""
        found = set(self._read())
        return found, -1 in found

    def close(self) -> None:
        os.close(self.descriptor)

    def _read(self) -> Iterator[int]:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.descriptor, 1 << 16):
                position = 0
                while position < len(data):
                    watch, _, _, length = _EVENT.unpack_from(data, position)
                    yield watch
                    position += _EVENT.size + length
