"""What the model is told of infeasible trials: how deep each lies behind the border, and a value that tempts nobody.

Two words to Ax keep it away from where trials are infeasible, and neither does it alone (`docs/benchmarks.md`).

* A metric that must not be below a margin: each trial's distance to the nearest trial of the other kind, negative for
  infeasible ones. A bare yes or no has a cliff at the border, which a smooth model cannot follow once trials lie close
  to it; this distance passes through zero there, and with every new trial the border is known better.
* A value of its own, from the median of the results for one at the border to the worst for the deepest. Without a value
  the model may expect the best results behind the border and tries there again and again. The worst value for all is
  a cliff again, and then the border itself is avoided, where the best results often are; the median for all leaves the
  corners behind the border as good a guess as any other, once the model has found the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from axk8s.optimize.axis import Axis
from axk8s.optimize.targets import Targets
from axk8s.sweep.model import Parameters, TrialFact

LEAST: Final = 2
"""Results without which there is no border: so many Ax itself wants before it makes a model."""
_SHARE: Final = 0.5
"""The margin, as a share of the way from the best trial to the nearest infeasible one. A proposal may so go a part of
that way only, and the margin shrinks as the trials close in on the border."""
_MOST: Final = 0.1
"""No larger margin, in widths of the search space: a best trial far from any border says nothing about a narrow region
elsewhere, which a wide margin would close."""

_Distances: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Border:
    """What is known of the border between the trials that had a result and those that cannot have one."""

    depths: Mapping[int, float]
    """By trial: the distance to the nearest trial of the other kind; negative where infeasible."""
    margin: float
    """The depth that a proposal should have."""
    values: Mapping[int, Mapping[str, float]]
    """By infeasible trial, then by an objective's name: what it counts with."""


def border(
    every: tuple[Axis, ...],
    results: Sequence[TrialFact],
    infeasible: Sequence[TrialFact],
    targets: Targets,
) -> Border | None:
    """The border as these trials show it; nothing while there are no infeasible ones, or hardly any others.

    The best trials, which say how near the border one must go, are among those that keep the outcome constraints.
    """
    if not infeasible or len(results) < LEAST:
        return None
    distances = _distances(every, results, infeasible)
    inside, outside = distances.min(axis=1), distances.min(axis=0)
    depths = {fact.trial: float(depth) for fact, depth in zip(results, inside, strict=True)}
    depths.update((fact.trial, -float(depth)) for fact, depth in zip(infeasible, outside, strict=True))
    deepest = float(outside.max())
    values: dict[int, dict[str, float]] = {fact.trial: {} for fact in infeasible}
    gap = math.inf
    excess = {fact.trial: targets.violation(fact.values) for fact in results}
    for objective in targets.objectives:
        sign = objective.sign
        ranked = sorted((sign * objective.value(fact.values), fact.trial) for fact in results)
        worst, median = ranked[0][0], ranked[len(ranked) // 2][0]
        for fact in infeasible:
            share = -depths[fact.trial] / deepest if deepest else 0.0
            values[fact.trial][objective.name] = sign * (median * (1 - share) + worst * share)
        gap = min(gap, depths[max((-excess[trial], value, trial) for value, trial in ranked)[2]])
    return Border(depths, min(_SHARE * gap, _MOST), values)


def _distances(every: tuple[Axis, ...], rows: Sequence[TrialFact], columns: Sequence[TrialFact]) -> _Distances:
    """Between the trials of both, where each parameter is one wide."""
    squares = np.zeros((len(rows), len(columns)))
    for axis in every:
        apart = np.subtract.outer(_positions(axis, rows), _positions(axis, columns))
        squares += apart != 0 if axis.categorical else apart**2
    distances: _Distances = np.sqrt(squares)
    return distances


def _positions(axis: Axis, facts: Sequence[TrialFact]) -> _Distances:
    return np.array([_position(axis, fact.parameters) for fact in facts])


def _position(axis: Axis, parameters: Parameters) -> float:
    return axis.position(axis.inward(parameters.get(axis.name)))
