"""Jobs in a queue: each thing that Kueue does with them ends in the right view, and in no end that nobody saw."""

from __future__ import annotations

import queue
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from axk8s.diagnose.exit_record import diagnose
from axk8s.kube.client import Object
from axk8s.kube.resource import JOBS, LOCAL_QUEUES, WORKLOADS
from axk8s.schedulers.kubernetes_job.job import QUEUE_LABEL, QUEUE_PRIORITY_LABEL
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.schedulers.kubernetes_job.patience import Patience
from axk8s.sweep.limits import run_time
from axk8s.sweep.model import Category, JobView, Outcome, Phase
from tests.cluster import crd, kueue
from tests.cluster.cluster import Cluster
from tests.cluster.deadline import until
from tests.cluster.kwok import FakeNodes
from tests.cluster.namespace import Namespace
from tests.cluster.stage import SWEEP as FUNCTION
from tests.cluster.stage import Stage

LABEL = "axk8s.test/kueue"
SOON = 120.0
QUOTA = 3
"""Trials that may run at a time, of twenty."""
DISRUPTIONS = 3
"""Of these at least."""


def test_without_kueue_a_sweep_in_a_queue_is_refused_before_its_first_job(stage: Stage, cluster: Cluster) -> None:
    if crd.installed(cluster.kube(), WORKLOADS):
        pytest.skip("Kueue is installed in this cluster")
    stage.write(FUNCTION + "scheduler_config: {queue: training}\n")

    refused = stage.run("run", "sweep.yaml")

    assert refused.returncode == 2
    assert "Kueue is not installed in this cluster" in " ".join(refused.stderr.split())
    assert not stage.sweep().exists()
    assert not stage.left()


@pytest.fixture(scope="module")
def is_played(cluster: Cluster) -> Iterator[bool]:
    with kueue.known(cluster.kube()) as missing:
        yield missing


@pytest.fixture
def team(namespace: Namespace, is_played: bool) -> Iterator[Namespace]:
    """A namespace in which Kueue works, with the LocalQueue `trials` for two cores."""
    with (
        kueue.played(namespace.admin) if is_played else nullcontext(),
        kueue.queue(namespace.admin, "trials", cpu=2),
    ):
        yield namespace


class Desk:
    """Jobs that are made by hand, and what an observer with the shipped Role's rights tells of them."""

    def __init__(self, namespace: Namespace, nodes: FakeNodes) -> None:
        self.admin, self._nodes = namespace.admin, nodes
        self.told: dict[str, JobView] = {}
        self._views: queue.SimpleQueue[JobView] = queue.SimpleQueue()
        patience = Patience(admission=8.0)
        self.observer = KubernetesObserver(namespace.kube, f"{LABEL}=one", self._views.put, patience=patience)

    def submit(
        self, name: str, *, cpu: float = 1, seconds: float = 600, priority: str = "", longest: str = "", **more: str
    ) -> None:
        """A queued Job that is followed, unless somebody else's priority is in it."""
        labels = {QUEUE_LABEL: "trials", LABEL: "one"} | ({QUEUE_PRIORITY_LABEL: priority} if priority else {})
        labels |= {kueue.LONGEST: longest} if longest else {}
        variables = {"AXK8S_TEST_SECONDS": str(seconds), **{f"AXK8S_TEST_{key.upper()}": v for key, v in more.items()}}
        env = [{"name": key, "value": value} for key, value in variables.items()]
        asked = {"requests": {"cpu": str(cpu)}}
        container = {"name": "main", "image": "played:1", "env": env, "resources": asked}
        spec = self._nodes.placed({"restartPolicy": "Never", "containers": [container]})
        body = {
            "metadata": {"name": name, "labels": labels | ({LABEL: "other"} if priority else {})},
            "spec": {
                "suspend": True,
                "backoffLimit": 0,
                "completionMode": "Indexed",
                "completions": 1,
                "parallelism": 1,
                "template": {"metadata": {"labels": {LABEL: "other" if priority else "one"}}, "spec": spec},
            },
        }
        self.admin.create(JOBS, body)
        if not priority:
            self.observer.follow(name)

    def hear(self, name: str, phase: Phase, words: str = "", seconds: float = SOON) -> JobView:
        """The view of a Job that says so, the last one or the next; no Job ends that is not asked about."""

        def heard() -> JobView | None:
            while True:
                found = self.told.get(name)
                if found is not None and found.phase is phase and words in found.reason:
                    return found
                if self._views.empty():
                    return None
                view = self._views.get()
                self.told[view.job] = view
                assert view.exit is None or view.job == name, view

        return until(f"{name} is {phase} ({words}), not {self.told.get(name)}", heard, seconds)

    def workload(self, name: str) -> Object:
        owners = {one["metadata"]["ownerReferences"][0]["name"]: one for one in self.admin.list_all(WORKLOADS)[0]}
        return owners[name]


