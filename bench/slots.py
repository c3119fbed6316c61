"""How much of the slot time jobs really use: this controller beside Ax's own `Orchestrator`, one after the other.

Both run the same shell command on the scheduler `local`, each from a process of its own, with quasi-random or random
points, so no model is fitted. Every figure comes from what the scheduler wrote down about the jobs.

python bench/slots.py
python bench/slots.py --trials 400 --seconds 5 --parallelism 50 --peer tuned
python bench/slots.py --trials 4 --seconds 0.2 --parallelism 2 --peer none
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from axk8s.folder import SweepFolder
from axk8s.journal import read
from axk8s.names import ENV_STATE_DIR
from axk8s.sweep.model import Phase
from axk8s.sweep.records import PhaseChanged, SubmittedJob, Submitting, Suggested, TrialConcluded
from bench._result import Bar, add_output, machine, percent, quantile, save, show

_PEER = Path(__file__).parent / "peers" / "orchestrator.py"
_WANTED = {(100, 3.0, 10): 0.95, (400, 5.0, 50): 0.90}
"""The share of slot time that is aimed at, by trials, seconds and slots; other sizes are only measured."""
_NAME = "slots"


@dataclass(frozen=True, slots=True)
class Job:
    """When one job's process ran (Unix seconds), by the scheduler's own record."""

    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Run:
    """One side's run."""

    name: str
    command_at: float
    first_submit: float
    returned_at: float
    jobs: Sequence[Job]
    succeeded: int
    delays: Mapping[str, Sequence[float]]
    """What lies between two jobs in one slot, by part, in seconds; only the side that keeps a journal knows."""
    generators: Mapping[str, int]

    def figures(self, seconds: float, parallelism: int) -> dict[str, Any]:
        """Shares of the slot time between the first submit, or the start of the command, and the last job's end.

        `busy` counts a slot while its job's process lives, `work` only the seconds that the job was asked to sleep.
        """
        last_end = max(job.ended_at for job in self.jobs)
        span, whole = last_end - self.first_submit, last_end - self.command_at
        alive = sum(job.ended_at - job.started_at for job in self.jobs)
        asked = len(self.jobs) * seconds
        gaps = _gaps(self.jobs, parallelism)
        return {
            "jobs": len(self.jobs),
            "succeeded": self.succeeded,
            "generators": dict(self.generators),
            "span": span,
            "busy": alive / (parallelism * span),
            "work": asked / (parallelism * span),
            "busy_from_command": alive / (parallelism * whole),
            "work_from_command": asked / (parallelism * whole),
            "to_first_submit": self.first_submit - self.command_at,
            "to_return": self.returned_at - last_end,
            "job_median": statistics.median(job.ended_at - job.started_at for job in self.jobs),
            "gap": _spread(gaps),
            "delays": {part: _spread(values) for part, values in self.delays.items()},
            "jobs_at": [asdict(job) for job in self.jobs],
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = _options(arguments)
    where = machine()
    peers = {"both": ["tuned", "default"], "none": []}.get(options.peer, [options.peer])
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="axk8s-slots-") as name:
        place = Path(name)
        figures["axk8s"] = _ours(place / "axk8s", options).figures(options.seconds, options.parallelism)
        for kind in peers:
            run = _theirs(place / kind, options, kind)
            figures[f"Ax Orchestrator, {kind}"] = run.figures(options.seconds, options.parallelism)
    _report(figures, options)
    busy = figures["axk8s"]["busy"]
    wanted = _WANTED.get((options.trials, options.seconds, options.parallelism))
    what = "slots busy, first submitting to last ended"
    bars = [] if wanted is None else [Bar(what, f"≥ {percent(wanted)}", percent(busy), busy >= wanted)]
    settings = {name: getattr(options, name) for name in ("trials", "seconds", "parallelism", "optimizer")}
    save("slots", options.output, where=where, figures={"settings": settings, "sides": figures}, bars=bars)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100, help="jobs of each side (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="that each job sleeps (default: %(default)g)")
    parser.add_argument("--parallelism", type=int, default=10, help="slots (default: %(default)s)")
    parser.add_argument(
        "--optimizer",
        choices=["random", "ax"],
        default="random",
        help="who proposes our trials; `ax` fits models after its initial points (default: %(default)s)",
    )
    parser.add_argument(
        "--peer",
        choices=["default", "tuned", "both", "none"],
        default="both",
        help="settings of Ax's Orchestrator: its defaults, the quickest that its options allow (default: %(default)s)",
    )
    add_output(parser, "slots")
    return parser.parse_args(arguments)


