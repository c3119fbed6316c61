"""What ends an attempt that never starts or never goes: at once, after its time, or not at all."""

from __future__ import annotations

import pytest

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job.facts import JobFacts, PodFacts
from axk8s.schedulers.kubernetes_job.patience import Patience, ends_now, lingers, overdue, view_when_overdue
from axk8s.schedulers.kubernetes_job.view import Evidence
from axk8s.sweep.model import ExitFacts, JobView, Phase
from tests.schedulers.kubernetes_job.objects import EVICTED, NAME, condition, exited, job, pod, running, unix, waiting

PATIENCE = Patience(start=600, pod=5, leave=60)
SECURITY = 'pods "a" is forbidden: violates PodSecurity "restricted:latest": hostPath volumes'
QUOTA = 'pods "a" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1'
WEBHOOK = 'admission webhook "images.example.com" denied the request: not signed'


def known(*pods: Object, words: str = "", cancelled: bool = False, gone: bool = False) -> Evidence:
    facts = tuple(PodFacts.read(one, gone=gone) for one in pods)
    return Evidence(NAME, JobFacts.read(job()), facts, cancelled=cancelled, words=words)


def late(
    evidence: Evidence,
    *,
    waiting: float | None = None,
    podless: float | None = None,
    leaving: float | None = None,
) -> JobView | None:
    """What is said when something has been so for so many seconds."""

    def since(seconds: float | None) -> float | None:
        return None if seconds is None else 1000.0 - seconds

    return overdue(
        evidence, PATIENCE, now=1000.0, waiting=since(waiting), podless=since(podless), leaving=since(leaving)
    )


def end(found: JobView | None) -> ExitFacts:
    assert found is not None
    assert found.exit is not None
    assert found.phase is Phase.ENDED
    assert found.reason
    return found.exit


@pytest.mark.parametrize("reason", ["InvalidImageName", "ErrImageNeverPull"])
def test_an_image_that_can_never_be_pulled_ends_it_at_once(reason: str) -> None:
    facts = end(ends_now(known(pod(waiting(reason, "couldn't parse it"), index=1))))

    assert facts == ExitFacts("spawn_failed", message=f"{reason}: couldn't parse it", replica="main-1")


def test_pods_that_the_namespace_refuses_end_it_at_once() -> None:
    assert end(ends_now(known(words=SECURITY))) == ExitFacts(
        "spawn_failed", message=f"the namespace refuses its pods: {SECURITY}"
    )


@pytest.mark.parametrize(
    "evidence",
    [
        known(),
        known(words=QUOTA),
        known(words=WEBHOOK),
        known(pod(waiting("ImagePullBackOff"))),
        known(pod(waiting("ErrImagePull"))),
        known(pod(waiting("CreateContainerConfigError"))),
        known(pod(waiting("InvalidImageName")), gone=True),
        known(pod(running())),
    ],
)
def test_nothing_else_ends_it_at_once(evidence: Evidence) -> None:
    assert ends_now(evidence) is None


def test_an_image_that_cannot_be_pulled_ends_it_when_it_has_had_its_time() -> None:
    evidence = known(pod(waiting("ImagePullBackOff", "not found")))

    assert late(evidence, waiting=600) is None
    facts = end(late(evidence, waiting=601))
    assert facts == ExitFacts("spawn_failed", message="not started after 600 s: ImagePullBackOff: not found")


def test_the_words_are_of_the_pod_that_waits_not_of_one_that_has_ended() -> None:
    evidence = known(pod(exited(143), EVICTED), pod(waiting("ImagePullBackOff", "not found"), run=1))

    assert "ImagePullBackOff: not found" in end(late(evidence, waiting=601)).message


def test_a_container_without_a_word_ends_it_too() -> None:
    starting = pod(waiting("ContainerCreating"))
    starting["status"]["containerStatuses"] = []

    facts = end(late(known(pod(running(), index=1), starting), waiting=601))
    assert facts.message == "not started after 600 s: its container does not start"


def test_a_pod_that_no_node_takes_never_ends_it() -> None:
    unschedulable = condition("PodScheduled", "Unschedulable", "0/3 nodes", status="False")

    assert late(known(pod(None, unschedulable)), podless=None, waiting=None) is None


def test_a_full_quota_never_ends_it() -> None:
    assert late(known(words=QUOTA), podless=1e6) is None


def test_no_pods_without_a_word_why_never_end_it() -> None:
    assert late(known(), podless=1e6) is None


def test_other_words_of_refusal_end_it_when_they_have_lasted() -> None:
    assert late(known(words=WEBHOOK), podless=600) is None
    facts = end(late(known(words=WEBHOOK), podless=601))
    assert facts == ExitFacts("spawn_failed", message=f"no pod after 600 s: {WEBHOOK}")


def test_a_pod_that_does_not_go_is_on_a_lost_node() -> None:
    evidence = known(pod(running(5), EVICTED, deleting=20, grace=30, index=2))

    assert late(evidence, leaving=90) is None
    found = late(evidence, leaving=91)
    words = "the node node-1 is lost: EvictionByEvictionAPI: Eviction API: evicting, and the pod does not go"
    assert end(found) == ExitFacts("terminated", message=words, replica="main-2")
    assert found is not None
    assert found.started_at == unix(5)


def test_a_pod_that_was_deleted_by_hand_and_does_not_go_is_so_too() -> None:
    facts = end(late(known(pod(running(), deleting=20, grace=0)), leaving=61))
    assert facts.message == "the node node-1 is lost: its pod was deleted, and the pod does not go"


def test_a_pod_that_has_ended_meanwhile_is_on_no_lost_node() -> None:
    assert late(known(pod(exited(143), deleting=20)), leaving=1e6) is None


@pytest.mark.parametrize("limit", ["waiting", "podless", "leaving"])
def test_whatever_takes_too_long_after_a_cancel_was_cancelled(limit: str) -> None:
    stuck = pod(waiting("ImagePullBackOff"), deleting=20)
    evidence = known(*([] if limit == "podless" else [stuck]), words=WEBHOOK, cancelled=True)

    assert end(late(evidence, **{limit: 1e6})) == ExitFacts("cancelled")


def test_nothing_that_is_not_under_way_takes_too_long() -> None:
    assert late(known(pod(running()))) is None


def test_what_has_run_is_running_while_its_end_is_awaited() -> None:
    assert view_when_overdue(known(pod(exited(0)))) is Phase.RUNNING
    assert view_when_overdue(known(pod())) is Phase.PENDING


@pytest.mark.parametrize(
    ("state", "facts"),
    [
        (exited(0), ExitFacts("exited", 0)),
        (exited(3), ExitFacts("exited", 3, replica="main-0", node="node-1")),
    ],
)
def test_a_container_beside_it_that_never_ends_does_not_keep_it_from_ending(state: Object, facts: ExitFacts) -> None:
    mesh = {"name": "istio-proxy", "state": running()}
    held = [PodFacts.read(pod(state, beside=[mesh], phase="Running"))]
    evidence = Evidence(NAME, JobFacts.read(job()), held)

    def after(seconds: float) -> JobView | None:
        since = 1000.0 - seconds
        return overdue(evidence, PATIENCE, now=1000.0, waiting=None, podless=None, leaving=None, lingering=since)

    assert lingers(held)
    assert not lingers([PodFacts.read(pod(running(), beside=[mesh]))])
    assert not lingers([PodFacts.read(pod(state))])
    assert after(29) is None
    assert (found := after(31)) is not None
    assert found.exit == facts
