"""Where supervisors come from: a process that has everything loaded and forks one whenever a job is to start.

To start Python and load what a supervisor needs takes tens of milliseconds of processor time; a fork takes one. When
ten jobs end at once that is the difference between empty slots and busy ones. The nursery ends with the process that
made it, however that ends; the supervisors, which have detached themselves, do not notice.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

_PACKAGES: Final = Path(__file__).parents[3]
_BOOT: Final = (
    "import sys; sys.path.append(sys.argv[1]); from axk8s.schedulers.local.nursery import main; main(int(sys.argv[2]))"
)
_ENDING: Final = 5.0


class NurseryGoneError(OSError):
    """The nursery's process has died; whether a supervisor was forked is not known."""


class Birth:
    """A supervisor on its way: what it reads, what it says, and how its first process ends."""

    def __init__(self, folder: Path, request: int, said: int, code: int) -> None:
        self._folder = str(folder)
        self._request, self._said, self._code = request, said, code

    def send(self, text: bytes) -> None:
        """Hand over the request and our environment; nothing happens when the supervisor is dead already."""
        header = {"folder": self._folder, "environment": dict(os.environ)}
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._request, "wb") as pipe:
            pipe.write(json.dumps(header).encode() + b"\n" + text)

    def outcome(self, patience: float) -> tuple[int, str]:
        """The exit code of its first process, and what that said.

        Raises:
            TimeoutError: it did not end in so many seconds.
            NurseryGoneError: the nursery died meanwhile.
        """
        try:
            answered = select.poll()  # which, unlike `select`, knows descriptors above 1023
            answered.register(self._code, select.POLLIN)
            if not answered.poll(patience * 1000):
                raise TimeoutError(f"no answer in {patience:g} s")
            code = os.read(self._code, 1)
            if not code:
                raise NurseryGoneError("the nursery of supervisors has died")
            return code[0], _waiting(self._said).decode(errors="replace")
        finally:
            os.close(self._code)
            os.close(self._said)


def _waiting(descriptor: int) -> bytes:
    """What a pipe holds now; its other end may be open a moment longer."""
    os.set_blocking(descriptor, False)
    held = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(descriptor, 65536):
            held += chunk
    return held


class Nursery:
    """The submitter's side; safe to use from several threads."""

    def __init__(self) -> None:
        """Start it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self.owner = os.getpid()
        with theirs:
            command = [sys.executable, "-I", "-S", "-c", _BOOT, str(_PACKAGES), str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # A session of its own from the beginning: Ctrl-C on our terminal must not reach it.
                start_new_session=True,
            )

    def bear(self, folder: Path) -> Birth:
        """Fork a supervisor for the job in this folder; it waits for its request.

        Raises:
            NurseryGoneError: the nursery has died; nothing was forked.
        """
        here, there = os.pipe(), os.pipe()
        code = os.pipe()
        given = (here[0], there[1], code[1])
        try:
            socket.send_fds(self._socket, [b"job"], given)
        except OSError as error:
            for descriptor in (here[1], there[0], code[0]):
                os.close(descriptor)
            raise NurseryGoneError(f"the nursery of supervisors has died: {error.strerror}") from error
        finally:
            for descriptor in given:
                os.close(descriptor)
        return Birth(folder, here[1], there[0], code[0])

    def close(self) -> None:
        """End it; idempotent."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING)


_ours: Nursery | None = None
_lock = threading.Lock()


def nursery() -> Nursery:
    """The one of this process, started when it is first needed, and anew after a fork or its death."""
    global _ours
    with _lock:
        if _ours is None or _ours.owner != os.getpid():
            _ours = Nursery()
        return _ours


def forget(dead: Nursery) -> None:
    """Start another one next time."""
    global _ours
    with _lock:
        if _ours is dead:
            _ours = None
    dead.close()


@atexit.register
def _end() -> None:
    if _ours is not None and _ours.owner == os.getpid():
        _ours.close()


# --- the process -----------------------------------------------------------------------------------------------------


def main(descriptor: int) -> NoReturn:
    """Fork supervisors until nobody asks any more."""
    from axk8s.schedulers.local import supervisor  # what every child needs, loaded once

    asked = socket.socket(fileno=descriptor)
    waking, woken = os.pipe()
    for end in (waking, woken):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    answers: dict[int, int] = {}
    while True:
        ready = select.select([asked.fileno(), waking], [], [])[0]
        if waking in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(waking, 4096)
            _answer(answers)
        if asked.fileno() in ready:
            message, given, _, _ = socket.recv_fds(asked, 16, 3)
            if not message:
                os._exit(0)
            request, said, code = given
            child = os.fork()
            if not child:
                for end in (asked.detach(), waking, woken, code, *answers.values()):
                    os.close(end)
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _become(supervisor.main, request, said)
            answers[child] = code
            os.close(request)
            os.close(said)


def _answer(answers: dict[int, int]) -> None:
    """Tell whoever asked how the children ended that have."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            descriptor = answers.pop(ended[0])
            with contextlib.suppress(OSError):
                os.write(descriptor, bytes([os.waitstatus_to_exitcode(ended[1]) & 0xFF]))
            os.close(descriptor)


def _become(supervise: Callable[[str], NoReturn], request: int, said: int) -> NoReturn:
    """Be what `python -m supervisor FOLDER` would be, with the request on standard input."""
    try:
        os.setsid()
        for source, target in ((request, 0), (said, 1), (said, 2)):
            os.dup2(source, target)
        os.close(request)
        os.close(said)
        binary = os.fdopen(0, "rb", closefd=False)
        sys.stdin = io.TextIOWrapper(binary)
        # By line, as Python's own: `os._exit` writes nothing that is still buffered.
        sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
        header = json.loads(binary.readline())
        os.environ.clear()
        os.environ.update(header["environment"])
        supervise(header["folder"])
    except BaseException:  # noqa: BLE001  (all is shown, and nothing may return into the nursery's loop)
        traceback.print_exc()
    finally:
        os._exit(1)
