"""One run of one contender: a few trials at a time, and a question as soon as one has ended."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from axk8s.sweep.model import Parameters, Values
from bench._result import quantile
from bench.quality.contenders import CONTENDERS
from bench.quality.problems import Problem

_DIGITS = 6
Key: TypeAlias = tuple[str, str, int, int, int]
"""Problem, contender, seed, trials, parallel."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one contender reached with one seed, as the result file keeps it."""

    problem: str
    contender: str
    seed: int
    trials: int
    parallel: int
    gaps: Sequence[float | None]
    """The gap after each trial; None before the first that counts."""
    from_model: int
    """Proposals that a model of the results made; the seconds are theirs."""
    median: float | None
    p95: float | None
    cpu: float | None
    """The median of the processor time: what a proposal takes where nobody else computes."""
    session: int = 0
    """Under which command, version and load it ran: an index into the file's sessions."""

    @property
    def key(self) -> Key:
        """What makes it the same run."""
        return self.problem, self.contender, self.seed, self.trials, self.parallel


def run(problem: Problem, name: str, seed: int, *, trials: int, parallel: int, session: int) -> Run:
    """Optimize: always `parallel` trials pending, of which the oldest ends first, and then one proposal is made."""
    contender = CONTENDERS[name](problem, problem.spec(seed, trials=trials, parallel=parallel))
    pending: deque[tuple[int, Parameters]] = deque()
    results: list[Values] = []
    walls: list[float] = []
    cpus: list[float] = []
    for trial in range(trials):
        if len(pending) == parallel:
            oldest, parameters = pending.popleft()
            results.append(problem.evaluate(parameters))
            contender.tell(oldest, results[-1])
        wall, cpu = time.perf_counter(), time.process_time()
        suggestion = contender.propose()
        if suggestion.from_model:
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        pending.append((trial, suggestion.parameters))
    # Nothing is asked any more, so nobody needs to hear of the last ones.
    results += (problem.evaluate(parameters) for _, parameters in pending)
    return Run(
        problem=problem.name,
        contender=name,
        seed=seed,
        trials=trials,
        parallel=parallel,
        gaps=[_rounded(gap) for gap in problem.gap(results)],
        from_model=len(walls),
        median=_rounded(statistics.median(walls)) if walls else None,
        p95=_rounded(quantile(walls, 0.95)) if walls else None,
        cpu=_rounded(statistics.median(cpus)) if cpus else None,
        session=session,
    )


def _rounded(value: float) -> float | None:
    return None if value == float("inf") else float(f"{value:.{_DIGITS}g}")
