from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from axk8s.spec.sweep import SweepSpec
from axk8s.training import Record, parse_line

EXAMPLES = Path(__file__).parents[2] / "examples"
ALL = sorted(path.parent.name for path in EXAMPLES.glob("*/sweep.yaml"))


def sweep(name: str) -> SweepSpec:
    return SweepSpec.load(EXAMPLES / name / "sweep.yaml")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_examples_are_those_of_the_documentation() -> None:
    assert ALL == ["command", "digits", "quadratic"]


@pytest.mark.parametrize("name", ALL)
def test_each_example_is_named_like_its_folder_and_explained_in_a_few_lines(name: str) -> None:
    readme = (EXAMPLES / name / "README.md").read_text()

    assert sweep(name).name == name
    assert f"axk8s run examples/{name}/sweep.yaml" in readme
    assert len(readme.splitlines()) <= 15


def test_the_quadratic_has_its_lowest_value_where_it_says() -> None:
    quadratic = load(EXAMPLES / "quadratic" / "quadratic.py").quadratic

    assert quadratic(x=0.3, y=-0.2) == 0
    assert quadratic(x=0.3, y=-0.2, kind="valley", ripple=1.0) == 0
    assert quadratic(x=0.4, y=0.0) > 0
    assert quadratic(x=0.4, y=0.0, kind="valley", ripple=1.0) > quadratic(x=0.4, y=0.0, kind="valley")


@pytest.mark.parametrize(("lr", "converges"), [(0.1, True), (0.9, False)])
def test_the_command_prints_its_loss_step_by_step(lr: float, *, converges: bool) -> None:
    command = sweep("command").command
    assert command
    words = command.format(lr=lr, steps=50).split()
    assert words[0] == "python"

    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=EXAMPLES / "command", capture_output=True, text=True, check=True
    )

    records = [record for line in done.stdout.splitlines() for record in parse_line(line)]
    assert [record.step for record in records if isinstance(record, Record)] == list(range(50))
    last = records[-1]
    assert isinstance(last, Record)
    assert (last.values["loss"] < 0.5) is converges
