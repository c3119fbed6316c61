"""What is optimized: functions whose best is known, and a training whose best is the best that any run has seen.

A problem is written as a sweep file has it, so that what our side is given is what a user's file gives it. Every
quality is a *gap*, which is to become small: how far the best of the trials so far is from the best that there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Parameters, Scalar, Values
from bench.quality.training import IMAGES, accuracy

_FLOOR: Final = 1e-6
"""A gap that is as good as none: runs that come closer are not told apart."""
_FEWER_TRIALS: Final = 30
"""For problems whose proposals take a second or more: two models to fit, or a choice among the parameters."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What to optimize, and how to tell how well it went."""

    name: str
    parameters: Mapping[str, Mapping[str, object]]
    objectives: Sequence[Mapping[str, object]]
    evaluate: Callable[[Parameters], Values]
    gap: Callable[[Sequence[Values]], list[float]]
    """The gap after each trial; infinite as long as no trial counts."""
    worst: float
    """What an infinite gap is taken for in statistics."""
    outcome_constraints: Sequence[str] = ()
    floor: float = _FLOOR
    best_known: bool = True
    """Otherwise the gaps of all runs are moved so that the smallest is zero."""
    trials: int = 40
    seeds: int = 20

    def spec(self, seed: int, *, trials: int, parallel: int) -> SweepSpec:
        """The sweep that a user would write.

        Raises:
            SpecError: this version cannot take it.
        """
        sweep: dict[str, object] = {
            "name": self.name,
            "command": "true",
            "parameters": self.parameters,
            "objectives": self.objectives,
            "optimizer": {"kind": "ax", "seed": seed},
            "trials": trials,
            "parallelism": parallel,
        }
        if self.outcome_constraints:
            sweep["outcome_constraints"] = list(self.outcome_constraints)
        return SweepSpec.from_mapping(sweep, base=Path.cwd())

    @property
    def directions(self) -> Mapping[str, str]:
        """Metric to `minimize` or `maximize`."""
        return {str(objective["metric"]): str(objective["direction"]) for objective in self.objectives}


def _unit(*names: str) -> dict[str, dict[str, object]]:
    return {name: {"type": "float", "min": 0.0, "max": 1.0} for name in names}


def _minimize(*metrics: str) -> list[dict[str, object]]:
    return [{"metric": metric, "direction": "minimize"} for metric in metrics]


def _number(value: Scalar) -> float:
    assert not isinstance(value, str)
    return float(value)


def _best_of(metric: str, best: float, *, limits: Sequence[str] = ()) -> Callable[[Sequence[Values]], list[float]]:
    """The gap of a problem with one objective; with limits only trials count whose metrics of these names are ≤ 0."""

    def gaps(trials: Sequence[Values]) -> list[float]:
        each = (values[metric] - best if all(values[limit] <= 0 for limit in limits) else math.inf for values in trials)
        return list(accumulate(each, min))

    return gaps


def _branin_at(x: float, y: float) -> float:
    bowl = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def _branin(parameters: Parameters) -> Values:
    return {"value": _branin_at(_number(parameters["x"]), _number(parameters["y"]))}


_BRANIN: Final = Problem(
    name="branin",
    parameters={"x": {"type": "float", "min": -5.0, "max": 10.0}, "y": {"type": "float", "min": 0.0, "max": 15.0}},
    objectives=_minimize("value"),
    evaluate=_branin,
    gap=_best_of("value", 10 / (8 * math.pi)),
    worst=308.2,
)

_WEIGHTS: Final = (1.0, 1.2, 3.0, 3.2)
_SCALES: Final = (
    (10.0, 3.0, 17.0, 3.5, 1.7, 8.0),
    (0.05, 10.0, 17.0, 0.1, 8.0, 14.0),
    (3.0, 3.5, 1.7, 10.0, 17.0, 8.0),
    (17.0, 8.0, 0.05, 10.0, 0.1, 14.0),
)
_CENTRES: Final = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)
_HARTMANN_NAMES: Final = tuple(f"x{index}" for index in range(6))


