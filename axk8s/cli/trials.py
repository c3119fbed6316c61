"""`axk8s trials`: every trial of a sweep."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from axk8s.cli import figures, standing, talk, target
from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Directory, Format, Name, Output
from axk8s.sweep.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from axk8s.results.tables import TrialRow
    from axk8s.sweep.goal import Goal

EXAMPLE = """
axk8s trials digits --sort value
axk8s trials digits --outcome failed
axk8s trials digits -o json | jq '.[].parameters'
"""


class Order(StrEnum):
    """What trials are sorted by."""

    TRIAL = "trial"
    VALUE = "value"
    SECONDS = "seconds"


def trials(
    name: Name = None,
    outcome: Annotated[
        list[Outcome] | None,
        typer.Option("--outcome", envvar="AXK8S_OUTCOME", help="Only trials that ended so. May be repeated."),
    ] = None,
    sort: Annotated[
        Order,
        typer.Option(
            "--sort",
            envvar="AXK8S_SORT",
            help="By number, by value (best first; of several objectives the front first, then by the first objective),"
            " or by time (longest first).",
        ),
    ] = Order.TRIAL,
    directory: Directory = None,
    output: Output = Format.TABLE,
) -> None:
    """List the trials of a sweep with their parameters and values."""
    import time

    from axk8s.results.tables import better, trial_rows

    sweep = target.opened(target.latest(name, directory), directory)
    state = sweep.state()
    rows = trial_rows(state, now=time.time() if sweep.running() else None)
    if outcome:
        rows = [row for row in rows if row.outcome in outcome]
    if sort is Order.VALUE:
        rows.sort(key=lambda row: better(row, maximize=state.maximize))
    elif sort is Order.SECONDS:
        rows.sort(key=lambda row: -(row.seconds or 0.0))
    if output is not Format.TABLE:
        emit([row.to_json() for row in rows], output)
        return
    if not rows:
        talk.say(f"no trial of {sweep.folder.name} {'ended so' if outcome else 'has begun'} yet")
        return
    write_trials(rows, parameters=list(sweep.spec.parameters), metrics=_shown(state.goal))


def _shown(goal: Goal) -> list[str]:
    """What is shown of each trial: what it is compared by, and all that takes part in objectives and constraints."""
    return list(dict.fromkeys([goal.name, *goal.metrics]))


_STYLES = {
    Outcome.FAILED: "red",
    Outcome.INFEASIBLE: "yellow",
    Outcome.STOPPED: "dim",
    Outcome.EARLY_STOPPED: "dim",
    None: "cyan",
}


def write_trials(rows: Sequence[TrialRow], *, parameters: Sequence[str], metrics: Sequence[str]) -> None:
    """Write the table: one row a trial, one column a metric and a parameter; the best or the front is marked."""
    columns = [
        Column("trial", numeric=True),
        Column("state"),
        *(Column(metric, numeric=True) for metric in metrics),
        *(Column(parameter, numeric=_numeric(rows, parameter)) for parameter in parameters),
        Column("time", numeric=True),
        Column("attempts", numeric=True),
        Column("by"),
        Column("", note=True),
    ]
    cells = [
        [
            str(row.trial),
            _state(row),
            *(figures.number(row.value if metric == row.objective else row.values.get(metric)) for metric in metrics),
            *(figures.number(row.parameters.get(parameter)) for parameter in parameters),
            figures.duration(row.seconds),
            str(row.attempts),
            row.generator,
            standing.notes(row),
        ]
        for row in rows
    ]
    styles = {index: _style(row) for index, row in enumerate(rows)}
    write_table(columns, cells, styles=styles)


def _style(row: TrialRow) -> str:
    if row.best or row.front:
        return "bold green"
    return "yellow" if row.breaks else _STYLES.get(row.outcome, "")


def _state(row: TrialRow) -> str:
    if row.outcome is not None:
        return row.outcome.value.replace("_", " ")
    return row.phase.value if row.phase is not None else "next"


def _numeric(rows: Sequence[TrialRow], parameter: str) -> bool:
    return all(not isinstance(row.parameters.get(parameter, 0), (str, bool)) for row in rows)
