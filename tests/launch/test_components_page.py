"""What docs/components.md shows fits together, on this machine and in a container, and runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from axk8s.folder import SweepFolder
from axk8s.launch.check import check
from axk8s.launch.preview import Preview, preview
from axk8s.spec.sweep import SweepSpec
from axk8s.training import Record, parse_line

PAGE = (Path(__file__).parents[2] / "docs" / "components.md").read_text("utf-8")
FILES = dict(re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
CLUSTER = {"image": "python:3.11-slim", "security": "unrestricted"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder, with all files of the page in it."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def first(spec: SweepSpec, **parameters: float) -> Preview:
    return preview(spec, SweepFolder(spec.base / "sweeps" / spec.name), parameters)


def test_every_file_of_the_page_is_used_here() -> None:
    assert set(FILES) == {"component.py", "train.py", "sweep.yaml", "gang.py", "gang_train.py", "gang.yaml"}
    assert PAGE.count("```python\n") + PAGE.count("```yaml\n") == len(FILES)


@pytest.mark.parametrize("name", ["sweep.yaml", "gang.yaml"])
def test_a_sweep_of_the_page_can_begin_on_this_machine(folder: Path, name: str) -> None:
    assert check(SweepSpec.load(folder / name)) == []


def test_the_arguments_are_filled_as_the_page_says(folder: Path) -> None:
    found = first(SweepSpec.load(folder / "sweep.yaml"), lr=0.1, momentum=0.5)

    assert [(one.argument, one.value, one.source) for one in found.arguments] == [
        ("lr", 0.1, "parameters"),
        ("momentum", 0.5, "parameters"),
        ("steps", 30, "arguments"),
        ("image", "''", "default"),
    ]


def test_the_script_reports_what_the_page_shows(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "train.py", "0.1", "0.5", "30"], cwd=folder, capture_output=True, text=True, check=True
    )

    records = [record for line in done.stdout.splitlines() for record in parse_line(line)]
    assert [record.step for record in records if isinstance(record, Record)] == list(range(30))
    last = records[-1]
    assert isinstance(last, Record)
    assert f"loss    {last.values['loss']:.4g}" in PAGE


def test_the_same_file_is_one_job_of_two_replicas_in_a_cluster(folder: Path) -> None:
    written = SweepSpec.load(folder / "gang.yaml")
    spec = written.model_copy(update={"scheduler": "kubernetes_job", "scheduler_config": CLUSTER})

    found = first(spec, lr=0.1)

    assert [(role.name, role.replicas) for role in found.roles] == [("worker", 2)]
    line = re.sub(r"\s+", " ", found.manifest)
    assert "--nnodes=2 --nproc_per_node=1 --node_rank=$(AXK8S_REPLICA)" in line
    assert "--master_addr=$$TORCHX_RANK0_HOST --master_port=29500 gang_train.py 0.1" in line
    assert "image: python:3.11-slim" in line
    compile(FILES["gang_train.py"], "gang_train.py", "exec")
