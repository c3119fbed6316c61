"""What training code calls to tell a sweep its results, and the wire format that carries them.

    from axk8s.training import report

    for epoch in range(10):
        report(step=epoch, loss=train_one_epoch())

Standard library only, and importable alone from Python 3.8 on: it runs inside the training image, where the rest of
axk8s need not exist, so a copy of this one file beside a script does the same.

Wire format: one JSON object a record. Keys are metric names and values numbers, but for two reserved keys: `step` (a
whole number from 0) and `infeasible` (the reason, a text). A pair of numbers `[0.2, 0.01]` is a value with its standard
error. RFC 8259 has no NaN: non-finite numbers are written as the texts "nan", "inf" and "-inf", which every JSON parser
reads; Python's bare NaN and Infinity are read as well. Records go one a line into the file that `AXK8S_METRICS` names.
Without it, and from any other language, a printed line `axk8s: {"step": 3, "loss": 0.2}` means the same; text before
the mark (a timestamp, a progress bar) and after the object is ignored.

The file that `AXK8S_RESULT` names (on Kubernetes the container's termination message) holds the result in at most 4 KB:
such marked lines with the points that decide the metrics' values (final, last, and best by `AXK8S_BEST`), after a line
`axk8s steps: 120` that counts all steps. `parse_result()` reads it.
"""

from __future__ import annotations

import contextlib
import json
import math
import numbers
import operator
import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, SupportsFloat, SupportsIndex

if TYPE_CHECKING:  # these are not subscriptable at run time in Python 3.8
    from collections.abc import Mapping
    from typing import TypeAlias

    Reported: TypeAlias = SupportsFloat | tuple[SupportsFloat, SupportsFloat | None]

__all__ = [
    "EXIT_INFEASIBLE",
    "MARK",
    "Malformed",
    "Record",
    "Result",
    "checkpoint_dir",
    "format_record",
    "output_dir",
    "parameters",
    "parse_line",
    "parse_record",
    "parse_result",
    "report",
    "report_infeasible",
]

MARK = "axk8s: "
"""What makes a printed line a record."""
EXIT_INFEASIBLE = 64
"""Exit code of `report_infeasible()`; EX_USAGE of sysexits.h: what the program was given cannot work."""

# Repeated from axk8s.names, which a copy of this file does not have; a test compares them.
_ENV_PARAMS = "AXK8S_PARAMS"
_ENV_OUTPUT_DIR = "AXK8S_OUTPUT_DIR"
_ENV_CHECKPOINT_DIR = "AXK8S_CHECKPOINT_DIR"
_ENV_METRICS = "AXK8S_METRICS"
_ENV_RESULT = "AXK8S_RESULT"
_ENV_BEST = "AXK8S_BEST"
_ENV_REPLICA = "AXK8S_REPLICA"

_RESERVED = {
    "step": "give it as report(..., step=...)",
    "infeasible": "call report_infeasible(reason)",
}
_MARKED = re.compile(re.escape(MARK.rstrip()) + r" *(?=\{)")
_STEPS = re.compile(r"^axk8s steps: ([0-9]{1,18})$", re.MULTILINE)
_DECODER = json.JSONDecoder()
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_ROOM = 4096  # bytes that Kubernetes keeps of a termination message
_REASON = 300  # characters of it that a sweep keeps
_KEPT = 10_000  # steps remembered one by one, so that the memory of a long training stays its own
_SUMMARIES: dict[str, _Summary] = {}
_LOCK = threading.RLock()  # a signal handler may report in the middle of another report
if hasattr(os, "register_at_fork"):
    # A child must not wait for a thread that it does not have.
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


class Record(NamedTuple):
    """One report: the values of some metrics at a step, or final ones when `step` is None."""

    values: Mapping[str, float]
    step: int | None = None
    infeasible: str = ""
    """The reason why these parameters can never work; empty for all ordinary records."""
    sems: Mapping[str, float] = {}
    """The standard errors of the values, of those metrics that were reported with one."""


class Malformed(NamedTuple):
    """A line that was meant to be a record and is none."""

    text: str
    problem: str
    """What is wrong with it, for a person."""


class Result(NamedTuple):
    """What a termination message tells of an attempt."""

    records: tuple[Record, ...] = ()
    steps: int = 0
    """How many different steps were reported; the records hold only a few of them."""

    @property
    def final(self) -> bool:
        """Whether values without a step are there: what tells a training that came to its end from a broken one."""
        return any(record.step is None and record.values for record in self.records)


