"""Whether slots wait for the model, and how old its proposals are when they start: 32 slots, trials of 1 to 3 minutes.

All of it is the product's own, with Ax in its own process and the real journal; only the cluster and its time are
simulated. Time is treated like this: while nothing is asked, the virtual clock jumps to the next event; an answer of
Ax's process takes the virtual clock as long as it really took, from the question to the answer, the imports and all
else that was at work on the machine included. Jobs run on meanwhile, and results that come before the answer are known
to the next question only. So minutes of trials pass in no time, but never a second of the optimizer's. On a machine
that others are at work on, `--time cpu` counts the process' own processor time instead: what a core of its own gives.

A slot is idle from a job's end to the start of the job that follows it there. A proposal's staleness is how many
results came between its making and its trial.

python bench/staleness.py
python bench/staleness.py --trials 64 --time cpu
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from axk8s.api.simulation import drive
from axk8s.folder import SweepFolder
from axk8s.journal import read
from axk8s.optimize.process import AxOptimizer
from axk8s.simulate.conditions import Conditions
from axk8s.simulate.faults import Faults
from axk8s.simulate.objective import Synthetic
from axk8s.simulate.world import World
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import OptimizerReply, Phase, TrialFact
from axk8s.sweep.records import PhaseChanged, Suggested, TrialConcluded
from bench._result import Bar, add_output, machine, percent, quantile, save, show

_SLOTS = 32
_RUN_TIME = "60s..180s"
_NOISE = 0.01
"""Standard deviation: over a function without noise, which nobody has, a proposal takes Ax several times as long."""
_WANTED_IDLE = 1.0
_WANTED_STALENESS = 32
_WANTED_SHARE = 0.8


class Timed:
    """An optimizer of which it is known how long its answers took."""

    def __init__(self, inner: AxOptimizer, *, cpu: bool) -> None:
        self._inner = inner
        self._cpu = cpu
        self._reply: Callable[[OptimizerReply], None] = lambda _: None
        self._asked_at = 0.0
        self.seconds: list[float] = []
        """Of each answer."""
        self.proposals: list[int] = []

    def start(self, reply: Callable[[OptimizerReply], None]) -> None:
        """Answers go to `reply`."""
        self._reply = reply
        self._inner.start(self._answered)

    def tell(self, fact: TrialFact) -> None:
        """As the optimizer does."""
        self._inner.tell(fact)

    def ask(self, count: int, *, replace: bool = False) -> None:
        """As the optimizer does."""
        self._asked_at = self._now()
        self._inner.ask(count, replace=replace)

    def close(self) -> None:
        """As the optimizer does."""
        self._inner.close()

    def _answered(self, reply: OptimizerReply) -> None:
        if reply.proposals:
            self.seconds.append(self._now() - self._asked_at)
            self.proposals.append(len(reply.proposals))
        self._reply(reply)

    def _now(self) -> float:
        if not self._cpu:
            return time.monotonic()
        pid = self._inner.pid
        if pid is None:
            return 0.0  # it is just being started
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


class RealThought(Faults):
    """A world's draws, but thinking takes as long as it took."""

    def __init__(self, conditions: Conditions, seed: int, optimizer: Timed) -> None:
        super().__init__(conditions, seed)
        self._optimizer = optimizer

    def thought(self, number: int, *, models: int) -> float:  # noqa: ARG002  # as it was, not as it is drawn
        """Real seconds of the last answer."""
        return self._optimizer.seconds[-1]


