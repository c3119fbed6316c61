"""What docs/gangs.md shows fits together, and is the Job that it describes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from axk8s.folder import SweepFolder
from axk8s.launch.check import check
from axk8s.launch.preview import preview
from axk8s.spec.sweep import SweepSpec

PAGE = (Path(__file__).parents[2] / "docs" / "gangs.md").read_text("utf-8")
FILES = dict(re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
OVERLAY = "scheduler_config:" + PAGE.partition("```yaml\nscheduler_config:")[2].partition("```")[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder, with all files of the page in it, and what is to be added to one of them."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "spread.yaml").write_text(FILES["ddp.yaml"] + OVERLAY)
    return tmp_path


@pytest.mark.parametrize("name", ["ddp.yaml", "spread.yaml"])
def test_the_sweep_of_the_page_can_begin(folder: Path, name: str) -> None:
    (warned,) = check(SweepSpec.load(folder / name))

    assert "without `storage`" in warned


def test_it_is_one_job_of_four_replicas_that_are_spread_over_nodes(folder: Path) -> None:
    spec = SweepSpec.load(folder / "spread.yaml")
    config = {**spec.scheduler_config, "security": "unrestricted"}
    found = preview(spec.model_copy(update={"scheduler_config": config}), SweepFolder(folder / "sweeps"), {"lr": 0.5})

    (job,) = [one for one in yaml.safe_load_all(found.manifest) if one["kind"] == "Job"]
    pod = job["spec"]["template"]["spec"]
    assert job["spec"]["completions"] == 4
    assert pod["containers"][0]["image"] == "axk8s-digits:1"
    assert "--nnodes 4 --nproc_per_node 1 --tee 1" in pod["containers"][0]["args"][1]
    assert pod["topologySpreadConstraints"][0]["nodeTaintsPolicy"] == "Honor"
