"""Which points a search space has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.optimize.space import (
    feasible,
    identity,
    only_value,
    parents_first,
    points,
    searched,
    size,
    trial_parameters,
    uncountable,
)
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Parameters, Scalar
from tests.optimize.sweeps import LINE, SMALL_TREE, TREE, Written, small_sweeps, sweep


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"x": 1, "y": "a"}, {"y": "a", "x": 1}, True),
        ({"x": 1}, {"x": 1.0}, True),
        ({"x": 1}, {"x": True}, False),
        ({"x": 0}, {"x": False}, False),
        ({"x": 1}, {"x": 1, "y": 1}, False),
        ({"x": 1}, {"y": 1}, False),
        ({"x": "1"}, {"x": 1}, False),
    ],
)
def test_trials_are_the_same_when_a_person_would_say_so(one: Parameters, other: Parameters, same: bool) -> None:
    assert (identity(one) == identity(other)) is same


@given(small_sweeps())
def test_the_size_of_a_space_is_the_number_of_its_points(spec: SweepSpec) -> None:
    assert size(spec) == len(list(points(spec)))


@given(small_sweeps())
def test_every_point_is_a_trial_that_the_sweep_accepts_and_there_is_none_twice(spec: SweepSpec) -> None:
    every = list(points(spec))

    assert [spec.check_parameters(point) for point in every] == [[]] * len(every)
    assert all(feasible(spec, point) for point in every)
    assert len({identity(point) for point in every}) == len(every)


@given(small_sweeps(), st.data())
def test_whatever_values_are_given_to_what_is_searched_they_make_a_point(spec: SweepSpec, data: st.DataObject) -> None:
    values = {name: data.draw(st.sampled_from(list(spec.parameters[name].grid() or ()))) for name in searched(spec)}

    parameters = trial_parameters(spec, values)

    assert list(parameters) == [name for name in spec.parameters if name in parameters]
    assert (identity(parameters) in {identity(point) for point in points(spec)}) is feasible(spec, parameters)


def test_points_come_with_the_first_parameter_outermost_and_conditional_ones_inside_their_condition() -> None:
    assert list(points(sweep(SMALL_TREE))) == [
        {"kind": "adam", "flag": False},
        {"kind": "adam", "flag": True},
        {"batch": 16, "kind": "sgd", "flag": False},
        {"batch": 16, "kind": "sgd", "flag": True},
        {"batch": 32, "kind": "sgd", "flag": False},
        {"batch": 32, "kind": "sgd", "flag": True},
    ]


def test_a_parameter_comes_after_those_that_it_depends_on() -> None:
    assert parents_first(sweep(SMALL_TREE)) == ("kind", "batch", "flag")


def test_a_constraint_holds_where_one_of_its_parameters_is_absent() -> None:
    parameters: Written = {
        "deep": {"type": "bool"},
        "layers": {"type": "int", "min": 1, "max": 3, "when": {"deep": True}},
        "width": {"type": "int", "min": 1, "max": 3},
    }
    spec = sweep(parameters, "layers + width <= 3")

    assert size(spec) == 3 + 3
    found = list(points(spec))
    assert {"deep": False, "width": 3} in found
    assert {"deep": True, "layers": 1, "width": 3} not in found


def test_a_continuous_space_has_no_size_and_no_list_of_points() -> None:
    spec = sweep({**SMALL_TREE, **LINE})

    assert uncountable(spec) == ("x",)
    assert size(spec) is None
    with pytest.raises(ValueError, match="x is continuous"):
        list(points(spec))


def test_an_astronomic_grid_is_counted_without_walking_through_it() -> None:
    digits: Written = {f"d{index}": {"type": "int", "min": 1, "max": 1000} for index in range(10)}

    assert size(sweep({**digits, "flag": {"type": "bool"}})) == 2 * 1000**10
    assert size(sweep({**digits, "d": {"type": "bool"}, "c": {"type": "bool", "when": {"d": True}}})) == 3 * 1000**10


def test_of_an_astronomic_grid_with_a_constraint_the_broken_points_are_counted_too() -> None:
    digits: Written = {f"d{index}": {"type": "int", "min": 1, "max": 1000} for index in range(3)}

    assert size(sweep(digits, "d0 + d1 + d2 <= 10")) == 1000**3
    assert size(sweep(digits, "d0 + d1 <= 3")) == 3 * 1000


def test_parameters_with_one_value_are_not_searched() -> None:
    spec = sweep(
        {
            "one": {"type": "choice", "values": ["only"]},
            "constant": {"type": "fixed", "value": 3},
            "flag": {"type": "bool"},
        }
    )

    assert searched(spec) == ("flag",)
    assert only_value(spec, "one") == "only"
    assert only_value(spec, "constant") == 3
    assert only_value(spec, "flag") is None
    assert trial_parameters(spec, {"flag": True}) == {"one": "only", "constant": 3, "flag": True}


def test_a_child_of_an_absent_parent_is_absent() -> None:
    spec = sweep(TREE)
    values: dict[str, Scalar] = {"kind": "plain", "decay": True, "rate": 0.01, "momentum": 0.5, "width": 8}

    assert trial_parameters(spec, values) == {"kind": "plain", "width": 8}
    assert trial_parameters(spec, {**values, "kind": "adam", "decay": False}) == {
        "kind": "adam",
        "decay": False,
        "width": 8,
    }
