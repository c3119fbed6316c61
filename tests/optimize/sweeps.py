"""Sweeps for the tests of this room, written as the file would be, and small random ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import strategies as st

from axk8s.spec.constraints import parse
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Outcome, Parameters, TrialFact

Written: TypeAlias = Mapping[str, Mapping[str, object]]
"""The `parameters` of a sweep file."""

LINE: Written = {"x": {"type": "float", "min": 0, "max": 1}}
TREE: Written = {
    "kind": {"type": "choice", "values": ["adam", "sgd", "plain"]},
    "decay": {"type": "bool", "when": {"kind": ["adam", "sgd"]}},
    "rate": {"type": "float", "min": 0.001, "max": 0.1, "log": True, "when": {"decay": True}},
    "momentum": {"type": "float", "min": 0.0, "max": 0.9, "step": 0.1, "when": {"kind": "sgd"}},
    "width": {"type": "int", "min": 8, "max": 64, "step": 8},
}
"""Conditions on conditions, and one on two values: no tree that Ax could be told."""
SMALL_TREE: Written = {
    "batch": {"type": "choice", "values": [16, 32], "when": {"kind": "sgd"}},
    "kind": {"type": "choice", "values": ["adam", "sgd"]},
    "flag": {"type": "bool"},
}
"""Six points; a parameter stands before the one that it depends on."""


def sweep(parameters: Written, *constraints: str, **more: object) -> SweepSpec:
    """A sweep of these parameters; `more` are other keys of the file."""
    content = {
        "name": "tuning",
        "command": "true",
        "parameters": {name: dict(each) for name, each in parameters.items()},
        "parameter_constraints": list(constraints),
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "trials": 100,
        **more,
    }
    return SweepSpec.from_mapping(content, base=Path.cwd())


def fact(trial: int, parameters: Parameters, loss: float | None = None, *, outcome: Outcome | None = None) -> TrialFact:
    """A trial that has succeeded with this loss, or ended otherwise, or runs."""
    if loss is not None and outcome is None:
        outcome = Outcome.SUCCEEDED
    return TrialFact(trial, parameters, "test", outcome, {} if loss is None else {"loss": loss})


@st.composite
def _numbers(draw: st.DrawFn) -> dict[str, object]:
    low = draw(st.integers(-3, 3))
    match draw(st.sampled_from(["int", "steps", "fractions", "choice"])):
        case "int":
            return {"type": "int", "min": low, "max": low + draw(st.integers(1, 3))}
        case "steps":
            step = draw(st.integers(1, 4))
            return {"type": "int", "min": low, "max": low + step * draw(st.integers(1, 3)), "step": step}
        case "fractions":
            count = draw(st.integers(1, 3))
            return {"type": "float", "min": low / 10, "max": (low + count) / 10, "step": 0.1}
        case _:
            values = draw(st.lists(st.integers(-5, 5), min_size=1, max_size=3, unique=True))
            return {"type": "choice", "values": values}


_WORDS = st.one_of(
    st.just({"type": "bool"}),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True).map(
        lambda values: {"type": "choice", "values": values}
    ),
    st.sampled_from(["fixed", True, 7]).map(lambda value: {"type": "fixed", "value": value}),
)


@st.composite
def small_sweeps(draw: st.DrawFn, *, constrained: bool = True) -> SweepSpec:
    """Sweeps of at most a few hundred points: every kind of parameter, conditions in any order, a constraint."""
    order = draw(st.permutations(["p", "q", "r", "s"]))
    written: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(order[: draw(st.integers(1, 4))]):
        written[name] = dict(draw(_WORDS if index % 2 else st.one_of(_numbers(), st.just({"type": "bool"}))))
        parents = [each for each, other in written.items() if each != name and other["type"] in ("choice", "bool")]
        if parents and draw(st.sampled_from([False, True])):
            parent = draw(st.sampled_from(parents))
            values = written[parent].get("values", [False, True])
            some = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True))
            written[name]["when"] = {parent: some}
    order = draw(st.permutations(list(written)))
    parameters = {name: written[name] for name in order}
    constraints = [draw(_constraint(sweep(parameters)))] if constrained and draw(st.booleans()) else []
    seed = draw(st.integers(0, 3))
    return sweep(parameters, *filter(None, constraints), optimizer={"kind": "random", "seed": seed})


@st.composite
def _constraint(draw: st.DrawFn, spec: SweepSpec) -> str:
    """A constraint that some values of its parameters keep; nothing where no parameter is a number."""
    numbers = [name for name, parameter in spec.parameters.items() if parameter.numeric]
    if not numbers:
        return ""
    chosen = draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=2, unique=True))
    left = " + ".join(f"{draw(st.sampled_from([-2, -1, 1, 2]))}*{name}" for name in chosen)
    coefficients = parse(f"{left} <= 0").coefficients
    bound = 0.0
    for name, factor in coefficients.items():
        value = draw(st.sampled_from(list(spec.parameters[name].grid() or ())))
        assert not isinstance(value, str)
        bound += factor * value
    return f"{left} <= {bound!r}"
