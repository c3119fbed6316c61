"""What attempts share on a cluster: a claim that outlives them, and a tracker that the controller reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from torchx.runtime.tracking import FsspecResultTracker

from axk8s import Sweep
from axk8s.kube.resource import PODS, Resource
from axk8s.results.summary import Summary
from axk8s.sweep.model import Outcome
from axk8s.sweep.records import Record, Submitting
from tests.cluster.deadline import until
from tests.cluster.namespace import Namespace
from tests.cluster.stage import SWEEP, Stage

VOLUMES = Resource("", "v1", "persistentvolumes", namespaced=False)
CLAIMS = Resource("", "v1", "persistentvolumeclaims")

RESUMES = """\
import os, time
from axk8s import checkpoint_dir, report

mark = checkpoint_dir() / "begun"
if mark.exists():
    report(loss=float(mark.read_text()))
else:
    mark.write_text(os.environ["AXK8S_ATTEMPT"])
    time.sleep(3600)
"""


@pytest.fixture
def claim(namespace: Namespace) -> str:
    """A claim on a folder of the node."""
    body = {"capacity": {"storage": "10Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    place = {"hostPath": {"path": f"/tmp/{namespace.name}", "type": "DirectoryOrCreate"}}
    namespace.admin.create(VOLUMES, {"metadata": {"name": namespace.name}, "spec": {**body, **place}})
    wanted = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "volumeName": namespace.name,
        "resources": {"requests": {"storage": "10Mi"}},
    }
    namespace.admin.create(CLAIMS, {"metadata": {"name": "shared"}, "spec": wanted})
    return "shared"


def test_a_later_attempt_finds_the_checkpoints_of_an_earlier_one(stage: Stage, claim: str) -> None:
    stage.write(
        SWEEP.replace("function: train.py:train", "command: python resumes.py {x} {y}")
        .replace("trials: 4", "trials: 1")
        .replace("parallelism: 2", "parallelism: 1")
        + f"storage: pvc://{claim}/sweeps\n",
        resumes_py=RESUMES,
    )
    controller = stage.start("run", "sweep.yaml")
    until("the trial runs", stage.running)
    until("it has left its mark", lambda: stage.run("logs", "bowl").returncode == 0)
    (pod,) = stage.pods()
    stage.namespace.admin.delete(PODS, pod["metadata"]["name"])

    assert controller.wait(240) == 0, stage.said()
    (trial,) = stage.state().trials
    assert len(trial.attempts) == 2
    assert trial.values == {"loss": 0.0}, "what the first attempt wrote"
    stage.namespace.admin.delete(VOLUMES, stage.namespace.name)


def test_a_result_that_only_the_tracker_has_is_found(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(namespace.kubeconfig))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text(
        SWEEP.replace("function: train.py:train", "command: python -c pass {x} {y}").replace("workspace: .\n", "")
        + "storage: memory://results\n"
    )
    sweep = Sweep.from_yaml(tmp_path / "sweep.yaml", trials=2)

    def written(records: Sequence[Record], summary: Summary) -> None:
        """In place of the jobs, which cannot reach this process's memory."""
        for record in records:
            if isinstance(record, Submitting):
                base = f"memory://results/bowl-{sweep.state().uid[:6]}/{record.trial}/{record.attempt}/tracker"
                FsspecResultTracker(base)[str(record.trial)] = {"loss/mean": record.trial + 0.5, "loss/sem": 0.1}

    sweep.run(listen=written)

    assert sweep.state().counts == {Outcome.SUCCEEDED: 2}
    assert [trial.values["loss"] for trial in sweep.state().trials] == [0.5, 1.5]
