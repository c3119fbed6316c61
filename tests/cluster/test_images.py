"""The digits example on a cluster: the project's own component and Dockerfile, and nothing else changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from axk8s.sweep.model import Outcome
from tests.cluster.stage import Stage

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("there", [{"pod-security.kubernetes.io/enforce": "restricted"}], indirect=True)
def test_the_same_file_runs_here_and_there_by_an_option_more(there: Stage, torch_image: str) -> None:
    for folder in ("examples", "components"):
        shutil.copytree(ROOT / folder, there.folder / folder)
    words = ("--trials", "2", "--parallelism", "1")

    there.done("run", "examples/digits/sweep.yaml", *words, "--name", "here", timeout=400)
    config = f"image={torch_image},keep_logs=failed"
    elsewhere = ("-s", "kubernetes_job", "-cfg", config)
    there.done("run", "examples/digits/sweep.yaml", *words, "--name", "there", *elsewhere, timeout=400)

    for name in ("here", "there"):
        state = there.state(name)
        assert state.counts == {Outcome.SUCCEEDED: 2}
        assert all(0.5 < trial.values["accuracy"] <= 1 for trial in state.trials)
    assert [trial.attempts[0].steps for trial in there.state("there").trials] == [30, 30], "told without a log"
    assert not there.sweep("there").attempt(0, 0).stdout.exists()
