"""Where outputs, checkpoints and trackers go when the sweep file names a place that is shared."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchx.runtime.tracking import FsspecResultTracker

from axk8s.folder import SweepFolder
from axk8s.launch import tracker
from axk8s.launch.preview import preview
from axk8s.launch.storage import Storage
from axk8s.spec.sweep import SweepSpec

UID = "ab12" * 8


def spec(storage: str) -> SweepSpec:
    mapping = {
        "name": "tuning",
        "command": "train --lr {lr}",
        "parameters": {"lr": {"type": "float", "min": 0.1, "max": 1}},
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "trials": 3,
        "scheduler": "kubernetes_job",
        "scheduler_config": {"namespace": "ml", "security": "unrestricted"},
        "storage": storage,
    }
    return SweepSpec.from_mapping(mapping, base=Path(__file__).parent)


@pytest.mark.parametrize(
    ("given", "base", "claim", "readable"),
    [
        ("s3://bucket/x/", "s3://bucket/x/tuning-ab12ab", "", True),
        ("/mnt/nfs", "/mnt/nfs/tuning-ab12ab", "", True),
        ("pvc://data", "/axk8s-storage/tuning-ab12ab", "data", False),
        ("pvc://data/of/us", "/axk8s-storage/of/us/tuning-ab12ab", "data", False),
    ],
)
def test_each_sweep_has_a_part_of_its_own(given: str, base: str, claim: str, readable: bool) -> None:
    found = Storage.of(spec(given), UID)

    assert found == Storage(base, claim)
    assert found.readable is readable
    assert found.tracker(3, 1) == f"{base}/3/1/tracker"


@pytest.mark.parametrize(
    ("given", "variables"),
    [
        (
            "pvc://data",
            {
                "AXK8S_CHECKPOINT_DIR": "/axk8s-storage/tuning-000000/0/checkpoints",
                "AXK8S_OUTPUT_DIR": "/axk8s-storage/tuning-000000/0/0/output",
                "AXK8S_TRACKER_BASE": "/axk8s-storage/tuning-000000/0/0/tracker",
            },
        ),
        (
            "gs://b",
            {
                "AXK8S_CHECKPOINT_URL": "gs://b/tuning-000000/0/checkpoints",
                "AXK8S_OUTPUT_DIR": "/tmp/axk8s/tuning-000000-t0-a0/output",
                "AXK8S_TRACKER_BASE": "gs://b/tuning-000000/0/0/tracker",
            },
        ),
    ],
)
def test_a_job_hears_of_it_and_a_claim_is_mounted(
    given: str, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    shown = preview(spec(given), SweepFolder(tmp_path / "tuning"), {"lr": 0.5}).manifest

    for name, value in variables.items():
        assert f"name: {name}\n          value: {value}\n" in shown
    assert ("claimName: data" in shown) is given.startswith("pvc://")


def test_numbers_that_a_tracker_has_are_values_and_estimates_go_by_their_metric(tmp_path: Path) -> None:
    FsspecResultTracker(str(tmp_path))["7"] = {"loss/mean": 0.5, "loss/sem": 0.1, "size": 3, "note": "text"}

    assert tracker.values(str(tmp_path), 7) == {"loss": 0.5, "size": 3.0}
    assert tracker.values(str(tmp_path), 8) == {}
    with pytest.raises(tracker.UnsupportedError, match="nosuch"):
        tracker.look("nosuch://bucket")
