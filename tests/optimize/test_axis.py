"""A value that goes to Ax and comes back is the same, and whatever comes back is a value of the parameter."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from axk8s.optimize.axis import Axis, axes, inward, outward, rewritten
from axk8s.optimize.space import points, trial_parameters
from axk8s.spec.parameters import same
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Scalar
from tests.optimize.sweeps import TREE, small_sweeps, sweep

FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False, width=64)
WHOLE = st.integers(-(2**53), 2**53)


def axis(**parameter: object) -> Axis:
    (only,) = axes(sweep({"x": parameter}))
    return only


@st.composite
def floats(draw: st.DrawFn) -> tuple[Axis, float]:
    """A range of floats and one of its values."""
    low, high = sorted(draw(st.tuples(FINITE, FINITE).filter(lambda pair: pair[0] != pair[1])))
    log = low > 0 and draw(st.booleans())
    value = draw(st.floats(low, high, allow_subnormal=False))
    made = axis(type="float", min=low, max=high, log=log)
    assume(not value or abs(value / made.scale) >= sys.float_info.min)  # smaller ones have fewer digits
    return made, value


@st.composite
def integers(draw: st.DrawFn) -> tuple[Axis, int]:
    """A range of whole numbers and one of its values."""
    low, high = sorted(draw(st.tuples(WHOLE, WHOLE).filter(lambda pair: pair[0] != pair[1])))
    log = low > 0 and draw(st.booleans())
    return axis(type="int", min=low, max=high, log=log), draw(st.integers(low, high))


@st.composite
def steps(draw: st.DrawFn) -> tuple[Axis, Scalar]:
    """A range with steps, short or too long to be listed by Ax, and one of its values."""
    count = draw(st.sampled_from([1, 2, 7, 300, 10_000, 10_001, 200_000]))
    if draw(st.booleans()):
        low, step = draw(st.integers(-(10**6), 10**6)), draw(st.integers(1, 1000))
        made = axis(type="int", min=low, max=low + count * step, step=step)
    else:
        fraction = draw(st.sampled_from([0.1, 0.25, 0.3, 1e-3, 7.0]))
        start = draw(st.integers(-1000, 1000)) / 10
        made = axis(type="float", min=start, max=start + count * fraction, step=fraction)
    grid = made.parameter.grid()
    assert grid is not None
    return made, grid[draw(st.integers(0, len(grid) - 1))]


@given(st.one_of(floats(), integers(), steps()))
def test_a_value_that_goes_to_ax_and_comes_back_is_the_same(case: tuple[Axis, Scalar]) -> None:
    there, value = case
    inside = there.inward(value)

    assert not isinstance(inside, str)
    assert there.low <= inside <= there.high
    assert type(there.outward(inside)) is type(value)
    assert there.outward(inside) == value


@given(st.one_of(floats(), integers(), steps()), st.floats(-0.01, 1.01))
def test_whatever_ax_gives_becomes_a_value_of_the_parameter(case: tuple[Axis, Scalar], share: float) -> None:
    there, _ = case
    value = there.low * (1 - share) + there.high * share  # beyond the bounds too: Ax may overshoot by its tolerance

    if math.isfinite(value):
        assert there.parameter.contains(there.outward(round(value) if there.kind == "int" else value))


@given(st.one_of(floats(), integers(), steps()))
def test_the_middle_is_inside(case: tuple[Axis, Scalar]) -> None:
    there, _ = case
    middle = there.middle()

    assert not isinstance(middle, str)
    assert there.low <= middle <= there.high
    assert there.parameter.contains(there.outward(middle))


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "choice", "values": ["adam", "sgd"]},
        {"type": "choice", "values": [3, 1, 2]},
        {"type": "choice", "values": [0.5, 2]},
        {"type": "choice", "values": [True, False]},
        {"type": "bool"},
    ],
)
def test_the_values_of_a_choice_come_back_with_their_type(parameter: dict[str, object]) -> None:
    there = axis(**parameter)
    values = list(there.parameter.grid() or ())

    back = [there.outward(there.inward(value)) for value in values]

    assert back == values
    assert [type(each) for each in back] == [type(each) for each in values]
    assert there.middle() in values


@given(small_sweeps())
def test_every_point_of_a_small_space_comes_back_the_same(spec: SweepSpec) -> None:
    every = axes(spec)

    for point in points(spec):
        back = trial_parameters(spec, outward(every, inward(every, point)))
        assert list(back) == list(point)
        assert all(same(back[name], value) for name, value in point.items())


def test_an_absent_value_becomes_the_middle_and_a_missing_range_is_filled_for_ax() -> None:
    spec = sweep(TREE)

    inside = inward(axes(spec), {"kind": "plain", "width": 8})

    assert inside == {
        "p_kind": "plain",
        "p_decay": True,
        "p_rate": pytest.approx(0.01),
        "p_momentum": 5,
        "p_width": 0,
    }


@pytest.mark.parametrize(
    ("low", "high"), [(1e-9, 2e-9), (0.0, 1e-12), (-1e300, 1e300), (1.0, 1.0000000001), (-1.7e308, 1.7e308)]
)
def test_ranges_that_ax_cannot_take_are_stretched_or_shrunk(low: float, high: float) -> None:
    there = axis(type="float", min=low, max=high)

    assert 2.0**-10 <= there.high - there.low <= 2.0**101
    assert (there.outward(there.low), there.outward(there.high)) == (low, high)


@given(small_sweeps())
def test_a_constraint_says_the_same_about_axs_values(spec: SweepSpec) -> None:
    every = axes(spec)
    for constraint in spec.linear_constraints:
        factors, bound = rewritten(spec, every, constraint)
        for point in points(spec):
            if constraint.coefficients.keys() <= point.keys():
                inside = inward(every, point)
                ours = sum(factor * float(point[name]) for name, factor in constraint.coefficients.items())
                theirs = sum(factor * float(inside[name]) for name, factor in factors.items())
                assert ours - constraint.bound == pytest.approx(theirs - bound, abs=1e-9)


def test_a_constraint_counts_single_values_into_its_bound_and_steps_by_their_index() -> None:
    spec = sweep(
        {
            "x": {"type": "float", "min": 0.5, "max": 2.5, "step": 0.5},
            "y": {"type": "float", "min": 0, "max": 1},
            "z": {"type": "fixed", "value": 3},
        },
        "x + 2*y + z <= 5",
    )

    assert rewritten(spec, axes(spec), spec.linear_constraints[0]) == ({"p_x": 0.5, "p_y": 2.0}, 1.5)
