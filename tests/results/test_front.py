"""What rows and summaries say of several objectives, outcome constraints and a baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from axk8s.results.summary import Summary, read_summary, summarize, write_summary
from axk8s.results.tables import better, nearest, trial_rows
from axk8s.sweep.limits import Settings
from axk8s.sweep.model import Outcome
from axk8s.sweep.records import Attached, Began, KnownResult, Record, Suggested, TrialConcluded
from axk8s.sweep.state import BASELINE, State, fold

TWO = {
    "objectives": [
        {"metric": "accuracy", "direction": "maximize", "threshold": 0.5},
        {"metric": "size", "direction": "minimize", "threshold": 10.0},
    ]
}
LIMITED = {"objectives": [{"metric": "accuracy", "direction": "maximize"}], "outcome_constraints": ["size <= 4"]}
RELATIVE = {**LIMITED, "outcome_constraints": ["accuracy >= 0.98 * baseline"]}


def folded(spec: Mapping[str, object], *results: tuple[float, float] | None, baseline: bool = False) -> State:
    made: list[Record] = [Began(time=1.0, uid="0" * 32, name="s", spec=spec, base="/")]
    for number, result in enumerate(results):
        generator = BASELINE if baseline and number == 0 else "Sobol"
        values = {} if result is None else dict(zip(("accuracy", "size"), result, strict=True))
        outcome = Outcome.FAILED if result is None else Outcome.SUCCEEDED
        sems = {"accuracy": 0.01} if values else {}
        made += [
            Suggested(time=2.0, trial=number, parameters={"lr": 0.1 * number}, generator=generator),
            TrialConcluded(time=3.0, trial=number, outcome=outcome, values=values, sems=sems),
        ]
    return fold(made)


def summary(state: State) -> Summary:
    return summarize(state, Settings(trials=9, parallelism=1, retries=0), 4.0)


def marked(state: State, mark: str) -> Sequence[int]:
    return [row.trial for row in trial_rows(state) if getattr(row, mark)]


def test_the_front_is_marked_and_there_is_no_best_trial() -> None:
    state = folded(TWO, (0.7, 4.0), (0.6, 5.0), (0.9, 8.0), None, (0.99, 11.0))

    assert marked(state, "front") == [0, 2]
    assert marked(state, "best") == []
    found = summary(state)
    assert (found.objectives, found.front, found.best_trial) == (("accuracy", "size"), (0, 2), None)
    assert found.hypervolume is not None
    assert abs(found.hypervolume - (0.2 * 6 + 0.2 * 2)) < 1e-12


def test_the_best_values_come_first_and_what_breaks_a_constraint_after_them() -> None:
    several = trial_rows(folded(TWO, (0.6, 5.0), (0.7, 4.0), (0.9, 8.0), None))
    limited = trial_rows(folded(LIMITED, (0.7, 4.0), (0.9, 5.0), (0.8, 3.0), None))

    assert [row.trial for row in sorted(several, key=lambda row: better(row, maximize=True))] == [2, 1, 0, 3]
    assert [row.trial for row in sorted(limited, key=lambda row: better(row, maximize=True))] == [2, 0, 1, 3]


def test_a_row_says_which_constraints_it_breaks_and_by_how_much() -> None:
    state = folded(LIMITED, (0.7, 4.0), (0.9, 5.5), None)

    rows = trial_rows(state)
    assert [row.feasible for row in rows] == [True, False, None]
    assert [row.breaks for row in rows] == [{}, {"size <= 4": 1.5}, {}]
    assert marked(state, "best") == [0]
    assert summary(state).unfit == 1


def test_the_nearest_is_the_one_whose_worst_breach_is_the_smallest_part_of_its_bound() -> None:
    spec = {**LIMITED, "outcome_constraints": ["size <= 4", "accuracy >= 0.8"]}
    rows = trial_rows(folded(spec, (0.4, 4.0), (0.9, 5.0), (0.1, 9.0)))

    near = nearest(rows)
    assert near is not None
    assert (near.trial, near.breaks) == (1, {"size <= 4": 1.0})
    assert nearest(trial_rows(folded(LIMITED, (0.7, 4.0)))) is None


def test_what_waits_for_the_baseline_is_neither_feasible_nor_not() -> None:
    waiting = fold(
        [
            Began(time=1.0, uid="0" * 32, name="s", spec=RELATIVE, base="/"),
            Suggested(time=2.0, trial=0, parameters={}, generator=BASELINE),
            Suggested(time=2.0, trial=1, parameters={}, generator="Sobol"),
            TrialConcluded(time=3.0, trial=1, outcome=Outcome.SUCCEEDED, values={"accuracy": 0.9}),
        ]
    )
    told = folded(RELATIVE, (0.8, 1.0), (0.7, 1.0), baseline=True)

    assert [row.feasible for row in trial_rows(waiting)] == [None, None]
    assert (summary(waiting).unfit, summary(waiting).comparable) == (1, False)
    assert summary(told).comparable
    assert [row.feasible for row in trial_rows(told)] == [True, False]
    assert marked(told, "baseline") == [0]
    assert summary(told).baseline == 0


def test_rows_carry_their_standard_errors_in_json_as_well() -> None:
    (row,) = trial_rows(folded(TWO, (0.7, 4.0)))

    assert row.sems == {"accuracy": 0.01}
    data = json.loads(json.dumps(row.to_json()))
    assert (data["sems"], data["front"], data["feasible"], data["breaks"]) == ({"accuracy": 0.01}, True, True, {})


def test_results_from_elsewhere_are_counted_by_source_and_are_no_trials(tmp_path: Path) -> None:
    state = folded(TWO, (0.7, 4.0))
    known = tuple(KnownResult({"lr": 0.1}, {"accuracy": 0.9, "size": 1.0 + n}) for n in range(3))
    records: list[Record] = [
        Began(time=1.0, uid="0" * 32, name="s", spec=TWO, base="/"),
        Attached(time=1.0, source="old.csv", trials=known),
        Attached(time=2.0, source="old.csv", trials=known[:1]),
        Attached(time=2.0, source="other", trials=known[:2]),
    ]
    found = summary(fold(records))

    assert found.attached == {"old.csv": 4, "other": 2}
    assert (found.suggested, found.front) == (0, ())
    for each in (found, summary(state)):
        write_summary(tmp_path / "status.json", each)
        assert read_summary(tmp_path / "status.json") == each
