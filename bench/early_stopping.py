"""What early stopping saves and costs, and what the model should be told of a trial that was stopped.

The curves are power laws, loss = c + a * t^-b + noise for steps 1 to 81, as training losses often look: the end c
depends on all three parameters (a bowl with ripples, its best place drawn from the seed), the beginning a on one and
the speed b on another of them. The fast ones lead at first, the best in the end are slower, so curves cross: the rank
correlation with the final values is 0.55 at step 1, 0.69 at 3, 0.83 at 9 and 0.96 at 27. One trial in ten diverges.

Everything else is real: the controller, its journal and its rules, in a simulated world with a virtual clock.

`rules`: the same 100 random trials at full length, by ASHA and by the median rule, 8 at a time, 20 seeds. The gap is
how much worse the final value of the best trial is than the full-length sweep's, of the range of all final values.

`next`: what Ax proposes after the same 30 random trials that ASHA has stopped, when it is told of those in one of
several ways; 20 seeds, 4 points each. Here the gap is that of its points, as they would be at full length and without
noise, to the best point there is.

`model`: whole sweeps of 30 trials, 4 at a time, that Ax proposes and ASHA stops; 8 seeds. The gap is that of the best
trial to the best point there is, and the same for the trials of the second half shows where the model looks.

python bench/early_stopping.py
python bench/early_stopping.py --part all       # half an hour of one core
"""

from __future__ import annotations

import argparse
import functools
import logging
import math
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from axk8s.api.simulation import drive
from axk8s.controller.evidence import trial_fact
from axk8s.folder import SweepFolder
from axk8s.journal import fold_file
from axk8s.optimize.random import RandomOptimizer
from axk8s.simulate.conditions import Conditions
from axk8s.simulate.optimizer import Consultable
from axk8s.simulate.world import World
from axk8s.spec.settings import Objective
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import OptimizerReply, Outcome, Parameters, TrialFact, Values
from axk8s.sweep.state import State
from bench._result import Bar, add_output, machine, percent, save, show

if TYPE_CHECKING:
    from axk8s.optimize.experiment import Projection

STEPS: Final = 81
_NOISE: Final = 0.005
_DIVERGED: Final = 1.5
_WANTED_GAP: Final = 0.01
_WANTED_STEPS: Final = 1 / 3
RULES: Final[Mapping[str, Mapping[str, object] | None]] = {
    "full length": None,
    "asha": {"kind": "asha", "max_step": STEPS},
    "asha, min_step 3": {"kind": "asha", "min_step": 3, "max_step": STEPS},
    "median": {"kind": "median"},
    "median, min_step 9": {"kind": "median", "min_step": 9},
}


class Family:
    """Learning curves over a search space of three parameters; meets the simulated world's `Results`."""

    note = "power laws"

    def __init__(self, seed: int) -> None:
        chance = Random(f"{seed}/family")
        self._best = {"lr": chance.uniform(0.2, 0.5), "decay": chance.random(), "momentum": chance.random()}
        self._seed = seed

    def values(self, parameters: Parameters) -> Values:
        return {"loss": self.at(parameters, STEPS)}

    def seconds(self, parameters: Parameters) -> float | None:  # noqa: ARG002 (all run alike)
        return 100.0 * STEPS

    def shape(self, parameters: Parameters, _: Objective, __: float, share: float) -> float:
        """The curve; the world's own final value is the same as `values`."""
        return self.at(parameters, round(share * STEPS))

    def at(self, parameters: Parameters, step: int) -> float:
        """What is reported at a step."""
        noise = Random(f"{self._seed}/{sorted(parameters.items())}/{step}").gauss(0, _NOISE)
        return self.true(parameters, step) + noise

    def true(self, parameters: Parameters, step: int = STEPS) -> float:
        """The same without noise."""
        place = {name: float(value) for name, value in parameters.items()}
        place["lr"] = (math.log10(place["lr"]) + 5) / 5
        apart = {name: place[name] - best for name, best in self._best.items()}
        end = 0.6 * apart["lr"] ** 2 + 0.2 * apart["decay"] ** 2 + 0.1 * apart["momentum"] ** 2
        end += 0.02 * (1 - math.cos(6 * math.pi * apart["decay"]))
        if place["lr"] > 0.9:  # it diverges
            return _DIVERGED
        begin, speed = 0.5 + 1.0 * place["momentum"], 0.5 + 0.7 * place["lr"]
        return float(end + begin * step**-speed)

    def draw(self, chance: Random) -> Parameters:
        """A point of the space."""
        return {"lr": 10 ** chance.uniform(-5, 0), "decay": chance.random(), "momentum": chance.random()}


