"""Collecting what an ended attempt left: its values, its last words, and an account of where they were looked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from axk8s.errors import Axk8sError, suggestion
from axk8s.folder import AttemptFolder
from axk8s.metrics.curve import Curves, Objective
from axk8s.metrics.log import TAIL_WIDTH, Scan, combine, last_lines, tail
from axk8s.sweep.model import Harvest
from axk8s.training import MARK, Malformed, parse_line, parse_record

_GRACE_STEP = 0.5
"""Seconds between two looks for a value that is late."""
_SHOWN = 80


@dataclass(slots=True)
class Reading:
    """What one look at an attempt's sources found."""

    curves: Curves = field(default_factory=Curves)
    searched: list[str] = field(default_factory=list)
    """A sentence for each source: what is there, and what could not be read."""
    output_tail: list[str] = field(default_factory=list)
    """The last lines of the output, when it had to be read from the scheduler."""


def collect(
    folder: AttemptFolder,
    lines: Callable[[], Iterable[str]] | None = None,
    *,
    objectives: Sequence[Objective],
    metrics: Sequence[str] = (),
    grace: float = 0.0,
    wait: Callable[[float], object] = time.sleep,
) -> Harvest:
    """Everything that an ended attempt reported, by the rules of the sweep file.

    The metrics file and the marked lines of the output are both read; of a point that both know the file's value
    counts. A killed process leaves torn lines, so damage is no error, nor is a file that cannot be read: `searched`
    tells of them.

    Args:
        folder: The attempt's folder.
        lines: Opens the scheduler's log from its beginning; read only where the folder has no `stdout.log`.
        objectives: The metrics that are optimized, and the ones whose best value counts instead of the last.
        metrics: All that must be there; the objectives' unless given.
        grace: Seconds to go on looking while an objective is missing; 0 where files are complete once a job ended,
            more where a shared file system or a log pipeline lags behind.
        wait: Passes the time between two looks.
    """
    wanted = metrics or [objective.metric for objective in objectives]
    left = grace
    reading = read(folder, lines)
    while left > 0 and not reading.curves.infeasible and not all(name in reading.curves.metrics for name in wanted):
        wait(min(left, _GRACE_STEP))
        left -= _GRACE_STEP
        reading = read(folder, lines)
    values = reading.curves.values(objectives)
    searched = [*reading.searched, *_named(values, wanted)]
    return Harvest(
        values=values,
        sems=reading.curves.sems(objectives),
        steps=reading.curves.step_count,
        infeasible=reading.curves.infeasible[:TAIL_WIDTH],
        searched=tuple(searched),
        log_tail=combine(tail(folder.stdout) or reading.output_tail, tail(folder.stderr)),
    )


def read(folder: AttemptFolder, lines: Callable[[], Iterable[str]] | None = None) -> Reading:
    """The curves of an attempt, running or ended, from all its sources."""
    reading = Reading()
    _read_file(folder, reading)
    printed = Curves()
    if lines is None or folder.stdout.exists():
        _read_output(folder, printed, reading)
    else:
        _read_log(lines, printed, reading)
    reading.curves.fill(printed)
    return reading


def _read_file(folder: AttemptFolder, reading: Reading) -> None:
    scan = Scan(folder.metrics)
    damage: list[tuple[int, str]] = []
    records = 0
    try:
        for number, line in scan.all():
            record = parse_record(line)
            if isinstance(record, Malformed):
                damage.append((number, record.problem))
            else:
                records += 1
                reading.curves.add(record)
    except FileNotFoundError:
        reading.searched.append(f"{folder.metrics}: does not exist, so report() was not called, or not by replica 0")
        return
    except OSError as error:
        reading.searched.append(f"{folder.metrics}: could not be read: {error.strerror}")
        return
    torn = bool(damage) and not scan.complete and damage[-1][0] == scan.lines
    if torn:
        damage.pop()
    sentence = f"{folder.metrics}: {_counted(records, 'record')}"
    if torn:
        sentence += f", and line {scan.lines} was cut off"
    if damage:
        number, problem = damage[0]
        sentence += (
            f"; {_counted(len(damage), 'unreadable line')}, the first is {folder.metrics.name}:{number}: {problem}"
        )
    reading.searched.append(sentence)


def _read_output(folder: AttemptFolder, printed: Curves, reading: Reading) -> None:
    scan = Scan(folder.stdout)
    try:
        found = _add_marked(scan.marked(), printed)
    except FileNotFoundError:
        reading.searched.append(f"{folder.stdout}: does not exist")
        return
    except OSError as error:
        reading.searched.append(f"{folder.stdout}: could not be read: {error.strerror}")
        return
    reading.searched.append(_output_sentence(str(folder.stdout), scan.lines, found))


def _read_log(lines: Callable[[], Iterable[str]], printed: Curves, reading: Reading) -> None:
    count = 0

    def seen() -> Iterable[str]:
        nonlocal count
        for line in lines():
            count += 1
            yield line

    def marked() -> Iterable[str]:
        # One pass serves both purposes: a scheduler's log may be slow to open, and too long to keep.
        chunk: list[str] = []
        for line in seen():
            chunk.append(line)
            if len(chunk) >= 1000:
                reading.output_tail = last_lines([*reading.output_tail, *chunk])
                chunk.clear()
            yield line
        reading.output_tail = last_lines([*reading.output_tail, *chunk])

    try:
        found = _add_marked(marked(), printed)
    except (Axk8sError, OSError) as error:
        reading.searched.append(f"the scheduler's log: could not be read: {error}")
        return
    reading.searched.append(_output_sentence("the scheduler's log", count, found))


def _add_marked(lines: Iterable[str], printed: Curves) -> tuple[int, list[Malformed]]:
    """Add all records that lines hold; how many there were, and what looked like one and is none."""
    records = 0
    damage: list[Malformed] = []
    for line in lines:
        for record in parse_line(line):
            if isinstance(record, Malformed):
                damage.append(record)
            else:
                records += 1
                printed.add(record)
    return records, damage


def _output_sentence(name: str, lines: int, found: tuple[int, list[Malformed]]) -> str:
    records, damage = found
    mark = f"`{MARK}{{…}}`"
    sentence = f"{name}: {_counted(records, 'record')} marked {mark} in {_counted(lines, 'line')}"
    if damage:
        text = damage[0].text
        shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
        sentence += f"; {_counted(len(damage), 'marked line')} unreadable, the first is {shown!r}: {damage[0].problem}"
    return sentence


def _named(reported: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Which metrics were reported, and which not: what tells a misspelt name from a script that reports nothing."""
    names = sorted(reported)
    missing = [name for name in wanted if name not in names]
    if not names:
        return ["reported: nothing"]
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    if not missing:
        return [f"reported: {shown}"]
    near = [text.split(" (")[0] for name in missing if (text := suggestion(name, names)).startswith("did you mean")]
    return [f"reported: {shown}; not {', '.join(missing)}" + (f" ({' '.join(near)})" if near else "")]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