def report(
    values: Mapping[str, Reported] | None = None, /, *, step: SupportsIndex | None = None, **metrics: Reported
) -> None:
    """Report values of metrics: `report(step=3, loss=0.2)` or `report({"val/loss": 0.2}, step=3)`, or both at once.

    A value that is a mean of several measurements has a standard error: `report(loss=(0.2, 0.01))`. The optimizer
    trusts it the more, the smaller that is.

    A call without `step` states final values. Reporting a step again replaces its values. Only one process of a job
    reports: rank 0, or replica 0 where there are no ranks; in all others the call checks its arguments and returns.
    NaN and infinities are kept: they are evidence. Outside any sweep the same record is printed, so a script can be
    tried by hand.

    A record is one append, so several processes may report at once. It is not fsynced: a killed process loses nothing
    by that, and after a crash of the machine the attempt starts anew anyway. Where the file cannot be written (a full
    disk) the record is printed, which a sweep reads too. The result in short (`AXK8S_RESULT`) is rewritten as well;
    where that cannot be, stderr says so once, and the training goes on.

    Args:
        values: Metric name to number: whatever `float()` takes and is one number, such as numpy scalars and torch
            tensors without dimensions; true and false count as 1 and 0. Or a tuple of two: value and standard error.
        step: Epoch or iteration, a whole number from 0.
        **metrics: The same as `values`, for names that are Python identifiers.

    Raises:
        TypeError: a value is not one number, a name is not text, a metric is given twice, or `step` is not an integer.
        ValueError: a name is empty or reserved (`step`, `infeasible`), `step` is negative, or a standard error is
            negative or not finite.
    """
    given: dict[str, Any] = {} if values is None else dict(values)
    twice = sorted(given.keys() & metrics.keys())
    if twice:
        raise TypeError(f"report(): metric {twice[0]!r} is given twice, in the mapping and as a keyword")
    given.update(metrics)
    # A tuple is a value and its standard error, which may be None where it is not known.
    pairs = {name: each if isinstance(each, tuple) and len(each) == 2 else (each, None) for name, each in given.items()}
    numbers_ = {_metric_name(name): _number(name, value) for name, (value, _) in pairs.items()}
    sems = {name: _standard_error(name, sem) for name, (_, sem) in pairs.items() if sem is not None}
    record = Record(numbers_, _step(step), sems=sems)
    if record.values and _reports():
        _publish(record)


def report_infeasible(reason: str) -> NoReturn:
    """Say that these parameters can never work, and end the process with exit code 64.

    The optimizer is told to stay away from such parameters, and the trial is not retried. It ends by `SystemExit`, so
    `finally` blocks run; called from a thread other than the main one it ends only that thread.
    """
    if _reports():
        _publish(Record({}, infeasible=str(reason).strip() or "no reason given"))
    raise SystemExit(EXIT_INFEASIBLE)


def parameters() -> dict[str, Any]:
    """The trial's parameters by name; empty outside a sweep, so that a script's own defaults hold.

    Raises:
        ValueError: `AXK8S_PARAMS` was set by hand to something that is not a JSON object.
    """
    text = os.environ.get(_ENV_PARAMS) or "{}"
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{_ENV_PARAMS} is not JSON ({error}): {text!r}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{_ENV_PARAMS} is not a JSON object: {text!r}")
    return found


def output_dir() -> Path | None:
    """The folder for this attempt's own files, made if it is missing; None outside a sweep."""
    return _folder(_ENV_OUTPUT_DIR)


def checkpoint_dir() -> Path | None:
    """The folder that all attempts of this trial share, made if it is missing; None where nothing is shared.

    A retried trial finds here what its earlier attempts saved.
    """
    return _folder(_ENV_CHECKPOINT_DIR)


def format_record(record: Record) -> str:
    """The record as one line of strict ASCII JSON, without the newline and without the mark."""
    data: dict[str, object] = {}
    if record.step is not None:
        data["step"] = record.step
    if record.infeasible:
        data["infeasible"] = record.infeasible
    for name, value in record.values.items():
        number = value if math.isfinite(value) else str(value)
        data[name] = [number, record.sems[name]] if name in record.sems else number
    return json.dumps(data, allow_nan=False)


