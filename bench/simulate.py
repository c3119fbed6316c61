"""The controller and its journal without any job: 10,000 trials of a second on 16 slots, in virtual time.

All of it is the product's own code, only time and cluster are simulated; so what is measured is what the controller
itself costs. Beside it stands the same sweep with Ax's process making each point (Sobol).

python bench/simulate.py
python bench/simulate.py --trials 200 --sobol-trials 20
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from axk8s.api.simulation import drive
from axk8s.folder import SweepFolder
from axk8s.optimize.process import AxOptimizer
from axk8s.simulate.conditions import Conditions
from axk8s.simulate.objective import Synthetic
from axk8s.simulate.world import World
from axk8s.spec.sweep import SweepSpec
from bench._result import RESULTS, Bar, add_output, machine, percent, save, show

_SOBOL = Path(__file__).parent / "peers" / "sobol_child.py"
_SLOTS = 16
_SECONDS = 1.0
_CPU_SHARE = 0.05
"""Of the ideal duration; Ray Tune's own benchmark of this size takes 14 % more than the ideal."""
_CONTROLLER_MIB = 300
_AX_MIB = 600


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = _options(arguments)
    if options.side:
        print(json.dumps(_one(options.side, options.trials, options.place)))
        return
    where = machine()
    options.directory.mkdir(parents=True, exist_ok=True)
    sides = {}
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="simulate-") as name:
        for side, trials in (("random", options.trials), ("sobol", options.sobol_trials)):
            if trials:
                sides[side] = _run(side, trials, Path(name) / side)
    _report(sides)
    save("simulate", options.output, where=where, figures={"slots": _SLOTS, "sides": sides}, bars=_bars(sides))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000, help="trials drawn at random (default: %(default)s)")
    parser.add_argument(
        "--sobol-trials", type=int, default=1000, help="trials from Ax's process; 0: none (default: %(default)s)"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=RESULTS,
        help="where the journals are written; on the disk that is to be measured (default: %(default)s)",
    )
    parser.add_argument("--side", choices=("random", "sobol"), help=argparse.SUPPRESS)  # this process is measured
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    add_output(parser, "simulate")
    return parser.parse_args(arguments)


def _run(side: str, trials: int, place: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", side, "--trials", str(trials), "--place", str(place)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _one(side: str, trials: int, place: Path) -> dict[str, Any]:
    """One sweep, in this process, whose resources are its own; times in seconds, memory in MiB."""
    spec = SweepSpec.from_mapping(
        {
            "name": side,
            "command": "true {params}",
            "parameters": {
                "lr": {"type": "float", "min": 1e-5, "max": 1e-1, "log": True},
                "hidden": {"type": "int", "min": 16, "max": 1024},
                "dropout": {"type": "float", "min": 0.0, "max": 0.9},
                "optimizer": {"type": "choice", "values": ["adam", "sgd", "lion"]},
            },
            "objectives": [{"metric": "loss", "direction": "minimize"}],
            "optimizer": "ax" if side == "sobol" else "random",
            "trials": trials,
            "parallelism": _SLOTS,
        },
        base=Path.cwd(),
    )
    conditions = Conditions.of({"run_time": _SECONDS, "start_delay": 0, "api_latency": "0.005..0.02"})
    folder = SweepFolder(place)
    folder.path.mkdir(parents=True)
    world = World(conditions, seed=1, slots=_SLOTS, results=Synthetic(spec, "bowl", seed=1))
    wall, cpu = time.perf_counter(), time.process_time()
    command = (sys.executable, str(_SOBOL))
    optimizer = AxOptimizer(spec, log=folder.optimizer_log, command=command) if side == "sobol" else None
    summary, spent = drive(spec, folder, world, seed=1, optimizer=optimizer)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "trials": trials,
        "succeeded": summary.outcomes.get("succeeded", 0),
        "ideal": trials * _SECONDS / _SLOTS,
        "virtual": spent.seconds,
        "busy": spent.busy,
        "wall": wall,
        "cpu": cpu,
        "peak_mib": own.ru_maxrss / 1024,
        "journal_mb": folder.journal.stat().st_size / 1e6,
        "ax_cpu": children.ru_utime + children.ru_stime,
        "ax_peak_mib": children.ru_maxrss / 1024 if side == "sobol" else 0.0,
    }


def _report(sides: dict[str, dict[str, Any]]) -> None:
    names = {"random": "controller, random points", "sobol": "controller and Ax's process, Sobol"}
    rows = [
        [
            names[side],
            f"{one['succeeded']:,}/{one['trials']:,}",
            f"{one['ideal']:.0f} s",
            f"{one['virtual']:.0f} s",
            f"{one['wall']:.1f} s",
            f"{one['cpu']:.1f} s",
            f"{one['peak_mib']:.0f} MiB",
            f"{one['ax_cpu']:.1f} s" if one["ax_peak_mib"] else "–",
            f"{one['ax_peak_mib']:.0f} MiB" if one["ax_peak_mib"] else "–",
        ]
        for side, one in sides.items()
    ]
    headings = ["", "succeeded", "ideal", "virtual", "wall", "controller CPU", "memory", "Ax CPU", "Ax memory"]
    show(f"Trials of {_SECONDS:g} s on {_SLOTS} slots, simulated, with the real journal", headings, rows)


def _bars(sides: dict[str, dict[str, Any]]) -> list[Bar]:
    bars = []
    for side, one in sides.items():
        share = one["cpu"] / one["ideal"]
        wanted = f"≤ {_CPU_SHARE:.0%} of the ideal duration ({_CPU_SHARE * one['ideal']:.0f} s)"
        measured = f"{one['cpu']:.1f} s, {percent(share)}"
        bars.append(Bar(f"controller CPU, {side}", wanted, measured, share <= _CPU_SHARE))
        memory = f"{one['peak_mib']:.0f} MiB"
        bars.append(
            Bar(f"controller memory, {side}", f"≤ {_CONTROLLER_MIB} MiB", memory, one["peak_mib"] <= _CONTROLLER_MIB)
        )
        if side == "sobol":
            ax = one["ax_peak_mib"]
            bars.append(Bar("memory of Ax's process", f"≤ {_AX_MIB} MiB", f"{ax:.0f} MiB", ax <= _AX_MIB))
    return bars


if __name__ == "__main__":
    main()