@dataclass(frozen=True, slots=True)
class Journey:
    """What a sweep's journal shows; seconds are virtual."""

    trials: int
    from_model: int
    initial: int
    """Trials that the optimizer makes without a model by its own rule: one for each slot."""
    idle: Sequence[float]
    staleness: Sequence[int]
    """Of the model's proposals, in results."""
    seconds: float

    @property
    def model_share(self) -> float:
        """Of the trials after the initial ones."""
        return self.from_model / max(1, self.trials - self.initial)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = _options(arguments)
    where = machine()
    options.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="staleness-") as name:
        journey, optimizer, wall = _sweep(options.trials, Path(name), cpu=options.time == "cpu")
    thought = [seconds / count for seconds, count in zip(optimizer.seconds, optimizer.proposals, strict=True)]
    rows = [
        [
            f"{journey.trials}",
            f"{journey.seconds:.0f} s",
            f"{statistics.median(journey.idle):.2f} s",
            f"{quantile(journey.idle, 0.95):.2f} s",
            f"{max(journey.idle):.2f} s",
            f"{statistics.median(journey.staleness):g}" if journey.staleness else "–",
            f"{max(journey.staleness)}" if journey.staleness else "–",
            percent(journey.model_share),
            f"{statistics.median(thought):.2f} s",
            f"{wall:.0f} s",
        ]
    ]
    headings = ["trials", "virtual", "idle, median", "p95", "longest", "staleness, median", "most", "from the model"]
    show(f"{_SLOTS} slots, trials of {_RUN_TIME}", [*headings, "a proposal", "wall"], rows)
    figures = {
        "settings": {"trials": options.trials, "slots": _SLOTS, "run_time": _RUN_TIME, "time": options.time},
        "journey": asdict(journey),
        "answers": {"seconds": optimizer.seconds, "proposals": optimizer.proposals},
        "wall": wall,
    }
    save("staleness", options.output, where=where, figures=figures, bars=_bars(journey))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=160, help="of the sweep (default: %(default)s)")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where the journal is written (default: %(default)s)",
    )
    parser.add_argument(
        "--time", choices=("wall", "cpu"), default="wall", help="what an answer's seconds are (default: %(default)s)"
    )
    add_output(parser, "staleness")
    return parser.parse_args(arguments)


def _sweep(trials: int, place: Path, *, cpu: bool) -> tuple[Journey, Timed, float]:
    spec = SweepSpec.from_mapping(
        {
            "name": "staleness",
            "command": "true {params}",
            "parameters": {
                "lr": {"type": "float", "min": 1e-5, "max": 1e-1, "log": True},
                "hidden": {"type": "int", "min": 16, "max": 1024},
                "dropout": {"type": "float", "min": 0.0, "max": 0.9},
                "momentum": {"type": "float", "min": 0.0, "max": 0.99},
            },
            "objectives": [{"metric": "loss", "direction": "minimize"}],
            "trials": trials,
            "parallelism": _SLOTS,
        },
        base=place,
    )
    conditions = Conditions.of({"run_time": _RUN_TIME, "start_delay": 0, "api_latency": "0.005..0.02", "noise": _NOISE})
    folder = SweepFolder(place / spec.name)
    folder.path.mkdir(parents=True)
    world = World(conditions, seed=1, slots=_SLOTS, results=Synthetic(spec, "ripples", seed=1))
    optimizer = Timed(AxOptimizer(spec, log=folder.optimizer_log), cpu=cpu)
    world.faults = RealThought(conditions, 1, optimizer)
    began = time.perf_counter()
    drive(spec, folder, world, seed=1, optimizer=optimizer)
    wall = time.perf_counter() - began
    return _journey(folder), optimizer, wall


def _journey(folder: SweepFolder) -> Journey:
    starts: list[float] = []
    ends: list[float] = []
    running: set[tuple[int, int]] = set()
    staleness: list[int] = []
    trials = ended = from_model = 0
    for record in read(folder.journal):
        match record:
            case Suggested():
                trials += 1
                from_model += record.from_model
                if record.from_model:
                    staleness.append(ended - record.results_seen)
            case PhaseChanged():
                which = (record.trial, record.attempt)
                if record.started_at is not None and which not in running:
                    running.add(which)
                    starts.append(record.started_at)
                if record.ended_at is not None and record.phase is Phase.ENDED:
                    ends.append(record.ended_at)
            case TrialConcluded():
                ended += 1
    starts.sort()
    ends.sort()
    # The n-th slot to become free is the n-th to be taken again.
    idle = [start - end for end, start in zip(ends, starts[_SLOTS:], strict=False)]
    return Journey(trials, from_model, min(_SLOTS, trials), idle, staleness, ends[-1] - starts[0])


def _bars(journey: Journey) -> list[Bar]:
    idle = quantile(journey.idle, 0.95) if journey.idle else 0.0
    staleness = statistics.median(journey.staleness) if journey.staleness else 0.0
    share = journey.model_share
    return [
        Bar("idle slot, p95", f"≤ {_WANTED_IDLE:g} s", f"{idle:.2f} s", idle <= _WANTED_IDLE),
        Bar("staleness, median", f"≤ {_WANTED_STALENESS} results", f"{staleness:g}", staleness <= _WANTED_STALENESS),
        Bar(
            "proposals from the model after one for each slot",
            f"≥ {percent(_WANTED_SHARE)}",
            percent(share),
            share >= _WANTED_SHARE,
        ),
    ]


if __name__ == "__main__":
    main()