def _hartmann(parameters: Parameters) -> Values:
    point = [_number(parameters[name]) for name in _HARTMANN_NAMES]
    wells = (
        weight * math.exp(-sum(a * (x - p) ** 2 for a, x, p in zip(scales, point, centre, strict=True)))
        for weight, scales, centre in zip(_WEIGHTS, _SCALES, _CENTRES, strict=True)
    )
    return {"value": -sum(wells)}


_HARTMANN: Final = Problem(
    name="hartmann6",
    parameters=_unit(*_HARTMANN_NAMES),
    objectives=_minimize("value"),
    evaluate=_hartmann,
    gap=_best_of("value", -3.322368011415515),
    worst=3.33,
)


def _gramacy(parameters: Parameters) -> Values:
    """A plane over a square of which a wavy border and a circle leave a part (Gramacy et al., 2016)."""
    x, y = _number(parameters["x"]), _number(parameters["y"])
    wave = 1.5 - x - 2 * y - 0.5 * math.sin(2 * math.pi * (x**2 - 2 * y))
    return {"value": x + y, "wave": wave, "circle": x**2 + y**2 - 1.5}


_GRAMACY: Final = Problem(
    name="gramacy",
    parameters=_unit("x", "y"),
    objectives=_minimize("value"),
    outcome_constraints=("wave <= 0", "circle <= 0"),
    evaluate=_gramacy,
    gap=_best_of("value", 0.5997880537, limits=("wave", "circle")),
    worst=1.5,
    trials=_FEWER_TRIALS,
)

_REFERENCE: Final = {"branin": 18.0, "currin": 6.0}
_MOST_VOLUME: Final = 59.36011874867746
"""The hypervolume of the true front under the reference, as BoTorch states it for its `BraninCurrin`."""


def _branin_currin(parameters: Parameters) -> Values:
    x, y = _number(parameters["x"]), _number(parameters["y"])
    fading = 1 - math.exp(-1 / (2 * y)) if y > 0 else 1.0
    above = 2300 * x**3 + 1900 * x**2 + 2092 * x + 60
    below = 100 * x**3 + 500 * x**2 + 4 * x + 20
    return {"branin": _branin_at(15 * x - 5, 15 * y), "currin": fading * above / below}


def volume(points: Sequence[tuple[float, float]], reference: tuple[float, float]) -> float:
    """The area that these points dominate below the reference, both coordinates to be minimized."""
    total = 0.0
    height = reference[1]
    for x, y in sorted(points):
        if x < reference[0] and y < height:
            total += (reference[0] - x) * (height - y)
            height = y
    return total


def _volume_gaps(trials: Sequence[Values]) -> list[float]:
    first, second = _REFERENCE
    points = [(values[first], values[second]) for values in trials]
    reference = (_REFERENCE[first], _REFERENCE[second])
    return [_MOST_VOLUME - volume(points[:count], reference) for count in range(1, len(points) + 1)]


_BRANIN_CURRIN: Final = Problem(
    name="branin-currin",
    parameters=_unit("x", "y"),
    objectives=[
        {"metric": metric, "direction": "minimize", "threshold": threshold} for metric, threshold in _REFERENCE.items()
    ],
    evaluate=_branin_currin,
    gap=_volume_gaps,
    worst=_MOST_VOLUME,
    trials=_FEWER_TRIALS,
    seeds=10,
)


def _digits_gaps(trials: Sequence[Values]) -> list[float]:
    return list(accumulate((1 - values["accuracy"] for values in trials), min))


_DIGITS: Final = Problem(
    name="digits",
    parameters={
        "lr": {"type": "float", "min": 1e-4, "max": 1e-1, "log": True},
        "hidden": {"type": "int", "min": 8, "max": 256},
        "optimizer": {"type": "choice", "values": ["adam", "sgd"]},
        "momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"optimizer": "sgd"}},
    },
    objectives=[{"metric": "accuracy", "direction": "maximize"}],
    evaluate=accuracy,
    gap=_digits_gaps,
    worst=1.0,
    # Half of the smallest step: runs with the best accuracy must have a logarithm.
    floor=0.5 / IMAGES,
    best_known=False,
    trials=_FEWER_TRIALS,
)

PROBLEMS: Final = {problem.name: problem for problem in (_BRANIN, _HARTMANN, _DIGITS, _GRAMACY, _BRANIN_CURRIN)}
