"""JobSets, observed: each thing that happens to one ends in the right view, and in no end that nobody saw."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from torchx.specs import AppDef, RetryPolicy

from axk8s.diagnose.exit_record import diagnose
from axk8s.kube.client import Object
from axk8s.kube.resource import JOB_SETS, JOBS, PODS, RESOURCE_QUOTAS
from axk8s.schedulers.kubernetes_job.facts import JOBSET_NAME_LABEL
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.schedulers.kubernetes_job.patience import Patience
from axk8s.sweep.model import Category, JobView, Phase
from tests.cluster import jobset
from tests.cluster.cluster import IMAGE, Cluster
from tests.cluster.deadline import until
from tests.cluster.namespace import Namespace
from tests.cluster.pressure import evict
from tests.schedulers.kubernetes_job import apps
from tests.schedulers.kubernetes_job.documents import documents

LABEL = "axk8s.test/jobset"
NAME = "tune"
REPORT = 'axk8s: {"loss": 0.25}'
SOON = 120.0
LONG = "sleep 600"


def says(*lines: str) -> str:
    """A role's program: the lines, and a report at its end."""
    return "; ".join((*lines, f"echo '{REPORT}' > /dev/termination-log"))


@pytest.fixture(scope="module")
def is_played(cluster: Cluster) -> Iterator[bool]:
    with jobset.known(cluster.kube()) as missing:
        yield missing


@pytest.fixture
def team(namespace: Namespace, is_played: bool) -> Iterator[Namespace]:
    """A namespace in which JobSet works."""
    with jobset.played(namespace.admin) if is_played else nullcontext():
        yield namespace


