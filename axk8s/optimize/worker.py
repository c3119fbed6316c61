"""One process that answers questions: how it is started, its pipes, and the thread that reads its answers."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import axk8s
from axk8s.optimize.protocol import Message, encode

_ENVIRONMENT: Final = {
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore",
}
"""No GPU (the trials need them), one thread (a second gains little and takes a core from the trials)."""


def python_command(module: str) -> tuple[str, ...]:
    """How to start the function `main` of a module as a process: this Python, without the current folder on its path.

    A `torch.py` or `random.py` beside the user's training script must not hide the real one; `axk8s` itself comes last
    for the same reason.
    """
    home = str(Path(axk8s.__file__).parent.parent)
    start = f"import sys; sys.path.append({home!r}); from {module} import main; sys.exit(main(sys.argv[1:]))"
    return (sys.executable, "-P", "-c", start)


def child_environment() -> dict[str, str]:
    """The environment of a process that imports Ax."""
    return {**os.environ, **_ENVIRONMENT}


class Worker:
    """One process, its pipes, and the thread that reads its answers."""

    def __init__(self, command: Sequence[str], log: Path, inbox: SimpleQueue[Any]) -> None:
        request_end, self._requests = os.pipe()
        self._replies, reply_end = os.pipe()
        try:
            ends = ("--requests", str(request_end), "--replies", str(reply_end), "--parent", str(os.getpid()))
            with log.open("ab") as output:
                self.process = subprocess.Popen(
                    [*command, *ends],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=child_environment(),
                    pass_fds=(request_end, reply_end),
                    # A Ctrl-C in the terminal is for the controller, which decides what it means.
                    start_new_session=True,
                )
        except OSError:
            os.close(self._requests)
            os.close(self._replies)
            raise
        finally:
            os.close(request_end)
            os.close(reply_end)
        os.set_blocking(self._requests, False)
        self.changed: set[int] = set()
        """Trials of which it does not know the latest fact."""
        self._reader = threading.Thread(target=self._read, args=(inbox,), name="optimizer-replies", daemon=True)
        self._reader.start()

    def send(self, message: Message, *, deadline: float, closing: threading.Event) -> bool:
        """Whether it took the message in, all of it, before the deadline."""
        line = memoryview(encode(message))
        while line:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or closing.is_set():
                return False
            if not select.select([], [self._requests], [], min(remaining, 1.0))[1]:
                continue
            try:
                line = line[os.write(self._requests, line) :]
            except BlockingIOError:
                continue
            except OSError:
                return True  # it is dead; the reader says so, after its last words
        return True

    def _read(self, inbox: SimpleQueue[Any]) -> None:
        with os.fdopen(self._replies, "rb") as replies:
            for line in replies:
                inbox.put(Line(self, line))
        inbox.put(Line(self, b""))

    def end(self, *, grace: float) -> int:
        """End it and all that it started; within the grace it may end by itself. The exit code as in `subprocess`."""
        os.close(self._requests)
        if grace:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=grace)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # what it started may outlive it
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        self._reader.join(timeout=10)
        return code


@dataclass(frozen=True, slots=True)
class Line:
    child: Worker
    content: bytes
    """Empty at the end."""


def ending(code: int | None) -> str:
    """How a process ended, for a person; `code` as in `subprocess`."""
    if code is None:
        return "nobody knows how"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
