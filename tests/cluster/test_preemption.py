"""Trials pre-empted by pods of a higher priority: each ends once, none fails, and each goes on where it was."""

from __future__ import annotations

import itertools
import random
import subprocess
import time
from functools import partial

import pytest

from axk8s.kube.client import Object
from axk8s.kube.resource import Resource
from axk8s.names import LABEL_TRIAL
from axk8s.sweep.model import Outcome
from axk8s.sweep.trial import Trial
from tests.cluster.cluster import Cluster
from tests.cluster.deadline import until
from tests.cluster.pressure import HOSTNAME, free_cpu, priority, push
from tests.cluster.stage import SWEEP, Stage

VOLUMES = Resource("", "v1", "persistentvolumes", namespaced=False)
CLAIMS = Resource("", "v1", "persistentvolumeclaims")

DISRUPTED = 5
"""Trials of the thirty that have to be pushed away."""
RESUMES = """\
import time
from axk8s import checkpoint_dir, report

mark = checkpoint_dir() / "step"
begun = int(mark.read_text()) if mark.exists() else 0
for step in range(begun, 30):
    mark.write_text(str(step))
    time.sleep(0.1)
report(loss=1, begun=begun)
"""


@pytest.fixture
def node(two_workers: Cluster) -> str:
    """Where trials and those that push them have to be."""
    return two_workers.nodes[0]


def on(node: str) -> str:
    """What keeps the pods of a sweep on one node."""
    return f"scheduler_config: {{pod_overlay: {{nodeSelector: {{{HOSTNAME}: {node}}}}}}}\n"


def test_a_pod_that_makes_room_for_a_higher_priority_comes_back(there: Stage, node: str) -> None:
    stage, free = there, free_cpu(there.namespace.admin, node)
    stage.write(
        SWEEP.replace("trials: 4", "trials: 1")
        .replace("workspace: .", "workspace: .\narguments: {steps: 200}")
        .replace("cpu: 0.1", f"cpu: {free * 0.6:.2f}")
        + on(node)
    )
    controller = stage.start("run", "sweep.yaml")
    until("the trial runs", stage.running)
    with priority(stage.namespace) as high:
        push(stage.namespace, "important", priority_class=high, cpu=free * 0.6, node=node)
        assert controller.wait(240) == 0, stage.said()

    (trial,) = stage.state().trials
    assert (trial.outcome, trial.disruptions) == (Outcome.SUCCEEDED, 1)
    assert "PreemptionByScheduler" in stage.done("events", "bowl")


def _went_on(stage: Stage, controller: subprocess.Popen[str], ended: int) -> bool:
    return controller.poll() is not None or stage.state().ended > ended


def _disrupted(stage: Stage) -> list[Trial]:
    return [trial for trial in stage.state().trials if trial.disruptions]


def _placed(stage: Stage) -> list[Object]:
    """The trials' pods that take up room."""
    ours = [pod for pod in stage.pods() if LABEL_TRIAL in pod["metadata"].get("labels", {})]
    return [pod for pod in ours if pod["spec"].get("nodeName") and pod["status"]["phase"] in ("Pending", "Running")]


def test_thirty_trials_under_pressure_end_thirty_times_and_resume(there: Stage, node: str) -> None:
    stage, namespace, chance = there, there.namespace, random.Random(3)
    body = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    place = {"hostPath": {"path": f"/tmp/{namespace.name}", "type": "DirectoryOrCreate"}}
    namespace.admin.create(
        VOLUMES,
        {"metadata": {"name": namespace.name}, "spec": {**body, **place, "capacity": {"storage": "10Mi"}}},
    )
    wanted = {**body, "volumeName": namespace.name, "resources": {"requests": {"storage": "10Mi"}}}
    namespace.admin.create(CLAIMS, {"metadata": {"name": "shared"}, "spec": wanted})
    free = free_cpu(namespace.admin, node)
    stage.write(
        SWEEP.replace("function: train.py:train", "command: python resumes.py {x} {y}")
        .replace("cpu: 0.1", f"cpu: {free / 5:.2f}")
        .replace("trials: 4", "trials: 30")
        .replace("parallelism: 2", "parallelism: 4")
        + f"retries: 0\nstorage: pvc://shared\n{on(node)}",
        resumes_py=RESUMES,
    )
    controller = stage.start("run", "sweep.yaml")
    with priority(namespace) as high:
        for number in itertools.count():
            ended = stage.state().ended
            until("trials go on", partial(_went_on, stage, controller, ended))
            until("one runs", lambda: controller.poll() is not None or stage.running())
            if controller.poll() is not None or len(_disrupted(stage)) >= DISRUPTED:
                break
            time.sleep(chance.uniform(0.5, 1.5))  # somewhere in the middle of its three seconds
            # What is free beside the trials that have a place, and half of what one of these has.
            placed = max(1, len(_placed(stage)))
            room = free * (1.1 - 0.2 * placed)
            push(namespace, f"important-{number}", priority_class=high, cpu=room, node=node)
        assert controller.wait(600) == 0, stage.said()

    state = stage.state()
    assert state.counts == {Outcome.SUCCEEDED: 30}
    disrupted = _disrupted(stage)
    assert len(disrupted) >= DISRUPTED
    assert max(trial.values["begun"] for trial in disrupted) > 0
    assert all(len(trial.attempts) == 1 for trial in state.trials), "replaced within the attempt"
    namespace.admin.delete(VOLUMES, namespace.name)
