"""Which trials are best, on the front, or out of the constraints; and how the state keeps that up to date."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.sweep.encoding import from_line, to_line
from axk8s.sweep.goal import Goal
from axk8s.sweep.limits import Settings, limit
from axk8s.sweep.model import Outcome
from axk8s.sweep.records import Attached, Began, KnownResult, Record, Suggested, TrialConcluded
from axk8s.sweep.state import BASELINE, State, fold

A: dict[str, Any] = {"metric": "a", "direction": "maximize"}
B: dict[str, Any] = {"metric": "b", "direction": "minimize"}


def goal(*objectives: dict[str, Any], limits: tuple[str, ...] = ()) -> Goal:
    return Goal.of({"objectives": list(objectives), "outcome_constraints": list(limits)})


def state(
    spec: dict[str, Any], *results: dict[str, float] | None, baseline: int | None = None, order: tuple[int, ...] = ()
) -> State:
    """After trials with these values (None: failed), concluded in this order."""
    records: list[Record] = [Began(time=0.0, uid="a" * 32, name="s", spec=spec, base="/")]
    for number in range(len(results)):
        generator = BASELINE if number == baseline else "g"
        records.append(Suggested(time=1.0, trial=number, parameters={}, generator=generator))
    for number in order or range(len(results)):
        values = results[number]
        outcome = Outcome.FAILED if values is None else Outcome.SUCCEEDED
        records.append(TrialConcluded(time=2.0, trial=number, outcome=outcome, values=values or {}, reason="why"))
    return fold(from_line(to_line(record)) for record in records)


def test_one_objective_is_its_value() -> None:
    one = goal(A)
    assert (one.name, one.maximize, one.several) == ("a", True, False)
    assert one.value({"a": 3.0}) == 3.0
    assert one.value({"b": 3.0}) is None


def test_weights_make_one_sum_of_several() -> None:
    mixed = goal({**A, "weight": 2.0}, {**B, "weight": 0.5})
    assert (mixed.name, mixed.maximize, mixed.several) == ("2*a - 0.5*b", True, False)
    assert mixed.value({"a": 3.0, "b": 2.0}) == 5.0
    assert mixed.value({"a": 3.0}) is None
    down = goal({**B, "weight": 1.0}, {"metric": "c", "direction": "minimize", "weight": 3.0})
    assert (down.name, down.maximize) == ("b + 3*c", False)


def test_a_front_holds_what_nothing_else_beats_and_all_of_equal_ones() -> None:
    known = [(0, {"a": 1.0, "b": 1.0}), (1, {"a": 2.0, "b": 2.0}), (2, {"a": 1.0, "b": 2.0}), (3, {"a": 2.0, "b": 2.0})]
    assert goal(A, B).front(known) == [0, 1, 3]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12), st.randoms())
def test_the_front_is_the_same_in_whatever_order_trials_end(points: list[tuple[int, int]], random: Any) -> None:
    results: list[dict[str, float] | None] = [{"a": float(a), "b": float(b)} for a, b in points]
    order = list(range(len(points)))
    random.shuffle(order)
    both = goal(A, B)
    expected = [
        number
        for number, values in enumerate(results)
        if values is not None and not any(other is not None and both.dominates(other, values) for other in results)
    ]
    assert state({"objectives": [A, B]}, *results, order=tuple(order)).front == expected


def test_dominance_is_no_worse_in_all_and_better_in_one() -> None:
    both = goal(A, B)
    for one, other in itertools.permutations([{"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 1.0}]):
        assert both.dominates(one, other) is (one["b"] == 0.0)
    assert not both.dominates({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 1.0})


def test_the_best_keeps_the_constraints() -> None:
    found = state({"objectives": [A], "outcome_constraints": ["c <= 1"]}, {"a": 9.0, "c": 2.0}, {"a": 1.0, "c": 1.0})
    assert (found.best, found.unfit) == (1, 1)
    assert found.goal.feasible({"c": 1.0 + 1e-12}, None), "rounding is no violation"
    assert not found.goal.feasible({"c": math.nan}, None)


def test_trials_worse_than_a_threshold_are_not_on_the_front() -> None:
    spec = {"objectives": [{**A, "threshold": 1.0}, {**B, "threshold": 5.0}]}
    found = state(spec, {"a": 9.0, "b": 9.0}, {"a": 1.0, "b": 5.0}, {"a": 0.0, "b": 0.0})
    assert found.front == [1]


def test_a_relative_constraint_is_told_once_the_baseline_has_ended() -> None:
    spec = {"objectives": [B], "outcome_constraints": ["a >= 0.9 * baseline"]}
    good, poor, base = {"a": 0.95, "b": 2.0}, {"a": 0.5, "b": 1.0}, {"a": 1.0, "b": 3.0}

    before = state(spec, base, good, poor, baseline=0, order=(1, 2))
    assert (before.best, before.unfit) == (None, 2)
    after = state(spec, base, good, poor, baseline=0, order=(1, 2, 0))
    assert (after.best, after.unfit) == (1, 1)


def test_a_baseline_that_brings_nothing_ends_the_sweep_that_needs_it() -> None:
    settings = Settings(trials=9, parallelism=1, retries=0, same_failures=0)
    relative = {"objectives": [B], "outcome_constraints": ["a >= 0.9 * baseline"]}

    halted = limit(state(relative, None, baseline=0), settings, 3.0)
    assert halted is not None
    assert halted.cause == "aborted"
    assert "the baseline, trial 0, brought no result" in halted.reason
    assert "'a >= 0.9 * baseline'" in halted.reason
    assert limit(state({"objectives": [B]}, None, baseline=0), settings, 3.0) is None, "nothing is relative to it"


def test_all_targets_must_be_reached_by_one_trial() -> None:
    settings = Settings(trials=9, parallelism=1, retries=0)
    spec = {"objectives": [{**A, "target": 2.0}, {**B, "target": 1.0}]}

    assert limit(state(spec, {"a": 2.0, "b": 3.0}, {"a": 1.0, "b": 0.0}), settings, 3.0) is None
    halted = limit(state(spec, {"a": 1.0, "b": 0.0}, {"a": 3.0, "b": 1.0}), settings, 3.0)
    assert halted is not None
    assert (halted.cause, halted.reason) == (
        "reached",
        "trial 1 has reached the targets: a=3 (target: 2), b=1 (target: 1)",
    )


def test_patience_counts_from_the_last_trial_that_joined_the_front() -> None:
    spec = {"objectives": [A, B]}
    found = state(spec, {"a": 1.0, "b": 1.0}, {"a": 0.0, "b": 0.0}, {"a": 0.0, "b": 2.0}, {"a": 0.5, "b": 2.0})
    assert (found.front, found.since_best) == ([0, 1], 2)
    halted = limit(found, Settings(trials=9, parallelism=1, retries=0, patience=2), 3.0)
    assert halted is not None
    assert halted.reason == "2 trials in a row were no better than the front"


def test_what_is_attached_is_told_to_the_optimizer_and_is_no_trial() -> None:
    known = (KnownResult({"x": 1.0}, {"a": 3.0}, {"a": 0.1}), KnownResult({"x": 2.0}, {"a": math.inf}))
    began = Began(time=0.0, uid="a" * 32, name="s", spec={"objectives": [A]}, base="/")
    found = fold(from_line(to_line(each)) for each in (began, Attached(time=1.0, source="old.csv", trials=known)))

    assert [fact.trial for fact in found.attached] == [-1, -2]
    assert (found.attached[0].values, found.attached[0].sems) == ({"a": 3.0}, {"a": 0.1})
    assert (found.best, found.ended, found.trials) == (None, 0, [])


@pytest.mark.parametrize("maximize", [True, False])
def test_the_first_of_equal_trials_is_the_best(maximize: bool) -> None:
    spec = {"objectives": [{"metric": "a", "direction": "maximize" if maximize else "minimize"}]}
    assert state(spec, {"a": 1.0}, {"a": 1.0}).best == 0
