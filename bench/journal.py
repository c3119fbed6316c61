"""The journal of a large sweep: what a transition costs, how large it is, and how soon a restarted sweep decides.

python bench/journal.py
python bench/journal.py --trials 1000 --commits 100 --ax-trials 0
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from axk8s.controller.opening import settings, stored_spec
from axk8s.journal import Journal, fold_file
from axk8s.sweep.decide import OpenTrials, decide
from axk8s.sweep.encoding import to_line
from axk8s.sweep.model import Category, Diagnosis
from axk8s.sweep.records import AttemptDiagnosed, Record
from axk8s.sweep.state import State, apply
from bench._history import RECORDS_A_TRIAL, make_spec, records
from bench._result import RESULTS, Bar, add_output, machine, quantile, save, show

_PEER = Path(__file__).parent / "peers" / "ax_json.py"
_GROUP = 1000
_PARALLELISM = 16


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = _options(arguments)
    if options.restart:
        print(json.dumps(_restart(options.restart)))
        return
    where = machine()
    options.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="journal-") as name:
        figures = measure(Path(name), trials=options.trials, commits=options.commits, ax_trials=options.ax_trials)
    _report(figures)
    save("journal", options.output, where=where, figures=figures, bars=_bars(figures))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000, help="ended trials in the journal (default: %(default)s)")
    parser.add_argument(
        "--commits", type=int, default=2000, help="single records written and fsynced one by one (default: %(default)s)"
    )
    parser.add_argument(
        "--ax-trials",
        type=int,
        default=1000,
        help="trials of the Ax experiment saved as JSON beside it; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=RESULTS,
        help="where the journals are written; on the disk that is to be measured, not in memory (default: %(default)s)",
    )
    parser.add_argument("--restart", type=Path, help=argparse.SUPPRESS)  # this process is the restarted controller
    add_output(parser, "journal")
    return parser.parse_args(arguments)


def measure(directory: Path, *, trials: int, commits: int, ax_trials: int) -> dict[str, Any]:
    """All figures; times in seconds, sizes in bytes, memory in MiB."""
    spec = make_spec("large", trials=2 * trials, parallelism=_PARALLELISM)
    path = directory / "journal.jsonl"
    history = list(records(spec, ended=trials, running=_PARALLELISM - 1))
    sizes = [len(to_line(record).encode()) + 1 for record in history]
    return {
        "trials": trials,
        "file_system": _file_system(directory),
        "journal": {
            "records": len(history),
            "records_per_trial": RECORDS_A_TRIAL,
            "bytes": sum(sizes),
            "bytes_per_transition": {
                # The first record holds the whole sweep file and is written once.
                "mean": statistics.mean(sizes),
                "max": max(sizes[1:]),
                "first": sizes[0],
                "fullest_diagnosis": len(to_line(_fullest(history)).encode()) + 1,
            },
        },
        "append_and_apply": _append(path, history) / len(history),
        "commit": _commits(directory, history[2:], commits),
        "restart": _restarted(path),
        "ax": _ax(directory, ax_trials) if ax_trials else None,
    }


def _append(path: Path, history: Sequence[Record]) -> float:
    """Seconds of `append` and `apply` for all records; the group commits between them are not counted."""
    state = State()
    seconds = 0.0
    with Journal(path) as journal:
        for start in range(0, len(history), _GROUP):
            began = time.perf_counter()
            for record in history[start : start + _GROUP]:
                journal.append(record)
                apply(state, record)
            seconds += time.perf_counter() - began
            journal.commit()
    return seconds


def _commits(directory: Path, history: Sequence[Record], count: int) -> dict[str, dict[str, float]]:
    """One record a commit, and beside it, in turn, the same bytes written and fsynced with nothing of ours around."""
    ours: list[float] = []
    bare: list[float] = []
    descriptor = os.open(directory / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        with Journal(directory / "single.jsonl") as journal:
            for number in range(count):
                record = history[number % len(history)]
                line = (to_line(record) + "\n").encode()
                began = time.perf_counter()
                journal.append(record)
                journal.commit()
                between = time.perf_counter()
                os.write(descriptor, line)
                os.fsync(descriptor)
                bare.append(time.perf_counter() - between)
                ours.append(between - began)
    finally:
        os.close(descriptor)
    return {"journal": _spread(ours), "bare": _spread(bare)}


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "mean": statistics.mean(seconds),
        "median": statistics.median(seconds),
        "p95": quantile(seconds, 0.95),
        "max": max(seconds),
    }


def _fullest(history: Sequence[Record]) -> AttemptDiagnosed:
    """A diagnosis filled to the limits that the controller sets: texts of 500 characters, 1,500 bytes of output."""
    record = next(record for record in history if isinstance(record, AttemptDiagnosed))
    diagnosis = Diagnosis(
        category=Category.USER_ERROR,
        summary="s" * 500,
        evidence={"exit_code": 1, "replica": "main-0"},
        hint="h" * 500,
        log_tail=tuple("x" * 71 for _ in range(20)),
    )
    values = {f"validation/metric_{number:02}": 1 / 3 for number in range(24)}
    return replace(record, diagnosis=diagnosis, values=values)


def _restarted(path: Path) -> dict[str, Any]:
    """The same as the command would do: a new process reads the journal and decides."""
    began = time.time()
    command = [sys.executable, __file__, "--restart", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return {"total": figures.pop("decided_at") - began, **figures}


def _restart(path: Path) -> dict[str, Any]:
    before = _memory()
    began = time.perf_counter()
    state = fold_file(path)
    folded = time.perf_counter()
    actions = decide(state, settings(stored_spec(state)), time.time())
    decided = time.perf_counter()
    if not any(isinstance(action, OpenTrials) for action in actions):
        raise SystemExit(f"{path}: a free slot, and the first decision opens no trial: {actions}")
    return {
        "decided_at": time.time(),
        "fold": folded - began,
        "decide": decided - folded,
        "memory_before": before,
        "memory_after": _memory(),
        "memory_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _memory() -> float:
    """Resident memory of this process in MiB; 0 where the kernel does not say (macOS)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except FileNotFoundError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _ax(directory: Path, trials: int) -> dict[str, Any]:
    command = [sys.executable, str(_PEER), "--trials", str(trials), "--file", str(directory / "ax.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"Ax could not save its experiment:\n{done.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _file_system(directory: Path) -> str:
    """The kind of file system, as Linux names it; a RAM disk makes fsync look free."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except FileNotFoundError:
        return "unknown"
    inside = [mount for mount in mounts if directory.resolve().is_relative_to(mount[1])]
    return max(inside, key=lambda mount: len(mount[1]))[2] if inside else "unknown"


def _report(figures: dict[str, Any]) -> None:
    journal, commit, restart, ax = figures["journal"], figures["commit"], figures["restart"], figures["ax"]
    size = journal["bytes_per_transition"]

    def milliseconds(spread: dict[str, float]) -> list[str]:
        return [f"{1000 * spread[name]:.3f}" for name in ("mean", "median", "p95", "max")]

    show(
        f"One transition, written and fsynced, in ms ({figures['file_system']})",
        ["", "mean", "median", "p95", "max"],
        [
            ["journal: append and commit", *milliseconds(commit["journal"])],
            ["bare write and fsync of the same bytes", *milliseconds(commit["bare"])],
            ["journal: append and apply, no commit", f"{1000 * figures['append_and_apply']:.3f}", "", "", ""],
        ],
    )
    show(
        "One transition, in bytes",
        ["", "mean", "max", "fullest diagnosis", "first record"],
        [
            [
                f"journal of {journal['records']:,} records, {journal['bytes'] / 2**20:.1f} MiB",
                f"{size['mean']:.0f}",
                str(size["max"]),
                str(size["fullest_diagnosis"]),
                str(size["first"]),
            ]
        ],
    )
    rows = [
        [
            f"axk8s, {figures['trials']:,} trials",
            f"{1000 * commit['journal']['mean']:.1f} ms",
            f"{size['mean'] / 1000:.1f} kB",
            f"{restart['fold']:.2f} s",
            f"{restart['total']:.2f} s",
            f"{restart['memory_after'] - restart['memory_before']:.0f} MiB",
        ]
    ]
    if ax:
        rows.append(
            [
                f"Ax, {ax['trials']:,} trials",
                f"{ax['save']:.2f} s",
                f"{ax['bytes'] / 1000:,.0f} kB",
                f"{ax['load']:.2f} s",
                f"{ax['import'] + ax['load']:.2f} s",
                f"{ax['memory_after'] - ax['memory_before']:.0f} MiB",
            ]
        )
    show(
        "Keeping one change, and coming back (Ax: save_to_json_file writes everything each time)",
        ["", "to keep a change", "bytes a change", "read back", "from process start", "memory of it"],
        rows,
    )
    print(
        f"\nfirst decision: {1000 * restart['decide']:.1f} ms after the fold; "
        f"peak memory {restart['memory_peak']:.0f} MiB\n"
    )


def _bars(figures: dict[str, Any]) -> list[Bar]:
    transition = figures["commit"]["journal"]["mean"] + figures["append_and_apply"]
    size = figures["journal"]["bytes_per_transition"]
    largest = max(size["max"], size["fullest_diagnosis"])
    total = figures["restart"]["total"]
    return [
        Bar("one transition, mean", "≤ 2 ms", f"{1000 * transition:.2f} ms", transition <= 0.002),
        Bar("one transition, largest", "≤ 4096 bytes", f"{largest} bytes", largest <= 4096),
        Bar(f"restart of {figures['trials']:,} trials to the first decision", "≤ 10 s", f"{total:.2f} s", total <= 10),
    ]


if __name__ == "__main__":
    main()
