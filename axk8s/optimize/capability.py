"""What each optimizer can do with a sweep, told before anything starts and without importing Ax. Pure.

The limits of Ax are those of 1.3.1; a test asks the real one about each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from axk8s.errors import Problem
from axk8s.optimize.contradiction import contradicting
from axk8s.optimize.space import only_value, uncountable
from axk8s.spec.constraints import LinearConstraint
from axk8s.spec.parameters import ChoiceParameter, FloatParameter, IntParameter
from axk8s.spec.sweep import SweepSpec

MOST_CHOICES: Final = 1000
"""Ax takes no choice with more values."""


def check(spec: SweepSpec) -> tuple[Problem, ...]:
    """Everything in the sweep that its optimizer cannot do; each with its place in the file and a way out."""
    checks = {"ax": _ax, "grid": _grid, "random": _random}
    return (*_together(spec), *checks[spec.optimizer.kind](spec))


def _together(spec: SweepSpec) -> Iterator[Problem]:
    places = contradicting(spec)
    if places:
        *others, last = (repr(spec.linear_constraints[index].text) for index in places)
        yield _problem(
            spec,
            f"parameter_constraints[{places[-1]}]",
            f"no point keeps {', '.join(others)} and {last} together, within the parameters' ranges",
            "widen one of them, or a range",
        )


def _ax(spec: SweepSpec) -> Iterator[Problem]:
    for name, parameter in spec.parameters.items():
        if isinstance(parameter, ChoiceParameter) and len(parameter.values) > MOST_CHOICES:
            yield _problem(
                spec,
                f"parameters.{name}",
                f"Ax takes at most {MOST_CHOICES:,} values of a choice, not {len(parameter.values):,}",
                "use an int or float range, or `optimizer: random`",
            )
    for index, constraint in enumerate(spec.linear_constraints):
        for name in constraint.coefficients:
            message, hint = _ax_refusal(spec, constraint, name)
            if message:
                yield _problem(spec, f"parameter_constraints[{index}]", f"{constraint.text!r}: {message}", hint)


def _ax_refusal(spec: SweepSpec, constraint: LinearConstraint, name: str) -> tuple[str, str]:
    parameter = spec.parameters[name]
    if parameter.when:
        return (
            f"Ax knows no constraint on a conditional parameter, and {name!r} has `when`",
            "remove `when`, or use `optimizer: random`, where a constraint holds if one of its parameters is absent",
        )
    if only_value(spec, name) is not None:
        return "", ""
    if isinstance(parameter, (FloatParameter, IntParameter)) and parameter.log:
        return (
            f"Ax knows no constraint on a logarithmic scale, and {name!r} has `log: true`",
            f"remove `log` from {name!r}, search its logarithm as a float of its own, or use `optimizer: random`",
        )
    if isinstance(parameter, ChoiceParameter) and not parameter.is_ordered and len(parameter.values) > 2:
        return (
            f"Ax constrains ordered choices only, and {name!r} has `ordered: false`",
            f"remove `ordered` from {name!r}: its values are numbers",
        )
    if constraint.equality and not (isinstance(parameter, FloatParameter) and parameter.step is None):
        return (
            f"Ax meets an equality with continuous parameters only, and {name!r} has single values",
            f"make {name!r} a float without `step`, write the equality as <=, or compute {name!r} in the training code",
        )
    return "", ""


def _grid(spec: SweepSpec) -> Iterator[Problem]:
    for name in uncountable(spec):
        yield _problem(
            spec,
            f"parameters.{name}",
            "a grid needs values that can be listed, and a float without `step` has none",
            f"give {name!r} a `step`, make it a choice with `values`, or use `optimizer: random`",
        )


def _random(spec: SweepSpec) -> Iterator[Problem]:
    continuous = set(uncountable(spec))
    for index, constraint in enumerate(spec.linear_constraints):
        names = sorted(continuous & constraint.coefficients.keys())
        if constraint.equality and names:
            yield _problem(
                spec,
                f"parameter_constraints[{index}]",
                f"{constraint.text!r}: a random draw never meets an equality exactly",
                f"use `optimizer: ax`, or compute {names[0]!r} from the others in the training code",
            )


def _problem(spec: SweepSpec, key: str, message: str, hint: str) -> Problem:
    return Problem(spec.where(key), key, message, hint)
