"""Volcano Jobs: each thing that Volcano does with them ends in the right view, and in no end that nobody saw."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from torchx.specs import AppDef, RetryPolicy, Role

from axk8s.diagnose.exit_record import diagnose
from axk8s.kube.client import Object
from axk8s.kube.errors import NotFoundError
from axk8s.kube.resource import PODS, VOLCANO_JOBS
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.schedulers.kubernetes_job.patience import Patience
from axk8s.sweep.model import Category, JobView, Phase
from tests.cluster import volcano
from tests.cluster.cluster import Cluster
from tests.cluster.deadline import until
from tests.cluster.kwok import FakeNodes
from tests.cluster.namespace import Namespace
from tests.cluster.pressure import evict
from tests.schedulers.kubernetes_job import apps
from tests.schedulers.volcano.apps import volcano as job
from tests.schedulers.volcano.documents import documents

LABEL = "axk8s.test/volcano"
NAME = "tune"
SOON = 120.0
REPORT = 'axk8s: {"loss": 0.25}'


@pytest.fixture(scope="module")
def is_played(cluster: Cluster) -> Iterator[bool]:
    with volcano.known(cluster.kube()) as missing:
        yield missing


@pytest.fixture
def team(namespace: Namespace, is_played: bool) -> Iterator[Namespace]:
    """A namespace in which Volcano works, with a queue of its name for three cores."""
    with (
        volcano.played(namespace.admin) if is_played else nullcontext(),
        volcano.queue(namespace.admin, cpu=3),
    ):
        yield namespace


class Desk:
    """Jobs on fake nodes, and what an observer with the shipped Role's rights tells of them."""

    def __init__(self, namespace: Namespace, nodes: FakeNodes) -> None:
        self.namespace, self.admin, self._nodes = namespace, namespace.admin, nodes
        self.told: dict[str, JobView] = {}
        self.phases: list[str] = []
        self._views: queue.SimpleQueue[JobView] = queue.SimpleQueue()
        self.observer = KubernetesObserver(
            namespace.kube, f"{LABEL}=one", self._views.put, resource=VOLCANO_JOBS, patience=Patience(pod=1)
        )

    def role(self, name: str = "trainer", *, seconds: float = 600, cpu: float = 1, **fields: Any) -> Role:
        """A role that runs for so long; `AXK8S_TEST_…` by the names in lower case, other fields as they are."""
        own = {name: fields.pop(name) for name in ("exit_code", "message", "waiting") if name in fields}
        env = {"AXK8S_TEST_SECONDS": str(seconds), **{f"AXK8S_TEST_{key.upper()}": value for key, value in own.items()}}
        return apps.role(name=name, image="played:1", env=env, resource=apps.resource(cpu=cpu), **fields)

    def submit(self, *roles: Role, name: str = NAME, as_sent: Callable[[Object], None] = lambda _: None) -> None:
        """A Job of these roles that is followed; `as_sent` may change what is sent."""
        placed = self._nodes.placed({})
        made = job(
            AppDef(name, list(roles) or [self.role()]),
            name=name,
            changes=placed,
            queue=str(self.admin.access.namespace),
            labels={LABEL: "one"},
        )
        as_sent(made)
        self.admin.create(VOLCANO_JOBS, made)
        self.observer.follow(name)

    def hear(self, phase: Phase, words: str = "", name: str = NAME) -> JobView:
        """The next view of a Job that says so; no Job ends that is not asked about."""

        def heard() -> JobView | None:
            while not self._views.empty():
                view = self._views.get()
                before = self.told.get(view.job)
                assert before is None or before.exit is None, "an end is the last word"
                self.told[view.job] = view
                assert view.exit is None or (view.job == name and phase in (Phase.ENDED, Phase.LOST)), view
                if view.job == name and view.phase is phase and words in view.reason:
                    return view
            return None

        found = self.told.get(name)
        if found is not None and found.phase is phase and words in found.reason:
            return found
        return until(f"{name} is {phase} ({words}), not {self.told.get(name)}", heard, SOON)

    def category(self, name: str = NAME) -> Category:
        """Why it ended."""
        found = self.hear(Phase.ENDED, name=name)
        assert found.exit is not None
        return diagnose(found.exit, ()).category

    def phase(self, name: str = NAME) -> str:
        """Volcano's own."""
        try:
            found = self.admin.get(VOLCANO_JOBS, name)
        except NotFoundError:
            return "gone"
        return str(((found.get("status") or {}).get("state") or {}).get("phase") or "")

    def comes_to(self, phase: str, name: str = NAME) -> None:
        until(f"{name} is {phase}", lambda: self.phase(name) == phase, SOON)

    def pods(self, name: str = NAME) -> list[Object]:
        return self.admin.list_all(PODS, labels=f"volcano.sh/job-name={name}")[0]


