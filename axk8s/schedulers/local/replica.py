"""One replica of a job: a process in a session of its own, its output in two files. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axk8s.names import ENV_REPLICA
from axk8s.schedulers.local import process


class CannotStart(Exception):  # noqa: N818 - reads as the sentence it stands for
    """The operating system refused to start the program; the message says what was not there."""


class Replica:
    """Starts one replica, as often as its retries allow, and remembers how it ended."""

    def __init__(self, plan: Mapping[str, Any], number: int, folder: Path, request: Mapping[str, Any]) -> None:
        self.role: str = plan["role"]
        self.index: int = plan["index"]
        self.number = number
        self.name = f"{self.role}-{self.index}"
        self.gpus: int = plan["gpus"]
        self.max_retries: int = plan["max_retries"]
        self.retry: str = plan["retry"]
        self.restarts = 0
        self.pid: int | None = None
        self.code: int | None = None
        """Exit code of the last try, negative for a signal; None before its end."""
        self.killed_for_memory = False
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.judged = False
        """Whether the supervisor has drawn its conclusion from the end of the last try."""
        self.environment: dict[str, str] = {**plan["env"], ENV_REPLICA: str(number)}
        self._args: Sequence[str] = plan["args"]
        self._cwd = Path(request["cwd"])
        self._cwd_first: bool = request["prepend_cwd"]
        self._logs = folder / plan["folder"]
        self._popen: subprocess.Popen[bytes] | None = None
        self._memory_kills = 0

    @property
    def running(self) -> bool:
        return self.pid is not None and self.code is None

    @property
    def mark(self) -> str:
        """What tells this replica's processes from those of another one of the same job."""
        return f"{ENV_REPLICA}={self.number}"

    def start(self, environment: Mapping[str, str], keep_open: Sequence[int]) -> None:
        """Start a try.

        Args:
            environment: everything but the replica's own variables, which come on top.
            keep_open: file descriptors that the process inherits, and with them the GPU leases.

        Raises:
            CannotStart: the program, its interpreter or the working directory is not there.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        environment = self._complete(environment)
        supervisor = os.getpid()
        self._memory_kills = process.memory_kills()
        with contextlib.ExitStack() as files:
            out, err = (self._opened(files, name) for name in ("stdout.log", "stderr.log"))
            if self.restarts:
                for log in (out, err):
                    os.write(log, f"=== try {self.restarts + 1}: the one before {described(self.code)} ===\n".encode())
            try:
                self._popen = subprocess.Popen(
                    self._args,
                    env=environment,
                    cwd=self._cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    pass_fds=keep_open,
                    # Safe here: the supervisor has one thread, so no lock can be held at the fork.
                    preexec_fn=lambda: _begin(supervisor),
                )
            except (OSError, ValueError) as error:
                raise CannotStart(f"cannot start {self.name}: {self._reason(error, environment)}") from error
        self.pid, self.code, self.judged = self._popen.pid, None, False
        self.started_at, self.ended_at = time.time(), None

    def ended(self, code: int) -> None:
        """Its process was reaped; `code` is negative for a signal."""
        assert self._popen is not None
        self._popen.returncode = code  # so that nobody waits for this number again: it may be another process soon
        self.code, self.ended_at = code, time.time()
        process.end_group(self._popen.pid)
        self.killed_for_memory = code == -signal.SIGKILL and process.memory_kills() > self._memory_kills

    def signal(self, number: int) -> None:
        """Signal its process group, while its process has not been reaped and the number is still its own."""
        if self.running and self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def facts(self) -> dict[str, Any]:
        """For state.json and exit.json."""
        return {
            "role": self.role,
            "index": self.index,
            "pid": self.pid,
            "code": self.code,
            "restarts": self.restarts,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
        }

    def _complete(self, inherited: Mapping[str, str]) -> dict[str, str]:
        own, cwd = self.environment.get("PATH"), str(self._cwd)
        parts = [cwd if self._cwd_first else "", own, inherited.get("PATH", os.defpath), "" if self._cwd_first else cwd]
        path = os.pathsep.join(stripped for part in parts if part and (stripped := part.strip(os.pathsep)))
        return {**inherited, **self.environment, "PATH": path}

    def _opened(self, files: contextlib.ExitStack, name: str) -> int:
        # Appended: a later try must not wipe out why the earlier one failed.
        descriptor = os.open(self._logs / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        files.callback(os.close, descriptor)
        return descriptor

    def _reason(self, error: OSError | ValueError, environment: Mapping[str, str]) -> str:
        program = self._args[0]
        if not isinstance(error, OSError):
            return str(error)
        if not self._cwd.is_dir():
            return f"its working directory does not exist: {self._cwd}"
        searched = environment["PATH"]
        if error.errno == errno.ENOENT:
            found = self._cwd / program if "/" in program else Path(shutil.which(program, path=searched) or program)
            if found.exists():
                return f"the interpreter that the first line of {found} names does not exist"
            if "/" in program:
                return f"no such program: {found}"
            return f"no program {program!r} on PATH ({searched})"
        if error.errno == errno.EACCES:
            return f"{program} may not be executed (is it a program, and is its x bit set?)"
        if error.errno == errno.ENOEXEC:
            return f"{program} is not a program; a script needs a first line such as #!/usr/bin/env python3"
        return f"{program}: {os.strerror(error.errno or 0)}"


def described(code: int | None) -> str:
    """How a process ended, as the end of a sentence."""
    if code is None:
        return "did not end"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _begin(supervisor: int) -> None:
    """Runs in the new process before the program: nothing of the supervisor's signal set-up may reach it."""
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):  # SIGKILL and SIGSTOP cannot be set
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    process.die_with_parent()
    if os.getppid() != supervisor:
        os._exit(1)  # the supervisor died before the line above could help
