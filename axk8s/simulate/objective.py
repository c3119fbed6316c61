"""Where simulated values come from: functions with a known best point, or results that were recorded. Pure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from axk8s.errors import UsageError, suggestion
from axk8s.spec.outcomes import OutcomeConstraint
from axk8s.spec.parameters import FloatParameter, IntParameter, Parameter, same
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Parameters, Scalar, Values

_KEPT: Final = 0.3
"""The loss within which a synthetic constraint is kept: most of a bowl's points, few enough to matter."""


class Results(Protocol):
    """What trials would report, and where known how long they would run."""

    def values(self, parameters: Parameters) -> Values:
        """The final value of every metric."""

    def seconds(self, parameters: Parameters) -> float | None:
        """The run time, where the parameters decide it."""

    @property
    def note(self) -> str:
        """Where the values come from, for a person."""


def position(parameter: Parameter, value: Scalar) -> float:
    """Where a value lies in its parameter's range, from 0 to 1, on its scale; the index among values without one."""
    if isinstance(parameter, (FloatParameter, IntParameter)) and isinstance(value, (int, float)):
        low, high, at = float(parameter.min), float(parameter.max), float(value)
        if parameter.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return min(1.0, max(0.0, (at - low) / (high - low)))
    values = parameter.grid() or ()
    index = next((number for number, each in enumerate(values) if same(each, value)), 0)
    return index / (len(values) - 1) if len(values) > 1 else 0.0


def _bowl(distances: Sequence[float]) -> float:
    return math.fsum(each * each for each in distances)


def _ripples(distances: Sequence[float]) -> float:
    """Rastrigin's function at the usual five waves to each side, scaled: many local minima, one global one."""
    return math.fsum(each * each + 0.1 * (1 - math.cos(10 * math.pi * each)) for each in distances)


SHAPES: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {"bowl": _bowl, "ripples": _ripples}
"""From the distances of each parameter from its best place (-1 to 1) to a loss, which is 0 at the best point."""


class Synthetic:
    """A function over the search space with a best point drawn from the seed; its best value is 0 (or 1, maximized)."""

    def __init__(self, spec: SweepSpec, shape: str, *, seed: int) -> None:
        """Draw the best point.

        Raises:
            UsageError: there is no such function.
        """
        if shape not in SHAPES:
            hint = f"{suggestion(shape, SHAPES)}, a CSV file, or a sweep that has run"
            raise UsageError(f"there is no synthetic objective {shape!r}", hint=hint)
        self._spec, self._shape = spec, shape
        # The first metric's place is drawn as if it were alone: further ones do not move it.
        self._best = {
            metric: {name: Random(f"{seed}/best/{metric if index else ''}{name}").random() for name in spec.parameters}
            for index, metric in enumerate(spec.metrics)
        }

    def values(self, parameters: Parameters) -> Values:
        """The value of every metric: each has a best point of its own, near which a trial is good."""
        losses = {metric: self._loss(best, parameters) for metric, best in self._best.items()}
        values = dict(losses)
        for limit in self._spec.limits:
            for metric, factor in limit.coefficients.items():
                values[metric] = _about_the_bound(limit, factor, losses[metric])
        for each in self._spec.objectives:
            values[each.metric] = 1 - losses[each.metric] if each.direction == "maximize" else losses[each.metric]
        return values

    def _loss(self, best: Mapping[str, float], parameters: Parameters) -> float:
        distances = [
            position(self._spec.parameters[name], value) - best[name]
            for name, value in parameters.items()
            if name in best
        ]
        return SHAPES[self._shape](distances)

    def seconds(self, parameters: Parameters) -> float | None:  # noqa: ARG002 (not decided here)
        return None

    @property
    def note(self) -> str:
        return f"a synthetic objective ({self._shape})"


