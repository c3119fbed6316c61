from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest

from axk8s.results.tables import TrialRow, better, failure_groups, trial_rows
from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Outcome, Phase
from axk8s.sweep.records import (
    AttemptDiagnosed,
    Began,
    PhaseChanged,
    Record,
    SubmittedJob,
    Submitting,
    Suggested,
    TrialConcluded,
)
from axk8s.sweep.state import fold

BEGAN = Began(
    time=1.0,
    uid="0" * 32,
    name="s",
    spec={"objectives": [{"metric": "loss", "direction": "minimize"}]},
    base="/",
)


def submitted(trial: int, attempt: int, at: float) -> list[Record]:
    return [
        Submitting(time=at, trial=trial, attempt=attempt, job=f"s-t{trial}-a{attempt}"),
        SubmittedJob(time=at, trial=trial, attempt=attempt, handle="local://s/x"),
        PhaseChanged(time=at, trial=trial, attempt=attempt, phase=Phase.RUNNING, started_at=at),
    ]


def ended(trial: int, attempt: int, at: float, diagnosis: Diagnosis, loss: float | None = None) -> list[Record]:
    values = {} if loss is None else {"loss": loss}
    return [
        PhaseChanged(
            time=at, trial=trial, attempt=attempt, phase=Phase.ENDED, ended_at=at, exit=ExitFacts("exited", code=0)
        ),
        AttemptDiagnosed(time=at, trial=trial, attempt=attempt, diagnosis=diagnosis, values=values),
    ]


def suggested(trial: int) -> Suggested:
    return Suggested(time=1.0, trial=trial, parameters={"lr": 0.1, "kind": "a"}, generator="Sobol", from_model=False)


def rows_of(records: Sequence[Record], *, now: float | None = None) -> list[TrialRow]:
    return trial_rows(fold([BEGAN, suggested(0), *records]), now=now)


FINE = Diagnosis(Category.SUCCEEDED, "")
CRASHED = Diagnosis(Category.USER_ERROR, "ended with exit code 3", hint="read its log", log_tail=("boom",))


def test_a_proposed_trial_has_neither_outcome_nor_phase() -> None:
    (row,) = rows_of([])
    assert (row.trial, row.outcome, row.phase, row.value, row.attempts, row.seconds) == (0, None, None, None, 0, None)
    assert row.parameters == {"lr": 0.1, "kind": "a"}
    assert row.generator == "Sobol"


def test_a_succeeded_trial_has_its_value_and_its_time() -> None:
    concluded = TrialConcluded(time=9.0, trial=0, outcome=Outcome.SUCCEEDED, values={"loss": 0.5, "f1": 0.9})
    (row,) = rows_of([*submitted(0, 0, 2.0), *ended(0, 0, 8.0, FINE, 0.5), concluded])
    assert (row.outcome, row.value, row.seconds, row.best) == (Outcome.SUCCEEDED, 0.5, 6.0, True)
    assert row.values == {"loss": 0.5, "f1": 0.9}
    assert (row.reason, row.hint, row.log_tail) == ("", "", ())


def test_time_counts_from_the_first_attempt_to_the_end_of_the_last() -> None:
    transient = Diagnosis(Category.TRANSIENT, "asked to be tried again")
    records = [
        *submitted(0, 0, 2.0),
        *ended(0, 0, 3.0, transient),
        *submitted(0, 1, 10.0),
        *ended(0, 1, 12.0, FINE, 1.0),
        TrialConcluded(time=13.0, trial=0, outcome=Outcome.SUCCEEDED, values={"loss": 1.0}),
    ]
    (row,) = rows_of(records)
    assert (row.attempts, row.seconds, row.started_at, row.ended_at) == (2, 10.0, 2.0, 12.0)


def test_a_running_trial_has_a_time_only_when_told_what_time_it_is() -> None:
    assert rows_of(submitted(0, 0, 2.0))[0].seconds is None
    (row,) = rows_of(submitted(0, 0, 2.0), now=7.0)
    assert (row.phase, row.seconds, row.ended_at) == (Phase.RUNNING, 5.0, None)


def test_a_waiting_trial_says_what_it_waits_for() -> None:
    queued = PhaseChanged(time=3.0, trial=0, attempt=0, phase=Phase.QUEUED, reason="no GPU is free")
    (row,) = rows_of([*submitted(0, 0, 2.0)[:2], queued])
    assert (row.phase, row.reason) == (Phase.QUEUED, "no GPU is free")


def test_a_failed_trial_says_why_and_what_to_do() -> None:
    concluded = TrialConcluded(time=9.0, trial=0, outcome=Outcome.FAILED, reason=CRASHED.summary)
    (row,) = rows_of([*submitted(0, 0, 2.0), *ended(0, 0, 8.0, CRASHED), concluded])
    assert row.category == "user_error"
    assert (row.reason, row.hint, row.log_tail) == ("ended with exit code 3", "read its log", ("boom",))


@pytest.mark.parametrize(("value", "text"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_rows_are_strict_json_whatever_the_value(value: float, text: str) -> None:
    concluded = TrialConcluded(time=9.0, trial=0, outcome=Outcome.INFEASIBLE, reason="r", values={"loss": value})
    (row,) = rows_of([*submitted(0, 0, 2.0), *ended(0, 0, 8.0, FINE, value), concluded])
    data = json.loads(json.dumps(row.to_json(), allow_nan=False))
    assert (data["value"], data["values"], data["outcome"]) == (text, {"loss": text}, "infeasible")


def test_every_field_of_a_row_is_in_its_json() -> None:
    (row,) = rows_of(submitted(0, 0, 2.0))
    assert set(row.to_json()) == set(TrialRow.__dataclass_fields__)


def test_sorting_by_value_puts_the_best_first_and_the_unknown_last() -> None:
    rows = [TrialRow(trial=n, value=value) for n, value in enumerate([0.5, math.nan, 0.1, None, 0.9])]
    assert [row.trial for row in sorted(rows, key=lambda row: better(row, maximize=False))][:3] == [2, 0, 4]
    assert [row.trial for row in sorted(rows, key=lambda row: better(row, maximize=True))][:3] == [4, 0, 2]


def test_failures_are_grouped_by_reason_whatever_the_numbers_in_it() -> None:
    reasons = ["exit code 1 after 3 s", "no metric", "exit code 1 after 44 s", ""]
    outcomes = [Outcome.FAILED, Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED]
    reasons[2] = "exit code 1 after 4 s"
    rows = [
        TrialRow(trial=n, outcome=o, reason=r, hint="h") for n, (o, r) in enumerate(zip(outcomes, reasons, strict=True))
    ]
    groups = failure_groups(rows)
    assert [(group.trials, group.reason, group.hint) for group in groups] == [
        ((0, 2), "exit code 1 after 3 s", "h"),
        ((1,), "no metric", "h"),
    ]
