"""`axk8s best`: the best trial so far, or the front of several objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from axk8s.cli import figures, standing, talk, target
from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Directory, Format, Name, Output

if TYPE_CHECKING:
    from axk8s.results.tables import TrialRow
    from axk8s.sweep.state import State

EXAMPLE = """
axk8s best digits
axk8s best digits -o json
"""


def best(name: Name = None, directory: Directory = None, output: Output = Format.TABLE) -> None:
    """Show the best trial so far: its value, its parameters and its other metrics.

    Of several objectives: the front, which is every trial that no other beats in all of them (JSON and YAML: a list).
    What breaks an outcome constraint, or is worse than an objective's threshold, is neither.
    """
    from axk8s.results.tables import trial_row

    sweep = target.opened(target.latest(name, directory), directory)
    state = sweep.state()
    numbers = state.front if state.goal.several else [state.best] if state.best is not None else []
    rows = [trial_row(state, state.trials[number]) for number in numbers]
    base = None if state.baseline_values is None else trial_row(state, state.trials[state.baseline or 0])
    if output is not Format.TABLE:
        found = [row.to_json() for row in rows]
        emit(found if state.goal.several else found[0] if found else None, output)
        return
    if not rows:
        talk.say(_none_yet(sweep.folder.name, state))
        return
    if state.goal.several:
        _write_front(rows, base, state, list(sweep.spec.parameters))
    else:
        _write_best(rows[0], base, state, sweep.folder.name)


def _write_best(row: TrialRow, base: TrialRow | None, state: State, name: str) -> None:
    lines = [("trial", str(row.trial)), (row.objective, _measured(row, row.objective, row.value))]
    lines += [
        (metric, _measured(row, metric, value)) for metric, value in row.values.items() if metric != row.objective
    ]
    lines += [(parameter, _exact(value)) for parameter, value in row.parameters.items()]
    lines += [("generator", row.generator), ("took", figures.duration(row.seconds))]
    if base is not None:
        lines.append(("baseline", _against(row, base, maximize=state.maximize)))
    write_table([Column(name), Column("")], lines)


def _against(row: TrialRow, base: TrialRow, *, maximize: bool) -> str:
    """The difference to the baseline, with the words that spare a person the thought which way is better."""
    if row.trial == base.trial:
        return "this is the baseline"
    if row.value is None or base.value is None or not math.isfinite(base.value):
        return f"trial {base.trial}, which brought nothing to compare with"
    difference = row.value - base.value
    share = f" ({difference / abs(base.value):+.1%})" if base.value else ""
    word = "as good" if not difference else "better" if (difference > 0) is maximize else "worse"
    return f"{difference:+.4g}{share}, {word}, than {figures.number(base.value)} of trial {base.trial}"


def _write_front(rows: Sequence[TrialRow], base: TrialRow | None, state: State, parameters: Sequence[str]) -> None:
    from axk8s.results.tables import better

    # In the order of the first objective, so that the eye follows what is paid for it.
    ordered = sorted(rows, key=lambda row: better(row, maximize=state.maximize))
    shown = ordered if base is None or base.front else [*ordered, base]
    metrics = [*state.goal.metrics, *(name for row in shown for name in row.values)]
    metrics = list(dict.fromkeys(metrics))
    columns = [Column("trial", numeric=True), *(Column(metric, numeric=True) for metric in metrics)]
    columns += [Column(parameter) for parameter in parameters]
    cells = [
        [
            str(row.trial),
            *(_measured(row, metric, row.values.get(metric)) for metric in metrics),
            *(_exact(row.parameters.get(parameter)) for parameter in parameters),
        ]
        for row in shown
    ]
    if base is not None:
        columns.append(Column(""))
        cells = [[*each, "baseline" if row.baseline else ""] for each, row in zip(cells, shown, strict=True)]
    write_table(columns, cells)
    if base is not None and not base.front:
        ahead = sum(1 for row in rows if state.goal.dominates(row.values, base.values))
        result = standing.result(base, [aim.metric for aim in state.goal.aims])
        talk.say(f"better than the baseline ({result}) in one objective, and worse in none: {ahead} of {len(rows)}")


def _none_yet(name: str, state: State) -> str:
    from axk8s.results.tables import nearest, trial_rows
    from axk8s.sweep.model import Outcome

    succeeded = state.counts[Outcome.SUCCEEDED]
    if not succeeded:
        return f"no trial of {name} has succeeded yet"
    near = nearest(trial_rows(state))
    counted = f"{figures.plural(succeeded, 'trial')} of {name} succeeded"
    if state.unfit < succeeded:
        return f"{counted}, but none that keeps the constraints is within the objectives' thresholds"
    if near is None:
        return f"{counted}, but cannot be compared with the baseline yet"
    breach = " and ".join(standing.breaches(near.breaks))
    return (
        f"{counted}, but {'it breaks' if succeeded == 1 else 'all break'} an outcome constraint; the nearest, "
        f"trial {near.trial} ({figures.assignments(near.values)}), breaks {breach}"
    )


def _measured(row: TrialRow, metric: str, value: float | None) -> str:
    """A value with its standard error, if it was reported with one."""
    sem = row.sems.get(metric)
    return figures.number(value) + (f" ± {sem:.2g}" if sem is not None else "")


def _exact(value: object) -> str:
    # Parameters are copied from here into a final training: no digit may be lost.
    if value is None:
        return figures.NOTHING
    return str(value).lower() if isinstance(value, bool) else str(value)
