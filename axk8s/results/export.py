"""All trials as one plain table, for spreadsheets, pandas, and the warm start of another sweep. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

from axk8s.results.known import PREFIXES
from axk8s.results.tables import TrialRow
from axk8s.sweep.model import Scalar

_ABOUT: Final = ("trial", "outcome", "generator")
_AFTER: Final = ("feasible", "front", "seconds", "attempts", "reason")


def table(rows: Sequence[TrialRow], parameters: Sequence[str]) -> tuple[list[str], list[list[Scalar | None]]]:
    """The columns, and a row for each trial; None is an empty cell.

    Parameters and metrics have their own names. Where a parameter's name is another column's as well, `param.` stands
    before it; where a metric's is one of the trial's own columns, `trial.` stands before that one. Every metric's
    standard error is `<metric>_sem`, if it was ever reported with one. `front` is the best trial where there is one.
    """
    metrics = list(dict.fromkeys(name for row in rows for name in row.values))
    measured = [f"{name}_sem" for name in metrics if any(name in row.sems for row in rows)]
    named = [*metrics, *measured]
    about, after = ([f"trial.{name}" if name in named else name for name in part] for part in (_ABOUT, _AFTER))
    taken = {*about, *after, *_ABOUT, *_AFTER, *metrics, *(f"{name}_sem" for name in metrics)}
    searched = [f"{PREFIXES[0]}{name}" if name in taken else name for name in parameters]
    columns = [*about, *searched, *metrics, *measured, *after]
    return columns, [
        [
            *(row.trial, row.outcome.value if row.outcome is not None else None, row.generator),
            *(row.parameters.get(name) for name in parameters),
            *(row.values.get(name) for name in metrics),
            *(row.sems.get(name.removesuffix("_sem")) for name in measured),
            *(row.feasible, row.front or row.best, row.seconds, row.attempts, row.reason or None),
        ]
        for row in rows
    ]


def to_csv(columns: Sequence[str], rows: Sequence[Sequence[Scalar | None]]) -> str:
    """The table as CSV; numbers have all their digits."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return file.getvalue()


def _cell(value: Scalar | None) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