def parse_record(text: str) -> Record | Malformed:
    """The record of one line of the metrics file."""
    try:
        data = json.loads(text)
    except RecursionError:
        return Malformed(text, "not JSON: nested too deeply")
    except ValueError as error:
        return Malformed(text, f"not JSON: {error}")
    return _record(data, text)


def parse_line(text: str) -> tuple[Record | Malformed, ...]:
    """The records in one line of a program's output: mostly none, mostly at most one.

    Several stand in one line when processes print at the same moment, or a progress bar keeps the cursor in it.
    """
    found: list[Record | Malformed] = []
    end = 0
    while True:
        mark = _MARKED.search(text, end)
        if mark is None:
            return tuple(found)
        end = mark.end()
        try:
            data, end = _DECODER.raw_decode(text, end)
        except RecursionError:
            found.append(Malformed(text[mark.start() :], "not JSON: nested too deeply"))
        except ValueError as error:
            found.append(Malformed(text[mark.start() :], f"not JSON: {error}"))
        else:
            found.append(_record(data, text[mark.start() : end]))


def parse_result(text: str) -> Result:
    """The result in a termination message, or in the last lines of the output, which Kubernetes may put in its place.

    Whatever is no whole record is passed over.
    """
    found = [record for line in text.split("\n") for record in parse_line(line) if isinstance(record, Record)]
    steps = {record.step for record in found if record.step is not None}
    return Result(tuple(found), max(len(steps), *map(int, _STEPS.findall(text)), 0))


def _record(data: object, text: str) -> Record | Malformed:
    if not isinstance(data, dict):
        return Malformed(text, "not a JSON object")
    step = data.pop("step", None)
    if step is not None and (isinstance(step, bool) or not isinstance(step, int) or step < 0):
        return Malformed(text, f"step is not a whole number from 0: {step!r}")
    infeasible = data.pop("infeasible", "")
    if not isinstance(infeasible, str):
        return Malformed(text, f"infeasible is not a text: {infeasible!r}")
    values: dict[str, float] = {}
    sems: dict[str, float] = {}
    for name, value in data.items():
        if not name or not _encodable(name):
            return Malformed(text, f"not a metric name: {name!r}")
        if isinstance(value, list) and len(value) == 2:
            value, sem = value
            if isinstance(sem, bool) or not isinstance(sem, (int, float)) or not 0 <= sem <= sys.float_info.max:
                return Malformed(text, f"the standard error of metric {name!r} is not a number from 0: {sem!r}")
            sems[name] = float(sem)
        if isinstance(value, str) and value in _NON_FINITE:
            values[name] = _NON_FINITE[value]
        elif isinstance(value, (int, float)):
            try:
                values[name] = float(value)
            except OverflowError:
                return Malformed(text, f"metric {name!r} is too large a number")
        else:
            return Malformed(text, f"metric {name!r} is not a number: {value!r}")
    return Record(values, step, infeasible.encode("utf-8", "replace").decode("utf-8"), sems)


def _metric_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"report(): a metric's name must be text, not {name!r}")
    if not name or not _encodable(name):
        raise ValueError(f"report(): {name!r} is not a metric name")
    if name in _RESERVED:
        raise ValueError(f"report(): {name!r} cannot be a metric's name; {_RESERVED[name]}")
    return name


def _encodable(name: str) -> bool:
    # Half of a surrogate pair is legal in JSON's escapes, but could never be written to the journal.
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _number(name: str, value: Any) -> float:
    # Some libraries convert texts, one-element arrays and the real parts of complex numbers without a word.
    textual = isinstance(value, (str, bytes, bytearray))
    complex_ = isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real)
    if textual or complex_ or getattr(value, "ndim", 0) != 0:
        raise TypeError(f"report(): metric {name!r} must be one number, not {_shown(value)}")
    detach = getattr(value, "detach", None)  # torch warns when a tensor that still has a gradient becomes a number
    try:
        return float(detach() if callable(detach) else value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise TypeError(f"report(): metric {name!r} must be one number, not {_shown(value)}: {error}") from error


def _standard_error(name: str, value: Any) -> float:
    sem = _number(f"{name}'s standard error", value)
    if not 0 <= sem <= sys.float_info.max:  # also for NaN
        raise ValueError(f"report(): the standard error of metric {name!r} must be finite and 0 or more, not {sem}")
    return sem


def _step(step: Any) -> int | None:
    if step is None:
        return None
    try:
        if isinstance(step, bool):
            raise TypeError("true and false are no steps")
        number = operator.index(step)
    except TypeError as error:
        raise TypeError(f"report(): step must be an integer, not {_shown(step)}: {error}") from error
    if number < 0:
        raise ValueError(f"report(): step must be 0 or more, not {number}")
    return number


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:79] + '…'} ({type(value).__name__})"


