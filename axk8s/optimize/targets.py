"""What the model is told of a result: one number for each objective and for each outcome constraint. Pure.

A metric's name is the user's and may be none that Ax can parse, so the numbers have names of their own: `m0`, `m1` …
for the objectives, `c0`, `c1` … for the constraints, in the order of the file.

* Objectives with weights are one number, their sum. Ax could as well model each and add the models: of 16 runs on three
  problems (20 to 30 trials, 3 to 6 parameters) 9 ended better so and 7 worse, for two to three times the processor
  time.
* A constraint is the excess over its bound, which must not be above 0. So it may be about an objective's metric (on
  which Ax itself takes no bound), about the sum of several, or about a baseline, whose value is a constant once it is
  known; before that the constraint is left out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from axk8s.sweep.goal import Goal
from axk8s.sweep.model import Outcome, TrialFact, Values
from axk8s.sweep.state import BASELINE

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """One number: `factors · metrics + offset`."""

    name: str
    """What Ax calls it."""
    factors: Mapping[str, float]
    """By metric."""
    offset: float = 0.0
    maximize: bool = False
    threshold: float | None = None
    """The worst value of use, where there are several objectives."""

    @property
    def sign(self) -> float:
        """What a value is multiplied by so that more is better."""
        return 1.0 if self.maximize else -1.0

    def value(self, values: Values) -> float:
        """The number; NaN where a metric is missing, and not finite where one is not."""
        return sum((factor * values.get(metric, math.nan) for metric, factor in self.factors.items()), self.offset)

    def error(self, sems: Values) -> float:
        """Its standard error, the metrics' taken as independent; NaN where one has none."""
        return math.hypot(*(factor * sems.get(metric, math.nan) for metric, factor in self.factors.items()))


@dataclass(frozen=True, slots=True)
class Targets:
    """All numbers of a sweep, as they are at one moment."""

    objectives: tuple[Target, ...]
    limits: tuple[Target, ...]
    goal: Goal

    @classmethod
    def of(cls, goal: Goal, facts: Iterable[TrialFact] = ()) -> Targets:
        """The targets of a sweep; `facts` tell what the baseline trial has reported."""
        baseline = _baseline(facts) if goal.relative else None
        if goal.several or len(goal.aims) == 1:
            objectives = [
                Target(f"m{index}", {aim.metric: 1.0}, maximize=aim.maximize, threshold=aim.threshold)
                for index, aim in enumerate(goal.aims)
            ]
        else:
            objectives = [Target("m0", _factors(goal), maximize=goal.maximize)]
        limits = []
        for index, limit in enumerate(goal.limits):
            # At zero everywhere the excess is what does not depend on the trial.
            offset = limit.excess(dict.fromkeys(limit.coefficients, 0.0), baseline)
            if offset is not None and math.isfinite(offset):
                limits.append(Target(f"c{index}", limit.coefficients, offset))
        return cls(tuple(objectives), tuple(limits), goal)

    @property
    def all(self) -> tuple[Target, ...]:
        """The objectives, then the constraints."""
        return self.objectives + self.limits

    def measured(self, values: Values) -> bool:
        """Whether the model can learn from these values: every objective has a finite one."""
        return self.goal.measured(values)

    def means(self, values: Values) -> dict[str, float]:
        """By Ax's name, what there is of finite numbers: a trial without a constraint's metric says nothing of it."""
        found = ((target.name, target.value(values)) for target in self.all)
        return {name: value for name, value in found if math.isfinite(value)}

    def violation(self, values: Values) -> float:
        """0 where every constraint that can be told is kept; else how far over the bounds, in widths of the bounds."""
        total = 0.0
        for limit in self.limits:
            excess = limit.value(values)
            if not excess <= 0:  # a metric that is missing or NaN keeps nothing
                total += excess / (abs(limit.offset) or 1.0) if math.isfinite(excess) else math.inf
        return total

    def best(self, facts: Sequence[TrialFact], most: int) -> dict[int, TrialFact]:
        """The best of these results, by trial: those that keep the constraints first.

        Of several objectives the front, then the best in each; a front that is longer than `most` evenly.
        """
        excess = {fact.trial: self.violation(fact.values) for fact in facts}
        chosen: dict[int, TrialFact] = {}
        if self.goal.several:
            by_trial = {fact.trial: fact for fact in facts}
            front = self.goal.front((fact.trial, fact.values) for fact in facts if not excess[fact.trial])
            first = self.objectives[0]
            front.sort(key=lambda trial: first.value(by_trial[trial].values))
            chosen = {trial: by_trial[trial] for trial in evenly(front, most)}
        share, more = divmod(most - len(chosen), len(self.objectives))
        for index, target in enumerate(self.objectives):
            rest = [fact for fact in facts if fact.trial not in chosen]
            rest.sort(key=lambda fact: (excess[fact.trial], -target.sign * target.value(fact.values)))
            chosen.update((fact.trial, fact) for fact in rest[: share + (index < more)])
        return chosen


def evenly(items: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of them, the first among them, from end to end."""
    return items if len(items) <= most else [items[index * len(items) // most] for index in range(most)]


def whole_errors(shown: Collection[int], known: Mapping[int, float]) -> dict[int, float]:
    """Standard errors for all results of one metric, by trial, or none at all: with a single NaN among them Ax's model
    fails.

    Where at least half of the results have one, the others get the median; fewer say too little of the rest, and then
    the model infers the noise.
    """
    found = {trial: known[trial] for trial in shown if math.isfinite(known.get(trial, math.nan))}
    if not found or 2 * len(found) < len(shown):
        return {}
    return {**dict.fromkeys(shown, statistics.median(found.values())), **found}


def _baseline(facts: Iterable[TrialFact]) -> Values | None:
    first = next((fact for fact in facts if fact.generator == BASELINE), None)
    return first.values if first is not None and first.outcome is Outcome.SUCCEEDED else None


def _factors(goal: Goal) -> dict[str, float]:
    """Of the weighted sum: what it is where one metric is 1 and the others are 0."""
    metrics = [aim.metric for aim in goal.aims]
    one = {metric: {other: float(other == metric) for other in metrics} for metric in metrics}
    return {metric: value for metric in metrics if (value := goal.value(one[metric])) is not None}
