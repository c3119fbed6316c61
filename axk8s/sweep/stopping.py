"""When one trial is ended early: what its curve says beside the curves of the others. Pure.

Curves are compared at marks only, a few a trial, and a trial is judged once at each: when it gets there. (One that is
seen to have come to several at once stands or falls by the last.) What it had there is journaled, so a controller that
starts again has all that the judgements rest on, without any curve.

`asha`: marks (rungs) at `min_step` times each power of `reduction_factor`, rounded up, below `max_step`. A trial goes
on if it is among the best 1/`reduction_factor` of all that have reached the rung so far, itself included, and at least
if it is the best of them. This is the asynchronous successive halving of Li et al., "A System for Massively Parallel
Hyperparameter Tuning", MLSys 2020 (arXiv:1810.05934), whose top |rung| / eta go on, in its variant without pauses: who
is not among them is stopped where the paper would promote it later, when enough others have come.

`percentile`, `median`: marks from `min_step` on, each a quarter further. A trial is stopped if it is worse than the
percentile of the others there, of which `min_trials` must have come so far. One that was stopped before counts with
the last value that it had: else those that are left would be halved again at each mark.

`threshold`: the same marks; a trial is stopped if it is worse than the threshold.

The value at a mark is that of the first report at or after it and before the next mark: a mark that was jumped over
stays empty, for a value from far beyond it would make those look bad that report more often. NaN is worse than all
else, and equal values stand and fall together. Steps decide, not time: waiting costs nobody anything.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from axk8s.sweep.goal import Goal
from axk8s.sweep.model import Outcome
from axk8s.sweep.trial import Trial

_SPACING: Final = 1.25
"""Between marks that are no rungs: some twenty for a hundred steps, and hardly any delay."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Progress:
    """What an attempt has reported since it was last looked at."""

    points: tuple[tuple[int, float], ...] = ()
    """Step and value of the metric that decides, by step."""
    others: tuple[str, ...] = ()
    """Other metrics that were reported with a step."""
    trouble: str = ""
    """Why nothing can be seen of it while it runs."""

    @classmethod
    def of(cls, metric: str, reports: Iterable[tuple[int | None, Mapping[str, float]]]) -> Progress:
        """Of reports in the order of their coming; those without a step are final values, and no part of a curve."""
        steps: dict[int, float] = {}
        others: dict[str, None] = {}
        for step, values in reports:
            if step is not None:
                others.update(dict.fromkeys(values))
                if metric in values:
                    steps[step] = values[metric]
        others.pop(metric, None)
        return cls(tuple(sorted(steps.items())), tuple(others))


@dataclass(frozen=True, slots=True)
class Rule:
    """`early_stopping` of a sweep file, with its metric and direction."""

    kind: Literal["asha", "percentile", "threshold"]
    metric: str
    maximize: bool = False
    min_step: int = 1
    max_step: int | None = None
    reduction_factor: float = 3.0
    percentile: float = 50.0
    min_trials: int = 5
    threshold: float = 0.0
    dry: bool = False

    @classmethod
    def of(cls, spec: Mapping[str, object], goal: Goal) -> Rule | None:
        """Of a spec as the journal has it; None where trials are not stopped early."""
        part: Any = spec.get("early_stopping")
        if not part:
            return None
        metric = str(part.get("metric") or goal.aims[0].metric)
        own = next((aim.maximize for aim in goal.aims if aim.metric == metric), False)
        given = {key: part[key] for key in _NUMBERS if part.get(key) is not None}
        return cls(
            kind="percentile" if part["kind"] == "median" else part["kind"],
            metric=metric,
            maximize=part["direction"] == "maximize" if part.get("direction") else own,
            dry=bool(part.get("dry")),
            **given,
        )


_NUMBERS: Final = ("min_step", "max_step", "reduction_factor", "percentile", "min_trials", "threshold")


@dataclass(slots=True)
class _Mark:
    goods: list[float] = field(default_factory=list)
    """How good each is that counts here, ascending."""
    reached: int = 0
    """How many have come here themselves."""