@pytest.fixture
def desk(team: Namespace, fake_nodes: FakeNodes) -> Iterator[Desk]:
    made = Desk(team, fake_nodes)
    made.observer.start()
    yield made
    made.observer.close()


@pytest.mark.parametrize("name", documents())
def test_the_server_takes_each_manifest_and_its_pods(team: Namespace, is_played: bool, name: str) -> None:
    made = documents()[name]
    if not is_played:
        made["spec"]["queue"] = "default"  # the real one knows who exists
        made["spec"].pop("priorityClassName", None)

    team.admin.create(VOLCANO_JOBS, made, dry_run=True)

    for task in made["spec"]["tasks"]:
        metadata = {**task["template"]["metadata"], "name": f"{name}-{task['name']}-0"}
        team.admin.create(PODS, {**task["template"], "metadata": metadata}, dry_run=True)


def test_it_runs_and_succeeds_with_its_report(desk: Desk) -> None:
    desk.submit(desk.role(seconds=1, message=REPORT))
    desk.hear(Phase.RUNNING)

    end = desk.hear(Phase.ENDED)

    assert end.exit is not None
    assert (end.exit.cause, end.exit.code, end.report, end.restarts) == ("exited", 0, REPORT, 0)
    desk.comes_to("Completed")


@pytest.mark.parametrize(
    ("code", "category"),
    [("3", Category.USER_ERROR), ("64", Category.BAD_PARAMETERS), ("75", Category.TRANSIENT)],
)
def test_a_failure_ends_it_with_its_own_cause(desk: Desk, code: str, category: Category) -> None:
    desk.submit(desk.role(seconds=0.5, exit_code=code))

    assert desk.category() is category
    desk.comes_to("Terminated")


def test_one_replicas_failure_ends_its_peers_and_is_the_cause(desk: Desk) -> None:
    desk.submit(desk.role("trainer", num_replicas=2), desk.role("reader", seconds=1, exit_code="3"))

    end = desk.hear(Phase.ENDED)

    assert end.exit is not None
    assert (end.exit.cause, end.exit.code, end.exit.replica) == ("exited", 3, "reader-0")
    desk.comes_to("Terminated")
    assert [pod["metadata"]["labels"]["axk8s/role"] for pod in desk.pods()] == ["reader"]


@pytest.mark.parametrize("replicas", [1, 2])
def test_an_evicted_replica_ends_it_as_a_disruption(desk: Desk, replicas: int) -> None:
    desk.submit(desk.role(num_replicas=replicas))
    desk.hear(Phase.RUNNING)
    until("all run", lambda: all(pod["status"].get("phase") == "Running" for pod in desk.pods()))
    evict(desk.namespace, f"{NAME}-trainer-{replicas - 1}-0")

    assert desk.category() is Category.DISRUPTED
    desk.comes_to("Terminated")


def test_a_pod_that_is_deleted_by_hand_is_a_disruption_too(desk: Desk) -> None:
    desk.submit(desk.role())
    desk.hear(Phase.RUNNING)
    desk.admin.delete(PODS, f"{NAME}-trainer-0-0")

    assert desk.category() is Category.DISRUPTED


def test_without_room_in_the_queue_it_is_queued_in_volcanos_words(desk: Desk) -> None:
    desk.submit(desk.role(cpu=2, seconds=600), name="first")
    desk.hear(Phase.RUNNING, name="first")
    desk.submit(desk.role(cpu=2, seconds=600), name="second")
    desk.hear(Phase.QUEUED, f"waits in the queue {desk.namespace.name}: NotEnoughResources", name="second")
    desk.comes_to("Pending", "second")
    assert not desk.pods("second")

    desk.admin.delete(VOLCANO_JOBS, "first")

    assert desk.hear(Phase.LOST, name="first").exit is not None
    desk.hear(Phase.RUNNING, name="second")


def test_a_missing_queue_is_waited_for_with_what_may_be_wrong(desk: Desk, is_played: bool) -> None:
    if not is_played:
        pytest.skip("Volcano's webhook refuses it")

    def elsewhere(made: Object) -> None:
        made["spec"]["queue"] = "nobodys"

    desk.submit(as_sent=elsewhere)

    assert desk.hear(Phase.QUEUED, "without its controller, or a queue of this name, it never does").exit is None
    assert desk.phase() == ""


def test_no_node_for_it_is_pending_with_the_schedulers_words(desk: Desk) -> None:
    def nowhere(made: Object) -> None:
        made["spec"]["tasks"][0]["template"]["spec"]["nodeSelector"] = {"no": "where"}

    desk.submit(as_sent=nowhere)

    found = desk.hear(Phase.PENDING, "no node takes it")
    assert found.placed is False
    desk.comes_to("Pending")


