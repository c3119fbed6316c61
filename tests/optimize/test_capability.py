"""What is refused beforehand Ax could not do, and what is next to it works: the real one is asked about each."""

from __future__ import annotations

import pytest
from ax.exceptions.core import SearchSpaceExhausted, UserInputError

from axk8s.optimize.capability import MOST_CHOICES, check
from axk8s.optimize.experiment import Projection
from axk8s.optimize.protocol import Ask
from axk8s.optimize.space import feasible
from axk8s.spec.sweep import SweepSpec
from tests.optimize.sweeps import SMALL_TREE, Written, sweep

LINE: Written = {"x": {"type": "float", "min": 0, "max": 1}}
NUMBERS: dict[str, dict[str, object]] = {
    "float": {"type": "float", "min": 0.5, "max": 8},
    "log": {"type": "float", "min": 0.5, "max": 8, "log": True},
    "log int": {"type": "int", "min": 1, "max": 8, "log": True},
    "step": {"type": "float", "min": 0.5, "max": 8, "step": 0.5},
    "int": {"type": "int", "min": 1, "max": 8},
    "choice": {"type": "choice", "values": [1, 2, 8]},
    "unordered": {"type": "choice", "values": [1, 2, 8], "ordered": False},
    "unordered pair": {"type": "choice", "values": [1, 8], "ordered": False},
    "single": {"type": "choice", "values": [2], "ordered": False},
    "fixed": {"type": "fixed", "value": 2},
}


def problem(spec: SweepSpec) -> str:
    """The one problem; it has a place and a way out."""
    (only,) = check(spec)
    assert only.key
    assert only.hint
    return f"{only.key}: {only.message}"


def proposes(spec: SweepSpec) -> None:
    """Passes if nothing is refused and the real Ax proposes points that the sweep accepts."""
    assert check(spec) == ()
    reply = Projection(spec).answer(Ask(1, 3), [])
    assert not reply.error
    assert len(reply.proposals) == 3
    assert [spec.check_parameters(each.parameters) for each in reply.proposals] == [[]] * 3


def choices(count: int) -> SweepSpec:
    return sweep({"c": {"type": "choice", "values": list(range(count))}})


def constrained(kind: str, comparison: str) -> SweepSpec:
    return sweep({**LINE, "z": LINE["x"], "y": NUMBERS[kind]}, f"x + y + z {comparison} 2.5")


def test_ax_takes_no_choice_with_more_values_than_we_say() -> None:
    too_many = choices(MOST_CHOICES + 1)

    assert problem(too_many) == "parameters.c: Ax takes at most 1,000 values of a choice, not 1,001"
    with pytest.raises(UserInputError, match="more than 1000 values"):
        Projection(too_many)
    proposes(choices(MOST_CHOICES))


@pytest.mark.parametrize("kind", ["log", "log int"])
@pytest.mark.parametrize("comparison", ["<=", "=="])
def test_ax_takes_no_constraint_on_a_logarithmic_scale(kind: str, comparison: str) -> None:
    spec = constrained(kind, comparison)

    assert "Ax knows no constraint on a logarithmic scale, and 'y' has `log: true`" in problem(spec)
    with pytest.raises(ValueError, match="not allowed on log scale parameters"):
        Projection(spec)


def test_ax_takes_no_constraint_on_a_choice_without_an_order() -> None:
    spec = constrained("unordered", "<=")

    assert "Ax constrains ordered choices only, and 'y' has `ordered: false`" in problem(spec)
    with pytest.raises(ValueError, match="Only ordered ChoiceParameters"):
        Projection(spec)


@pytest.mark.parametrize("kind", ["float", "step", "int", "choice", "unordered pair", "single", "fixed"])
def test_ax_keeps_an_inequality_of(kind: str) -> None:
    proposes(constrained(kind, "<="))


@pytest.mark.parametrize("kind", ["step", "int", "choice"])
def test_ax_finds_no_point_for_an_equality_with_single_values(kind: str) -> None:
    spec = constrained(kind, "==")

    assert "Ax meets an equality with continuous parameters only, and 'y' has single values" in problem(spec)
    projection = Projection(spec)
    strategy = projection._strategy(before=1)
    for generator in strategy.nodes_by_name["Sobol"].generator_specs:
        # Of ten thousand it meets none either, which takes minutes.
        generator.generator_gen_kwargs["model_gen_options"] = {"max_rs_draws": 20}
    with pytest.raises(SearchSpaceExhausted):
        strategy.gen_single_trial(projection._experiment([], []))


@pytest.mark.parametrize("kind", ["float", "single", "fixed"])
def test_ax_meets_an_equality_of(kind: str) -> None:
    proposes(constrained(kind, "=="))


def test_ax_would_apply_a_constraint_where_its_parameter_is_absent() -> None:
    tree: Written = {
        "kind": {"type": "choice", "values": ["a", "b"]},
        **LINE,
        "y": {"type": "float", "min": 0, "max": 1, "when": {"kind": "a"}},
    }
    spec = sweep(tree, "x + y <= 0.5")
    assert "Ax knows no constraint on a conditional parameter, and 'y' has `when`" in problem(spec)

    reply = Projection(spec).answer(Ask(1, 16), [])

    free = [each.parameters for each in reply.proposals if "y" not in each.parameters]
    assert feasible(spec, {"kind": "b", "x": 1.0})
    assert len(free) > 4
    assert max(float(parameters["x"]) for parameters in free) <= 0.5, "half of the space is never proposed"
    proposes(sweep(tree, "x <= 0.5"))


def test_every_constraint_that_ax_cannot_keep_is_named_once_for_each_parameter() -> None:
    spec = sweep({"x": NUMBERS["log"], "y": NUMBERS["log int"]}, "x + y <= 5", "x <= 4")

    assert [each.key for each in check(spec)] == [f"parameter_constraints[{index}]" for index in (0, 0, 1)]


def test_a_grid_needs_values_that_can_be_listed() -> None:
    spec = sweep({**SMALL_TREE, **LINE}, optimizer="grid")

    assert problem(spec) == (
        "parameters.x: a grid needs values that can be listed, and a float without `step` has none"
    )
    assert check(sweep({**SMALL_TREE, "x": NUMBERS["step"]}, optimizer="grid")) == ()


def test_a_random_draw_never_meets_an_equality_of_floats() -> None:
    def equal(kind: str) -> SweepSpec:
        return sweep({"n": NUMBERS["int"], "y": NUMBERS[kind]}, "n + y == 4", optimizer="random")

    assert "a random draw never meets an equality exactly" in problem(equal("float"))
    assert check(equal("step")) == ()
    assert check(sweep({"n": NUMBERS["int"], "y": NUMBERS["float"]}, "n + y <= 4", optimizer="random")) == ()


@pytest.mark.parametrize("kind", ["log", "unordered"])
@pytest.mark.parametrize("optimizer", ["random"])
def test_what_ax_cannot_do_others_may(kind: str, optimizer: str) -> None:
    assert check(sweep({**LINE, "y": NUMBERS[kind]}, "x + y <= 2.5", optimizer=optimizer)) == ()