def _about_the_bound(limit: OutcomeConstraint, factor: float, loss: float) -> float:
    """A metric's share of a constraint that is kept near the metric's best point and broken far from it."""
    if limit.relative:
        return 1 + math.copysign(loss, factor)
    return (limit.bound + loss - _KEPT) / len(limit.coefficients) / factor


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded trial."""

    parameters: Parameters
    values: Values
    seconds: float | None = None


class Recorded:
    """Results of earlier trials: a simulated trial gets those of the nearest one."""

    def __init__(self, spec: SweepSpec, rows: Iterable[Row], *, source: str) -> None:
        """Take in rows; those without the objective are left out.

        Raises:
            UsageError: none is left.
        """
        self._spec = spec
        wanted = spec.metrics
        self._rows = [row for row in rows if all(math.isfinite(row.values.get(name, math.nan)) for name in wanted)]
        if not self._rows:
            raise UsageError(
                f"{source} has no row with a value of {', '.join(wanted)}",
                hint="each row needs the parameters, objectives and constrained metrics of this sweep",
            )
        self._places = [self._place(row.parameters) for row in self._rows]
        self._source = source

    @classmethod
    def from_csv(cls, spec: SweepSpec, text: str, *, source: str) -> Recorded:
        """Read a table with a column for each parameter and metric; `seconds` is the run time, others are metrics.

        An empty cell is an absent (conditional) parameter, or a metric that was not reported.

        Raises:
            UsageError: a parameter has no column, or a cell is no value of it; names line and column.
        """
        reader = csv.DictReader(io.StringIO(text))
        columns = [name for name in reader.fieldnames or () if name]
        needed = [name for name, each in spec.parameters.items() if each.type != "fixed" and not each.when]
        missing = [name for name in needed if name not in columns]
        missing += [metric for metric in spec.metrics if metric not in columns]
        if missing:
            raise UsageError(
                f"{source}:1: there is no column {', '.join(map(repr, missing))}",
                hint=f"its columns are {', '.join(columns) or 'none'}; each parameter and needed metric has one",
            )
        rows = [_row(spec, cells, where=f"{source}:{reader.line_num}") for cells in reader]
        return cls(spec, rows, source=source)

    def values(self, parameters: Parameters) -> Values:
        return self._nearest(parameters).values

    def seconds(self, parameters: Parameters) -> float | None:
        return self._nearest(parameters).seconds

    @property
    def note(self) -> str:
        return f"the nearest of {len(self._rows)} recorded trials ({self._source})"

    def _nearest(self, parameters: Parameters) -> Row:
        place = self._place(parameters)
        best = min(range(len(self._rows)), key=lambda index: _distance(place, self._places[index]))
        return self._rows[best]

    def _place(self, parameters: Parameters) -> list[tuple[bool, float | None]]:
        """For each parameter whether its values have an order, and where this one lies; None where it is absent."""
        place: list[tuple[bool, float | None]] = []
        for name, parameter in self._spec.parameters.items():
            ordered = parameter.type in ("float", "int") or bool(getattr(parameter, "is_ordered", False))
            value = parameters.get(name)
            place.append((ordered, None if value is None else position(parameter, value)))
        return place


def _distance(one: Sequence[tuple[bool, float | None]], other: Sequence[tuple[bool, float | None]]) -> float:
    total = 0.0
    for (ordered, mine), (_, theirs) in zip(one, other, strict=True):
        if mine is None or theirs is None:
            total += mine is not theirs
        else:
            total += (mine - theirs) ** 2 if ordered else mine != theirs
    return total


def _row(spec: SweepSpec, cells: Mapping[str, str | None], *, where: str) -> Row:
    parameters: dict[str, Scalar] = {}
    values: dict[str, float] = {}
    for name, text in cells.items():
        if name is None or text is None or not text.strip():
            continue
        try:
            if name in spec.parameters:
                parameters[name] = spec.parameters[name].parse(text.strip())
            else:
                values[name] = float(text)
        except ValueError as error:
            if name in spec.parameters or name in {"seconds", *spec.metrics}:
                raise UsageError(f"{where}: {name}: {error}", hint="correct or remove the row") from error
    seconds = values.pop("seconds", None)
    return Row(parameters, values, seconds)
