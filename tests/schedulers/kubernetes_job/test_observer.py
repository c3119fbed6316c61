"""What an observer tells, asks for and keeps, driven through what its watchers tell it; the order is left to chance
in `test_interleavings.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from axk8s.kube.client import Object
from axk8s.kube.errors import ForbiddenError
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.schedulers.kubernetes_job.patience import Patience
from axk8s.sweep.model import ExitFacts, JobView, Phase
from tests.kube.server import Answer, Request, refusal
from tests.schedulers.kubernetes_job.conftest import client
from tests.schedulers.kubernetes_job.objects import (
    COMPLETE,
    EVICTED,
    FAILED,
    NAME,
    at,
    exited,
    job,
    pod,
    running,
    waiting,
)

if TYPE_CHECKING:
    from tests.schedulers.kubernetes_job.conftest import Serve

SECURITY = 'pods "a" is forbidden: violates PodSecurity "restricted:latest": hostPath volumes'
QUOTA = 'pods "a" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1'


def event(message: str, *, uid: str = "job-1", seconds: float = 1, **fields: Any) -> Object:
    found = {"message": message, "involvedObject": {"kind": "Job", "uid": uid}, "lastTimestamp": at(seconds)}
    return found | fields


class Desk:
    """An observer whose watchers are the test itself, and whose clock stands still."""

    def __init__(self, serve: Serve) -> None:
        self.now = 1000.0
        self.events: list[Object] | Answer = []
        self.server = serve(self._answer)
        self.told: list[JobView] = []
        patience = Patience(start=600, pod=5, leave=60)
        self.observer = KubernetesObserver(client(), "a=b", self.told.append, patience=patience, now=lambda: self.now)

    def _answer(self, request: Request) -> Answer:
        if isinstance(self.events, Answer):
            return self.events
        return Answer(200, {"metadata": {"resourceVersion": "1"}, "items": self.events})

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.observer.tick()

    def job(self, *conditions: Object, gone: bool = False, **fields: Any) -> None:
        self.observer.job_seen(job(*conditions, **fields), gone=gone)

    def pod(self, found: Object, *, gone: bool = False) -> None:
        self.observer.pod_seen(found, gone=gone)

    @property
    def last(self) -> JobView:
        return self.told[-1]

    @property
    def wanted(self) -> tuple[bool, bool]:
        """Whether new lists of Jobs and of pods have been asked for."""
        return self.observer._jobs._stale, self.observer._pods._stale

    @property
    def kept(self) -> set[str]:
        return set(self.observer._known)


@pytest.fixture
def desk(serve: Serve) -> Desk:
    return Desk(serve)


def test_an_attempt_is_told_step_by_step_and_nothing_twice(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.observer.jobs_listed([job()], desk.now + 1)
    desk.observer.pods_listed([], desk.now + 1)
    for state in (None, waiting("ContainerCreating"), running(), running(), exited(0)):
        desk.pod(pod(state))
        desk.job()
    desk.job(COMPLETE)
    desk.job(COMPLETE)
    desk.pod(pod(exited(0)), gone=True)

    assert [(view.phase, view.placed, view.exit) for view in desk.told[:3]] == [
        *((Phase.PENDING, placed, None) for placed in (None, True)),
        (Phase.RUNNING, None, None),
    ]
    assert [view.exit for view in desk.told[3:]] == [ExitFacts("exited", 0)]


def test_what_was_seen_before_a_job_is_followed_is_told_at_once(desk: Desk) -> None:
    desk.observer.jobs_listed([job(FAILED)], desk.now)
    desk.observer.pods_listed([pod(exited(3))], desk.now)
    assert desk.told == []

    desk.observer.follow(NAME)

    assert [view.exit for view in desk.told] == [ExitFacts("exited", 3, replica="main-0", node="node-1")]


def test_an_end_is_told_once_however_often_the_job_is_followed(desk: Desk) -> None:
    desk.job(FAILED)
    desk.pod(pod(exited(3)))
    for _ in range(3):
        desk.observer.follow(NAME)

    assert len(desk.told) == 1
    desk.pod(pod(exited(3)), gone=True)
    desk.job(FAILED, gone=True)
    assert desk.kept == set()


def test_a_job_that_never_shows_up_is_lost_after_a_list_that_began_after_it_was_followed(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.observer.jobs_listed([], desk.now - 1)
    desk.observer.jobs_listed([], desk.now)
    assert desk.told == []

    desk.observer.jobs_listed([], desk.now + 1)
    desk.now += 2
    desk.observer.pods_listed([], desk.now)
    desk.tick(0)

    assert desk.last.phase is Phase.LOST
    assert desk.last.exit == ExitFacts("lost", message="the Job was deleted from outside the sweep")
    desk.observer.jobs_listed([], desk.now)
    assert desk.kept == set()


def test_a_job_that_was_seen_is_missing_also_in_a_list_that_began_before_it_was_followed(desk: Desk) -> None:
    desk.job()
    desk.observer.cancelling(NAME)
    began, desk.now = desk.now + 1, desk.now + 2
    desk.observer.follow(NAME)
    desk.observer.jobs_listed([], began)

    assert desk.last.exit == ExitFacts("cancelled")


def test_a_job_that_does_not_show_up_is_looked_for_after_a_while(desk: Desk) -> None:
    desk.observer.jobs_listed([], desk.now)
    desk.observer.follow(NAME)

    desk.tick(10)
    assert desk.wanted == (False, False)
    desk.tick(1)
    assert desk.wanted == (True, False)


def test_the_pods_are_listed_when_their_watch_lags_behind_an_end(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.job()
    desk.pod(pod(running()))
    desk.job(COMPLETE)
    desk.tick(2)
    assert desk.wanted == (False, False)
    assert desk.last.phase is Phase.RUNNING

    desk.tick(0.5)
    assert desk.wanted == (False, True)
    desk.observer.pods_listed([], desk.now)
    desk.tick(0)
    # It was not seen to end: what the Job says must do.
    assert desk.last.exit == ExitFacts("exited", 0)


def test_an_end_that_was_seen_outlives_a_deletion_that_does_not_show_it(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.job(COMPLETE)
    desk.job(gone=True)
    desk.now += 1
    desk.observer.pods_listed([], desk.now)
    desk.tick(0)

    assert desk.last.reason == "the Job completed, and its pod was gone before its result was read"


def test_an_end_whose_pods_still_stop_is_told_when_they_have_stopped(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.job()
    desk.pod(pod(running()))
    desk.observer.cancelling(NAME)
    desk.job(gone=True)
    desk.pod(pod(running(), deleting=20))
    desk.now += 1
    desk.observer.pods_listed([pod(running(), deleting=20)], desk.now)
    assert (desk.last.phase, desk.last.reason) == (Phase.RUNNING, "is being stopped")

    desk.pod(pod(exited(143), deleting=20))
    assert desk.last.exit == ExitFacts("cancelled")


def test_an_end_whose_pods_never_stop_is_told_after_their_grace_and_more(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.job()
    desk.pod(pod(running()))
    desk.observer.cancelling(NAME)
    desk.job(gone=True)
    desk.pod(pod(running(), deleting=20, grace=30))
    desk.now += 1
    desk.observer.pods_listed([pod(running(), deleting=20, grace=30)], desk.now)

    desk.tick(88)
    assert desk.last.exit is None
    desk.tick(2)
    assert desk.last.exit == ExitFacts("cancelled")


def test_why_a_job_has_no_pods_is_asked_for_and_told(desk: Desk) -> None:
    desk.events = [
        event("older words", seconds=1),
        event(QUOTA, seconds=9),
        event("of another job", uid="job-2", seconds=99),
        event("old words", seconds=5),
    ]
    desk.observer.follow(NAME)
    desk.job()
    desk.tick(5)
    assert desk.server.requests == []

    desk.tick(1)

    assert (desk.last.phase, desk.last.reason) == (Phase.QUEUED, QUOTA)
    request = desk.server.requests[0]
    assert request.path == "/api/v1/namespaces/team/events"
    assert request.query["fieldSelector"] == "reason=FailedCreate,involvedObject.kind=Job"


def test_one_list_of_events_is_for_all_jobs_and_not_repeated_at_once(desk: Desk) -> None:
    names = [f"tune-0a1b2c-t{number}-a0" for number in range(5)]
    desk.events = [event(QUOTA, uid=f"uid-{name}", eventTime=at(3), lastTimestamp=None) for name in names]
    for name in names:
        desk.observer.follow(name)
        desk.job(name=name, uid=f"uid-{name}")
    for _ in range(30):
        desk.tick(1)
    assert len(desk.server.requests) == 1
    assert {view.job for view in desk.told if view.reason == QUOTA} == set(names)

    for _ in range(6):
        desk.tick(1)
    assert len(desk.server.requests) == 2


def test_pods_that_the_namespace_refuses_end_the_attempt_at_once(desk: Desk) -> None:
    desk.events = [event(SECURITY)]
    desk.observer.follow(NAME)
    desk.job()
    desk.tick(6)

    assert desk.last.exit == ExitFacts("spawn_failed", message=f"the namespace refuses its pods: {SECURITY}")


def test_a_full_quota_ends_nothing_and_its_words_go_with_the_first_pod(desk: Desk) -> None:
    desk.events = [event(QUOTA)]
    desk.observer.follow(NAME)
    desk.job()
    desk.tick(6)
    desk.tick(1e6)
    assert (desk.last.phase, desk.last.reason) == (Phase.QUEUED, QUOTA)

    desk.pod(pod())
    assert (desk.last.phase, desk.last.reason) == (Phase.PENDING, "")
    desk.pod(pod(), gone=True)
    assert (desk.last.phase, desk.last.reason) == (Phase.PENDING, "")


def test_who_may_not_read_events_learns_no_words_and_all_the_rest(desk: Desk) -> None:
    desk.events = refusal(403, "Forbidden", 'events is forbidden: User "u" cannot list resource "events"')
    desk.observer.follow(NAME)
    desk.job()
    with pytest.raises(ForbiddenError, match="cannot list"):
        desk.tick(6)
    desk.tick(1)

    desk.pod(pod(running()))
    assert desk.last.phase is Phase.RUNNING


def test_a_suspended_job_waits_for_as_long_as_its_queue_likes(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.job(suspend=True)
    desk.tick(1e6)

    assert desk.server.requests == []
    assert (desk.last.phase, desk.last.reason) == (Phase.QUEUED, "suspended: it waits in a queue")


def test_the_time_to_start_begins_with_a_node_and_ends_with_a_running_container(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.job()
    desk.pod(pod())
    desk.tick(1e4)
    desk.pod(pod(waiting("ContainerCreating")))
    desk.tick(599)
    desk.pod(pod(running()))
    desk.tick(1e4)
    assert [view.phase for view in desk.told] == [Phase.PENDING, Phase.PENDING, Phase.RUNNING]

    desk.pod(pod(running()), gone=True)
    desk.pod(pod(waiting("ImagePullBackOff", "not found"), run=1))
    desk.tick(601)
    assert desk.last.exit == ExitFacts("spawn_failed", message="not started after 600 s: ImagePullBackOff: not found")


def test_a_pod_on_a_lost_node_is_given_up_after_its_grace_and_more(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.job()
    desk.pod(pod(running()))
    desk.tick(1e4)
    desk.pod(pod(running(), EVICTED, deleting=20, grace=30))
    desk.tick(90)
    assert desk.last.exit is None

    desk.tick(1)
    ends = [view.exit.cause for view in desk.told if view.exit is not None]
    assert ends == ["terminated"]
    assert "the node node-1 is lost" in desk.last.reason


def test_an_end_that_was_given_up_is_the_last_word(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.job()
    desk.pod(pod(waiting("InvalidImageName")))
    count = len(desk.told)
    desk.pod(pod(running()))
    desk.job(COMPLETE)
    desk.tick(1e4)

    assert desk.last.exit is not None
    assert len(desk.told) == count


def test_pods_are_kept_by_age_until_job_and_pods_are_deleted(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.observer.jobs_listed([job(FAILED)], desk.now)
    first, second = pod(exited(143), EVICTED), pod(exited(3), run=1)
    desk.observer.pods_listed([second, first], desk.now)
    assert [one.exit_code for one in desk.observer.pods(NAME)] == [143, 3]
    assert desk.observer.pods("another") == []

    desk.job(FAILED, gone=True)
    assert [one.gone for one in desk.observer.pods(NAME)] == []
    assert desk.kept == set()


def test_pods_that_still_run_when_their_job_is_deleted_are_let_go_one_by_one(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.job(replicas=2)
    desk.pod(pod(running(), index=0))
    desk.pod(pod(running(), index=1))
    desk.observer.cancelling(NAME)
    desk.job(replicas=2, gone=True)
    for index in (0, 1):
        desk.pod(pod(exited(143), index=index, deleting=20))
    assert desk.last.exit == ExitFacts("cancelled")

    for index in (0, 1):
        desk.pod(pod(exited(143), index=index, deleting=20), gone=True)
    assert desk.kept == set()


def test_a_pod_that_belongs_to_no_job_is_passed_over(desk: Desk) -> None:
    stray = pod(running())
    stray["metadata"]["labels"] = {}

    desk.pod(stray)
    desk.observer.pods_listed([stray], desk.now)

    assert desk.kept == set()


def test_nothing_is_told_after_it_was_closed(desk: Desk) -> None:
    desk.observer.follow(NAME)
    desk.job()
    desk.pod(pod(waiting("ContainerCreating")))
    count = len(desk.told)

    desk.observer.close()
    desk.tick(1e4)
    desk.pod(pod(running()))
    desk.job(COMPLETE)
    desk.observer.jobs_listed([], desk.now)

    assert len(desk.told) == count
