"""Learning curves: what a simulated job reports on its way to its final value. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from axk8s.spec.settings import Objective
from axk8s.sweep.model import Parameters, Values

Shape: TypeAlias = Callable[[Parameters, Objective, float, float], float]
"""From parameters, objective, final value and a share (0 to 1) of the run to the value then, exact at the end."""

_APPROACH = 4.0
"""After the whole run all but e^-4 (2 %) of the way is done, before the last step closes the rest."""
_SPREAD = 1.0
"""How far from its end a curve begins."""


def point(final: float, share: float, *, direction: str) -> float:
    """The value after a share (0 to 1) of the run: an exponential approach from the worse side, exact at the end."""
    if share >= 1:
        return final
    rest = _SPREAD * math.exp(-_APPROACH * share)
    return final + rest if direction == "minimize" else final - rest


def approach(parameters: Parameters, objective: Objective, final: float, share: float) -> float:
    """The usual shape, the same for all parameters."""
    del parameters
    return point(final, share, direction=objective.direction)


def reported(
    finals: Values,
    objectives: tuple[Objective, ...],
    *,
    share: float,
    steps: int,
    parameters: Parameters | None = None,
    shape: Shape = approach,
) -> tuple[Values, int]:
    """What a job that came so far has reported by then: a value a metric by the sweep's rule, and how many steps.

    Other metrics than the objectives are final ones: they come at the end, or not at all.
    """
    done = steps if share >= 1 else math.floor(share * steps)
    if share >= 1:
        return finals, done
    if not done:
        return {}, 0
    reached = done / steps
    known = {each.metric: each for each in objectives}
    return {
        name: shape(parameters or {}, known[name], final, reached) for name, final in finals.items() if name in known
    }, done
