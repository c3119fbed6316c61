"""How soon the commands that people type all day answer: `--help`, `list`, `status`, on a folder with many sweeps.

python bench/start.py
python bench/start.py --trials 100 --sweeps 3 --runs 2 --ax-runs 0
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axk8s.folder import SweepFolder
from axk8s.names import ENV_DIR
from bench._history import write_sweep
from bench._result import Bar, add_output, machine, save, show

_SMALL = 20
"""Trials of each other sweep in the folder."""
_HEAVY = ("ax", "torch", "torchx", "kubernetes", "pandas", "pydantic", "rich", "typer")
_ANSWERS = 0.3


@dataclass(frozen=True, slots=True)
class Case:
    """One command line whose time is taken."""

    name: str
    command: tuple[str, ...]
    runs: int
    environment: Mapping[str, str] = field(default_factory=dict)
    wanted: float | None = None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = _options(arguments)
    where = machine()
    with tempfile.TemporaryDirectory(prefix="axk8s-start-") as name:
        cases = _cases(Path(name), options)
        measured = _measure(cases)
    rows = [
        [
            case.name,
            str(case.runs),
            f"{1000 * figures['minimum']:.0f}",
            f"{1000 * figures['median']:.0f}",
            str(figures["modules"]),
            ", ".join(figures["heavy"]) or "–",
        ]
        for case, figures in zip(cases, measured, strict=True)
    ]
    title = f"From start to exit, in ms ({options.sweeps} sweeps, one of them with {options.trials:,} trials)"
    show(title, ["", "runs", "minimum", "median", "modules", "of these"], rows)
    print()
    bars = [
        Bar(case.name, f"≤ {_ANSWERS} s", f"{figures['median']:.2f} s", figures["median"] <= case.wanted)
        for case, figures in zip(cases, measured, strict=True)
        if case.wanted is not None
    ]
    settings = {"trials": options.trials, "sweeps": options.sweeps}
    commands = {case.name: figures for case, figures in zip(cases, measured, strict=True)}
    save("start", options.output, where=where, figures={"settings": settings, "commands": commands}, bars=bars)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000, help="trials of the large sweep (default: %(default)s)")
    parser.add_argument("--sweeps", type=int, default=50, help="sweeps in the folder (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=20, help="runs of each command (default: %(default)s)")
    parser.add_argument(
        "--ax-runs",
        type=int,
        default=3,
        help="runs of `import ax`, which takes seconds; 0: none (default: %(default)s)",
    )
    add_output(parser, "start")
    return parser.parse_args(arguments)


def _cases(place: Path, options: argparse.Namespace) -> list[Case]:
    sweeps = place / "sweeps"
    write_sweep(SweepFolder(sweeps / "large"), trials=options.trials)
    for number in range(1, options.sweeps):
        write_sweep(SweepFolder(sweeps / f"small-{number}"), trials=_SMALL)
    uncached = SweepFolder(place / "uncached" / "large")
    write_sweep(uncached, trials=options.trials)
    uncached.status.unlink()

    program = Path(sys.executable).with_name("axk8s")
    axk8s = (str(program),) if program.exists() else (sys.executable, "-m", "axk8s")
    there = {ENV_DIR: str(sweeps)}
    runs = options.runs
    cases = [
        Case("python -c pass", (sys.executable, "-c", "pass"), runs),
        Case("axk8s --help", (*axk8s, "--help"), runs, there, _ANSWERS),
        Case("axk8s list", (*axk8s, "list"), runs, there, _ANSWERS),
        Case("axk8s list -o json", (*axk8s, "list", "-o", "json"), runs, there, _ANSWERS),
        Case("axk8s status large", (*axk8s, "status", "large"), runs, there, _ANSWERS),
        Case("the same, status.json lost", (*axk8s, "status", "large"), runs, {ENV_DIR: str(uncached.path.parent)}),
    ]
    if options.ax_runs:
        cases.append(Case('python -c "import ax"', (sys.executable, "-c", "import ax"), options.ax_runs))
    return cases


def _measure(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """The commands in turn, round by round, so that a busy minute of the machine hits all of them."""
    modules = [_modules(case) for case in cases]  # also fills the file cache and writes the compiled modules
    times: list[list[float]] = [[] for _ in cases]
    for number in range(max(case.runs for case in cases)):
        for case, taken in zip(cases, times, strict=True):
            if number < case.runs:
                taken.append(_run(case))
    return [
        {
            "runs": len(taken),
            "minimum": min(taken),
            "median": statistics.median(taken),
            "maximum": max(taken),
            "modules": len(names),
            "heavy": [name for name in _HEAVY if name in names],
        }
        for taken, names in zip(times, modules, strict=True)
    ]


def _run(case: Case) -> float:
    began = time.perf_counter()
    done = subprocess.run(case.command, capture_output=True, text=True, env=_environment(case), check=False)
    taken = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{case.name} failed (exit code {done.returncode}):\n{done.stderr[-3000:]}")
    return taken


def _modules(case: Case) -> set[str]:
    """What one run imports, as the interpreter itself lists it."""
    environment = {**_environment(case), "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(case.command, capture_output=True, text=True, env=environment, check=False)
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", done.stderr, re.MULTILINE))


def _environment(case: Case) -> dict[str, str]:
    return {**os.environ, **case.environment}


if __name__ == "__main__":
    main()
