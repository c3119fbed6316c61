"""Where the output of a job on a cluster is kept once its pod may be gone: in the attempt's folder."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from axk8s.folder import AttemptFolder
from axk8s.launch.backend import Replica


def place(attempt: AttemptFolder, replica: Replica, *, alone: bool) -> Path:
    """Of one replica: as `local` keeps it, in one folder each when there are several."""
    return attempt.stdout if alone else attempt.path / f"{replica[0]}-{replica[1]}" / attempt.stdout.name


def last_lines(path: Path, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """The last lines of a kept output, or others where it is not kept."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return tuple(line.rstrip("\n") for line in deque(file, maxlen=20))
    except OSError:
        return otherwise
