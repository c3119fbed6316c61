"""What the runs say: medians and their spread, and ours beside each other contender, seed by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench._result import Bar, show
from bench.quality.contenders import OURS, TITLES
from bench.quality.problems import PROBLEMS, Problem
from bench.quality.race import Run

_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of log10(our regret) − log10(theirs) over the seeds of both; below zero is better."""

    seeds: int
    mean: float
    low: float
    high: float

    @classmethod
    def between(cls, ours: Mapping[int, float], theirs: Mapping[int, float]) -> Difference:
        """With a 95 % interval from resampled pairs; the same for the same runs."""
        pairs = [math.log10(ours[seed]) - math.log10(theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
        drawn = np.random.default_rng(0).choice(pairs, size=(_RESAMPLES, len(pairs))).mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        return cls(len(pairs), statistics.mean(pairs), float(low), float(high))

    def __str__(self) -> str:
        """As the table shows it."""
        return f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def report(runs: Sequence[Run], *, trials: int | None, parallel: int) -> list[Bar]:
    """Print a table for each problem, and tell which bars are met: no worse than Ax's own loop.

    Args:
        runs: All that are known.
        trials: Of runs of this length; None: the problem's own.
        parallel: And of this parallelism.
    """
    bars = []
    for problem in PROBLEMS.values():
        length = trials or problem.trials
        same = [run for run in runs if (run.problem, run.trials, run.parallel) == (problem.name, length, parallel)]
        sides = _regrets(problem, same)
        if not sides:
            continue
        differences = {
            name: Difference.between(sides[OURS], side)
            for name, side in sides.items()
            if name != OURS and OURS in sides and sides[OURS].keys() & side.keys()
        }
        rows = [
            _row(name, side, [run for run in same if run.contender == name], differences)
            for name, side in sides.items()
        ]
        headings = [
            "",
            "seeds",
            "regret, median",
            "quartiles",
            "log10 ours/theirs (95 %)",
            "s/proposal",
            "p95",
            "CPU",
        ]
        show(f"{problem.name}: {length} trials, {parallel} at a time", headings, rows)
        if "ax" in differences:
            against = differences["ax"]
            bars.append(
                Bar(
                    f"{problem.name}: log10 regret, ours − Ax's own loop, {against.seeds} seeds",
                    "95 % interval includes zero or lies below",
                    str(against),
                    against.low <= 0,
                )
            )
    return bars


def _regrets(problem: Problem, runs: Sequence[Run]) -> dict[str, dict[int, float]]:
    """Of each contender and seed, at the end of the run."""
    last = [(run, problem.worst if run.gaps[-1] is None else run.gaps[-1]) for run in runs]
    least = 0.0 if problem.best_known or not last else min(gap for _, gap in last)
    sides: dict[str, dict[int, float]] = {
        name: {run.seed: max(gap - least, problem.floor) for run, gap in last if run.contender == name}
        for name in TITLES
    }
    return {name: side for name, side in sides.items() if side}


def _row(
    name: str, regrets: Mapping[int, float], runs: Sequence[Run], differences: Mapping[str, Difference]
) -> list[str]:
    low, middle, high = (float(each) for each in np.quantile(list(regrets.values()), [0.25, 0.5, 0.75]))
    return [
        TITLES[name],
        str(len(regrets)),
        f"{middle:.2g}",
        f"{low:.2g} to {high:.2g}",
        str(differences[name]) if name in differences else "",
        *(_seconds([getattr(run, which) for run in runs]) for which in ("median", "p95", "cpu")),
    ]


def _seconds(each: Sequence[float | None]) -> str:
    known = [seconds for seconds in each if seconds is not None]
    return f"{statistics.median(known):.3f}" if known else ""
