"""The files that a job on this machine leaves in its folder, and how they are written. Standard library only.

* job.json: who runs it; written once by the supervisor, its existence means that the job has begun
* state.json: where it is; replaced at each change
* exit.json: how it ended; written once, durably, after the last process has gone
* supervisor.lock: held by the supervisor for its whole life
* supervisor.log: what the supervisor itself has to say: nothing, unless it fails
* cancel: exists when somebody asked the job to end
* stdout.log, stderr.log of a job with one replica; <role>-<index>/{stdout,stderr}.log of a larger one
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

_RESERVED = 4096


class JobFolder(NamedTuple):
    """One job's folder; `path` is absolute."""

    path: Path

    @property
    def job(self) -> Path:
        return self.path / "job.json"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def exit(self) -> Path:
        return self.path / "exit.json"

    @property
    def lock(self) -> Path:
        return self.path / "supervisor.lock"

    @property
    def log(self) -> Path:
        return self.path / "supervisor.log"

    @property
    def cancel(self) -> Path:
        return self.path / "cancel"


def read(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`; None when the file is absent or, after a power failure, not JSON."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def claim(path: Path, value: dict[str, Any]) -> bool:
    """Create `path` with its whole content, durably; False when it exists already."""
    temporary = _written(path, value, durable=True)
    try:
        os.link(temporary, path)
    except FileExistsError:
        temporary.unlink()
        return False
    except OSError:
        # No hard links on this file system: the caller's lock alone keeps others out.
        if path.exists():
            temporary.unlink()
            return False
        temporary.replace(path)
    else:
        temporary.unlink()
    return True


def replace(path: Path, value: dict[str, Any], *, durable: bool = False) -> None:
    """Write `path` so that readers see the old content or the new, never a part.

    With `durable` the new content survives a power failure once this returns.
    """
    _written(path, value, durable=durable).replace(path)
    if durable:
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def reserve(path: Path) -> None:
    """Take the disk space for `path` now, so that a disk that fills up later cannot keep it from being written."""
    _temporary(path).write_bytes(b" " * _RESERVED)


def release(path: Path) -> None:
    """Give back what `reserve` took, if it was not used."""
    with contextlib.suppress(OSError):
        _temporary(path).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _written(path: Path, value: dict[str, Any], *, durable: bool) -> Path:
    temporary = _temporary(path)
    data = json.dumps(value, indent=1).encode() + b"\n"
    # Not truncated first: that would give back the reserved blocks.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, data[written:])
        os.ftruncate(descriptor, len(data))
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return temporary
