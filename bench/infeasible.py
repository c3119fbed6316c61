"""Whether the optimizer keeps away from where trials cannot work: a search space of which one half is infeasible.

Two parameters from 0 to 1; the objective is best at x = 1, and trials with x > 0.5 end as training code with exit code
64 does. Beside it Ax's own loop, which marks these trials as failed. Both ask for one trial at a time, in this process
and on one thread, with all results told before the next question; no job runs.

python bench/infeasible.py
python bench/infeasible.py --seeds 3 --peer none
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from axk8s.optimize.protocol import Ask
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Outcome, Parameters, TrialFact
from bench._result import Bar, add_output, machine, percent, save, show

_BORDER = 0.5
_BEST = 0.5
"""The best value at the border."""
_TRIALS = 40
_WANTED_LATE = 6
_WANTED_LOSS = 0.01


@dataclass(frozen=True, slots=True)
class Run:
    """What one side did with one seed."""

    seed: int
    early: int
    """Infeasible ones among the first half of its trials."""
    late: int
    """Infeasible ones among the second half."""
    best: float
    """The best value of a feasible trial."""
    cpu: float
    """Seconds of processor time, for all trials."""
    points: Sequence[tuple[float, float]]

    @classmethod
    def of(cls, seed: int, cpu: float, points: Sequence[tuple[float, float]]) -> Run:
        """The figures of the points that were proposed."""
        half = len(points) // 2
        bad = [not _feasible(x) for x, _ in points]
        best = max((_value(x, y) for x, y in points if _feasible(x)), default=float("-inf"))
        return cls(seed, sum(bad[:half]), sum(bad[half:]), best, cpu, points)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = _options(arguments)
    where = machine()
    import torch

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    sides: dict[str, Callable[[int, int], list[tuple[float, float]]]] = {"axk8s": _ours}
    if options.peer != "none":
        sides["Ax, mark_trial_failed"] = _theirs
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for seed in range(options.seeds):
        for name, propose in sides.items():
            print(f"running {name}, seed {seed} …", file=sys.stderr, flush=True)
            began = time.process_time()
            points = propose(seed, options.trials)
            runs[name].append(Run.of(seed, time.process_time() - began, points))
    _report(runs, options.trials)
    settings = {"trials": options.trials, "seeds": options.seeds, "parallelism": 1}
    figures = {"settings": settings, "sides": {name: list(map(asdict, each)) for name, each in runs.items()}}
    bars = _bars(runs["axk8s"]) if options.trials == _TRIALS else []
    save("infeasible", options.output, where=where, figures=figures, bars=bars)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=_TRIALS, help="of each run (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="runs of each side, from seed 0 (default: %(default)s)")
    parser.add_argument(
        "--peer", choices=["failed", "none"], default="failed", help="Ax's own loop beside ours (default: %(default)s)"
    )
    add_output(parser, "infeasible")
    return parser.parse_args(arguments)


def _value(x: float, y: float) -> float:
    return x - (y - 0.4) ** 2


def _feasible(x: float) -> bool:
    return x <= _BORDER


def _ours(seed: int, trials: int) -> list[tuple[float, float]]:
    """The product's own optimizer, as its process asks it, without the process around it."""
    from axk8s.optimize.experiment import Projection

    sweep = {
        "name": "infeasible",
        "command": "true",
        "parameters": {name: {"type": "float", "min": 0, "max": 1} for name in ("x", "y")},
        "objectives": [{"metric": "value", "direction": "maximize"}],
        "optimizer": {"kind": "ax", "seed": seed},
        "trials": trials,
    }
    projection = Projection(SweepSpec.from_mapping(sweep, base=Path.cwd()))
    facts: list[TrialFact] = []
    for trial in range(trials):
        (proposal,) = projection.answer(Ask(trial, 1), facts).proposals
        x, y = _point(proposal.parameters)
        if _feasible(x):
            ended = {"outcome": Outcome.SUCCEEDED, "values": {"value": _value(x, y)}}
        else:
            ended = {"outcome": Outcome.INFEASIBLE}
        facts.append(TrialFact(trial, proposal.parameters, proposal.generator, **ended))  # type: ignore[arg-type]
    return [_point(fact.parameters) for fact in facts]


def _theirs(seed: int, trials: int) -> list[tuple[float, float]]:
    """Ax's own client, which is told that an infeasible trial has failed."""
    import torch
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    # Not the client's `random_seed`: it begins anew at each question, and a model without news repeats one point.
    torch.manual_seed(seed)
    client = Client()
    client.configure_experiment(
        parameters=[RangeParameterConfig(name=name, parameter_type="float", bounds=(0.0, 1.0)) for name in ("x", "y")]
    )
    client.configure_optimization(objective="value")
    client.configure_generation_strategy(initialization_random_seed=seed)
    points = []
    for _ in range(trials):
        ((index, parameters),) = client.get_next_trials(max_trials=1).items()
        x, y = _point(parameters)
        if _feasible(x):
            client.complete_trial(index, {"value": _value(x, y)})
        else:
            client.mark_trial_failed(index)
        points.append((x, y))
    return points


def _point(parameters: Parameters) -> tuple[float, float]:
    return float(parameters["x"]), float(parameters["y"])


def _report(runs: dict[str, list[Run]], trials: int) -> None:
    half = trials // 2
    rows = [
        [
            name,
            f"{statistics.median(run.early for run in each):g}",
            f"{statistics.median(run.late for run in each):g}",
            f"{min(run.late for run in each)} to {max(run.late for run in each)}",
            f"{statistics.median(run.best for run in each):.4f}",
            f"{min(run.best for run in each):.4f}",
            f"{statistics.median(run.cpu for run in each):.1f} s",
        ]
        for name, each in runs.items()
    ]
    late = f"{half + 1}-{trials}"
    headings = ["", f"infeasible, 1-{half}", late, f"{late}, all seeds", "best value", "worst seed's", "CPU"]
    count = len(next(iter(runs.values())))
    show(f"{trials} trials, {count} seeds, medians; the best value at the border is {_BEST:g}", headings, rows)


def _bars(runs: Sequence[Run]) -> list[Bar]:
    late = statistics.median(run.late for run in runs)
    loss = 1 - statistics.median(run.best for run in runs) / _BEST
    return [
        Bar("infeasible trials among 21-40, median", f"≤ {_WANTED_LATE}", f"{late:g}", late <= _WANTED_LATE),
        Bar("best value below the border's, median", f"≤ {percent(_WANTED_LOSS)}", percent(loss), loss <= _WANTED_LOSS),
    ]


if __name__ == "__main__":
    main()
