"""The numbers that the model is told of a result, without Ax."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.optimize.targets import Targets, evenly, whole_errors
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.goal import Goal
from axk8s.sweep.model import Outcome, TrialFact, Values
from axk8s.sweep.state import BASELINE
from tests.optimize.sweeps import LINE, sweep

MIN = {"metric": "loss", "direction": "minimize"}
MAX = {"metric": "top-1", "direction": "maximize"}


def of(spec: SweepSpec, facts: Sequence[TrialFact] = ()) -> Targets:
    return Targets.of(Goal.of(spec.to_json()), facts)


def succeeded(trial: int, values: Values, generator: str = "test") -> TrialFact:
    return TrialFact(trial, {"x": 0.5}, generator, Outcome.SUCCEEDED, values)


def test_each_objective_is_a_number_of_its_own() -> None:
    targets = of(sweep(LINE, objectives=[{**MIN, "threshold": 2.0}, MAX]))

    assert [(each.name, each.maximize, each.threshold) for each in targets.objectives] == [
        ("m0", False, 2.0),
        ("m1", True, None),
    ]
    assert targets.means({"loss": 1.5, "top-1": 0.7, "other": 3.0}) == {"m0": 1.5, "m1": 0.7}


def test_a_constraint_is_the_excess_over_its_bound() -> None:
    spec = sweep(LINE, outcome_constraints=["latency <= 20", "'top-1' >= 0.8", "loss + 2*latency <= 50"])

    assert of(spec).means({"loss": 1.0, "latency": 22.0, "top-1": 0.9}) == pytest.approx(
        {"m0": 1.0, "c0": 2.0, "c1": -0.1, "c2": -5.0}
    )


def test_what_a_trial_did_not_report_is_no_number() -> None:
    targets = of(sweep(LINE, outcome_constraints=["latency <= 20", "size <= 3"]))

    assert targets.means({"loss": 1.0, "latency": math.inf}) == {"m0": 1.0}
    assert not targets.measured({"latency": 1.0, "size": 1.0})
    assert not targets.measured({"loss": math.nan, "latency": 1.0, "size": 1.0})


def test_a_constraint_on_the_baseline_is_there_as_soon_as_the_baseline_has_succeeded() -> None:
    spec = sweep(LINE, outcome_constraints=["acc >= 0.5 * baseline"], baseline={"x": 0.5})
    baseline = succeeded(0, {"loss": 1.0, "acc": 0.8}, BASELINE)
    running = TrialFact(0, {"x": 0.5}, BASELINE)
    failed = TrialFact(0, {"x": 0.5}, BASELINE, Outcome.FAILED, {"acc": 0.8})

    assert of(spec).limits == of(spec, [running]).limits == of(spec, [failed]).limits == ()
    assert of(spec, [baseline]).means({"loss": 1.0, "acc": 0.3}) == pytest.approx({"m0": 1.0, "c0": 0.1})


def test_standard_errors_scale_with_the_factor_and_add_as_independent_ones() -> None:
    targets = of(sweep(LINE, outcome_constraints=["3*loss <= 2", "loss - 2*size <= 1"]))
    sems = {"loss": 0.1, "size": 0.1}

    assert [each.error(sems) for each in targets.all] == pytest.approx([0.1, 0.3, math.sqrt(0.01 + 0.04)])
    assert math.isnan(targets.limits[1].error({"loss": 0.1}))


def test_standard_errors_are_given_for_all_results_or_for_none() -> None:
    assert whole_errors([1, 2, 3], {1: 0.1, 2: 0.3}) == pytest.approx({1: 0.1, 2: 0.3, 3: 0.2})
    assert whole_errors([1, 2, 3], {1: 0.1, 2: math.nan}) == {}
    assert whole_errors([1], {2: 0.1}) == {}
    assert whole_errors([], {}) == {}


def test_the_best_keep_the_constraints_before_they_are_good() -> None:
    targets = of(sweep(LINE, outcome_constraints=["size <= 10"]))
    facts = [succeeded(trial, {"loss": -trial, "size": trial}) for trial in range(16)]

    assert list(targets.best(facts, 3)) == [10, 9, 8]
    assert list(targets.best(facts, 13)) == [*range(10, -1, -1), 11, 12]


def test_a_trial_without_the_constraints_metric_keeps_nothing() -> None:
    targets = of(sweep(LINE, outcome_constraints=["size <= 10"]))

    assert list(targets.best([succeeded(0, {"loss": 0.0}), succeeded(1, {"loss": 9.0, "size": 1.0})], 1)) == [1]


def test_of_several_objectives_the_best_are_the_front() -> None:
    targets = of(sweep(LINE, objectives=[MIN, MAX]))
    front = [succeeded(trial, {"loss": trial, "top-1": trial}) for trial in range(20)]
    beaten = [succeeded(20 + trial, {"loss": trial + 0.5, "top-1": trial - 0.5}) for trial in range(20)]

    assert set(targets.best([*beaten, *front], 20)) == set(range(20))
    assert set(targets.best([*beaten, *front], 10)) == set(range(0, 20, 2)), "evenly, from end to end"
    assert set(targets.best([*beaten, *front], 24)) == {*range(20), 20, 21, 38, 39}


@given(st.lists(st.integers()), st.integers(0, 30))
def test_a_part_is_spread_over_the_whole(items: list[int], most: int) -> None:
    found = evenly(items, most)

    assert len(found) == min(len(items), most)
    assert not items or not most or found[0] == items[0]