def _spec(seed: int, rule: Mapping[str, object] | None, *, trials: int, parallelism: int, kind: str) -> SweepSpec:
    content: dict[str, object] = {
        "name": "curves",
        "command": "true {lr} {decay} {momentum}",
        "parameters": {
            "lr": {"type": "float", "min": 1e-5, "max": 1.0, "log": True},
            "decay": {"type": "float", "min": 0, "max": 1},
            "momentum": {"type": "float", "min": 0, "max": 1},
        },
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "optimizer": {"kind": kind, "seed": seed},
        "trials": trials,
        "parallelism": parallelism,
    }
    if rule is not None:
        content["early_stopping"] = rule
    return SweepSpec.from_mapping(content, base=Path.cwd())


@dataclass(frozen=True, slots=True)
class Run:
    """One sweep."""

    seed: int
    best: float
    """The final value of the best trial, as reported."""
    true: float
    """The same without noise."""
    steps: int
    """Training steps that were made, over all trials."""
    stopped: int
    seconds: float
    """Virtual ones, from beginning to end."""
    late: float
    """What the second half of the trials would have come to at full length, without noise: the median."""
    finals: Sequence[float] = ()
    """Of all trials that ran to their end."""


def _run(family: Family, spec: SweepSpec, seed: int, optimizer: Consultable) -> Run:
    with tempfile.TemporaryDirectory(prefix="axk8s-bench-") as place:
        state, world = _driven(family, spec, seed, optimizer, Path(place))
    assert state.best is not None
    best = state.trials[state.best]
    return Run(
        seed=seed,
        best=best.values["loss"],
        true=family.true(best.parameters),
        steps=sum(attempt.steps for trial in state.trials for attempt in trial.attempts),
        stopped=state.counts[Outcome.EARLY_STOPPED],
        seconds=world.clock.now(),
        late=statistics.median(family.true(trial.parameters) for trial in state.trials[len(state.trials) // 2 :]),
        finals=[trial.values["loss"] for trial in state.trials if trial.outcome is Outcome.SUCCEEDED],
    )


def _driven(family: Family, spec: SweepSpec, seed: int, optimizer: Consultable, place: Path) -> tuple[State, World]:
    folder = SweepFolder(place / spec.name)
    folder.path.mkdir()
    conditions = Conditions(steps=STEPS, proposal_time=(0.0, 0.0), optimizer_start=(0.0, 0.0))
    world = World(conditions, seed=seed, slots=spec.parallelism, results=family, shape=family.shape)
    drive(spec, folder, world, seed=seed, optimizer=optimizer)
    return fold_file(folder.journal), world


# --- the rules --------------------------------------------------------------------------------------------------


def _rules(seeds: int, trials: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in RULES}
    for seed in range(seeds):
        print(f"rules, seed {seed} …", file=sys.stderr, flush=True)
        for name, rule in RULES.items():
            spec = _spec(seed, rule, trials=trials, parallelism=8, kind="random")
            runs[name].append(_run(Family(seed), spec, seed, RandomOptimizer(spec)))
    return runs


def _gaps(runs: Sequence[Run], full: Sequence[Run]) -> list[float]:
    pairs = zip(runs, full, strict=True)
    return [(one.best - whole.best) / (max(whole.finals) - min(whole.finals)) for one, whole in pairs]


def _narrow(runs: Sequence[Run], full: Sequence[Run]) -> list[float]:
    """Of the way from the best to the median: a few diverged trials do not make it look small."""
    return [
        (one.best - whole.best) / (statistics.median(whole.finals) - min(whole.finals))
        for one, whole in zip(runs, full, strict=True)
    ]


def _show_rules(runs: Mapping[str, list[Run]]) -> list[dict[str, float | str]]:
    full = runs["full length"]
    rows, figures = [], []
    for name, each in runs.items():
        gaps, narrow = _gaps(each, full), _narrow(each, full)
        steps = [one.steps / whole.steps for one, whole in zip(each, full, strict=True)]
        times = [one.seconds / whole.seconds for one, whole in zip(each, full, strict=True)]
        figure: dict[str, float | str] = {
            "rule": name,
            "gap_median": statistics.median(gaps),
            "gap_mean": statistics.fmean(gaps),
            "gap_worst": max(gaps),
            "gap_to_median_trial_median": statistics.median(narrow),
            "steps_median": statistics.median(steps),
            "steps_most": max(steps),
            "time_median": statistics.median(times),
            "stopped_median": statistics.median(one.stopped for one in each),
        }
        figures.append(figure)
        keys = ("gap_median", "gap_mean", "gap_worst", "gap_to_median_trial_median", "steps_median", "time_median")
        rows.append([name, *(percent(float(figure[key])) for key in keys), f"{figure['stopped_median']:g}"])
    headings = ["", "gap, median", "mean", "worst", "of best to median", "steps", "time", "stopped"]
    show(f"{len(full)} seeds; gaps in per cent of the range of final values", headings, rows)
    return figures


# --- the model --------------------------------------------------------------------------------------------------


def _as_it_is(facts: Sequence[TrialFact]) -> Sequence[TrialFact]:
    return [replace(fact, reached={}) for fact in facts]


def _nothing(facts: Sequence[TrialFact]) -> Sequence[TrialFact]:
    return [replace(fact, values={}) if fact.outcome is Outcome.EARLY_STOPPED else fact for fact in facts]


def _shifted(facts: Sequence[TrialFact]) -> Sequence[TrialFact]:
    return _told(facts, lambda value, known: value + statistics.median(final - there for there, final in known))


def _worst(facts: Sequence[TrialFact]) -> Sequence[TrialFact]:
    return _told(facts, lambda _, known: max(final for _, final in known))


def _no_better_than_worst(facts: Sequence[TrialFact]) -> Sequence[TrialFact]:
    def estimate(value: float, known: Sequence[tuple[float, float]]) -> float:
        moved = value + statistics.median(final - there for there, final in known)
        return max(moved, *(final for _, final in known))

    return _told(facts, estimate)


def _told(
    facts: Sequence[TrialFact], estimate: Callable[[float, Sequence[tuple[float, float]]], float]
) -> Sequence[TrialFact]:
    """With another estimate in place of the product's, from its value and from pairs of value and final value."""
    found = []
    for fact in facts:
        if fact.outcome is Outcome.EARLY_STOPPED and fact.reached:
            mark, value = max(fact.reached.items())
            whole = [one for one in facts if one.outcome is Outcome.SUCCEEDED and mark in one.reached]
            known = [(one.reached[mark], one.values["loss"]) for one in whole]
            values = {"loss": estimate(value, known)} if known else fact.values
            found.append(replace(fact, values=values, reached={}))
        else:
            found.append(fact)
    return found


WAYS: Final[Mapping[str, Callable[[Sequence[TrialFact]], Sequence[TrialFact]] | None]] = {
    "full length, nothing stopped": None,
    "its last value": _as_it_is,
    "nothing": _nothing,
    "its last value, moved on": _shifted,
    "moved on, no better than the median (axk8s)": lambda facts: facts,
    "the worst final value": _worst,
    "moved on, no better than the worst": _no_better_than_worst,
}


class _InProcess:
    """The product's optimizer without its process, told in another way."""

    def __init__(self, spec: SweepSpec, way: Callable[[Sequence[TrialFact]], Sequence[TrialFact]]) -> None:
        from axk8s.optimize.experiment import Projection

        self._projection: Projection = Projection(spec)
        self._way = way
        self._facts: dict[int, TrialFact] = {}
        self._asked = 0
        self._outstanding: list[Parameters] = []
        self._reply: Callable[[OptimizerReply], None] = lambda _: None

    def start(self, reply: Callable[[OptimizerReply], None]) -> None:
        self._reply = reply

    def tell(self, fact: TrialFact) -> None:
        self._facts[fact.trial] = fact
        self._outstanding = [each for each in self._outstanding if each != fact.parameters]

    def ask(self, count: int, *, replace: bool = False) -> None:
        from axk8s.optimize.protocol import Ask

        self._asked += 1
        barred, waiting = (self._outstanding, []) if replace else ([], self._outstanding)
        ask = Ask(self._asked, count, outstanding=waiting, barred=barred)
        reply = self._projection.answer(ask, self._way([self._facts[trial] for trial in sorted(self._facts)]))
        self._outstanding = [*waiting, *(each.parameters for each in reply.proposals)]
        self._reply(reply)

    def close(self) -> None:
        """Nothing to end."""


def _quiet() -> None:
    import torch

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")


def _model(seeds: int, trials: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in WAYS}
    for seed in range(seeds):
        for name, way in WAYS.items():
            began = time.process_time()
            spec = _spec(seed, RULES["asha"] if way else None, trials=trials, parallelism=4, kind="ax")
            run = _run(Family(seed), spec, seed, _InProcess(spec, way or _as_it_is))
            runs[name].append(run)
            spent = time.process_time() - began
            print(f"model, seed {seed}, {name}: {run.true:.4f}, {spent:.0f} s", file=sys.stderr, flush=True)
    return runs


def _show_model(runs: Mapping[str, list[Run]]) -> list[dict[str, float | str]]:
    rows, figures = [], []
    for name, each in runs.items():
        gaps = [_to_the_best(run.seed, run.true) for run in each]
        figure: dict[str, float | str] = {
            "told": name,
            "gap_median": statistics.median(gaps),
            "gap_mean": statistics.fmean(gaps),
            "gap_worst": max(gaps),
            "late_median": statistics.median(_to_the_best(run.seed, run.late) for run in each),
            "late_mean": statistics.fmean(_to_the_best(run.seed, run.late) for run in each),
            "whole_median": statistics.median(len(run.finals) for run in each),
            "steps_median": statistics.median(run.steps for run in each),
        }
        figures.append(figure)
        rows.append(
            [
                name,
                *(
                    percent(float(figure[key]))
                    for key in ("gap_median", "gap_mean", "gap_worst", "late_median", "late_mean")
                ),
                f"{figure['whole_median']:g}",
                f"{figure['steps_median']:g}",
            ]
        )
    seeds = len(next(iter(runs.values())))
    headings = ["what the model is told of a stopped trial", "gap, median", "mean", "worst"]
    headings += ["second half, median", "mean", "whole trials", "steps"]
    show(f"{seeds} seeds; gaps to the best point there is, in per cent of the range", headings, rows)
    return figures


def _next(seeds: int, trials: int, rule: str) -> list[dict[str, float | str]]:
    """What the model proposes next after the same random trials, told in each way: all else is equal."""
    from axk8s.optimize.experiment import Projection
    from axk8s.optimize.protocol import Ask

    gaps: dict[str, list[float]] = {name: [] for name in WAYS}
    for seed in range(seeds):
        family = Family(seed)
        for name, way in WAYS.items():
            spec = _spec(seed, RULES[rule] if way else None, trials=trials, parallelism=8, kind="random")
            facts = (way or _as_it_is)(_facts(family, spec, seed))
            proposals = Projection(spec).answer(Ask(1, 4), facts).proposals
            gaps[name] += [_to_the_best(seed, family.true(proposal.parameters)) for proposal in proposals]
        print(f"next, {rule}, seed {seed} …", file=sys.stderr, flush=True)
    figures: list[dict[str, float | str]] = []
    for name, each in gaps.items():
        median, mean = statistics.median(each), statistics.fmean(each)
        figures.append({"told": name, "rule": rule, "next_median": median, "next_mean": mean})
    rows = [[str(one["told"]), *(percent(float(one[key])) for key in ("next_median", "next_mean"))] for one in figures]
    title = f"what the model proposes next after {trials} random trials ({rule}); {seeds} seeds, 4 points each"
    show(title, ["what it is told of a stopped trial", "gap of its points, median", "mean"], rows)
    return figures


def _facts(family: Family, spec: SweepSpec, seed: int) -> Sequence[TrialFact]:
    with tempfile.TemporaryDirectory(prefix="axk8s-bench-") as place:
        return [
            trial_fact(trial) for trial in _driven(family, spec, seed, RandomOptimizer(spec), Path(place))[0].trials
        ]


def _to_the_best(seed: int, value: float) -> float:
    best, worst = _range(seed)
    return (value - best) / (worst - best)


@functools.cache
def _range(seed: int) -> tuple[float, float]:
    family, chance = Family(seed), Random("range")
    finals = [family.true(family.draw(chance)) for _ in range(50_000)]
    return min(finals), max(finals)


def _crossing(seeds: int) -> dict[str, float]:
    """How well values at a step tell the final ones: Spearman's rank correlation, the median over seeds."""
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        family, chance = Family(seed), Random(f"{seed}/crossing")
        points = [family.draw(chance) for _ in range(200)]
        last = _ranks([family.at(point, STEPS) for point in points])
        for step in (1, 3, 9, 27):
            ranks = _ranks([family.at(point, step) for point in points])
            found.setdefault(str(step), []).append(statistics.correlation(ranks, last))
    return {step: round(statistics.median(each), 3) for step, each in found.items()}


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    for rank, index in enumerate(order):
        ranks[index] = float(rank)
    return ranks


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--part", choices=["rules", "next", "model", "all"], default="rules", help="(default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=20, help="of the rules (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=100, help="of the rules (default: %(default)s)")
    parser.add_argument("--model-seeds", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--model-trials", type=int, default=30, help="(default: %(default)s)")
    add_output(parser, "early_stopping")
    options = parser.parse_args(arguments)
    where = machine()
    figures: dict[str, object] = {
        "settings": {key: getattr(options, key) for key in ("seeds", "trials", "model_seeds", "model_trials")},
        "rank_correlation_with_final": _crossing(options.seeds),
    }
    bars: list[Bar] = []
    if options.part in ("rules", "all"):
        runs = _rules(options.seeds, options.trials)
        figures["rules"] = _show_rules(runs)
        figures["rules_runs"] = {name: [_brief(run) for run in each] for name, each in runs.items()}
        gap = statistics.median(_gaps(runs["asha"], runs["full length"]))
        steps = statistics.median(
            one.steps / whole.steps for one, whole in zip(runs["asha"], runs["full length"], strict=True)
        )
        bars = [
            Bar(
                "ASHA's gap to the best, median",
                f"≤ {percent(_WANTED_GAP)}",
                percent(gap),
                gap <= _WANTED_GAP,
            ),
            Bar("training steps, median", f"≤ {percent(_WANTED_STEPS)}", percent(steps), steps <= _WANTED_STEPS),
        ]
    if options.part in ("next", "all"):
        _quiet()
        figures["next"] = [
            each for rule in ("asha", "asha, min_step 3") for each in _next(options.seeds, options.model_trials, rule)
        ]
    if options.part in ("model", "all"):
        _quiet()
        told = _model(options.model_seeds, options.model_trials)
        figures["model"] = _show_model(told)
        figures["model_runs"] = {name: [_brief(run) for run in each] for name, each in told.items()}
    save("early_stopping", options.output, where=where, figures=figures, bars=bars)


def _brief(run: Run) -> dict[str, object]:
    return {**asdict(run), "finals": len(run.finals)}


if __name__ == "__main__":
    main()
