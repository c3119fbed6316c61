"""Which optimizer a sweep gets."""

from __future__ import annotations

from pathlib import Path

from axk8s.errors import SpecError
from axk8s.optimize.capability import check
from axk8s.optimize.grid import GridOptimizer
from axk8s.optimize.process import AxOptimizer
from axk8s.optimize.random import RandomOptimizer
from axk8s.spec.sweep import SweepSpec


def optimizer(spec: SweepSpec, *, log: Path) -> AxOptimizer | GridOptimizer | RandomOptimizer:
    """The optimizer that the sweep names, not started yet; `log` is for what Ax and its libraries print.

    Raises:
        SpecError: this optimizer cannot do what the sweep asks for.
    """
    problems = check(spec)
    if problems:
        raise SpecError(problems)
    match spec.optimizer.kind:
        case "ax":
            return AxOptimizer(spec, log=log)
        case "grid":
            return GridOptimizer(spec)
        case "random":
            return RandomOptimizer(spec)
