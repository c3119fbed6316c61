"""What a sweep is after: which of two trials is better, which are on the front, which keep the constraints. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from axk8s.spec import outcomes
from axk8s.spec.outcomes import OutcomeConstraint
from axk8s.sweep.model import Values

_TOLERANCE: Final = 1e-9
"""Of a bound: the same number from two sums is not over it."""


@dataclass(frozen=True, slots=True)
class Aim:
    """One objective."""

    metric: str
    maximize: bool = False
    weight: float | None = None
    threshold: float | None = None
    target: float | None = None

    def at_least(self, value: float, wanted: float) -> bool:
        """Whether a value is as good as the wanted one."""
        return value >= wanted if self.maximize else value <= wanted


@dataclass(frozen=True, slots=True)
class Goal:
    """The objectives and the outcome constraints of a sweep."""

    aims: tuple[Aim, ...] = ()
    limits: tuple[OutcomeConstraint, ...] = ()

    @classmethod
    def of(cls, spec: Mapping[str, object]) -> Goal:
        """Of a spec as the journal has it."""
        objectives: Any = spec.get("objectives")
        limits: Any = spec.get("outcome_constraints")
        aims = tuple(
            Aim(
                metric=str(each.get("metric", "")),
                maximize=each.get("direction") == "maximize",
                weight=each.get("weight"),
                threshold=each.get("threshold"),
                target=each.get("target"),
            )
            for each in (objectives or ())
        )
        return cls(aims, tuple(map(outcomes.parse, limits or ())))

    @property
    def metrics(self) -> tuple[str, ...]:
        """What a trial must report, the objectives first."""
        names = [aim.metric for aim in self.aims]
        return tuple(dict.fromkeys([*names, *(metric for limit in self.limits for metric in limit.coefficients)]))

    @property
    def several(self) -> bool:
        """Whether there is a front instead of one best trial."""
        return len(self.aims) > 1 and self.aims[0].weight is None

    @property
    def name(self) -> str:
        """What `value` is the value of: the metric, the sum as `accuracy - 0.01*latency_ms`, or the first objective."""
        if self.several or len(self.aims) < 2:
            return self.aims[0].metric if self.aims else ""
        text = ""
        for aim, factor in self._factors():
            size = "" if abs(factor) == 1 else f"{abs(factor):g}*"
            sign = "-" if factor < 0 else "+"
            text += f" {sign} {size}{aim.metric}" if text else f"{'-' if factor < 0 else ''}{size}{aim.metric}"
        return text

    @property
    def maximize(self) -> bool:
        """Whether a larger `value` is better; a sum is maximized unless all its objectives are minimized."""
        if self.several or len(self.aims) < 2:
            return bool(self.aims) and self.aims[0].maximize
        return any(aim.maximize for aim in self.aims)

    @property
    def relative(self) -> bool:
        """Whether a constraint needs the baseline trial's values."""
        return any(limit.relative for limit in self.limits)

    def value(self, values: Values) -> float | None:
        """The one number by which trials compare (of several objectives the first one's); None without it."""
        if self.several or len(self.aims) < 2:
            return values.get(self.aims[0].metric) if self.aims else None
        if any(aim.metric not in values for aim in self.aims):
            return None
        return sum(factor * values[aim.metric] for aim, factor in self._factors())

    def excesses(self, values: Values, baseline: Values | None) -> dict[str, float | None]:
        """By constraint, how far the values are over its bound; None where that cannot be told."""
        return {limit.text: limit.excess(values, baseline) for limit in self.limits}

    def feasible(self, values: Values, baseline: Values | None) -> bool:
        """Whether every constraint is known to be kept."""
        for limit in self.limits:
            excess = limit.excess(values, baseline)
            # Also false for NaN.
            if excess is None or not excess <= _TOLERANCE * max(1.0, abs(limit.bound)):
                return False
        return True

    def measured(self, values: Values) -> bool:
        """Whether every objective has a finite value."""
        return all(math.isfinite(values.get(aim.metric, math.nan)) for aim in self.aims)

    def reached(self, values: Values) -> bool:
        """Whether there are targets, and the values are as good as all of them."""
        wanted = [aim for aim in self.aims if aim.target is not None]
        return bool(wanted) and all(
            aim.at_least(values[aim.metric], aim.target) for aim in wanted if aim.target is not None
        )

    def within_thresholds(self, values: Values) -> bool:
        """Whether no objective is worse than its threshold."""
        return all(aim.threshold is None or aim.at_least(values[aim.metric], aim.threshold) for aim in self.aims)

    def dominates(self, one: Values, other: Values) -> bool:
        """Whether one is no worse in any objective, and better in one of them."""
        ours, theirs = self._signed(one), self._signed(other)
        return ours != theirs and all(mine >= its for mine, its in zip(ours, theirs, strict=True))

    def front(self, known: Iterable[tuple[int, Values]]) -> list[int]:
        """The numbers of those that no other dominates; of equal ones all."""
        kept: list[tuple[int, Values]] = []
        for number, values in known:
            if not any(self.dominates(other, values) for _, other in kept):
                kept = [(each, other) for each, other in kept if not self.dominates(values, other)]
                kept.append((number, values))
        return sorted(number for number, _ in kept)

    def _signed(self, values: Values) -> tuple[float, ...]:
        return tuple(values[aim.metric] if aim.maximize else -values[aim.metric] for aim in self.aims)

    def _factors(self) -> list[tuple[Aim, float]]:
        """Each objective of a sum with its weight, negative where it goes the other way than the sum."""
        return [(aim, (aim.weight or 0.0) * (1 if aim.maximize is self.maximize else -1)) for aim in self.aims]