def test_an_image_that_cannot_be_had_is_pending_in_its_words(desk: Desk) -> None:
    desk.submit(desk.role(waiting="ImagePullBackOff"))

    desk.hear(Phase.PENDING, "ImagePullBackOff")


def test_all_begin_anew_as_often_as_torchx_was_told(desk: Desk) -> None:
    retried = {"max_retries": 2, "retry_policy": RetryPolicy.APPLICATION}
    desk.submit(desk.role("trainer", **retried), desk.role("reader", seconds=0.5, exit_code="3", **retried))

    end = desk.hear(Phase.ENDED)

    assert end.exit is not None
    assert (end.exit.cause, end.exit.code, end.exit.replica) == ("exited", 3, "reader-0")
    desk.comes_to("Failed")
    runs = desk.admin.get(VOLCANO_JOBS, NAME)["status"]["retryCount"]
    assert runs == 3, "two retries are three runs"


def test_what_an_earlier_run_threw_away_decides_nothing(desk: Desk) -> None:
    retried = {"max_retries": 1, "retry_policy": RetryPolicy.APPLICATION}
    desk.submit(desk.role(num_replicas=2, seconds=8, **retried))
    desk.hear(Phase.RUNNING)
    until("both run", lambda: [pod["status"].get("phase") for pod in desk.pods()] == ["Running"] * 2)
    desk.admin.delete(PODS, f"{NAME}-trainer-1-0")

    assert desk.category() is Category.SUCCEEDED
    desk.comes_to("Completed")


def test_an_elastic_one_goes_on_while_a_lost_replica_is_replaced(desk: Desk) -> None:
    desk.submit(desk.role(num_replicas=2, min_replicas=1, seconds=8))
    desk.hear(Phase.RUNNING)
    until("both run", lambda: [pod["status"].get("phase") for pod in desk.pods()] == ["Running"] * 2)
    evict(desk.namespace, f"{NAME}-trainer-1-0")

    assert desk.category() is Category.SUCCEEDED


def test_aborted_from_outside_it_was_stopped(desk: Desk) -> None:
    desk.submit(desk.role(num_replicas=2))
    desk.hear(Phase.RUNNING)
    volcano.command(desk.admin, NAME, "AbortJob")

    assert desk.category() is Category.STOPPED
    desk.comes_to("Aborted")


def test_terminated_from_outside_it_was_disrupted(desk: Desk) -> None:
    desk.submit(desk.role())
    desk.hear(Phase.RUNNING)
    volcano.command(desk.admin, NAME, "TerminateJob")

    assert desk.category() is Category.DISRUPTED


def test_completed_by_a_policy_it_has_what_its_first_replica_left(desk: Desk) -> None:
    def completes(made: Object) -> None:
        made["spec"]["tasks"][0]["policies"].append({"event": "TaskCompleted", "action": "CompleteJob"})

    desk.submit(desk.role("trainer", seconds=1, message=REPORT), desk.role("reader"), as_sent=completes)

    end = desk.hear(Phase.ENDED)

    assert end.exit is not None
    assert (end.exit.cause, end.exit.code, end.report) == ("exited", 0, REPORT)
    desk.comes_to("Completed")


def test_completed_is_no_success_where_its_pod_has_failed(desk: Desk, is_played: bool) -> None:
    """As TorchX alone sends it, to a Volcano whose webhook is not there."""
    if not is_played:
        pytest.skip("Volcano's webhook fills in what is missing")

    def bare(made: Object) -> None:
        del made["spec"]["minAvailable"], made["spec"]["tasks"][0]["minAvailable"]
        made["spec"]["tasks"][0]["policies"] = []

    desk.submit(desk.role(seconds=0.5, exit_code="3"), as_sent=bare)

    assert desk.category() is Category.USER_ERROR
    desk.comes_to("Completed")


def test_its_end_is_known_also_when_its_time_is_up_at_once(desk: Desk) -> None:
    def at_once(made: Object) -> None:
        made["spec"]["ttlSecondsAfterFinished"] = 1

    desk.submit(desk.role(seconds=0.5), as_sent=at_once)

    assert desk.category() is Category.SUCCEEDED
    desk.comes_to("gone")
    until("no pod is left", lambda: not desk.pods())


def test_cancelled_it_is_gone_with_its_pods(desk: Desk) -> None:
    desk.submit(desk.role(num_replicas=2))
    desk.hear(Phase.RUNNING)
    desk.observer.cancelling(NAME)
    desk.admin.delete(VOLCANO_JOBS, NAME)

    assert desk.category() is Category.STOPPED
    until("no pod is left", lambda: not desk.pods())
