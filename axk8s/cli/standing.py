"""How a sweep stands, in words: its best trial, or its front; what breaks the constraints. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from axk8s.cli import figures

if TYPE_CHECKING:
    from axk8s.results.summary import Summary
    from axk8s.results.tables import TrialRow

NOT_MEASURED = "no hypervolume, as not every objective has a threshold"


def short(summary: Summary) -> str:
    """`best loss 0.123 (trial 4)`, or `front of 3 trials, hypervolume 0.42`; empty while there is neither."""
    if summary.objectives:
        return front(summary) if summary.front else ""
    if summary.best_trial is None:
        return ""
    return f"best {summary.objective} {figures.number(summary.best_value)} (trial {summary.best_trial})"


def front(summary: Summary) -> str:
    """`front of 3 trials, hypervolume 0.42`."""
    volume = summary.hypervolume
    said = f", hypervolume {figures.number(volume)}" if volume is not None else ""
    return f"front of {figures.plural(len(summary.front), 'trial')}{said}"


def rows(summary: Summary) -> list[tuple[str, str]]:
    """The same as lines of `status`, with what breaks the constraints, and what is known from elsewhere."""
    said: list[tuple[str, str]] = []
    if summary.best_trial is not None:
        said.append((f"best {summary.objective}", f"{figures.number(summary.best_value)} (trial {summary.best_trial})"))
        said.append(("", figures.assignments(summary.best_parameters)))
    if summary.objectives and (summary.front or summary.outcomes.get("succeeded", 0) > summary.unfit):
        count = figures.plural(len(summary.front), "trial")
        members = f": {figures.members(summary.front, most=12).partition(' ')[2]}" if summary.front else ""
        beyond = "" if summary.front else ": none is within the thresholds"
        said.append(("front", f"{count}{members}{beyond}"))
        volume = summary.hypervolume
        said.append(("", NOT_MEASURED if volume is None else f"hypervolume {figures.number(volume)}"))
    if summary.unfit:
        said.append(("constraints", unfit(summary)))
    said += [
        ("attached" if index == 0 else "", f"{figures.plural(count, 'result')} of {source}")
        for index, (source, count) in enumerate(summary.attached.items())
    ]
    return said


def unfit(summary: Summary) -> str:
    """`2 of 5 succeeded trials break them`, said of the outcome constraints."""
    succeeded = summary.outcomes.get("succeeded", 0)
    verb = "breaks" if summary.unfit == 1 else "break"
    waits = "" if summary.comparable else ", or cannot be compared with the baseline yet"
    return f"{summary.unfit} of {succeeded} succeeded trials {verb} them{waits}"


def result(row: TrialRow, objectives: Sequence[str]) -> str:
    """What a trial brought: `loss=0.123`, or each of several objectives; empty while it has brought nothing."""
    if objectives:
        return figures.assignments({name: row.values[name] for name in objectives if name in row.values})
    return f"{row.objective}={figures.number(row.value)}" if row.value is not None else ""


def notes(row: TrialRow) -> str:
    """What is to be said of a trial in the last column of a table."""
    marks = [word for word, holds in (("best", row.best), ("front", row.front), ("baseline", row.baseline)) if holds]
    marks += [f"breaks {breach}" for breach in breaches(row.breaks)]
    if row.reason and not (row.best or row.front):
        marks.append(row.reason)
    return ", ".join(marks)


def breaches(breaks: Mapping[str, float]) -> list[str]:
    """`latency_ms <= 20 by 1.4`, for each constraint."""
    return [f"{text} by {figures.number(excess)}" for text, excess in breaks.items()]
