"""Parameter constraints that no point keeps together, though some point keeps each alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from axk8s.spec.constraints import LinearConstraint
from axk8s.spec.parameters import FixedParameter, FloatParameter, IntParameter, Parameter
from axk8s.spec.sweep import SweepSpec

_TOLERANCE: Final = 1e-6
"""Of a bound, and at least absolutely: a contradiction that is smaller is one of rounding."""
_LARGEST: Final = 1e12
"""Beyond numbers like this a linear program proves nothing."""
_LONGEST: Final = 5.0
"""Seconds for one look; whole numbers can make it a puzzle, and the check is a service."""


@dataclass(frozen=True, slots=True)
class _Variable:
    """One parameter: `value = offset + scale * variable`, the variable between 0 and `last`."""

    offset: float
    scale: float
    last: float
    whole: bool = False


def contradicting(spec: SweepSpec) -> tuple[int, ...]:
    """The places of parameter constraints that contradict each other, as few as explain it; none where none do.

    Constraints on conditional parameters are left out, because they hold where such a one is absent. A choice of
    several numbers counts as the range that they lie in, so not every contradiction is found; what is found is one.
    """
    unconditional = {name for name, parameter in spec.parameters.items() if not parameter.when}
    every = [index for index, each in enumerate(spec.linear_constraints) if each.coefficients.keys() <= unconditional]
    names = [name for index in every for name in spec.linear_constraints[index].coefficients]
    # Each alone can be kept, which the sweep file's own check has seen: only a shared parameter brings them together.
    if len(set(names)) == len(names) or _possible(spec, every):
        return ()
    needed = every
    for index in every:
        without = [each for each in needed if each != index]
        if not _possible(spec, without):
            needed = without
    return tuple(needed)


def _possible(spec: SweepSpec, places: Sequence[int]) -> bool:
    """Whether some point keeps these constraints, as far as that can be told."""
    # Only now: it takes a third of a second to import, and most sweeps have no two constraints.
    from scipy.optimize import linprog

    constraints = [spec.linear_constraints[index] for index in places]
    names = sorted({name for constraint in constraints for name in constraint.coefficients})
    variables = {name: _variable(spec.parameters[name]) for name in names}
    rows, bounds = [], []
    for constraint in constraints:
        row, bound = _row(constraint, names, variables)
        slack = _TOLERANCE * max(1.0, abs(constraint.bound))
        rows.append(row)
        bounds.append(bound + slack)
        if constraint.equality:
            rows.append([-factor for factor in row])
            bounds.append(slack - bound)
    sizes = [*map(abs, (number for row in rows for number in row)), *map(abs, bounds)]
    if not rows or max(*sizes, *(each.last for each in variables.values())) > _LARGEST:
        return True
    result = linprog(
        [0.0] * len(names),
        A_ub=rows,
        b_ub=bounds,
        bounds=[(0.0, variables[name].last) for name in names],
        integrality=[int(variables[name].whole) for name in names],
        options={"time_limit": _LONGEST},
    )
    infeasible = 2  # scipy's number for it; others say that it could not tell
    return bool(result.status != infeasible)


def _row(
    constraint: LinearConstraint, names: Sequence[str], variables: dict[str, _Variable]
) -> tuple[list[float], float]:
    row = [constraint.coefficients.get(name, 0.0) * variables[name].scale for name in names]
    known = sum(factor * variables[name].offset for name, factor in constraint.coefficients.items())
    return row, constraint.bound - known


def _variable(parameter: Parameter) -> _Variable:
    if isinstance(parameter, IntParameter) or (isinstance(parameter, FloatParameter) and parameter.step is not None):
        step = parameter.step or 1
        return _Variable(parameter.min, step, (parameter.max - parameter.min) / step + _TOLERANCE, whole=True)
    if isinstance(parameter, FloatParameter):
        return _Variable(parameter.min, 1.0, parameter.max - parameter.min)
    if isinstance(parameter, FixedParameter):
        assert isinstance(parameter.value, (int, float))
        return _Variable(parameter.value, 1.0, 0.0)
    numbers = sorted(float(value) for value in parameter.grid() or () if not isinstance(value, str))
    width = numbers[-1] - numbers[0]
    return _Variable(numbers[0], width, 1.0, whole=len(numbers) <= 2) if width else _Variable(numbers[0], 1.0, 0.0)
