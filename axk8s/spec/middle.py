"""A point of the search space for want of a better one: to try a program with, or to complete what a person gave."""

from __future__ import annotations

import math
from collections.abc import Mapping

from axk8s.spec.model import Scalar
from axk8s.spec.parameters import Parameter
from axk8s.spec.sweep import SweepSpec


def completed(spec: SweepSpec, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The given values with middle ones for all other active parameters, in the order of the file."""
    values = dict(given)
    # A value chosen here may bring conditional parameters to life, which need one too.
    while missing := [name for name in spec.active_parameters(values) if name not in values]:
        values.update({name: middle(spec.parameters[name]) for name in missing})
    ordered = {name: values[name] for name in spec.parameters if name in values}
    return {**ordered, **values}


def middle(parameter: Parameter) -> Scalar:
    """An ordinary value: the middle of a range (of its logarithm if that is the scale), the first of some choices."""
    grid = parameter.grid()
    if parameter.type not in ("float", "int"):
        assert grid, "what has no range has a list of values"
        return grid[0]
    low, high = parameter.min, parameter.max
    exact = math.sqrt(low * high) if parameter.log else (low + high) / 2
    if grid:
        # Counted, not searched: a whole number may range over billions.
        step = parameter.step or 1
        return grid[min(len(grid) - 1, round((exact - low) / step))]
    rounded = float(f"{exact:.3g}")
    return rounded if parameter.contains(rounded) and abs(rounded - exact) <= (high - low) / 100 else exact
