"""Nodes that throw their pods out, and one that is switched off: the trial goes on elsewhere, free of charge."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from axk8s.kube.client import Object
from axk8s.sweep.model import Category, Outcome
from tests.cluster import cluster as clusters
from tests.cluster import kind
from tests.cluster import namespace as namespaces
from tests.cluster.cluster import NODES, Cluster
from tests.cluster.deadline import until
from tests.cluster.lack import lack
from tests.cluster.stage import SWEEP, Stage, staged

ONE = SWEEP.replace("trials: 4", "trials: 1").replace("parallelism: 2", "parallelism: 1") + "retries: 0\n"


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose nodes may be broken; the one of the other tests must stay whole."""
    if os.environ.get("AXK8S_TEST_KUBECONFIG"):
        lack("nodes are broken only in a cluster that these tests have made themselves")
    if reason := kind.missing():
        lack(f"{reason}, and AXK8S_TEST_KUBECONFIG names no cluster")
    with clusters.own(tmp_path_factory.mktemp("two"), workers=2) as made:
        yield made


@pytest.fixture
def there(two_workers: Cluster, tmp_path: Path) -> Iterator[Stage]:
    namespace = namespaces.create(two_workers, tmp_path, {})
    with staged(tmp_path / "project", namespace) as made:
        yield made
    namespaces.delete(namespace.admin, namespace.name)


def node_of(pod: Object) -> str:
    return str(pod["spec"]["nodeName"])


def running_pod(stage: Stage) -> Object:
    until("the trial runs", stage.running, 90)
    return next(pod for pod in stage.pods() if pod["status"].get("phase") == "Running")


@pytest.mark.timeout(600)
def test_a_node_that_throws_its_pods_out(there: Stage) -> None:
    there.write(ONE.replace("workspace: .", "workspace: .\narguments: {steps: 100}"))
    controller = there.start("run", "sweep.yaml")
    node = node_of(running_pod(there))
    admin = there.namespace.admin
    taint = {"key": "axk8s.test/broken", "effect": "NoExecute"}
    admin.patch(NODES, node, {"spec": {"taints": [taint]}})
    try:
        assert controller.wait(180) == 0, there.said()
    finally:
        admin.patch(NODES, node, {"spec": {"taints": []}})

    (trial,) = there.state().trials
    assert trial.outcome is Outcome.SUCCEEDED
    assert trial.disruptions == 1
    assert "DeletionByTaintManager" in there.done("events", "bowl")


@pytest.mark.timeout(900)
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

    (trial,) = there.state().trials
    first, second = trial.attempts
    assert first.diagnosis is not None
    assert first.diagnosis.category is Category.DISRUPTED
    assert f"the node {node} is lost" in first.diagnosis.summary
    assert second.diagnosis is not None
    assert second.diagnosis.category is Category.SUCCEEDED
    assert trial.outcome is Outcome.SUCCEEDED
