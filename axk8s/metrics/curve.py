"""What an attempt reported, metric by metric, and the rule that makes one value of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from axk8s.training import Record


class Objective(Protocol):
    """What the sweep file says of a metric that is optimized."""

    @property
    def metric(self) -> str: ...

    @property
    def direction(self) -> str:
        """`minimize` or `maximize`."""

    @property
    def aggregate(self) -> str:
        """`last` or `best`."""


@dataclass(slots=True)
class Curve:
    """One metric's values over the steps of one attempt."""

    steps: dict[int, float] = field(default_factory=dict)
    """Step to value, in the order of the reports; a step that is reported again keeps its last value."""
    final: float | None = None
    """The value of the last report without a step."""

    def last(self) -> float | None:
        """The final value, else the one at the highest step; None without any."""
        if self.final is not None:
            return self.final
        return self.steps[max(self.steps)] if self.steps else None

    def best(self, direction: str) -> float | None:
        """The final value, else the best over all steps; None without any.

        A step that was not finite cannot be the best, unless no step was finite.
        """
        finite = [value for value in self.steps.values() if math.isfinite(value)]
        if self.final is not None or not finite:
            return self.last()
        return max(finite) if direction == "maximize" else min(finite)


@dataclass(slots=True)
class Curves:
    """Everything that one attempt reported."""

    metrics: dict[str, Curve] = field(default_factory=dict)
    infeasible: str = ""

    def add(self, record: Record) -> None:
        """Take in one record: of two values for one point, the later stays."""
        self.infeasible = record.infeasible or self.infeasible
        for name, value in record.values.items():
            curve = self.metrics.setdefault(name, Curve())
            if record.step is None:
                curve.final = value
            else:
                curve.steps[record.step] = value

    def fill(self, other: Curves) -> None:
        """Take in what another source says of points that this one knows nothing about."""
        self.infeasible = self.infeasible or other.infeasible
        for name, theirs in other.metrics.items():
            ours = self.metrics.setdefault(name, Curve())
            ours.steps = theirs.steps | ours.steps
            ours.final = ours.final if ours.final is not None else theirs.final

    @property
    def step_count(self) -> int:
        """How many different steps were reported, over all metrics."""
        return len(set().union(*(curve.steps for curve in self.metrics.values())))

    def values(self, objectives: Iterable[Objective]) -> dict[str, float]:
        """One value for every reported metric: by its objective's rule, the last for all others."""
        best: Mapping[str, str] = {o.metric: o.direction for o in objectives if o.aggregate == "best"}
        values: dict[str, float] = {}
        for name, curve in self.metrics.items():
            value = curve.best(best[name]) if name in best else curve.last()
            if value is not None:
                values[name] = value
        return values
