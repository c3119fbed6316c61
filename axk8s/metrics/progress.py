"""Following an attempt while it runs: its newest values, cheaply, and every record since the last look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from axk8s.folder import AttemptFolder
from axk8s.metrics.log import Scan, end_of
from axk8s.training import Malformed, Record, parse_line, parse_record

_END = 32 << 10
"""Bytes looked at for the newest record: some hundred records."""


class Latest(NamedTuple):
    """The newest values of a running attempt; `step` is None when all of them are final."""

    step: int | None
    values: dict[str, float]


def latest(folder: AttemptFolder) -> Latest | None:
    """The newest values: those of the highest step, and final ones over them; None while nothing is reported.

    Reads the ends of the metrics file and, where that has no records, of the output: cheap enough for a live table.
    """
    for path, parse in _sources(folder):
        lines = end_of(path, _END).decode("utf-8", "replace").split("\n")
        records = [record for line in lines for record in parse(line) if isinstance(record, Record) and record.values]
        if records:
            step = max((record.step for record in records if record.step is not None), default=None)
            values: dict[str, float] = {}
            for wanted in (step, None):
                for record in records:
                    if record.step == wanted:
                        values.update(record.values)
            return Latest(step, values)
    return None


class Tail:
    """The records of a running attempt as they come, from the metrics file and the output's marked lines."""

    def __init__(self, folder: AttemptFolder) -> None:
        self._metrics = Scan(folder.metrics, growing=True)
        self._output = Scan(folder.stdout, growing=True)

    def read(self) -> list[Record]:
        """The records since the last call; a line that is still being written waits for the next one.

        Lines that are no records are passed over here: `collect` gives account of them once the attempt has ended.

        Raises:
            OSError: a file is there but cannot be read.
        """
        self._metrics, written = _since(self._metrics, lambda scan: (line for _, line in scan.all()))
        self._output, printed = _since(self._output, Scan.marked)
        found: list[Record | Malformed] = [parse_record(line) for line in written]
        for line in printed:
            found += parse_line(line)
        return [record for record in found if isinstance(record, Record)]


def _since(scan: Scan, lines_of: Callable[[Scan], Iterable[str]]) -> tuple[Scan, list[str]]:
    """The whole lines that came to the file, and where to go on the next time."""
    try:
        # A file that shrank was emptied, and begins anew.
        start = scan.position if scan.position <= scan.path.stat().st_size else 0
        scan = Scan(scan.path, start=start, growing=True)
        lines = list(lines_of(scan))
    except FileNotFoundError:
        return Scan(scan.path, growing=True), []
    return scan, lines


def _sources(
    folder: AttemptFolder,
) -> list[tuple[Path, Callable[[str], tuple[Record | Malformed, ...]]]]:
    return [(folder.metrics, lambda line: (parse_record(line),)), (folder.stdout, parse_line)]