def _program(seconds: float) -> list[str]:
    """What each job runs; `{x}` is the parameter."""
    return ["sh", "-c", f"sleep {seconds:g}; echo 'axk8s: {{\"loss\": {{x}}}}'"]


def _environment(place: Path) -> dict[str, str]:
    """A register of jobs of its own; other sweeps of this machine stay out of it."""
    return {**os.environ, ENV_STATE_DIR: str(place / "state")}


def _ours(place: Path, options: argparse.Namespace) -> Run:
    place.mkdir()
    # In the sweep file literal braces are doubled, and YAML reads JSON.
    words = [word.replace("{", "{{").replace("}", "}}").replace("{{x}}", "{x}") for word in _program(options.seconds)]
    sweep = {
        "name": _NAME,
        "command": shlex.join(words),
        "parameters": {"x": {"type": "float", "min": 0.0, "max": 1.0}},
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "optimizer": {"kind": options.optimizer, "seed": 0},
        "trials": options.trials,
        "parallelism": options.parallelism,
        "scheduler": "local",
    }
    file = place / "sweep.yaml"
    file.write_text(json.dumps(sweep, indent=1), encoding="utf-8")
    command = [sys.executable, "-m", "axk8s", "run", str(file), "--dir", str(place / "sweeps")]
    began, returned = _run("axk8s", command, _environment(place))
    folder = SweepFolder(place / "sweeps" / _NAME)
    journal = _Timeline.of(folder)
    return Run(
        "axk8s",
        began,
        min(journal.submitting),
        returned,
        _jobs(folder.path),
        journal.succeeded,
        journal.delays(options.parallelism),
        journal.generators,
    )


def _theirs(place: Path, options: argparse.Namespace, kind: str) -> Run:
    place.mkdir()
    name = f"Ax Orchestrator, {kind}"
    output = place / "run.json"
    command = [sys.executable, str(_PEER), "--settings", kind, "--folder", str(place / "jobs"), "--output", str(output)]
    command += ["--trials", str(options.trials), "--parallelism", str(options.parallelism), "--"]
    began, returned = _run(name, [*command, *_program(options.seconds)], _environment(place))
    told = json.loads(output.read_text(encoding="utf-8"))
    return Run(
        name,
        began,
        told["first_submit"],
        returned,
        _jobs(place / "jobs"),
        told["values"],
        {},
        {"Sobol": options.trials},
    )


