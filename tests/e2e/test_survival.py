"""The promises of the first page, kept through the command line with the real Ax and real training jobs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from axk8s.folder import SweepFolder
from axk8s.journal import fold_file, read
from axk8s.sweep.model import Outcome
from axk8s.sweep.records import PhaseChanged, Suggested

AXK8S = Path(sys.executable).with_name("axk8s")
SWEEP = """\
name: bowl
function: train.py:train
parameters:
  x: {type: float, min: -1, max: 1}
  y: {type: float, min: -1, max: 1}
objectives: [{metric: loss, direction: minimize}]
trials: 14
parallelism: 2
"""
TRAIN = """\
import time

def train(x, y):
    time.sleep(0.5)
    return (x - 0.2) ** 2 + (y + 0.4) ** 2
"""
# Three generations, each in a session of its own, all deaf to SIGTERM.
STUBBORN = """\
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
depth = int(sys.argv[1])
if depth:
    subprocess.Popen([sys.executable, __file__, str(depth - 1)], start_new_session=True)
open(os.path.join(os.environ["AXK8S_OUTPUT_DIR"], f"up-{depth}"), "w").close()
while True:
    time.sleep(60)
"""


class Shell:
    """A folder, and the command run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "AXK8S_STATE_DIR": str(folder / "state"), "NO_COLOR": "1"}
        self.started: list[subprocess.Popen[str]] = []

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / name.replace("_", ".")).write_text(text)

    def run(self, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [AXK8S, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [AXK8S, *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.started.append(process)
        return process

    def sweep(self, name: str) -> SweepFolder:
        return SweepFolder(self.folder / "sweeps" / name)

    def until(self, what: str, found: Callable[[], bool], seconds: float = 90) -> None:
        """Wait for something another process does; the bound only ends a test that has failed already."""
        deadline = time.monotonic() + seconds
        while not found():
            assert time.monotonic() < deadline, f"{what} did not happen"
            time.sleep(0.02)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    for process in shell.started:
        if process.poll() is None:
            process.kill()
        process.wait()


def processes(folder: Path, words: str = "") -> list[int]:
    """Processes of a test's folder, by their environment, that have these words there or in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                ours = str(folder).encode() in text and words.encode() in text
                if ours and (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_killed_controller_and_a_killed_optimizer_cost_nothing(shell: Shell) -> None:
    shell.write(sweep_yaml=SWEEP, train_py=TRAIN)
    folder = shell.sweep("bowl")

    def ended() -> int:
        return fold_file(folder.journal).ended if folder.exists() and folder.journal.stat().st_size else 0

    controller = shell.start("run", "sweep.yaml")
    shell.until("three trials", lambda: ended() >= 3)
    controller.kill()
    controller.wait()
    before = {(r.trial, r.attempt): r.pid for r in read(folder.journal) if isinstance(r, PhaseChanged) and r.pid}
    shell.until("the optimizer's end with its controller", lambda: not processes(shell.folder, "axk8s.optimize.child"))

    controller = shell.start("run", "sweep.yaml")
    shell.until("the model's turn", lambda: fold_file(folder.journal).from_model >= 2)
    (optimizer,) = processes(shell.folder, "axk8s.optimize.child")
    os.kill(optimizer, signal.SIGKILL)
    assert controller.wait(timeout=240) == 0

    state = fold_file(folder.journal)
    assert state.counts == {Outcome.SUCCEEDED: 14}
    assert [len(trial.attempts) for trial in state.trials] == [1] * 14
    points = [tuple(trial.parameters.values()) for trial in state.trials]
    assert len(set(points)) == 14, "a proposal was made twice"
    after = {(r.trial, r.attempt): r.pid for r in read(folder.journal) if isinstance(r, PhaseChanged) and r.pid}
    assert all(after[key] == pid for key, pid in before.items()), "a running job was not found again"
    assert any("optimizer" in notice.text for notice in state.notices)
    late = [r for r in read(folder.journal) if isinstance(r, Suggested)][-4:]
    assert all(record.from_model for record in late)
    assert processes(shell.folder) == []


def test_children_in_sessions_of_their_own_that_ignore_sigterm_are_gone_after_stop(shell: Shell) -> None:
    command = f"name: deaf\ncommand: {sys.executable} {shell.folder}/stubborn.py 2\ntrials: 1\noptimizer: random\n"
    space = "parameters: {x: {type: float, min: 0, max: 1}}\nobjectives: [{metric: loss, direction: minimize}]\n"
    shell.write(sweep_yaml=command + space + "scheduler_config: {grace: 0.5}\n", stubborn_py=STUBBORN)
    shell.start("run", "sweep.yaml")
    output = shell.sweep("deaf").attempt(0, 0).output
    shell.until("three generations", lambda: all((output / f"up-{n}").exists() for n in range(3)))
    assert len(processes(shell.folder, "stubborn.py")) >= 3

    done = shell.run("stop", "deaf")

    assert done.returncode == 0, done.stderr
    assert processes(shell.folder, "stubborn.py") == []
    assert fold_file(shell.sweep("deaf").journal).counts == {Outcome.STOPPED: 1}


def test_a_strangers_first_three_mistakes_name_the_place_and_the_remedy(shell: Shell) -> None:
    shell.write(sweep_yaml=SWEEP.replace("parallelism", "paralelism"), train_py=TRAIN)
    misspelt = shell.run("run", "sweep.yaml")
    assert misspelt.returncode == 2
    assert "sweep.yaml:8" in misspelt.stderr
    assert "did you mean 'parallelism'?" in misspelt.stderr

    shell.write(sweep_yaml=SWEEP.replace("train.py:train", "trian.py:train"))
    wrong_path = shell.run("run", "sweep.yaml")
    assert wrong_path.returncode == 2
    assert "sweep.yaml:2" in wrong_path.stderr
    assert "train.py" in wrong_path.stderr
    assert not (shell.folder / "sweeps" / "bowl").exists()

    crash = "def train(x, y):\n    raise FileNotFoundError('/data/images is not mounted')\n"
    shell.write(sweep_yaml=SWEEP + "optimizer: random\n", train_py=crash)
    crashed = shell.run("run", "sweep.yaml")
    assert crashed.returncode == 1
    assert "/data/images is not mounted" in crashed.stderr
    state = json.loads(shell.run("status", "bowl", "-o", "json").stdout)
    assert state["state"] == "aborted"