def _reports() -> bool:
    """Whether this process speaks for the job.

    A rank comes first: several workers share one replica, and a rendezvous may give rank 0 to any replica. Some
    launchers set only the local rank, which is 0 in the process whose rank is 0.
    """
    if _index("LOCAL_RANK"):
        return False
    for name in ("RANK", _ENV_REPLICA, "JOB_COMPLETION_INDEX"):
        index = _index(name)
        if index is not None:
            return index == 0
    return True


def _index(name: str) -> int | None:
    try:
        return int(os.environ.get(name, ""))
    except ValueError:
        return None


def _publish(record: Record) -> None:
    # One after the other, so that of two values for one point the same one is the later in both places.
    with _LOCK:
        _emit(record)
        _sum_up(record)


def _emit(record: Record) -> None:
    line = format_record(record)
    path = os.environ.get(_ENV_METRICS)
    if path:
        try:
            _append(path, line.encode("ascii") + b"\n")
        except OSError as error:
            _say(sys.stderr, f"axk8s could not write to {path} ({error}); the record is printed instead")
        else:
            return
    _say(sys.stdout, MARK + line)


def _append(path: str, line: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        size = os.fstat(descriptor).st_size
        # A line that was cut off by a full disk must not take this one with it.
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        if os.write(descriptor, line) < len(line):
            raise OSError("only a part of the line fitted")
    finally:
        os.close(descriptor)


def _sum_up(record: Record) -> None:
    path = os.environ.get(_ENV_RESULT)
    if not path:
        return
    # Out of reach meanwhile: a signal handler that reports right now gets one of its own, which reads the file.
    summary = _SUMMARIES.pop(path, None) or _Summary(_directions())
    try:
        summary.rewrite(path, record)
    except OSError as error:
        summary.add(record)
        if not summary.failed:
            _warn(f"axk8s could not write the result in short to {path} ({error}); the training goes on")
        summary.failed = True
    _SUMMARIES.setdefault(path, summary)


def _directions() -> dict[str, str]:
    text = os.environ.get(_ENV_BEST) or "{}"
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError):
        _warn(f"axk8s keeps no best values, because {_ENV_BEST} is not a JSON object: {text!r}")
        return {}


