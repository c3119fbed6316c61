"""How much of the space that its thresholds open a front has conquered. Pure.

The hypervolume is what at least one trial of the front is better in than the thresholds, and multiplies the
objectives' own units: of two fronts over the same thresholds the larger one is better, and nothing else can be read
from the number. It is exact, computed by `moocore`: Fonseca, Paquete and López-Ibáñez, "An Improved Dimension-Sweep
Algorithm for the Hypervolume Indicator" (CEC 2006), and Guerreiro and Fonseca for four objectives (2018).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from axk8s.sweep.goal import Goal
from axk8s.sweep.model import Values

Point: TypeAlias = tuple[float, ...]


def hypervolume(goal: Goal, front: Iterable[Values]) -> float | None:
    """The hypervolume of a front between its trials and the thresholds; None unless every objective has one."""
    if not goal.several:
        return None
    signs = [-1.0 if aim.maximize else 1.0 for aim in goal.aims]
    reference = tuple(
        sign * aim.threshold for sign, aim in zip(signs, goal.aims, strict=True) if aim.threshold is not None
    )
    if len(reference) < len(goal.aims):
        return None
    points = tuple(
        tuple(sign * values[aim.metric] for sign, aim in zip(signs, goal.aims, strict=True)) for values in front
    )
    return _between(points, reference) if points else 0.0


@lru_cache(maxsize=16)
def _between(points: tuple[Point, ...], reference: Point) -> float:
    """Of points that are minimized; kept, because a summary is made far more often than a front changes."""
    # Loads numpy, which looking at a sweep does not need.
    from moocore import hypervolume as exact

    return float(exact(points, ref=reference))
