"""The output of a job's replicas, line by line, while they run and afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from axk8s.schedulers.local import record

_POLL = 0.1
_CHUNK = 1 << 20
_TAIL_BYTES = 64 << 10


def paths(folder: Path, replica: str = "") -> tuple[Path, Path]:
    """The stdout and stderr of a replica, `<role>-<index>`; of the first one when none is named.

    The files exist once the replica has started.
    """
    found = record.read(folder)
    plans = found.request["replicas"] if found is not None else []
    for plan in plans:
        if not replica or replica == f"{plan['role']}-{plan['index']}":
            below = folder / plan["folder"]
            return below / "stdout.log", below / "stderr.log"
    return folder / "stdout.log", folder / "stderr.log"


def tail(folder: Path, replica: str = "", *, lines: int = 20) -> tuple[str, ...]:
    """The last lines of a replica's output without their line ends: stdout's first, then stderr's.

    Their order in time is not known; stderr comes last because a traceback's last line says most. Only the last 64 KiB
    of each file are read.
    """
    found: list[str] = []
    for path in paths(folder, replica):
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(size - _TAIL_BYTES, 0))
                data = file.read()
        except FileNotFoundError:
            continue
        whole = data.decode(errors="replace").splitlines()
        found += whole[1:] if size > _TAIL_BYTES else whole
    return tuple(found[-lines:])


def follow(files: Sequence[Path], ended: Callable[[], bool] | None = None) -> Iterator[str]:
    """Lines with their line ends, file after file; as they come, when `ended` is given.

    Following ends when `ended` says that nobody writes any more and everything was read. A progress bar that redraws
    its line (`\\r`) is handed on as it is drawn.
    """
    readers = [_Reader(path) for path in files]
    try:
        while True:
            last = ended is None or ended()  # asked before reading: what was written until then is in the files
            count = 0
            for reader in readers:
                for line in reader.lines(rest=last, redraws=not last):
                    count += 1
                    yield line
            if last:
                return
            if not count:
                time.sleep(_POLL)
    finally:
        for reader in readers:
            reader.close()


class _Reader:
    """Reads one growing file; the file may not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def lines(self, *, rest: bool, redraws: bool) -> Iterator[str]:
        """All complete lines so far; also the unfinished one when `rest`, also redrawn parts of it when `redraws`."""
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return
        while chunk := self._file.read(_CHUNK):
            *complete, self._rest = (self._rest + chunk).split(b"\n")
            for line in complete:
                yield (line + b"\n").decode(errors="replace")
        if redraws and (cut := self._rest.rfind(b"\r", 0, -1)) >= 0:
            drawn, self._rest = self._rest[: cut + 1], self._rest[cut + 1 :]
            yield drawn.decode(errors="replace")
        if rest and self._rest:
            yield self._rest.decode(errors="replace")
            self._rest = b""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
