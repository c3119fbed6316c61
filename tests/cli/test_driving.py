"""The verbs that make something happen, as a person types them: real processes, real jobs on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from axk8s.folder import SweepFolder
from axk8s.journal import fold_file, read
from axk8s.sweep.records import PhaseChanged

PATIENCE = 120.0
"""Seconds after which a test gives up; nothing takes nearly as long."""

SWEEP = """\
name: small
function: train.py:train
workspace: .
parameters:
  x: {type: float, min: 0.0, max: 1.0}
objectives: [{metric: loss, direction: minimize}]
optimizer: {kind: random, seed: 1}
trials: 3
parallelism: 2
"""
TRAIN = """\
def train(x):
    print("training with", x)
    return (x - 0.5) ** 2
"""
WAITING = """\
import pathlib, time

def train(x):
    while not pathlib.Path({release!r}).exists():
        time.sleep(0.05)
    return x
"""


@dataclass
class Place:
    """A folder with a sweep file and training code, and the command line in it."""

    path: Path
    env: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self, *, sweep: str = SWEEP, train: str = TRAIN) -> None:
        (self.path / "sweep.yaml").write_text(sweep)
        (self.path / "train.py").write_text(train)

    def axk8s(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "axk8s", *words]
        return subprocess.run(
            command, cwd=self.path, env=self.env, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "axk8s", *words],
            cwd=self.path,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def folder(self, name: str = "small") -> SweepFolder:
        return SweepFolder(self.path / "sweeps" / name)

    def pids(self, name: str = "small") -> dict[tuple[int, int], int]:
        """Processes that the journal has seen running, by trial and attempt."""
        return {
            (record.trial, record.attempt): record.pid
            for record in read(self.folder(name).journal)
            if isinstance(record, PhaseChanged) and record.pid is not None
        }


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AXK8S_", "COLUMNS"))}
    env |= {"AXK8S_STATE_DIR": str(tmp_path / "state"), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    made = Place(tmp_path, env)
    made.write()
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    for folder in (made.path / "sweeps").glob("*/journal.jsonl"):
        made.axk8s("stop", folder.parent.name)


def test_a_sweep_runs_to_its_end_and_tells_each_trial(place: Place) -> None:
    result = place.axk8s("run", "sweep.yaml")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert len(re.findall(r"^trial \d succeeded loss=\S+ \[x=\S+\]", result.stderr, re.MULTILINE)) == 3
    assert "small: done after" in result.stderr
    assert "3 of 3 trials: 3 succeeded" in result.stderr
    assert "axk8s best small" in result.stderr

    rows = json.loads(place.axk8s("trials", "small", "-o", "json").stdout)
    best = json.loads(place.axk8s("best", "small", "-o", "json").stdout)
    assert [row["outcome"] for row in rows] == ["succeeded"] * 3
    assert best["value"] == min(row["value"] for row in rows)
    assert "training with" in place.axk8s("logs", "small", "--trial", "0").stdout

    again = place.axk8s("run", "small", "--trials", "4")
    assert again.returncode == 0, again.stderr
    assert "resumed: 3 of 4 ended" in again.stderr
    assert "4 of 4 trials: 4 succeeded" in again.stderr


def test_what_init_writes_runs_as_it_is(place: Place) -> None:
    assert place.axk8s("init", "new").returncode == 0
    result = place.axk8s("run", "new/sweep.yaml", "--trials", "2")
    assert result.returncode == 0, result.stderr
    best = json.loads(place.axk8s("best", "new", "-o", "json").stdout)
    assert 0.4 < best["values"]["accuracy"] <= 1.0


def test_failed_trials_are_explained_and_the_exit_code_is_1(place: Place) -> None:
    place.write(train="def train(x):\n    raise RuntimeError('the data are missing')\n")
    result = place.axk8s("run", "sweep.yaml")
    assert (result.returncode, result.stdout) == (1, "")
    assert "RuntimeError: the data are missing" in result.stderr
    assert "  → " in result.stderr
    assert "axk8s logs small --trial 0" in result.stderr
    assert "Traceback" not in result.stderr.partition("small:")[0]


def test_an_interrupt_leaves_jobs_running_and_the_same_command_finds_them(place: Place) -> None:
    release = place.path / "release"
    place.write(train=WAITING.format(release=str(release)))
    first = place.start("run", "sweep.yaml")
    wait_for(lambda: place.folder().journal.exists() and len(place.pids()) == 2)
    running = place.pids()
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=PATIENCE)[1]
    assert first.returncode == 130, said
    assert "running jobs go on" in said
    assert "axk8s run small" in said
    assert "axk8s stop small" in said
    assert all(map(alive, running.values()))
    assert json.loads(place.axk8s("status", "-o", "json").stdout)["state"] == "interrupted"

    release.touch()
    second = place.axk8s("run", "sweep.yaml")
    assert second.returncode == 0, second.stderr
    assert "resumed: 0 of 3 ended, 2 jobs still running" in second.stderr
    assert {key: pid for key, pid in place.pids().items() if key in running} == running
    assert [len(trial.attempts) for trial in fold_file(place.folder().journal).trials] == [1, 1, 1]


def test_stop_ends_the_jobs_of_a_sweep_that_nobody_drives(place: Place) -> None:
    place.write(train=WAITING.format(release="/nowhere/release"))
    process = place.start("run", "sweep.yaml")
    wait_for(lambda: place.folder().journal.exists() and len(place.pids()) == 2)
    process.kill()
    process.communicate(timeout=PATIENCE)
    result = place.axk8s("stop")
    assert result.returncode == 0, result.stderr
    assert not any(map(alive, place.pids().values()))
    assert json.loads(place.axk8s("status", "-o", "json").stdout)["state"] == "stopped"


def test_stopping_from_another_shell_ends_the_run_with_130(place: Place) -> None:
    place.write(train=WAITING.format(release="/nowhere/release"))
    process = place.start("run", "sweep.yaml")
    wait_for(lambda: place.folder().journal.exists() and len(place.pids()) == 2)
    assert place.axk8s("stop", "small").returncode == 0
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130
    assert "request from another shell: stop" in said
    assert not any(map(alive, place.pids().values()))


def test_a_second_controller_is_refused_and_told_what_to_do(place: Place) -> None:
    place.write(train=WAITING.format(release="/nowhere/release"))
    place.start("run", "sweep.yaml")
    wait_for(lambda: place.folder().journal.exists() and len(place.pids()) == 2)
    result = place.axk8s("run", "sweep.yaml")
    assert (result.returncode, result.stdout) == (1, "")
    assert "another controller drives the sweep" in result.stderr
    assert "axk8s status" in result.stderr


def test_a_detached_sweep_goes_on_by_itself(place: Place) -> None:
    place.env["AXK8S_DETACH"] = "1"
    result = place.axk8s("run", "sweep.yaml")
    del place.env["AXK8S_DETACH"]
    assert (result.returncode, result.stdout) == (0, "small\n"), result.stderr
    watched = place.axk8s("status", "small", "--watch", "-o", "json")
    assert json.loads(watched.stdout.splitlines()[-1])["state"] == "done"
    assert "small: done after" in place.folder().controller_log.read_text()


def test_fresh_starts_anew_and_says_where_the_earlier_sweep_is_kept(place: Place) -> None:
    assert place.axk8s("run", "sweep.yaml", "--trials", "1").returncode == 0
    result = place.axk8s("run", "sweep.yaml", "--trials", "1", "--fresh")
    assert result.returncode == 0, result.stderr
    kept = re.search(r"the earlier sweep is kept in (\S+)", result.stderr)
    assert kept is not None
    assert SweepFolder(Path(kept.group(1))).exists()


def test_a_terminal_shows_a_live_display_and_gets_its_cursor_back(place: Place) -> None:
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    command = [sys.executable, "-m", "axk8s", "run", "sweep.yaml"]
    env = {**place.env, "TERM": "xterm-256color"}
    process = subprocess.Popen(command, cwd=place.path, env=env, stdin=far, stdout=far, stderr=far)
    os.close(far)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: the other side is closed
        while part := os.read(near, 65536):
            shown += part
    os.close(near)
    assert process.wait(timeout=PATIENCE) == 0
    text = shown.decode()
    for expected in ("\x1b[?25l", "Ctrl-C: leave", "/3", "best loss", "small: done after"):
        assert expected in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_try_shows_the_output_and_the_values_of_one_trial(place: Place) -> None:
    result = place.axk8s("try", "sweep.yaml", "x=0.75")
    assert result.returncode == 0, result.stderr
    assert "training with 0.75" in result.stderr
    assert result.stdout.split() == ["metric", "value", "loss", "0.0625"]
    assert not (place.path / "sweeps").exists()

    chosen = place.axk8s("try", "sweep.yaml", "-o", "json")
    assert "chosen: x" in chosen.stderr
    assert json.loads(chosen.stdout)["values"] == {"loss": 0.0}


def test_a_tried_trial_that_fails_gives_the_diagnosis_and_exit_code_1(place: Place) -> None:
    place.write(train="def train(x):\n    raise ValueError('too small')\n")
    result = place.axk8s("try", "sweep.yaml")
    assert (result.returncode, result.stdout) == (1, "")
    assert "ValueError: too small" in result.stderr
    assert "error: " in result.stderr


@pytest.mark.parametrize("value", ["x=2", "y=1", "x"])
def test_a_wrong_parameter_to_try_is_misuse(value: str, place: Place) -> None:
    result = place.axk8s("try", "sweep.yaml", value)
    assert (result.returncode, result.stdout) == (2, "")
    assert "  → " in result.stderr


def test_validate_says_what_it_understood(place: Place) -> None:
    result = place.axk8s("validate", "sweep.yaml")
    assert result.returncode == 0, result.stderr
    for part in ("small", "train.py:train", "a number from 0 to 1", "minimize loss", "random, seed 1"):
        assert part in result.stdout
    assert json.loads(place.axk8s("validate", "sweep.yaml", "-o", "json").stdout)["name"] == "small"


def test_everything_wrong_in_a_file_is_said_at_once_with_its_line(place: Place) -> None:
    place.write(sweep=SWEEP.replace("trials:", "trails:").replace("max: 1.0", "max: -1.0"))
    for verb in ("validate", "run", "try"):
        result = place.axk8s(verb, "sweep.yaml")
        assert (result.returncode, result.stdout) == (2, "")
        assert "sweep.yaml:8" in result.stderr
        assert "did you mean 'trials'" in result.stderr
        assert "sweep.yaml:5" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_missing_file_or_script_is_named(place: Place) -> None:
    missing = place.axk8s("run", "swep.yaml")
    assert missing.returncode == 2
    assert "swep.yaml" in missing.stderr
    (place.path / "train.py").unlink()
    script = place.axk8s("run", "sweep.yaml")
    assert script.returncode == 2
    assert "train.py" in script.stderr
    assert not place.folder().journal.exists()


@pytest.mark.parametrize("words", [("-cfg", "nonsense=1"), ("-s", "nowhere")])
def test_a_wrong_scheduler_or_option_is_misuse(words: tuple[str, str], place: Place) -> None:
    result = place.axk8s("run", "sweep.yaml", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert words[1].partition("=")[0] in result.stderr
