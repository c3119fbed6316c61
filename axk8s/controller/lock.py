"""One controller a sweep: an advisory lock that dies with its holder, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from axk8s.errors import FolderError, LockedError


class SweepLock:
    """Holds the lock from `acquire` to `release`; a context manager does both."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock without waiting.

        Raises:
            LockedError: another process holds it; the message says which.
            FolderError: the folder cannot be made or written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise FolderError(
                f"the sweep's folder {self.path.parent} cannot be written: {error.strerror}",
                hint="choose another one with --dir, or change its permissions",
            ) from error
        # `is_locked` of another shell holds the file shared for a moment: that is no controller.
        for pause in (*[0.01] * 100, None):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if pause is not None:
                    time.sleep(pause)
                    continue
                os.close(fd)
                raise LockedError(
                    f"another controller drives the sweep in {self.path.parent}{_holder(self.path)}",
                    hint="watch it with: axk8s status -w; end it with: axk8s stop",
                ) from None
        owner = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
        os.ftruncate(fd, 0)
        os.pwrite(fd, owner, 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; idempotent. The file stays: removing it would let two holders in."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> SweepLock:
        self.acquire()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def is_locked(path: Path) -> bool:
    """Whether some controller drives the sweep now; never blocks."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def _holder(path: Path) -> str:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f" (process {owner['pid']} on {owner['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
