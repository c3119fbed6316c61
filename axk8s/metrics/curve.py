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
    sems: dict[int | None, float] = field(default_factory=dict)
    """Step (None: final) to the standard error of its value, where one was reported."""

    def put(self, step: int | None, value: float, sem: float | None) -> None:
        """Set the value of a step, or the final one, and forget what stood there."""
        if step is None:
            self.final = value
        else:
            self.steps[step] = value
        self.sems.pop(step, None)
        if sem is not None:
            self.sems[step] = sem

    def last(self) -> float | None:
        """The final value, else the one at the highest step; None without any."""
        return self.value(self.counting(None))

    def best(self, direction: str) -> float | None:
        """The final value, else the best over all steps; None without any.

        A step that was not finite cannot be the best, unless no step was finite.
        """
        return self.value(self.counting(direction))

    def value(self, step: int | None) -> float | None:
        """The value of a step, or the final one."""
        return self.final if step is None else self.steps[step]

    def counting(self, direction: str | None) -> int | None:
        """The step whose value counts: the best one in this direction, without one the last; None is the final value.

        None as well where nothing was reported.
        """
        if self.final is not None or not self.steps:
            return None
        finite = [step for step, value in self.steps.items() if math.isfinite(value)]
        if direction is None or not finite:
            return max(self.steps)
        sign = -1.0 if direction == "maximize" else 1.0
        return min(finite, key=lambda step: (sign * self.steps[step], step))


@dataclass(slots=True)
class Curves:
    """Everything that one attempt reported."""

    metrics: dict[str, Curve] = field(default_factory=dict)
    infeasible: str = ""

    def add(self, record: Record) -> None:
        """Take in one record: of two values for one point, the later stays."""
        self.infeasible = record.infeasible or self.infeasible
        for name, value in record.values.items():
            self.metrics.setdefault(name, Curve()).put(record.step, value, record.sems.get(name))

    def fill(self, other: Curves) -> None:
        """Take in what another source says of points that this one knows nothing about."""
        self.infeasible = self.infeasible or other.infeasible
        for name, theirs in other.metrics.items():
            ours = self.metrics.setdefault(name, Curve())
            known = {*ours.steps, *([None] if ours.final is not None else [])}
            ours.sems |= {step: sem for step, sem in theirs.sems.items() if step not in known}
            ours.steps = theirs.steps | ours.steps
            ours.final = ours.final if ours.final is not None else theirs.final

    @property
    def step_count(self) -> int:
        """How many different steps were reported, over all metrics."""
        return len(set().union(*(curve.steps for curve in self.metrics.values())))

    def values(self, objectives: Iterable[Objective]) -> dict[str, float]:
        """One value for every reported metric: by its objective's rule, the last for all others."""
        counting = self._counting(objectives)
        found = {name: curve.value(counting[name]) for name, curve in self.metrics.items()}
        return {name: value for name, value in found.items() if value is not None}

    def sems(self, objectives: Iterable[Objective]) -> dict[str, float]:
        """The standard errors of `values`, of those metrics that were reported with one."""
        counting = self._counting(objectives)
        found = {name: curve.sems.get(counting[name]) for name, curve in self.metrics.items()}
        return {name: sem for name, sem in found.items() if sem is not None}

    def _counting(self, objectives: Iterable[Objective]) -> dict[str, int | None]:
        best: Mapping[str, str] = {o.metric: o.direction for o in objectives if o.aggregate == "best"}
        return {name: curve.counting(best.get(name)) for name, curve in self.metrics.items()}
