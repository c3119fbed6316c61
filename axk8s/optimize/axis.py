"""One parameter as Ax sees it: a whole number, a number or a choice, and the way there and back. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from axk8s.optimize.space import only_value, searched
from axk8s.spec.constraints import LinearConstraint
from axk8s.spec.parameters import FloatParameter, IntParameter, Parameter
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Parameters, Scalar

_NARROW: Final = 2.0**-10
"""Ax refuses ranges narrower than 1.5e-5, which learning rates can be; below this width they are stretched."""
_WIDE: Final = 2.0**100
"""Ax's arithmetic overflows somewhere above (seen at 1e300); ranges of such a width are shrunk."""
_MANY: Final = 10_000
"""Ax lists the values of whole numbers (and ran out of memory at 1e12); longer ranges are searched as numbers and
rounded, which is the same to a model when neighbours hardly differ."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One searched parameter; `value = offset + scale * Ax's value` where it is a number.

    Values with `step` become their index, so that every one of them is met exactly. Other scales are powers of two,
    which change no digit: a value that goes to Ax and comes back is the same.
    """

    name: str
    kind: Literal["float", "int", "choice"]
    parameter: Parameter
    low: float = 0.0
    high: float = 0.0
    offset: float = 0.0
    scale: float = 1.0
    log: bool = False
    stepped: bool = False

    def inward(self, value: Scalar | None) -> Scalar:
        """Ax's value for one of a trial; for an absent (inactive) one the middle, which is what Ax does as well."""
        if value is None:
            return self.middle()
        if self.kind == "choice":
            return value
        assert not isinstance(value, str)
        stepped = (value - self.offset) / self.scale
        return round(stepped) if self.kind == "int" else stepped

    def outward(self, value: Scalar) -> Scalar:
        """The trial's value for one of Ax's; always one that the parameter contains."""
        parameter = self.parameter
        if self.kind == "choice":
            return next(each for each in parameter.grid() or () if each == value)
        assert not isinstance(value, str)
        values = parameter.grid()
        if values is not None:
            index = round(value) - (0 if self.stepped else round(self.low))
            return values[min(max(index, 0), len(values) - 1)]
        assert isinstance(parameter, FloatParameter)
        # Ax may overshoot a bound by its tolerance.
        return min(max(self.scale * value, parameter.min), parameter.max)

    def middle(self) -> Scalar:
        """The middle of the values: by the logarithm on a logarithmic scale."""
        if self.kind == "choice":
            values = self.parameter.grid() or ()
            return values[len(values) // 2]
        middle = math.sqrt(self.low) * math.sqrt(self.high) if self.log else (self.low + self.high) / 2
        return math.floor(middle + 0.5) if self.kind == "int" else middle

    def position(self, value: Scalar) -> float:
        """Where one of Ax's values lies between the first and the last, from 0 to 1; of a category, its number."""
        if self.kind == "choice":
            values = self.parameter.grid() or ()
            # Numbers are sorted on their way to Ax.
            rank = (sorted(values) if self.parameter.numeric else values).index(value)
            return rank if self.categorical else rank / (len(values) - 1)
        assert not isinstance(value, str)
        if self.log:
            low = math.log(self.low)
            return (math.log(value) - low) / (math.log(self.high) - low)
        return (value - self.low) / (self.high - self.low)

    @property
    def key(self) -> str:
        """Its name to Ax, which refuses a constraint on `gamma`, `beta`, `N` and other words that SymPy knows."""
        return f"p_{self.name}"

    @property
    def categorical(self) -> bool:
        """Whether no value lies between two others."""
        return self.kind == "choice" and not getattr(self.parameter, "is_ordered", True)


def axes(spec: SweepSpec) -> tuple[Axis, ...]:
    """The axes of the space that Ax searches: parameters with a single value are left out."""
    return tuple(_axis(name, spec.parameters[name]) for name in searched(spec))


def _axis(name: str, parameter: Parameter) -> Axis:
    if not isinstance(parameter, (FloatParameter, IntParameter)):
        return Axis(name, "choice", parameter)
    values = parameter.grid()
    if values is None:
        scale = _scale(parameter.min, parameter.max, log=parameter.log)
        return Axis(
            name, "float", parameter, parameter.min / scale, parameter.max / scale, scale=scale, log=parameter.log
        )
    kind: Literal["float", "int"] = "int" if len(values) <= _MANY else "float"
    if parameter.step is not None:
        last = len(values) - 1
        return Axis(name, kind, parameter, 0, last, offset=parameter.min, scale=parameter.step, stepped=True)
    return Axis(name, kind, parameter, parameter.min, parameter.max, log=parameter.log)


def _scale(low: float, high: float, *, log: bool) -> float:
    width = high / 2 - low / 2
    if width * 2 < _NARROW or (width > _WIDE and not log):
        return 2.0 ** math.floor(math.log2(width))
    return 1.0


def inward(every: tuple[Axis, ...], parameters: Parameters) -> dict[str, Scalar]:
    """A trial's parameters as Ax's, with a value for every axis."""
    return {axis.key: axis.inward(parameters.get(axis.name)) for axis in every}


def outward(every: tuple[Axis, ...], values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Ax's values as a trial's, inactive ones still among them."""
    return {axis.name: axis.outward(values[axis.key]) for axis in every}


def rewritten(spec: SweepSpec, every: tuple[Axis, ...], constraint: LinearConstraint) -> tuple[dict[str, float], float]:
    """The factors (by key) and the bound of a constraint on Ax's values; no factors where only single values stand."""
    by_name = {axis.name: axis for axis in every}
    factors: dict[str, float] = {}
    bound = constraint.bound
    for name, factor in constraint.coefficients.items():
        axis = by_name.get(name)
        if axis is None:
            only = only_value(spec, name)
            assert isinstance(only, (int, float))
            bound -= factor * only
            continue
        factors[axis.key] = factor * axis.scale
        bound -= factor * axis.offset
    return factors, bound
