"""What training code calls to tell a sweep its results, and the wire format that carries them.

    from axk8s.training import report

    for epoch in range(10):
        report(step=epoch, loss=train_one_epoch())

Standard library only, and importable alone from Python 3.8 on: it runs inside the training image, where the rest of
axk8s need not exist, so a copy of this one file beside a script does the same.

Wire format: one JSON object a record. Keys are metric names and values numbers, but for two reserved keys: `step` (a
whole number from 0) and `infeasible` (the reason, a text). RFC 8259 has no NaN: non-finite numbers are written as the
texts "nan", "inf" and "-inf", which every JSON parser reads; Python's bare NaN and Infinity are read as well. Records
go one a line into the file that `AXK8S_METRICS` names. Without it, and from any other language, a printed line
`axk8s: {"step": 3, "loss": 0.2}` means the same; text before the mark (a timestamp, a progress bar) and after the
object is ignored.
"""

from __future__ import annotations

import json
import math
import numbers
import operator
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, SupportsFloat, SupportsIndex

if TYPE_CHECKING:  # these are not subscriptable at run time in Python 3.8
    from collections.abc import Mapping

__all__ = [
    "EXIT_INFEASIBLE",
    "MARK",
    "Malformed",
    "Record",
    "checkpoint_dir",
    "format_record",
    "output_dir",
    "parameters",
    "parse_line",
    "parse_record",
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
_ENV_REPLICA = "AXK8S_REPLICA"

_RESERVED = {
    "step": "give it as report(..., step=...)",
    "infeasible": "call report_infeasible(reason)",
}
_MARKED = re.compile(re.escape(MARK.rstrip()) + r" *(?=\{)")
_DECODER = json.JSONDecoder()
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Record(NamedTuple):
    """One report: the values of some metrics at a step, or final ones when `step` is None."""

    values: Mapping[str, float]
    step: int | None = None
    infeasible: str = ""
    """The reason why these parameters can never work; empty for all ordinary records."""


class Malformed(NamedTuple):
    """A line that was meant to be a record and is none."""

    text: str
    problem: str
    """What is wrong with it, for a person."""


def report(
    values: Mapping[str, SupportsFloat] | None = None, /, *, step: SupportsIndex | None = None, **metrics: SupportsFloat
) -> None:
    """Report values of metrics: `report(step=3, loss=0.2)` or `report({"val/loss": 0.2}, step=3)`, or both at once.

    A call without `step` states final values. Reporting a step again replaces its values. Only one process of a job
    reports: rank 0, or replica 0 where there are no ranks; in all others the call checks its arguments and returns.
    NaN and infinities are kept: they are evidence. Outside any sweep the same record is printed, so a script can be
    tried by hand.

    A record is one append, so several processes may report at once. It is not fsynced: a killed process loses nothing
    by that, and after a crash of the machine the attempt starts anew anyway. Where the file cannot be written (a full
    disk) the record is printed, which a sweep reads too.

    Args:
        values: Metric name to number: whatever `float()` takes and is one number, such as numpy scalars and torch
            tensors without dimensions; true and false count as 1 and 0.
        step: Epoch or iteration, a whole number from 0.
        **metrics: The same as `values`, for names that are Python identifiers.

    Raises:
        TypeError: a value is not one number, a name is not text, a metric is given twice, or `step` is not an integer.
        ValueError: a name is empty or reserved (`step`, `infeasible`), or `step` is negative.
    """
    given = {} if values is None else dict(values)
    twice = sorted(given.keys() & metrics.keys())
    if twice:
        raise TypeError(f"report(): metric {twice[0]!r} is given twice, in the mapping and as a keyword")
    given.update(metrics)
    record = Record({_metric_name(name): _number(name, value) for name, value in given.items()}, _step(step))
    if record.values and _reports():
        _emit(record)


def report_infeasible(reason: str) -> NoReturn:
    """Say that these parameters can never work, and end the process with exit code 64.

    The optimizer is told to stay away from such parameters, and the trial is not retried. It ends by `SystemExit`, so
    `finally` blocks run; called from a thread other than the main one it ends only that thread.
    """
    if _reports():
        _emit(Record({}, infeasible=str(reason).strip() or "no reason given"))
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
        data[name] = value if math.isfinite(value) else str(value)
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
    for name, value in data.items():
        if not name or not _encodable(name):
            return Malformed(text, f"not a metric name: {name!r}")
        if isinstance(value, str) and value in _NON_FINITE:
            values[name] = _NON_FINITE[value]
        elif isinstance(value, (int, float)):
            try:
                values[name] = float(value)
            except OverflowError:
                return Malformed(text, f"metric {name!r} is too large a number")
        else:
            return Malformed(text, f"metric {name!r} is not a number: {value!r}")
    return Record(values, step, infeasible.encode("utf-8", "replace").decode("utf-8"))


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


def _say(stream: Any, line: str) -> None:
    # One write with its newline, so that lines of several processes do not run into each other.
    if stream is not None:
        stream.write(line + "\n")
        stream.flush()


def _folder(variable: str) -> Path | None:
    text = os.environ.get(variable)
    if not text:
        return None
    path = Path(text)
    path.mkdir(parents=True, exist_ok=True)
    return path
