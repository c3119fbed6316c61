"""What the model is told of a trial that was stopped early: about what it would have come to.

Its last value is not that of a whole run: beside final values all that was stopped early would look worse than it is
(or better, where a metric first falls and then rises), by as much as is learnt after the stop. Told nothing, the model
would go there again. So the last value is moved by what the trials that ran to their end gained from the same mark of
the curve on, in the median, and counts as no better than the median of those. `docs/early-stopping.md` has
measurements beside the other ways.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from axk8s.sweep.model import Outcome, TrialFact
from axk8s.sweep.stopping import Rule


def completed(facts: Sequence[TrialFact], rule: Rule | None) -> Sequence[TrialFact]:
    """The facts, with the values of trials that were stopped early as they might have been at their end.

    Where no whole trial has a value at the mark yet, the last value is told as it is.
    """
    if rule is None or not any(fact.outcome is Outcome.EARLY_STOPPED for fact in facts):
        return facts
    peers = _peers(facts, rule.metric)
    return [_completed(fact, peers, rule) if fact.outcome is Outcome.EARLY_STOPPED else fact for fact in facts]


def _peers(facts: Sequence[TrialFact], metric: str) -> Mapping[int, Sequence[tuple[float, float]]]:
    """By mark: what whole trials had there, and in the end."""
    peers: dict[int, list[tuple[float, float]]] = {}
    for fact in facts:
        final = fact.values.get(metric, math.nan)
        if fact.outcome is Outcome.SUCCEEDED and math.isfinite(final):
            for mark, value in fact.reached.items():
                if math.isfinite(value):
                    peers.setdefault(mark, []).append((value, final))
    return peers


def _completed(fact: TrialFact, peers: Mapping[int, Sequence[tuple[float, float]]], rule: Rule) -> TrialFact:
    known = peers.get(max(fact.reached, default=-1))
    if rule.metric not in fact.values or not known:
        return fact
    estimate = fact.reached[max(fact.reached)] + statistics.median(final - value for value, final in known)
    middle = statistics.median(final for _, final in known)
    worse = min if rule.maximize else max
    return replace(fact, values={**fact.values, rule.metric: worse(estimate, middle)})