def _run(name: str, command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """When the command began and returned."""
    print(f"running {name} …", file=sys.stderr, flush=True)
    began = time.time()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    returned = time.time()
    if done.returncode:
        raise SystemExit(f"{name} failed (exit code {done.returncode}):\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return began, returned


def _jobs(folder: Path) -> list[Job]:
    """The jobs below `folder`, by start, from the records that their supervisors left."""
    found = [
        Job(replica["started_at"], replica["ended_at"])
        for path in folder.rglob("exit.json")
        for replica in json.loads(path.read_text(encoding="utf-8"))["replicas"]
    ]
    if not found:
        raise SystemExit(f"no job left a record below {folder}")
    return sorted(found, key=lambda job: job.started_at)


def _gaps(jobs: Sequence[Job], parallelism: int) -> list[float]:
    """How long each freed slot stayed empty: the n-th end made room for the start n + parallelism."""
    ends = sorted(job.ended_at for job in jobs)
    starts = [job.started_at for job in jobs[parallelism:]]
    return [start - end for start, end in zip(starts, ends, strict=False)]


@dataclass(frozen=True, slots=True)
class _Timeline:
    """When what was journaled."""

    submitting: Sequence[float]
    submitted: Sequence[float]
    started: Sequence[float]
    """When the process started, by the scheduler's clock, in the order of `submitting`."""
    ended: Sequence[tuple[float, float]]
    """When each process had ended, and when the controller wrote it down."""
    concluded: Sequence[float]
    succeeded: int
    generators: Mapping[str, int]

    @classmethod
    def of(cls, folder: SweepFolder) -> _Timeline:
        submitting: dict[int, float] = {}
        submitted: dict[int, float] = {}
        started: dict[int, float] = {}
        ended: dict[int, tuple[float, float]] = {}
        concluded: list[float] = []
        succeeded = 0
        generators: Counter[str] = Counter()
        for record in read(folder.journal):
            match record:
                case Suggested():
                    generators[record.generator] += 1
                case Submitting():
                    submitting[record.trial] = record.time
                case SubmittedJob():
                    submitted[record.trial] = record.time
                case PhaseChanged():
                    if record.started_at is not None:
                        started[record.trial] = record.started_at
                    if record.phase is Phase.ENDED and record.ended_at is not None:
                        ended[record.trial] = (record.ended_at, record.time)
                case TrialConcluded():
                    concluded.append(record.time)
                    succeeded += record.outcome == "succeeded"
                case _:
                    pass
        order = list(submitting)
        return cls(
            [submitting[trial] for trial in order],
            [submitted[trial] for trial in order],
            [started[trial] for trial in order],
            [ended[trial] for trial in order],
            concluded,
            succeeded,
            generators,
        )

    def delays(self, parallelism: int) -> dict[str, list[float]]:
        """The parts of the way from one job's end to the next one's start."""
        return {
            "job ended → journaled": [seen - at for at, seen in self.ended],
            "journaled → next submitting": _steps(
                sorted(seen for _, seen in self.ended), self.submitting[parallelism:]
            ),
            "submitting → submitted": _steps(self.submitting, self.submitted),
            "submitting → job started": _steps(self.submitting, self.started),
            "job ended → outcome": _steps(sorted(at for at, _ in self.ended), sorted(self.concluded)),
        }


def _steps(before: Sequence[float], after: Sequence[float]) -> list[float]:
    return [second - first for first, second in zip(before, after, strict=False)]


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"median": statistics.median(values), "p95": quantile(values, 0.95), "max": max(values)}


def _report(figures: dict[str, Any], options: argparse.Namespace) -> None:
    rows = [
        [
            name,
            f"{side['succeeded']}/{side['jobs']}",
            ", ".join(f"{count} {generator}" for generator, count in side["generators"].items()),
            f"{side['span']:.1f} s",
            percent(side["busy"]),
            percent(side["work"]),
            percent(side["busy_from_command"]),
            f"{side['to_first_submit']:.1f} s",
            f"{1000 * side['gap']['median']:.0f} ms" if side["gap"] else "",
            f"{1000 * side['gap']['p95']:.0f} ms" if side["gap"] else "",
        ]
        for name, side in figures.items()
    ]
    ideal = options.trials * options.seconds / options.parallelism
    headings = [
        "",
        "values",
        "proposed by",
        "first submit to last end",
        "busy",
        "sleeping",
        "busy since command",
        "command to first submit",
        "slot empty, median",
        "p95",
    ]
    title = f"{options.trials} jobs of {options.seconds:g} s in {options.parallelism} slots (ideal: {ideal:.1f} s)"
    show(title, headings, rows)
    parts = [
        [part, *(f"{1000 * spread[name]:.0f}" for name in ("median", "p95", "max"))]
        for part, spread in figures["axk8s"]["delays"].items()
        if spread
    ]
    show("Where our slots' time goes, in ms", ["", "median", "p95", "max"], parts)
    print()


if __name__ == "__main__":
    main()
