"""Sweeps on Volcano: in a queue, with evictions and a controller that dies; refused where it is not installed."""

from __future__ import annotations

import random
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from axk8s.kube.client import Object
from axk8s.kube.resource import CONFIG_MAPS, POD_GROUPS, PODS, SERVICES, VOLCANO_JOBS
from axk8s.sweep.model import Category, Outcome
from tests.cluster import crd, volcano
from tests.cluster.cluster import Cluster
from tests.cluster.deadline import until
from tests.cluster.kwok import FakeNodes
from tests.cluster.namespace import Namespace
from tests.cluster.pressure import evict
from tests.cluster.stage import SHARED, Stage
from tests.cluster.stage import SWEEP as FUNCTION

COMPONENT = """\
import torchx.specs as specs

def played(x: float, seconds: str = "2") -> specs.AppDef:
    env = {"AXK8S_TEST_SECONDS": seconds, "AXK8S_TEST_MESSAGE": 'axk8s: {"loss": 1.5}'}
    role = specs.Role("main", image="played:1", entrypoint="played", env=env, resource=specs.Resource(1, 0, 64))
    return specs.AppDef("played", [role])
"""
SWEEP = """\
name: bowl
component: played.py:played
parameters: {x: {type: float, min: 0, max: 1}}
objectives: [{metric: loss, direction: minimize}]
optimizer: random
trials: 20
parallelism: 8
max_queued: 2
retries: 0
scheduler_config: {queue: QUEUE, pod_overlay: overlay.yaml, qps: 0, keep_logs: none}
"""
MOST_UNFINISHED = 3 + 2
"""Of the queue's room, and `max_queued`."""
EVICTIONS = 3
"""Of twenty trials at least."""


def written(stage: Stage, nodes: FakeNodes, queue: str, sweep: str = SWEEP) -> None:
    placed = f"nodeSelector: {dict(nodes.selector)}\ntolerations: [{dict(nodes.toleration)}]\n"
    stage.write(sweep.replace("QUEUE", queue), played_py=COMPONENT, overlay_yaml=placed)


def test_without_volcano_a_sweep_is_refused_before_its_first_job(
    stage: Stage, cluster: Cluster, fake_nodes: FakeNodes
) -> None:
    if crd.installed(cluster.kube(), VOLCANO_JOBS):
        pytest.skip("Volcano is installed in this cluster")
    written(stage, fake_nodes, "training")

    refused = stage.run("run", "sweep.yaml", "-s", "kubernetes")

    assert refused.returncode == 2
    assert "Volcano is not installed in this cluster" in refused.stderr
    assert "-s kubernetes_job" in refused.stderr
    assert "https://volcano.sh/en/docs/installation/" in refused.stderr
    assert not stage.left()


@pytest.fixture(scope="module")
def is_played(cluster: Cluster) -> Iterator[bool]:
    with volcano.known(cluster.kube()) as missing:
        yield missing


@pytest.fixture
def training(namespace: Namespace, is_played: bool) -> Iterator[str]:
    """A queue for three cores, in a namespace in which Volcano works."""
    with (
        volcano.played(namespace.admin) if is_played else nullcontext(),
        volcano.queue(namespace.admin, cpu=3) as name,
    ):
        yield name


def left(stage: Stage) -> list[str]:
    """Everything in the namespace that a sweep could have left there."""
    found = [
        f"{resource}/{one['metadata']['name']}"
        for resource in (VOLCANO_JOBS, POD_GROUPS, PODS, SERVICES, CONFIG_MAPS)
        for one in stage.namespace.admin.list_all(resource)[0]
    ]
    return [name for name in found if not name.endswith(SHARED)]


def unfinished(jobs: list[Object]) -> list[Object]:
    """Those that have not ended."""
    phases = [str((job.get("status") or {}).get("state", {}).get("phase")) for job in jobs]
    return [job for job, phase in zip(jobs, phases, strict=True) if phase not in volcano.FINISHED]


def test_a_function_and_its_workspace_travel_as_with_jobs(stage: Stage, training: str) -> None:
    stage.write(f"{FUNCTION}scheduler_config: {{queue: {training}}}\n")

    stage.done("run", "sweep.yaml", "-s", "kubernetes")

    assert stage.state().counts == {Outcome.SUCCEEDED: 4}
    assert "training with" in stage.done("logs", "bowl", "-t", "0")
    until("nothing is left", lambda: not left(stage))


def test_twenty_trials_in_a_queue_for_three_with_evictions_and_a_killed_controller(
    stage: Stage, training: str, fake_nodes: FakeNodes
) -> None:
    written(stage, fake_nodes, training)
    admin, chance = stage.namespace.admin, random.Random(7)
    most = evicted = 0
    evicted_at, killed = -1, False
    controller = stage.start("run", "sweep.yaml", "-s", "kubernetes")
    while controller.poll() is None:
        most = max(most, len(unfinished(admin.list_all(VOLCANO_JOBS)[0])))
        state = stage.state()
        ended = state.ended
        if not killed and ended >= 6:
            killed = True
            controller.send_signal(signal.SIGKILL)
            controller.wait(10)
            controller = stage.start("run", "sweep.yaml", "-s", "kubernetes")
        running = [one for one in admin.list_all(PODS)[0] if one["status"].get("phase") == "Running"]
        likely = 0.3 if sum(len(trial.attempts) - 1 for trial in state.trials) >= EVICTIONS else 1.0
        if running and ended != evicted_at and chance.random() < likely:
            evicted += evict(stage.namespace, chance.choice(running)["metadata"]["name"])
            evicted_at = ended
        try:
            controller.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
    assert controller.returncode == 0, stage.said()

    state = stage.state()
    assert killed
    assert state.counts == {Outcome.SUCCEEDED: 20}
    attempts = sum(len(trial.attempts) for trial in state.trials)
    # One that is evicted in its last moment has ended all the same.
    assert EVICTIONS <= attempts - 20 <= evicted
    assert set(state.causes) == {Category.DISRUPTED}
    assert 4 <= most <= MOST_UNFINISHED
    until("nothing is left", lambda: not left(stage))


def test_status_says_why_trials_wait_and_stop_leaves_nothing(
    stage: Stage, training: str, fake_nodes: FakeNodes
) -> None:
    written(stage, fake_nodes, training, SWEEP + "arguments: {seconds: '600'}\n")
    controller = stage.start("run", "sweep.yaml", "-s", "kubernetes")
    until("three run and others wait", lambda: len(stage.running()) == 3 and stage.state().waiting == 2, 120)

    said = stage.done("trials", "bowl")
    looked = stage.done("doctor", "sweep.yaml", "-s", "kubernetes")
    stage.done("stop", "bowl")

    assert controller.wait(240) == 130, stage.said()
    assert f"waits in the queue {training}" in said
    assert re.search("Volcano +installed", looked)
    assert stage.state().counts == {Outcome.STOPPED: 5}
    until("nothing is left", lambda: not left(stage))
