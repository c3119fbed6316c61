"""The sweep's only truth on disk: append, fsync, read, repair.

One record a line. `append` buffers; `commit` writes what is buffered with one `write` and one `fsync` (group commit),
so a caller that commits before a side effect knows that the announcement outlives it. A torn last line (the machine or
the disk stopped in the middle of a write) is dropped on opening; damage anywhere else is an error that names the line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from axk8s.errors import JournalError
from axk8s.sweep.encoding import from_line, to_line
from axk8s.sweep.records import Record
from axk8s.sweep.state import State, apply


def read(path: Path) -> Iterator[Record]:
    """The complete records of a journal, a torn last line left out; nothing is changed on disk.

    Raises:
        JournalError: missing, unreadable, or damaged anywhere but at its end.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                yield _parse(path, number, line)
    except FileNotFoundError as error:
        raise JournalError(f"there is no journal at {path}") from error
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror}") from error


def fold_file(path: Path) -> State:
    """The state that a journal describes.

    Raises:
        JournalError: as `read`, or records that contradict each other; the message names the line.
    """
    state = State()
    for number, record in enumerate(read(path), start=1):
        try:
            apply(state, record)
        except JournalError as error:
            raise JournalError(f"{path}:{number}: {error.message}", hint=_DAMAGED) from error
    if not state.uid:
        raise JournalError(f"the journal {path} holds no complete record", hint="start anew: axk8s run --fresh")
    return state


_DAMAGED = (
    "the journal was damaged or edited by hand; nothing was changed. Restore it from a copy, "
    "or cut it before this line (jobs of later trials are then unknown), or start anew: axk8s run --fresh"
)


def _parse(path: Path, number: int, line: bytes) -> Record:
    try:
        return from_line(line.decode())
    except (ValueError, UnicodeDecodeError) as error:
        raise JournalError(f"{path}:{number}: not a journal record: {error}", hint=_DAMAGED) from error


class Journal:
    """The journal opened for appending; one writer at a time (the sweep's lock sees to it)."""

    def __init__(self, path: Path) -> None:
        """Open or create `path`; drops a torn last line.

        Raises:
            JournalError: the file cannot be opened or repaired.
        """
        self.path = path
        self._buffer: list[str] = []
        try:
            created = not path.exists()
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._size = _cut_torn_line(self._fd)
            if created:
                _sync_folder(path.parent)
        except OSError as error:
            raise JournalError(f"the journal {path} cannot be opened: {error.strerror}") from error

    def append(self, record: Record) -> None:
        """Take a record into the next commit."""
        self._buffer.append(to_line(record))

    def commit(self) -> None:
        """Write and fsync everything appended since the last commit; nothing to do costs nothing.

        Raises:
            JournalError: the disk is full or failing. What was not written whole is cut off again and stays
                buffered, so the journal is as before and a later commit may succeed.
        """
        if not self._buffer:
            return
        data = ("\n".join(self._buffer) + "\n").encode()
        try:
            self._write(data)
            os.fsync(self._fd)
        except OSError as error:
            self._undo()
            raise JournalError(
                f"the journal {self.path} cannot be written: {error.strerror}",
                hint="make room on the disk, then run the same command again: running jobs go on and are found again",
            ) from error
        self._size += len(data)
        self._buffer.clear()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def _undo(self) -> None:
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            return  # the torn line is dropped by the next reader

    def close(self) -> None:
        """Close the file; what was appended but not committed is lost. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _cut_torn_line(fd: int) -> int:
    """Truncate after the last newline; returns the size."""
    size = end = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - 65536)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != size:
        os.ftruncate(fd, end)
        os.fsync(fd)
    return end


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