class Desk:
    """JobSets, and what an observer with the shipped Role's rights tells of them."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace, self.admin = namespace, namespace.admin
        self._views: queue.SimpleQueue[JobView] = queue.SimpleQueue()
        self.told: list[JobView] = []
        self.observer = KubernetesObserver(
            namespace.kube, f"{LABEL}=one", self._views.put, resource=JOB_SETS, patience=Patience(pod=1)
        )

    def submit(
        self, trainer: str, reader: str = LONG, *, suspend: bool = False, retries: int = 0, **options: Any
    ) -> None:
        """Two trainers and a reader with these programs, which are followed."""
        retried = {"max_retries": retries, "retry_policy": RetryPolicy.APPLICATION}
        one = {"image": IMAGE, "entrypoint": "sh", "resource": apps.resource(cpu=0.05, memory=32), **retried}
        roles = (
            apps.role(name="trainer", args=["-c", trainer], num_replicas=2, **one),
            apps.role(name="reader", args=["-c", reader], **one),
        )
        made = apps.jobset(AppDef(NAME, list(roles)), name=NAME, labels={LABEL: "one"}, grace=1, **options)
        made["spec"]["suspend"] = suspend
        self.admin.create(JOB_SETS, made)
        self.observer.follow(NAME)

    def hear(self, phase: Phase, words: str = "") -> JobView:
        """The next view that says so; no end is told unless it is what we wait for."""

        def heard() -> JobView | None:
            while not self._views.empty():
                view = self._views.get()
                assert not (self.told and self.told[-1].exit), "an end is the last word"
                self.told.append(view)
                assert view.exit is None or phase in (Phase.ENDED, Phase.LOST), view
                if view.phase is phase and words in view.reason:
                    return view
            return None

        return until(f"{phase} ({words}), not {self.told[-1:]}", heard, SOON)

    def end(self) -> JobView:
        found = self.hear(Phase.ENDED)
        assert found.exit is not None
        return found

    def found(self) -> Object:
        return self.admin.get(JOB_SETS, NAME)

    def pods(self, role: str) -> list[Object]:
        return self.admin.list_all(PODS, labels=f"{JOBSET_NAME_LABEL}={NAME},axk8s/role={role}")[0]


@pytest.fixture
def desk(team: Namespace) -> Iterator[Desk]:
    made = Desk(team)
    made.observer.start()
    yield made
    made.observer.close()


def category(view: JobView) -> Category:
    assert view.exit is not None
    return diagnose(view.exit, ()).category


def conditions(found: Object) -> dict[str, str]:
    return {one["type"]: one["reason"] for one in found["status"].get("conditions", ()) if one["status"] == "True"}


def test_all_roles_run_and_succeed_and_the_first_one_reports(desk: Desk) -> None:
    desk.submit(says("sleep 8"), says("sleep 9", "echo read"))
    desk.hear(Phase.RUNNING)
    assert not conditions(desk.found())

    end = desk.end()

    assert (category(end), end.report.strip(), end.restarts) == (Category.SUCCEEDED, REPORT, 0)
    assert conditions(desk.found()) == {"Completed": "AllJobsCompleted"}
    assert desk.found()["status"]["terminalState"] == "Completed"


def test_one_role_fails_and_is_named_while_those_that_were_ended_for_it_are_gone(desk: Desk) -> None:
    desk.submit(LONG, "sleep 1; exit 3")

    end = desk.end()

    assert end.exit is not None
    assert (end.exit.replica, end.exit.code, category(end)) == ("reader-0", 3, Category.USER_ERROR)
    assert conditions(desk.found()) == {"Failed": "FailedJobs"}
    until("the trainers are gone, whose logs are lost", lambda: not desk.pods("trainer"))
    assert len(desk.pods("reader")) == 1


def test_a_disruption_of_one_role_is_one_of_the_attempt(desk: Desk) -> None:
    desk.submit(LONG)
    desk.hear(Phase.RUNNING)
    until("the reader runs", lambda: [pod for pod in desk.pods("reader") if pod["status"]["phase"] == "Running"])
    evict(desk.namespace, desk.pods("reader")[0]["metadata"]["name"])

    end = desk.end()

    assert end.exit is not None
    assert (end.exit.replica, category(end)) == ("reader-0", Category.DISRUPTED)


def test_out_of_restarts_it_ends_with_the_last_failure_and_not_before(desk: Desk) -> None:
    desk.submit(LONG, "exit 7", retries=1)

    end = desk.end()

    assert end.exit is not None
    assert (end.exit.replica, end.exit.code) == ("reader-0", 7)
    found = desk.found()
    assert conditions(found)["Failed"] == "ReachedMaxRestarts"
    assert found["status"]["restarts"] == 1


def test_a_disruption_begins_all_roles_anew_and_uses_no_retry(desk: Desk) -> None:
    desk.submit(LONG, retries=1)
    desk.hear(Phase.RUNNING)
    until("the reader runs", lambda: [pod for pod in desk.pods("reader") if pod["status"]["phase"] == "Running"])
    evict(desk.namespace, desk.pods("reader")[0]["metadata"]["name"])

    until("it is counted apart", lambda: desk.found()["status"].get("restarts") == 1, SOON)
    until("another reader runs", lambda: any(_attempt(pod) == 1 for pod in desk.pods("reader")), SOON)
    assert desk.hear(Phase.RUNNING).exit is None
    assert desk.found()["status"].get("restartsCountTowardsMax", 0) == 0


def _attempt(pod: Object) -> int:
    running = pod["status"]["phase"] == "Running"
    return int(pod["metadata"]["labels"][f"{jobset.PREFIX}/restart-attempt"]) if running else -1


def test_suspended_it_is_queued_however_often_and_for_however_long(desk: Desk) -> None:
    desk.submit(LONG, suspend=True)
    desk.hear(Phase.QUEUED)
    assert not desk.pods("trainer")
    for _ in range(2):
        desk.admin.patch(JOB_SETS, NAME, {"spec": {"suspend": False}})
        desk.hear(Phase.RUNNING)
        desk.admin.patch(JOB_SETS, NAME, {"spec": {"suspend": True}})
        desk.hear(Phase.QUEUED)
        until("its controller says so too", lambda: conditions(desk.found()) == {"Suspended": "SuspendedJobs"})
        until("no pod is left", lambda: not desk.pods("trainer") and not desk.pods("reader"))


def test_once_told_an_end_outlives_the_object(desk: Desk) -> None:
    desk.submit(says(), says(), ttl_seconds=1)
    assert category(desk.end()) is Category.SUCCEEDED

    until("it is gone with all that was made for it", lambda: not desk.admin.list_all(JOB_SETS)[0], SOON)
    until("its Jobs too", lambda: not desk.admin.list_all(JOBS)[0], SOON)
    desk.observer.tick()
    assert desk._views.empty()


def test_deleted_by_somebody_it_is_lost(desk: Desk) -> None:
    desk.submit(LONG)
    desk.hear(Phase.RUNNING)
    desk.admin.delete(JOB_SETS, NAME)

    end = desk.hear(Phase.LOST)

    assert category(end) is Category.LOST


def test_a_role_for_which_there_is_no_room_waits_in_the_quotas_words(desk: Desk) -> None:
    desk.admin.create(RESOURCE_QUOTAS, {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "2"}}})
    quota = until("it counts", lambda: desk.admin.get(RESOURCE_QUOTAS, "small").get("status", {}).get("hard"))
    assert quota == {"pods": "2"}
    desk.submit(LONG)

    waits = until("its words are told", lambda: _words(desk), SOON)

    assert "exceeded quota: small" in waits


def _words(desk: Desk) -> str:
    desk.observer._asked_at = -1e9  # ask at the next look, not after the usual half a minute
    while not desk._views.empty():
        view = desk._views.get()
        assert view.exit is None, view
        if view.reason:
            return view.reason
    return ""


@pytest.mark.parametrize("name", [name for name, made in documents().items() if made["kind"] == "JobSet"])
def test_what_is_made_is_accepted_strictly(team: Namespace, name: str) -> None:
    made = team.kube.create(JOB_SETS, documents()[name], dry_run=True)

    assert made["spec"].items() >= documents()[name]["spec"].items(), "nothing was left to be filled in"
