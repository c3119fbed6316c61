"""The page for people with Ax code: its programs are run as they stand, and its table tells the truth."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from axk8s.ax.rehearsal import Rehearsal

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ax.md").read_text("utf-8")
PROGRAMS = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
SHOWN = {
    program: text.splitlines()
    for program, text in re.findall(r"^```console\n\$ python (\w+\.py)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
}
POINTS = [{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder, with all programs of the page in it."""
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def said(folder: Path, *words: str) -> list[str]:
    """What a program prints."""
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def test_every_python_block_is_a_program_that_is_run_here() -> None:
    assert PAGE.count("```python") == len(PROGRAMS)
    assert set(PROGRAMS) == {
        *("train.py", "component.py", "experiment.py", "tune.py", "orchestrate.py", "resume.py"),
        *("runners.py", "test_my_runner.py"),
    }


def test_the_client_says_what_is_shown(folder: Path) -> None:
    assert said(folder, "tune.py")[-1:] == SHOWN["tune.py"]


def test_a_killed_orchestrator_is_resumed_as_shown(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "orchestrate.py"], cwd=folder, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        for line in first.stderr:
            # The loop says this between two calls of the callback.
            if "Waiting for completed trials" in line and (folder / "saved.json").exists():
                break
        os.kill(first.pid, signal.SIGKILL)
    assert first.returncode == -signal.SIGKILL

    trials = said(folder, "resume.py")[-8:]
    shown = [line for line in SHOWN["resume.py"] if line != "…"]

    assert [line.split()[1] for line in trials] == [str(index) for index in range(8)]
    # The first two are there to be compared with; which later ones are stopped is a matter of milliseconds.
    assert trials[:2] == shown[:2]
    assert {line.split()[2] for line in trials[2:]} <= {"COMPLETED", "EARLY_STOPPED"}
    assert [line.split()[3] for line in trials[: len(shown)]] == [line.split()[3] for line in shown]


def test_the_other_runners_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    made = runpy.run_path("runners.py")

    for runner in (made["synthetic"], made["simulated"], made["OnlineRunner"]()):
        rehearsal = Rehearsal(runner, POINTS)
        rehearsal.deploy()
        assert rehearsal.until_ended() == dict.fromkeys(range(3), "COMPLETED")


def test_the_contract_suite_runs_on_a_runner_of_ones_own(folder: Path) -> None:
    assert re.search(
        r"\b\d+ passed", said(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_runner.py")[-1]
    )


def test_the_table_names_every_defect_and_a_test_of_its_number() -> None:
    rows = re.findall(r"^\| D(\d+) \|.*\| (.+?) \| `(test_\w+)` \|$", PAGE, re.MULTILINE)
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))

    assert [int(number) for number, _, _ in rows] == list(range(1, 26))
    for number, how, test in rows:
        assert f"def {test}(" in tests
        assert test.startswith(f"test_d{int(number):02}_")
        assert how.startswith(("mended", "worked around", "still"))
