"""Constraints that cannot be kept together, and those that can."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axk8s.errors import SpecError
from axk8s.optimize.capability import check
from axk8s.optimize.contradiction import contradicting
from axk8s.optimize.space import points
from axk8s.spec.sweep import SweepSpec
from tests.optimize.sweeps import Written, small_sweeps, sweep

NUMBERS: Written = {
    "x": {"type": "float", "min": 0, "max": 1},
    "y": {"type": "float", "min": 0, "max": 1},
    "n": {"type": "int", "min": 1, "max": 9},
    "even": {"type": "int", "min": 0, "max": 8, "step": 2},
    "s": {"type": "float", "min": 0, "max": 1, "step": 0.1},
    "pair": {"type": "choice", "values": [1, 8]},
    "three": {"type": "choice", "values": [1, 2, 8]},
    "fixed": {"type": "fixed", "value": 3},
    "kind": {"type": "choice", "values": ["a", "b"]},
    "late": {"type": "float", "min": 0, "max": 1, "when": {"kind": "a"}},
    "huge": {"type": "float", "min": -1e300, "max": 1e300},
}


@pytest.mark.parametrize(
    ("constraints", "found"),
    [
        (["x + y <= 0.5", "x >= 0.4", "y >= 0.2"], (0, 1, 2)),
        (["x + y <= 0.5", "n >= 2", "x >= 0.6"], (0, 2)),
        (["x + y == 1", "x - y == 0.2", "x <= 0.5"], (0, 1, 2)),
        (["n <= 2.5", "n >= 2.2"], (0, 1)),
        (["even <= 3.9", "even >= 2.1"], (0, 1)),
        (["s >= 0.32", "s <= 0.38"], (0, 1)),
        (["pair >= 2", "pair <= 7"], (0, 1)),
        (["x + fixed <= 3.2", "x + y >= 0.5", "y <= 0.2"], (0, 1, 2)),
    ],
)
def test_the_constraints_that_explain_it_are_found(constraints: list[str], found: tuple[int, ...]) -> None:
    assert contradicting(sweep(NUMBERS, *constraints)) == found


@pytest.mark.parametrize(
    "constraints",
    [
        [],
        ["x + y <= 0.5"],
        ["x <= 0.5", "y >= 0.5"],
        ["x + y <= 0.5", "x >= 0.3", "y >= 0.2"],
        ["x <= 0.5", "x >= 0.5"],
        ["s >= 0.3", "s <= 0.3"],
        ["n >= 3", "n <= 3", "n == 3"],
        ["huge >= 1e299", "huge <= 0"],
        ["three >= 3", "three <= 7"],
        ["late <= 0.2", "late >= 0.5"],
    ],
    ids=lambda constraints: ", ".join(constraints) or "none",
)
def test_what_can_be_kept_or_cannot_be_judged_passes(constraints: list[str]) -> None:
    assert contradicting(sweep(NUMBERS, *constraints)) == ()


@pytest.mark.parametrize("optimizer", ["ax", "random"])
def test_a_contradiction_is_refused_with_all_that_it_is_made_of(optimizer: str) -> None:
    spec = sweep(NUMBERS, "x + y <= 0.5", "n <= 5", "x >= 0.6", optimizer=optimizer)

    (problem,) = check(spec)

    assert problem.key == "parameter_constraints[2]"
    assert problem.message == "no point keeps 'x + y <= 0.5' and 'x >= 0.6' together, within the parameters' ranges"
    assert problem.hint


@given(small_sweeps(), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_what_is_called_a_contradiction_leaves_no_point(spec: SweepSpec, data: st.DataObject) -> None:
    numbers = [name for name, each in spec.parameters.items() if each.numeric and not each.when]
    if not numbers:
        return
    texts = []
    for _ in range(data.draw(st.integers(2, 3))):
        name = data.draw(st.sampled_from(numbers))
        comparison = data.draw(st.sampled_from(["<=", ">="]))
        texts.append(f"{name} {comparison} {data.draw(st.integers(-3, 3))}")
    content = {**spec.to_json(), "parameter_constraints": texts}
    try:
        more = SweepSpec.from_mapping(content, base=spec.base)
    except SpecError:  # one of them alone cannot be kept, which is said elsewhere
        return

    if contradicting(more):
        assert not list(points(more))