class _Summary:
    """The result in short: of each metric the points that decide its value."""

    def __init__(self, directions: Mapping[str, str]) -> None:
        self.first = frozenset(directions)
        self.best = {name: _Best(to) for name, to in directions.items() if to in ("minimize", "maximize")}
        self.final: dict[str, float] = {}
        self.last: dict[str, tuple[int, float]] = {}
        self.sems: dict[tuple[int | None, str], float] = {}
        self.infeasible = ""
        self.steps: set[int] = set()
        # Of the steps up to this one it is only known how many they were: a new one among them is not noticed.
        self.forgotten_to, self.forgotten = -1, 0
        self.written = b""
        self.failed = False

    def rewrite(self, path: str, record: Record) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            found = os.pread(descriptor, _ROOM + 1, 0)
            self.take(found)
            self.add(record)
            data = self.text().encode("ascii")
            if data:
                # In place, for a mounted file cannot be replaced; and not emptied first, for a process that is killed
                # then, or a full disk, would leave it so, and ext4 writes an emptied file to the disk at every close.
                if os.pwrite(descriptor, data, 0) < len(data):
                    raise OSError("only a part of it fitted")
                if len(found) > len(data):
                    os.ftruncate(descriptor, len(data))
                self.written = data
        finally:
            os.close(descriptor)

    def take(self, found: bytes) -> None:
        """Go on from what another process wrote: a script may run several programs, each of which reports."""
        if found != self.written:
            result = parse_result(found.decode("utf-8", "replace"))
            for record in result.records:
                self.add(record)
            self.forget()
            self.forgotten = max(self.forgotten, result.steps)

    def add(self, record: Record) -> None:
        self.infeasible = record.infeasible or self.infeasible
        for name in record.values:
            self.sems.pop((record.step, name), None)
        self.sems.update({(record.step, name): sem for name, sem in record.sems.items()})
        if record.step is None:
            self.final.update(record.values)
            return
        if record.step > self.forgotten_to:
            self.steps.add(record.step)
            if len(self.steps) > _KEPT:
                self.forget()
        for name, value in record.values.items():
            if record.step >= self.last.get(name, (0, value))[0]:
                self.last[name] = record.step, value
            if name in self.best:
                self.best[name].put(record.step, value)

    def forget(self) -> None:
        self.forgotten += len(self.steps)
        self.forgotten_to = max(self.steps, default=self.forgotten_to)
        self.steps.clear()
        needed = {(step, name) for step, name, _ in self.points()}
        self.sems = {point: sem for point, sem in self.sems.items() if point in needed}

    def text(self) -> str:
        """The count of steps and as many records as there is room for; empty when there is room for none."""
        steps = self.forgotten + len(self.steps)
        head = f"axk8s steps: {steps}\n" if steps else ""
        if self.infeasible:
            head += f"{MARK}{format_record(Record({}, infeasible=self.infeasible[:_REASON]))}\n"
        room = _ROOM - len(head)
        lines: dict[int | None, dict[str, float]] = {}
        sems: dict[int | None, dict[str, float]] = {}
        left_out: set[str] = set()  # once and for all: a step's value must not stand for a final one without room
        for step, name, value in self.points():
            if name in left_out or name in lines.get(step, ()):
                continue
            size = len(f"{json.dumps(name)}: {value}, ") + (0 if math.isfinite(value) else len('""'))
            sem = self.sems.get((step, name))
            size += 0 if sem is None else len(f"[, {sem}]")
            if step not in lines:  # its braces are as long as the comma that its first value has not
                size += len(f"{MARK}\n") + (0 if step is None else len(f'"step": {step}, '))
            if size > room:
                left_out.add(name)
                continue
            room -= size
            lines.setdefault(step, {})[name] = value
            sems.setdefault(step, {}).update({} if sem is None else {name: sem})
        if not lines and not self.infeasible:
            return ""
        records = (Record(values, step, sems=sems[step]) for step, values in lines.items())
        return head + "".join(f"{MARK}{format_record(record)}\n" for record in records)

    def points(self) -> list[tuple[int | None, str, float]]:
        """What decides the metrics' values, the most important first; the best may be the last as well."""
        points: list[tuple[int | None, str, float]] = [(None, name, value) for name, value in self.final.items()]
        points += [(best.step, name, best.value) for name, best in self.best.items() if best.step is not None]
        points += [(step, name, value) for name, (step, value) in self.last.items()]
        return sorted(points, key=lambda point: point[1] not in self.first)


class _Best:
    """The best step of one metric, also when the value of a step is replaced."""

    def __init__(self, direction: str) -> None:
        self.sign = -1.0 if direction == "maximize" else 1.0
        self.step: int | None = None
        self.values: dict[int, float] = {}

    @property
    def value(self) -> float:
        return math.nan if self.step is None else self.values[self.step]

    def put(self, step: int, value: float) -> None:
        self.values.pop(step, None)
        if math.isfinite(value):
            self.values[step] = value
        if step == self.step:
            self.step = min(self.values, key=self.cost, default=None)
        elif step in self.values and (self.step is None or self.cost(step) < self.cost(self.step)):
            self.step = step
        if len(self.values) > 2 * _KEPT:
            self.values = {step: self.values[step] for step in sorted(self.values, key=self.cost)[:_KEPT]}

    def cost(self, step: int) -> tuple[float, int]:
        return self.sign * self.values[step], step


def _say(stream: Any, line: str) -> None:
    # One write with its newline, so that lines of several processes do not run into each other.
    if stream is not None:
        stream.write(line + "\n")
        stream.flush()


def _warn(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody listens
        _say(sys.stderr, line)


def _folder(variable: str) -> Path | None:
    text = os.environ.get(variable)
    if not text:
        return None
    path = Path(text)
    path.mkdir(parents=True, exist_ok=True)
    return path