@pytest.fixture
def desk(team: Namespace, fake_nodes: FakeNodes) -> Iterator[Desk]:
    made = Desk(team, fake_nodes)
    made.observer.start()
    yield made
    made.observer.close()


def test_admitted_it_runs_and_ends_while_the_others_wait_in_kueues_words(desk: Desk) -> None:
    for name in ("first", "second"):
        desk.submit(name)
        assert desk.hear(name, Phase.RUNNING).restarts == 0
    desk.submit("third")
    assert desk.hear("third", Phase.QUEUED, "insufficient unused quota for cpu").restarts == 0
    desk.submit("fourth")
    desk.hear("fourth", Phase.QUEUED, "queued")

    for name in ("first", "second"):
        desk.admin.delete(JOBS, name)
        assert desk.hear(name, Phase.LOST).exit is not None
    for name in ("third", "fourth"):
        desk.hear(name, Phase.RUNNING)


@pytest.mark.parametrize(("code", "category"), [("0", Category.SUCCEEDED), ("3", Category.USER_ERROR)])
def test_its_end_is_its_own(desk: Desk, code: str, category: Category) -> None:
    desk.submit("one", seconds=0.5, exit_code=code)

    end = desk.hear("one", Phase.ENDED)

    assert end.exit is not None
    assert diagnose(end.exit, ()).category is category


def test_pre_empted_it_waits_again_and_is_counted(desk: Desk) -> None:
    desk.submit("ours", cpu=2)
    desk.hear("ours", Phase.RUNNING)
    with kueue.priority(desk.admin, 1000) as high:
        desk.submit("theirs", cpu=2, seconds=6, priority=high)

        evicted = desk.hear("ours", Phase.QUEUED, "eviction (Preempted)")
        again = desk.hear("ours", Phase.RUNNING)

    assert (evicted.restarts, again.restarts) == (1, 1)
    assert again.started_at is not None


def test_more_than_the_whole_quota_cannot_start(desk: Desk) -> None:
    desk.submit("huge", cpu=5)
    desk.hear("huge", Phase.QUEUED, "maximum capacity")

    end = desk.hear("huge", Phase.ENDED)

    assert end.exit is not None
    found = diagnose(end.exit, ())
    assert (found.category, "maximum capacity (2" in found.summary) == (Category.CANNOT_START, True)


def test_a_queue_that_is_gone_cannot_start_and_one_that_is_made_in_time_can(desk: Desk) -> None:
    found = desk.admin.get(LOCAL_QUEUES, "trials")
    desk.admin.delete(LOCAL_QUEUES, "trials")
    desk.submit("early")
    desk.hear("early", Phase.QUEUED, "doesn't exist")
    kueue.make(desk.admin, LOCAL_QUEUES, {"metadata": {"name": "trials"}, "spec": found["spec"]})
    desk.hear("early", Phase.RUNNING)

    desk.admin.delete(LOCAL_QUEUES, "trials")
    desk.submit("late")
    end = desk.hear("late", Phase.ENDED)

    assert end.exit is not None
    assert diagnose(end.exit, ()).category is Category.CANNOT_START


def test_a_stopped_queue_is_waited_for(desk: Desk) -> None:
    desk.submit("ours")
    desk.hear("ours", Phase.RUNNING)
    whole = str(desk.admin.access.namespace)
    desk.admin.patch(kueue.CLUSTER_QUEUES, whole, {"spec": {"stopPolicy": "HoldAndDrain"}})
    stopped = desk.hear("ours", Phase.QUEUED, "its queue is stopped")
    desk.submit("another")
    desk.hear("another", Phase.QUEUED, "is inactive")

    desk.admin.patch(kueue.CLUSTER_QUEUES, whole, {"spec": {"stopPolicy": "None"}})

    assert stopped.restarts == 1
    desk.hear("ours", Phase.RUNNING)
    desk.hear("another", Phase.RUNNING)


def test_deactivated_it_has_been_stopped(desk: Desk) -> None:
    desk.submit("ours")
    desk.hear("ours", Phase.RUNNING)
    desk.admin.patch(WORKLOADS, desk.workload("ours")["metadata"]["name"], {"spec": {"active": False}})

    end = desk.hear("ours", Phase.ENDED)

    assert end.exit is not None
    found = diagnose(end.exit, ())
    assert found.category is Category.STOPPED
    assert "The workload is deactivated" in found.summary


def test_over_kueues_own_time_limit_it_has_met_its_deadline(desk: Desk) -> None:
    desk.submit("ours", longest="1")

    end = desk.hear("ours", Phase.ENDED)

    assert end.exit is not None
    assert diagnose(end.exit, ()).category is Category.DEADLINE


COMPONENT = """\
import torchx.specs as specs

def played(x: float) -> specs.AppDef:
    env = {"AXK8S_TEST_SECONDS": "1.5", "AXK8S_TEST_MESSAGE": 'axk8s: {"loss": 1.5}'}
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
scheduler: kubernetes_job
scheduler_config: {queue: trials, pod_overlay: overlay.yaml, qps: 0, keep_logs: none}
"""