class Ladder:
    """All that have reached each mark so far; changes only by `climb` and `leave`."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._steps = [rule.min_step]
        self._marks: dict[int, _Mark] = {}
        self._left: list[tuple[int, float]] = []

    def mark(self, step: int) -> int | None:
        """The last mark at or before a step; None before the first. `max_step` is the end, where nobody is judged."""
        if self.over(step):
            return self.rule.max_step
        while self._steps[-1] <= step:
            self._steps.append(self._after(self._steps[-1]))
        found = bisect_right(self._steps, step)
        return self._steps[found - 1] if found else None

    def over(self, step: int) -> bool:
        """Whether a trial that has reported this step is whole."""
        return self.rule.max_step is not None and step >= self.rule.max_step

    def news(self, last: int | None, points: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
        """The points, by step, with which a trial that is at a mark reaches further ones."""
        found = []
        for step, value in points:
            mark = self.mark(step)
            if mark is not None and (last is None or mark > last):
                found.append((step, value))
                last = mark
        return found

    def climb(self, trial: Trial, points: Mapping[int, float]) -> None:
        """Take a trial to the marks that it reaches with these points, and say whether it is hopeless at the last."""
        for step, value in self.news(max(trial.reached, default=None), points.items()):
            mark = self.mark(step)
            assert mark is not None
            trial.reached[mark], trial.hopeless = value, self.reach(step, value)

    def leave(self, trial: Trial) -> None:
        """The trial was stopped early; further marks have its last value."""
        if self.rule.kind == "percentile" and trial.reached:
            last = max(trial.reached)
            value = trial.reached[last]
            self._left.append((last, value))
            for mark, at in self._marks.items():
                if mark > last:
                    insort(at.goods, self._good(value))

    def reach(self, step: int, value: float) -> str:
        """Take in with what a trial came to a mark, which is at or before this step; why it is to be stopped there."""
        mark = self.mark(step)
        if mark is None:
            return ""
        good, at = self._good(value), self._at(mark)
        others = at.reached
        insort(at.goods, good)
        at.reached += 1
        if self.over(step):
            return ""
        match self.rule.kind:
            case "asha":
                return self._halved(step, value, good, at)
            case "percentile" if others >= self.rule.min_trials:
                return self._compared(step, value, good, at)
            case "threshold" if good < self._good(self.rule.threshold):
                return f"{self._said(step, value)}; the threshold is {self.rule.threshold:g}"
        return ""

    def _halved(self, step: int, value: float, good: float, at: _Mark) -> str:
        count = len(at.goods)
        best = max(1, math.floor(count / self.rule.reduction_factor + _ROUNDING))
        cut = at.goods[-best]
        if good >= cut:
            return ""
        had = f"the best of {count} trials" if best == 1 else f"the best {best} of {count} trials"
        return f"{self._said(step, value)}; {had} there had {self._value(cut):g}{' or better' if best > 1 else ''}"

    def _compared(self, step: int, value: float, good: float, at: _Mark) -> str:
        others = at.goods.copy()
        del others[bisect_left(others, good)]
        cut = _quantile(others, self.rule.percentile / 100)
        if good >= cut:
            return ""
        name = "median" if self.rule.percentile == 50 else f"percentile {self.rule.percentile:g}"
        return f"{self._said(step, value)}; the {name} of {len(others)} others is {self._value(cut):g}"

    def _said(self, step: int, value: float) -> str:
        return f"at step {step} {self.rule.metric} was {value:g}"

    def _at(self, mark: int) -> _Mark:
        if mark not in self._marks:
            earlier = sorted(self._good(value) for last, value in self._left if last < mark)
            self._marks[mark] = _Mark(earlier)
        return self._marks[mark]

    def _after(self, step: int) -> int:
        rule = self.rule
        if rule.kind != "asha":
            return max(step + 1, math.ceil(step * _SPACING))
        power = len(self._steps)
        return max(step + 1, math.ceil(rule.min_step * rule.reduction_factor**power - _ROUNDING))

    def _good(self, value: float) -> float:
        """Larger is better; NaN is worst."""
        if math.isnan(value):
            return -math.inf
        return value if self.rule.maximize else -value

    def _value(self, good: float) -> float:
        return good if self.rule.maximize else -good


def follow_rule(ladder: Ladder | None, rule: Rule | None, trials: Iterable[Trial]) -> Ladder | None:
    """The ladder by which trials are judged from now on: the same one, unless the rule is another.

    What is known of curves stays known, as far as it is of the same metric; whom only the old rule would stop goes on.
    """
    before = ladder.rule if ladder is not None else None
    if rule == before:
        return ladder
    made = Ladder(rule) if rule is not None else None
    for trial in trials:
        known, trial.reached, trial.spared = trial.reached, {}, False
        if made is not None and before is not None and made.rule.metric == before.metric:
            made.climb(trial, known)
            if trial.outcome is Outcome.EARLY_STOPPED:
                made.leave(trial)
        trial.hopeless = ""
    return made


def _quantile(ordered: list[float], share: float) -> float:
    """Between the two nearest in proportion, as usual; what is not finite is taken as it is."""
    at = share * (len(ordered) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    if low == high or math.isinf(low) or math.isinf(high):
        return low
    return low + (high - low) * (at - math.floor(at))
