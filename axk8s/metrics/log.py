"""Reading a program's output: its marked lines and its last lines, in bounded memory however long it is."""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from axk8s.training import MARK

LINE_LIMIT = 1 << 20
"""Bytes. Of a longer line only the end is looked at: no record is that long, but a progress bar's line may be."""
TAIL_BYTES = 256 << 10
"""How much of a log's end is read to find its last lines."""
TAIL_LINES = 20
TAIL_WIDTH = 300
"""Characters kept of a line: a printed tensor must not fill the journal."""
TAIL_BUDGET = 3000
"""Bytes (UTF-8) kept of all last lines together: they go into one journal line, which should stay under 4 KB."""

_BLOCK = 1 << 20
_MARK = MARK.rstrip().encode("ascii")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(line: str) -> str:
    """The line as a terminal would have left it: without colours and what a carriage return wrote over."""
    # Half a surrogate pair, as some decoders leave it for a stray byte, could not be written to the journal.
    text = _ESCAPES.sub("", line.encode("utf-8", "replace").decode("utf-8"))
    written = [part for part in text.split("\r") if part.strip("\x00 \t\n")]
    return _CONTROL.sub("", written[-1] if written else "").rstrip()


def last_lines(lines: Iterable[str], count: int = TAIL_LINES) -> list[str]:
    """The last `count` lines that are not blank, cleaned and cut to `TAIL_WIDTH`."""
    kept: deque[str] = deque(maxlen=count)
    for line in lines:
        text = clean(line)
        if text:
            kept.append(text if len(text) <= TAIL_WIDTH else text[: TAIL_WIDTH - 1] + "…")
    return list(kept)


def tail(path: Path, count: int = TAIL_LINES) -> list[str]:
    """The last `count` lines of a file that are not blank, cleaned; empty when it cannot be read."""
    return last_lines(end_of(path, TAIL_BYTES).decode("utf-8", "replace").split("\n"), count)


def end_of(path: Path, size: int) -> bytes:
    """The file's last `size` bytes, from the start of a line where there is one; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, io.SEEK_END)
            file.seek(max(0, length - size))
            data = file.read(size)
    except OSError:
        return b""
    begins = data.find(b"\n") + 1 if length > size else 0
    return data[begins:]


def combine(stdout: list[str], stderr: list[str], count: int = TAIL_LINES) -> tuple[str, ...]:
    """At most `count` of the last lines of both streams: each gets half, and what the other does not use.

    The streams' order in time is not known; stderr goes last, because a traceback's last line says most.
    """
    errors = stderr[-max(count // 2, count - len(stdout)) :]
    lines = [*stdout[-(count - len(errors)) :], *errors] if len(errors) < count else errors
    room = TAIL_BUDGET
    for index in range(len(lines) - 1, -1, -1):
        room -= len(lines[index].encode())
        if room < 0:
            return tuple(lines[index + 1 :])
    return tuple(lines)


class Scan:
    """The lines of a file one by one, or only those that may hold a record; counts what it went through."""

    def __init__(self, path: Path, *, start: int = 0, growing: bool = False) -> None:
        self.path = path
        self.growing = growing
        """Whether a last line without a newline is still being written, and so is left for a later scan."""
        self.start = start
        """Byte to begin at."""
        self.lines = 0
        """Lines gone through so far."""
        self.complete = True
        """Whether the last line ended with a newline."""
        self.position = start
        """Byte behind the last whole line that was gone through."""

    def marked(self) -> Iterator[str]:
        """The lines that hold the mark; fast enough for gigabytes, because others are never decoded."""
        for block in self._blocks():
            if _MARK in block:
                for line in block.split(b"\n"):
                    if _MARK in line:
                        yield line.decode("utf-8", "replace")

    def all(self) -> Iterator[tuple[int, str]]:
        """Every line that is not blank with its number, counted from 1."""
        for block in self._blocks():
            first = self.lines - block.count(b"\n") + block.endswith(b"\n")
            for number, line in enumerate(block.split(b"\n"), first):
                if line.strip():
                    yield number, line.decode("utf-8", "replace")

    def _blocks(self) -> Iterator[bytes]:
        """The file in pieces that end with a whole line, but for the last one."""
        self.lines, self.complete, self.position = 0, True, self.start
        rest = b""
        with self.path.open("rb") as file:
            file.seek(self.start)
            while data := file.read(_BLOCK):
                block, newline, unended = (rest + data).rpartition(b"\n")
                rest = unended[-LINE_LIMIT:]
                # Passing over the start of an endless line too, so that going on from here reads it only once.
                self.position = file.tell() - len(rest)
                if newline:
                    self.lines += block.count(b"\n") + 1
                    yield block + newline
        if rest and not self.growing:
            self.lines += 1
            self.complete = False
            yield rest
