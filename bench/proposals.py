"""How long a proposal of the model takes past a few hundred results, by how many it is shown, and how good it is.

Four parameters from 0 to 1 and noise; the results are half a uniform sample and half one around the best point, as
sweeps leave them. Each question is asked of the optimizer as its own process asks it, in this process and on one
thread; seconds are of processor time, so others at work on the machine do not count. A first proposal pays for fitting
the model, further ones of the same question do not. For quality: how far the best of the next proposals is from the
best there is, without noise.

python bench/proposals.py
python bench/proposals.py --results 1000 --shown 200 500 --repeats 1
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from axk8s.optimize.protocol import Ask
from axk8s.optimize.sight import LADDER, LEAST_SHOWN, MIDDLE
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Outcome, TrialFact
from bench._result import Bar, add_output, machine, save, show

_NAMES = ("lr", "momentum", "dropout", "decay")
_BEST = (0.3, 0.7, 0.5, 0.2)
_NOISE = 0.02
"""Standard deviation of a measured loss; losses go from 0 to about 1."""
_WANTED = 3.0
"""Seconds for a proposal beyond the smallest bound, with the fit: a sixteenth of a short trial on 16 slots."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One question with several proposals in the answer."""

    objectives: int
    results: int
    shown: int
    first: float
    """Seconds for the first proposal, the fit included."""
    further: float
    """Seconds for each one after it."""
    before: float
    """How far the best known result is from the best there is."""
    after: float
    """The same with the proposals tried."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = _options(arguments)
    where = machine()
    import torch

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    _answer(1, 20, 20, seed=-1, proposals=2)  # what is imported late is not a proposal's time
    answers = []
    for objectives in options.objectives:
        for results in options.results:
            # Where there are no more results than are shown, the next step of the ladder shows the same.
            steps = sorted({min(shown, results) for shown in options.shown})
            for shown in steps:
                answers += [
                    _answer(objectives, results, shown, seed=seed, proposals=options.proposals)
                    for seed in range(options.repeats)
                ]
                print(f"{objectives} objectives, {results} results, {shown} shown …", file=sys.stderr, flush=True)
    rows = _rows(answers)
    headings = ["objectives", "results", "shown", "first proposal", "each further", "regret before", "after"]
    show(f"medians of {options.repeats}; regret with {options.proposals} proposals", headings, rows)
    settings = {"repeats": options.repeats, "proposals": options.proposals, "parameters": len(_NAMES), "ladder": LADDER}
    figures = {"settings": settings, "answers": [asdict(each) for each in answers]}
    save("proposals", options.output, where=where, figures=figures, bars=_bars(answers))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, nargs="+", default=[100, 500, 1000, 3000], help="(default: %(default)s)")
    parser.add_argument(
        "--shown",
        type=int,
        nargs="+",
        default=list(LADDER),
        help="bounds of what the model sees (default: %(default)s)",
    )
    parser.add_argument("--objectives", type=int, nargs="+", default=[1], choices=[1, 2], help="(default: %(default)s)")
    parser.add_argument("--proposals", type=int, default=4, help="of each question (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="other results, from seed 0 (default: %(default)s)")
    add_output(parser, "proposals")
    return parser.parse_args(arguments)


def _answer(objectives: int, results: int, shown: int, *, seed: int, proposals: int) -> Answer:
    from axk8s.optimize.experiment import Projection

    spec = _spec(objectives, seed)
    facts = _facts(results, seed)
    seconds = []
    found: list[float] = []
    # The same question for one and for several: the seed makes their first proposals the same.
    for count in (1, proposals):
        projection = Projection(spec, most_results=shown)
        began = time.process_time()
        reply = projection.answer(Ask(1, count), facts)
        seconds.append(time.process_time() - began)
        found = [_loss(tuple(float(each.parameters[name]) for name in _NAMES)) for each in reply.proposals]
    leader = min(facts, key=lambda fact: fact.values["loss"])
    known = _loss(tuple(float(leader.parameters[name]) for name in _NAMES))
    best = _loss(_BEST)
    further = (seconds[1] - seconds[0]) / max(1, proposals - 1)
    return Answer(objectives, results, shown, seconds[0], further, known - best, min(known, *found) - best)


def _spec(objectives: int, seed: int) -> SweepSpec:
    wanted = [{"metric": metric, "direction": "minimize"} for metric in ("loss", "cost")]
    content = {
        "name": "proposals",
        "command": "true",
        "parameters": {name: {"type": "float", "min": 0, "max": 1} for name in _NAMES},
        "objectives": wanted[:objectives],
        "optimizer": {"seed": max(0, seed)},
        "trials": 10_000,
    }
    return SweepSpec.from_mapping(content, base=Path.cwd())


def _facts(count: int, seed: int) -> list[TrialFact]:
    rng = Random(seed)
    facts = []
    for trial in range(count):
        if trial % 2:
            point = tuple(min(1.0, max(0.0, rng.gauss(best, 0.15))) for best in _BEST)
        else:
            point = tuple(rng.random() for _ in _NAMES)
        values = {"loss": _loss(point) + rng.gauss(0, _NOISE), "cost": sum(point) + math.sin(9 * point[0]) / 5}
        facts.append(TrialFact(trial, dict(zip(_NAMES, point, strict=True)), "BoTorch", Outcome.SUCCEEDED, values))
    return facts


def _loss(point: Sequence[float]) -> float:
    """Lowest at `_BEST`, with ripples on the way there."""
    apart = [each - best for each, best in zip(point, _BEST, strict=True)]
    distance = sum(each**2 for each in apart)
    return 1 - math.exp(-2 * distance) + 0.05 * sum(1 - math.cos(12 * each) for each in apart)


def _rows(answers: Sequence[Answer]) -> list[list[str]]:
    groups: dict[tuple[int, int, int], list[Answer]] = {}
    for each in answers:
        groups.setdefault((each.objectives, each.results, each.shown), []).append(each)
    return [
        [
            str(objectives),
            f"{results:,}",
            f"{shown:,}",
            f"{statistics.median(each.first for each in group):.1f} s",
            f"{statistics.median(each.further for each in group):.1f} s",
            f"{statistics.median(each.before for each in group):.4f}",
            f"{statistics.median(each.after for each in group):.4f}",
        ]
        for (objectives, results, shown), group in groups.items()
    ]


def _bars(answers: Sequence[Answer]) -> list[Bar]:
    many = [each for each in answers if each.results > LADDER[MIDDLE] and each.objectives == 1]
    least = [each.first for each in many if each.shown == LEAST_SHOWN]
    if not least:
        return []
    seconds = statistics.median(least)
    what = f"a proposal with its fit, the model shown {LEAST_SHOWN} of 1,000 and more results"
    return [Bar(what, f"≤ {_WANTED:g} s", f"{seconds:.1f} s", seconds <= _WANTED)]


if __name__ == "__main__":
    main()
