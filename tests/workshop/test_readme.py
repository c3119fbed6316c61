"""The README's own sweep, run as a reader would run it, says what the README shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def block(language: str, words: str) -> str:
    (found,) = [text for kind, text in BLOCKS if kind == language and words in text]
    return str(found)


def shape(line: str) -> str:
    """A line without what differs from machine to machine: numbers and folders."""
    line = re.sub(r"/\S+/sweeps/", "/FOLDER/sweeps/", line)
    line = re.sub(r", the best, |, best \S+ \(trial \d+\), ", ", BEST, ", line)
    return re.sub(r"[0-9][0-9.e-]*s?(m [0-9]+s)?", "#", line)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "train.py").write_text(block("python", "MLPClassifier"))
    (folder / "sweep.yaml").write_text(block("yaml", "name: mlp"))
    return folder


@pytest.fixture(scope="module")
def said(folder: Path) -> list[str]:
    environment = {**os.environ, "AXK8S_STATE_DIR": str(folder / "state"), "NO_COLOR": "1"}
    program = Path(sys.executable).with_name("axk8s")
    done = subprocess.run(
        [program, "run", "sweep.yaml"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def test_the_sweep_file_is_at_most_fifteen_lines() -> None:
    assert len(block("yaml", "name: mlp").splitlines()) <= 15


def test_every_line_that_is_shown_is_said(said: list[str]) -> None:
    shown = block("console", "axk8s run sweep.yaml").splitlines()[1:]
    shapes = {shape(line) for line in said}

    assert [line for line in shown if line != "…" and shape(line) not in shapes] == []


def test_it_tunes_the_model(said: list[str]) -> None:
    (best,) = [line for line in said if line.startswith("best: accuracy=")]

    assert float(best.split("=")[1].split()[0]) >= 0.95


def test_python_reads_the_same_result(folder: Path, said: list[str]) -> None:
    assert said
    program = block("python", "Sweep.from_yaml")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )

    assert done.stdout.startswith("{'lr': ")


def test_the_other_commands_that_are_shown_work(folder: Path, said: list[str]) -> None:
    assert said
    commands = re.findall(r"^\$ (axk8s [^#\n]+)", block("console", "axk8s status mlp"), re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        program, *words = command.split()
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *words], cwd=folder, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, (command, done.stderr)


def test_the_marked_line_that_is_shown_is_one() -> None:
    from axk8s.training import Record, parse_line

    (line,) = re.findall(r"`(axk8s: \{.*?\})`", README)

    assert [type(record) for record in parse_line(line)] == [Record]
    assert YAML(typ="safe").load(block("yaml", "name: mlp"))["name"] == "mlp"
