"""A controller of its own session: it outlives the shell, the terminal and the notebook that started it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from axk8s.controller.lock import is_locked
from axk8s.errors import Axk8sError
from axk8s.folder import SweepFolder
from axk8s.journal import fold_file

_TIMEOUT = 60.0
_INTERVAL = 0.05


def start_detached(folder: SweepFolder, *, cwd: Path) -> int:
    """Start `axk8s run` on a sweep that has begun; returns its process id once it holds the lock.

    Raises:
        Axk8sError: it ended at once; the message has its last words.
    """
    command = [sys.executable, "-m", "axk8s", "run", folder.name, "--dir", str(folder.path.parent)]
    pid = _spawn(command, log=folder.controller_log, cwd=cwd)
    deadline = time.monotonic() + _TIMEOUT
    while _lives(pid) and not is_locked(folder.lock):
        if time.monotonic() > deadline:
            raise Axk8sError(
                f"the controller (process {pid}) has not started after {_TIMEOUT:g} s",
                hint=f"its words are in {folder.controller_log}",
            )
        time.sleep(_INTERVAL)
    controller = fold_file(folder.journal).controller
    if not _lives(pid) and (controller is None or controller.pid != pid):
        words = folder.controller_log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
        raise Axk8sError("the controller ended at once: " + "\n".join(words), hint="run it without --detach")
    return pid


def _spawn(command: Sequence[str], *, log: Path, cwd: Path) -> int:
    """Start a program that is nobody's child: it neither ends with this process nor stays as a zombie in it."""
    script = '"$@" </dev/null >>"$0" 2>&1 & echo $!'
    started = subprocess.run(
        ["sh", "-c", script, str(log), *command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,
    )
    return int(started.stdout)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
