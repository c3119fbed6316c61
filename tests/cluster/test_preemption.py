"""Trials pre-empted by pods of a higher priority: each ends once, none fails, and each goes on where it was."""

from __future__ import annotations

import random
import subprocess
import time
from functools import partial

import pytest

from axk8s.kube.resource import Resource
from axk8s.sweep.model import Outcome
from tests.cluster.deadline import until
from tests.cluster.pressure import free_cpu, priority, push
from tests.cluster.stage import SWEEP, Stage

VOLUMES = Resource("", "v1", "persistentvolumes", namespaced=False)
CLAIMS = Resource("", "v1", "persistentvolumeclaims")

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


def test_a_pod_that_makes_room_for_a_higher_priority_comes_back(stage: Stage) -> None:
    free = free_cpu(stage.namespace.admin)
    stage.write(
        SWEEP.replace("trials: 4", "trials: 1")
        .replace("workspace: .", "workspace: .\narguments: {steps: 60}")
        .replace("cpu: 0.1", f"cpu: {free * 0.6:.2f}")
    )
    controller = stage.start("run", "sweep.yaml")
    until("the trial runs", stage.running)
    with priority(stage.namespace) as high:
        push(stage.namespace, "important", priority_class=high, cpu=free * 0.6)
        assert controller.wait(240) == 0, stage.said()

    (trial,) = stage.state().trials
    assert (trial.outcome, trial.disruptions) == (Outcome.SUCCEEDED, 1)
    assert "PreemptionByScheduler" in stage.done("events", "bowl")


def _went_on(stage: Stage, controller: subprocess.Popen[str], ended: int) -> bool:
    return controller.poll() is not None or stage.state().ended > ended


@pytest.mark.timeout(600)
def test_thirty_trials_under_pressure_end_thirty_times_and_resume(stage: Stage) -> None:
    namespace, chance = stage.namespace, random.Random(3)
    body = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    place = {"hostPath": {"path": f"/tmp/{namespace.name}", "type": "DirectoryOrCreate"}}
    namespace.admin.create(
        VOLUMES,
        {"metadata": {"name": namespace.name}, "spec": {**body, **place, "capacity": {"storage": "10Mi"}}},
    )
    wanted = {**body, "volumeName": namespace.name, "resources": {"requests": {"storage": "10Mi"}}}
    namespace.admin.create(CLAIMS, {"metadata": {"name": "shared"}, "spec": wanted})
    free = free_cpu(namespace.admin)
    stage.write(
        SWEEP.replace("function: train.py:train", "command: python resumes.py {x} {y}")
        .replace("cpu: 0.1", f"cpu: {free / 5:.2f}")
        .replace("trials: 4", "trials: 30")
        .replace("parallelism: 2", "parallelism: 4")
        + "retries: 0\nstorage: pvc://shared\n",
        resumes_py=RESUMES,
    )
    controller = stage.start("run", "sweep.yaml")
    with priority(namespace) as high:
        for number in range(6):
            ended = stage.state().ended
            until("trials go on", partial(_went_on, stage, controller, ended), 180)
            until("one runs", lambda: controller.poll() is not None or stage.running())
            time.sleep(chance.uniform(0.5, 1.5))  # somewhere in the middle of its three seconds
            push(namespace, f"important-{number}", priority_class=high, cpu=free * 0.35)
        assert controller.wait(400) == 0, stage.said()

    state = stage.state()
    assert state.counts == {Outcome.SUCCEEDED: 30}
    disrupted = [trial for trial in state.trials if trial.disruptions]
    assert len(disrupted) >= 3
    assert max(trial.values["begun"] for trial in disrupted) > 0
    assert all(len(trial.attempts) == 1 for trial in state.trials), "replaced within the attempt"
    namespace.admin.delete(VOLUMES, namespace.name)
