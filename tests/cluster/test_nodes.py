"""Nodes that throw their pods out, and one that is switched off: the trial goes on elsewhere, free of charge."""

from __future__ import annotations

import subprocess
import time

from axk8s.kube.client import Object
from axk8s.kube.errors import KubeError
from axk8s.kube.rate import Patience
from axk8s.sweep.model import Category, Outcome
from tests.cluster import kind, routes
from tests.cluster.cluster import NODES, Cluster
from tests.cluster.deadline import until
from tests.cluster.stage import SWEEP, Stage, recovered

ONE = SWEEP.replace("trials: 4", "trials: 1").replace("parallelism: 2", "parallelism: 1") + "retries: 0\n"


def node_of(pod: Object) -> str:
    return str(pod["spec"]["nodeName"])


def running_pod(stage: Stage) -> Object:
    until("the trial runs", stage.running)
    return next(pod for pod in stage.pods() if pod["status"].get("phase") == "Running")


def test_a_node_that_is_switched_off_and_does_not_come_back(there: Stage) -> None:
    there.write(
        ONE.replace("function: train.py:train", "command: python wait.py {x} {y}") + "scheduler_config: {grace: 5}\n",
        wait_py="import os, time\nfrom axk8s import report\n"
        "time.sleep(3600 if os.environ['AXK8S_ATTEMPT'] == '0' else 1)\nreport(loss=1)\n",
    )
    controller = there.start("run", "sweep.yaml")
    node = node_of(running_pod(there))
    subprocess.run(["docker", "stop", "--time", "1", node], check=True, capture_output=True)
    try:
        # Not ready after a minute, thrown out after another, and given up one and its grace after that.
        assert controller.wait(600) == 0, there.said()
    finally:
        subprocess.run(["docker", "start", node], check=True, capture_output=True)
        routes.lead(there.namespace.admin.list_all(NODES)[0])

    (trial,) = there.state().trials
    first, second = trial.attempts
    assert first.diagnosis is not None
    assert first.diagnosis.category is Category.DISRUPTED
    assert f"the node {node} is lost" in first.diagnosis.summary
    assert second.diagnosis is not None
    assert second.diagnosis.category is Category.SUCCEEDED
    assert trial.outcome is Outcome.SUCCEEDED


def test_an_api_server_that_is_restarted_is_waited_for(there: Stage, two_workers: Cluster) -> None:
    there.write(SWEEP.replace("workspace: .", "workspace: .\narguments: {steps: 200}"))
    controller = there.start("run", "sweep.yaml")
    until("two trials run", lambda: len(there.running()) == 2)
    (node,) = (one for one in two_workers.containers if one.endswith("-control-plane"))
    manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    # The kubelet ends it when its manifest goes, and starts it when that is back.
    kind.run("docker", "exec", node, "mv", manifest, "/root/")
    until("it is gone", lambda: not _answers(two_workers))
    kind.run("docker", "exec", node, "mv", "/root/kube-apiserver.yaml", manifest)
    # Until then the cluster itself has not recovered.
    until("the server knows that both have ended", lambda: _answers(two_workers) and _complete(there) == 2, 240)
    recovered(there, over_at=time.time(), ended=2)

    assert controller.wait(300) == 0, there.said()
    assert there.state().counts == {Outcome.SUCCEEDED: 4}
    assert [len(trial.attempts) for trial in there.state().trials] == [1] * 4


def test_a_node_that_throws_its_pods_out(there: Stage) -> None:
    there.write(ONE.replace("workspace: .", "workspace: .\narguments: {steps: 100}"))
    controller = there.start("run", "sweep.yaml")
    node = node_of(running_pod(there))
    admin = there.namespace.admin
    taint = {"key": "axk8s.test/broken", "effect": "NoExecute"}
    admin.patch(NODES, node, {"spec": {"taints": [taint]}})
    try:
        assert controller.wait(240) == 0, there.said()
    finally:
        admin.patch(NODES, node, {"spec": {"taints": []}})

    (trial,) = there.state().trials
    assert trial.outcome is Outcome.SUCCEEDED
    assert trial.disruptions == 1
    assert "DeletionByTaintManager" in there.done("events", "bowl")


def _complete(there: Stage) -> int:
    """How many of the first two Jobs are complete, or, because their end is known already, deleted."""
    try:
        present = {job["metadata"]["name"]: "completionTime" in job["status"] for job in there.jobs()}
    except KubeError:
        return 0
    first = [trial.attempts[0].job for trial in there.state().trials[:2]]
    return sum(present.get(name, True) for name in first)


def _answers(cluster: Cluster) -> bool:
    try:
        cluster.kube(patience=Patience(deadline=0)).version()
    except KubeError:
        return False
    return True
