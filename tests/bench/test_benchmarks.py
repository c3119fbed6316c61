"""Each benchmark runs through at its smallest, and writes what it measured. How long anything took is not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(name: str, output: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "bench" / f"{name}.py"), "--output", str(output), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    assert result["benchmark"] == name
    assert {"date", "command", "machine", "bars"} <= result.keys()
    return result


def test_the_journal_benchmark_folds_what_it_wrote(tmp_path: Path) -> None:
    options = ("--trials", "40", "--commits", "5", "--ax-trials", "0", "--directory", str(tmp_path))

    result = run("journal", tmp_path / "journal.json", *options)

    assert result["journal"]["bytes_per_transition"]["max"] > result["journal"]["bytes_per_transition"]["mean"] > 0
    assert result["restart"]["total"] > result["restart"]["fold"] > 0
    assert list(tmp_path.iterdir()) == [tmp_path / "journal.json"]


def test_the_start_benchmark_counts_what_each_command_imports(tmp_path: Path) -> None:
    result = run("start", tmp_path / "start.json", "--trials", "40", "--sweeps", "2", "--runs", "1", "--ax-runs", "0")

    commands = result["commands"]
    assert commands["axk8s status large"]["modules"] > commands["python -c pass"]["modules"] > 0
    assert not {"ax", "torch", "kubernetes"} & set(commands["axk8s list"]["heavy"])


def test_the_slots_benchmark_sees_every_job(tmp_path: Path) -> None:
    options = ("--trials", "3", "--seconds", "0.1", "--parallelism", "2", "--peer", "none")

    ours = run("slots", tmp_path / "slots.json", *options)["sides"]["axk8s"]

    assert ours["jobs"] == ours["succeeded"] == 3
    assert 0 < ours["work"] <= ours["busy"] <= 1


def test_the_simulation_benchmark_ends_every_trial(tmp_path: Path) -> None:
    options = ("--trials", "50", "--sobol-trials", "0", "--directory", str(tmp_path))

    result = run("simulate", tmp_path / "simulate.json", *options)

    assert result["sides"]["random"]["succeeded"] == 50
    assert result["sides"]["random"]["cpu"] > 0
    assert list(tmp_path.iterdir()) == [tmp_path / "simulate.json"]


def test_the_infeasible_benchmark_counts_what_it_proposed(tmp_path: Path) -> None:
    result = run("infeasible", tmp_path / "infeasible.json", "--trials", "6", "--seeds", "1", "--peer", "none")

    (ours,) = result["sides"]["axk8s"]
    assert ours["early"] + ours["late"] == sum(x > 0.5 for x, _ in ours["points"])
    assert len(ours["points"]) == 6
    assert ours["best"] <= 0.5


def test_the_early_stopping_benchmark_compares_rules_on_the_same_trials(tmp_path: Path) -> None:
    options = ("--part", "rules", "--seeds", "1", "--trials", "20")

    result = run("early_stopping", tmp_path / "early_stopping.json", *options)

    rules = {each["rule"]: each for each in result["rules"]}
    assert rules["full length"]["steps_median"] == 1
    assert rules["full length"]["gap_median"] == 0
    assert rules["asha"]["steps_median"] < 0.6
    assert rules["asha"]["stopped_median"] > 5
