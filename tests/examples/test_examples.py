from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from axk8s.api import Sweep
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
    assert ALL == ["command", "digits", "quadratic", "tradeoff"]


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


@pytest.fixture(scope="module")
def tradeoff() -> ModuleType:
    return load(EXAMPLES / "tradeoff" / "tradeoff.py")


@pytest.mark.parametrize("parameters", [{"model": "tree", "depth": 6}, {"model": "forest", "depth": 5, "trees": 4}])
def test_the_tradeoff_reports_what_its_sweep_needs_and_always_the_same(
    parameters: dict[str, object], tradeoff: ModuleType
) -> None:
    spec = sweep("tradeoff")
    assert spec.check_parameters(parameters) == []

    result = tradeoff.train(**parameters)

    assert set(result) >= set(spec.metrics)
    mean, sem = result["accuracy"]
    assert 0.6 < mean < 1.0
    assert 0.0 < sem < 0.05
    assert result == tradeoff.train(**parameters)


def test_the_tradeoff_is_one_a_larger_model_is_right_more_often(tradeoff: ModuleType) -> None:
    small, large = tradeoff.train("tree", 3), tradeoff.train("forest", 10, 16)

    assert small["accuracy"][0] < large["accuracy"][0]
    assert small["nodes"] < large["nodes"]
    assert small["comparisons"] <= 60 < large["comparisons"], "the limit of the sweep keeps out the largest"


def test_the_tradeoff_runs_as_it_is_and_ends_with_a_front(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "axk8s", "run", str(EXAMPLES / "tradeoff" / "sweep.yaml"), "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    found = Sweep.open("tradeoff", directory=tmp_path)
    summary = found.summary()
    assert (summary.state, summary.ended, summary.baseline) == ("done", 12, 0)
    assert summary.from_model > 0
    assert summary.hypervolume is not None
    assert summary.hypervolume > 0
    rows = found.trials()
    front = [row for row in rows if row.front]
    assert len(front) >= 2
    assert all(row.feasible and row.values["comparisons"] <= 60 and row.values["accuracy"] >= 0.6 for row in front)
    assert {"trees" in row.parameters for row in rows if row.parameters["model"] == "tree"} == {False}
    assert f"front of {len(front)} trials, hypervolume" in done.stderr
