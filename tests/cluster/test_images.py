"""The digits example on a cluster: the project's own component and Dockerfile, and nothing else changed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from axk8s.sweep.model import Outcome
from tests.cluster.cluster import Cluster
from tests.cluster.lack import lack
from tests.cluster.stage import Stage

ROOT = Path(__file__).parents[2]
IMAGE = "axk8s-digits:test"


@pytest.fixture(scope="session")
def digits_image(cluster: Cluster) -> str:
    """Built as its users do, and put into the cluster."""
    if not cluster.is_kind:
        lack("an image can be built for a kind cluster of these tests only, not for that of AXK8S_TEST_KUBECONFIG")
    command = ["docker", "build", "--quiet", "--network", "host", "--tag", IMAGE, str(ROOT / "components")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    cluster.load_image(IMAGE)
    return IMAGE


@pytest.mark.timeout(900)
@pytest.mark.parametrize("namespace", [{"pod-security.kubernetes.io/enforce": "restricted"}], indirect=True)
def test_the_same_file_runs_here_and_there_by_an_option_more(stage: Stage, digits_image: str) -> None:
    for folder in ("examples", "components"):
        shutil.copytree(ROOT / folder, stage.folder / folder)
    words = ("--trials", "2", "--parallelism", "1")

    stage.done("run", "examples/digits/sweep.yaml", *words, "--name", "here", timeout=400)
    config = f"image={digits_image},keep_logs=failed"
    there = ("-s", "kubernetes_job", "-cfg", config)
    stage.done("run", "examples/digits/sweep.yaml", *words, "--name", "there", *there, timeout=400)

    for name in ("here", "there"):
        state = stage.state(name)
        assert state.counts == {Outcome.SUCCEEDED: 2}
        assert all(0.5 < trial.values["accuracy"] <= 1 for trial in state.trials)
    assert [trial.attempts[0].steps for trial in stage.state("there").trials] == [30, 30], "told without a log"
    assert not stage.sweep("there").attempt(0, 0).stdout.exists()
