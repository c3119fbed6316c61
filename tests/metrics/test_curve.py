from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from axk8s.metrics.curve import Curves
from axk8s.spec.settings import Objective as SpecObjective
from axk8s.training import Record


@dataclass(frozen=True)
class Wanted:
    metric: str = "loss"
    direction: str = "minimize"
    aggregate: str = "last"


def curves(*records: Record) -> Curves:
    found = Curves()
    for record in records:
        found.add(record)
    return found


def at(step: int | None, value: float, metric: str = "loss") -> Record:
    return Record({metric: value}, step)


def test_the_value_is_the_highest_steps() -> None:
    assert curves(at(2, 5.0), at(0, 1.0), at(1, 3.0)).values([Wanted()]) == {"loss": 5.0}


def test_of_a_step_reported_twice_the_later_counts() -> None:
    assert curves(at(1, 5.0), at(1, 4.0)).values([Wanted()]) == {"loss": 4.0}


@pytest.mark.parametrize("aggregate", ["last", "best"])
def test_a_final_value_wins_over_all_steps(aggregate: str) -> None:
    found = curves(at(None, 9.0), at(0, 1.0), at(None, 8.0), at(1, 2.0))

    assert found.values([Wanted(aggregate=aggregate)]) == {"loss": 8.0}


@pytest.mark.parametrize(("direction", "value"), [("minimize", 1.0), ("maximize", 7.0)])
def test_the_best_value_goes_by_the_direction(direction: str, value: float) -> None:
    found = curves(at(0, 3.0), at(1, 1.0), at(2, 7.0), at(3, 5.0))

    assert found.values([Wanted(direction=direction, aggregate="best")]) == {"loss": value}


def test_the_best_value_is_a_finite_one_where_there_is_any() -> None:
    found = curves(at(0, 3.0), at(1, -math.inf), at(2, math.nan))

    assert found.values([Wanted(aggregate="best")]) == {"loss": 3.0}
    assert math.isnan(curves(at(0, math.inf), at(1, math.nan)).values([Wanted(aggregate="best")])["loss"])


def test_a_last_value_that_is_not_finite_is_kept_as_evidence() -> None:
    assert math.isnan(curves(at(0, 3.0), at(1, math.nan)).values([Wanted()])["loss"])


def test_metrics_that_are_no_objective_have_their_last_value() -> None:
    found = curves(at(0, 3.0), at(0, 0.9, "acc"), at(1, 4.0), at(1, 0.8, "acc"))

    assert found.values([Wanted(aggregate="best")]) == {"loss": 3.0, "acc": 0.8}


def test_steps_are_counted_once_over_all_metrics() -> None:
    assert curves(at(0, 1.0), at(0, 2.0, "acc"), at(1, 3.0), at(None, 4.0)).step_count == 2
    assert curves().step_count == 0


def test_another_source_fills_only_what_is_missing() -> None:
    found = curves(at(0, 1.0), at(1, 2.0), at(None, 9.0, "size"))
    found.fill(curves(at(1, 7.0), at(2, 3.0), at(None, 8.0, "size"), at(0, 0.5, "acc"), Record({}, None, "no")))

    assert found.metrics["loss"].steps == {0: 1.0, 1: 2.0, 2: 3.0}
    assert found.values([]) == {"loss": 3.0, "size": 9.0, "acc": 0.5}
    assert found.infeasible == "no"


def test_the_objectives_of_a_sweep_file_are_what_it_asks_for() -> None:
    objective = SpecObjective.model_validate({"metric": "loss", "direction": "minimize", "aggregate": "best"})

    assert curves(at(0, 1.0), at(1, 2.0)).values([objective]) == {"loss": 1.0}


def test_the_standard_error_is_that_of_the_value_that_counts() -> None:
    found = curves(
        Record({"loss": 2.0}, 0, sems={"loss": 0.1}),
        Record({"loss": 1.0}, 1, sems={"loss": 0.2}),
        Record({"loss": 3.0, "size": 1.0}, 2),
    )

    assert found.sems([Wanted(aggregate="best")]) == {"loss": 0.2}
    assert found.sems([Wanted()]) == {}, "the last value was reported without"


def test_a_value_that_is_reported_again_takes_its_standard_error_with_it() -> None:
    found = curves(Record({"loss": 2.0}, sems={"loss": 0.1}), Record({"loss": 1.5}))

    assert found.sems([Wanted()]) == {}


def test_another_sources_standard_errors_fill_only_points_that_are_not_known() -> None:
    ours, theirs = curves(at(0, 1.0)), Record({"loss": 9.0}, 0, sems={"loss": 0.5})
    ours.fill(curves(theirs, Record({"loss": 2.0}, 1, sems={"loss": 0.25})))

    assert ours.values([Wanted()]) == {"loss": 2.0}
    assert ours.metrics["loss"].sems == {1: 0.25}