def test_twenty_trials_in_a_queue_for_three_that_others_push_out(
    stage: Stage, team: Namespace, fake_nodes: FakeNodes
) -> None:
    chance, most = random.Random(7), 0
    whole = str(team.admin.access.namespace)
    flavor = {"name": whole, "resources": [{"name": "cpu", "nominalQuota": str(QUOTA)}]}
    team.admin.patch(
        kueue.CLUSTER_QUEUES, whole, {"spec": {"resourceGroups": [{"coveredResources": ["cpu"], "flavors": [flavor]}]}}
    )
    stage.write(SWEEP, played_py=COMPONENT, overlay_yaml=overlay(fake_nodes))
    controller = stage.start("run", "sweep.yaml")

    def unfinished() -> int:
        jobs = [job for job in stage.jobs() if "axk8s/trial" in job["metadata"]["labels"]]
        return sum(1 for job in jobs if not _ended(job) and "deletionTimestamp" not in job["metadata"])

    with kueue.priority(team.admin, 1000) as high:
        number, pushed_at = 0, -1
        while controller.poll() is None:
            most = max(most, unfinished())
            state = stage.state()
            ended = state.ended
            likely = 0.3 if sum(trial.disruptions for trial in state.trials) >= DISRUPTIONS else 1.0
            # With less the important one takes what is free.
            if len(stage.running()) == QUOTA and ended != pushed_at and chance.random() < likely:
                number, pushed_at = number + 1, ended
                Desk(team, fake_nodes).submit(f"important-{number}", seconds=0.5, priority=high)
            try:
                controller.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    assert controller.returncode == 0, stage.said()

    state = stage.state()
    assert state.counts == {Outcome.SUCCEEDED: 20}
    assert all(len(trial.attempts) == 1 for trial in state.trials), "an eviction is no attempt"
    assert sum(trial.disruptions for trial in state.trials) >= DISRUPTIONS, "and it is counted"
    assert state.causes == {Category.DISRUPTED: sum(trial.disruptions for trial in state.trials)}
    assert 4 <= most <= QUOTA + 2
    assert not [job for job in stage.jobs() if "axk8s/trial" in job["metadata"]["labels"]]


def overlay(nodes: FakeNodes) -> str:
    return f"nodeSelector: {dict(nodes.selector)}\ntolerations: [{dict(nodes.toleration)}]\n"


def _ended(job: Object) -> bool:
    return any(one["type"] in ("Complete", "Failed") for one in job["status"].get("conditions", ()))


def test_a_queue_that_does_not_exist_is_refused_before_the_first_job(
    stage: Stage, team: Namespace, fake_nodes: FakeNodes
) -> None:
    sweep = SWEEP.replace("queue: trials", "queue: nobodys")
    stage.write(sweep, played_py=COMPONENT, overlay_yaml=overlay(fake_nodes))

    refused = stage.run("run", "sweep.yaml")

    assert refused.returncode == 2
    assert "there is no LocalQueue 'nobodys'" in refused.stderr
    assert "axk8s manifests local-queue" in refused.stderr
    assert not team.admin.list_all(JOBS)[0]


def test_a_request_above_the_quota_ends_the_sweep_and_leaves_nothing(
    stage: Stage, team: Namespace, fake_nodes: FakeNodes
) -> None:
    stage.write(
        SWEEP,
        played_py=COMPONENT.replace("Resource(1,", "Resource(5,"),
        overlay_yaml=overlay(fake_nodes),
    )

    ended = stage.run("run", "sweep.yaml")

    assert ended.returncode == 1
    assert "maximum capacity" in ended.stderr
    assert "quota" in ended.stderr
    assert not team.admin.list_all(JOBS)[0]


def test_status_says_why_trials_wait_and_the_wall_time_stands_still(
    stage: Stage, team: Namespace, fake_nodes: FakeNodes
) -> None:
    whole = str(team.admin.access.namespace)
    team.admin.patch(kueue.CLUSTER_QUEUES, whole, {"spec": {"stopPolicy": "Hold"}})
    stage.write(
        SWEEP.replace("trials: 20", "trials: 2") + "budget: {wall_time: 1h}\n",
        played_py=COMPONENT,
        overlay_yaml=overlay(fake_nodes),
    )
    controller = stage.start("run", "sweep.yaml")
    until("both wait", lambda: stage.state().waiting == 2)
    waits_at = time.time()
    said = stage.done("trials", "bowl")
    waited = time.time() - waits_at
    team.admin.patch(kueue.CLUSTER_QUEUES, whole, {"spec": {"stopPolicy": "None"}})

    assert controller.wait(240) == 0, stage.said()
    assert "is inactive" in said
    state = stage.state()
    assert state.counts == {Outcome.SUCCEEDED: 2}
    assert state.controller is not None
    assert run_time(state, state.last_time) <= state.last_time - state.controller.time - waited
