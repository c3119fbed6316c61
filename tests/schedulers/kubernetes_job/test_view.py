"""Where an attempt is, for everything that a cluster was seen to do; how it ends is in `test_view_ends.py`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from axk8s.schedulers.kubernetes_job.facts import PodFacts
from axk8s.schedulers.kubernetes_job.view import Evidence, exit_of, view
from axk8s.sweep.model import ExitFacts, JobView, Phase
from tests.schedulers.kubernetes_job.evidence import known, seen
from tests.schedulers.kubernetes_job.objects import (
    BOUND,
    COMPLETE,
    EVICTED,
    FAILED,
    FINAL,
    LATE,
    NAME,
    POLICY,
    PREEMPTED,
    STEPS,
    condition,
    exited,
    job,
    pod,
    running,
    unix,
    waiting,
)

UNSCHEDULABLE = condition(
    "PodScheduled", "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu.", status="False"
)
IMAGE = waiting("ImagePullBackOff", 'Back-off pulling image "reg/a:1"')


@pytest.mark.parametrize(
    ("evidence", "phase", "reason", "started"),
    [
        (known(None), Phase.PENDING, "", None),
        (known(job()), Phase.PENDING, "", None),
        (known(job(), pod()), Phase.PENDING, "", None),
        (known(job(), pod(waiting("ContainerCreating"))), Phase.PENDING, "", None),
        (known(job(), pod(waiting("PodInitializing"))), Phase.PENDING, "", None),
        (known(job(active=1), pod(running(5))), Phase.RUNNING, "", 5),
        (
            known(job(), pod(None, UNSCHEDULABLE)),
            Phase.PENDING,
            "no node takes it: 0/3 nodes are available: 3 Insufficient cpu.",
            None,
        ),
        (known(job(), pod(IMAGE)), Phase.PENDING, 'ImagePullBackOff: Back-off pulling image "reg/a:1"', None),
        (known(job(), pod(waiting("CreateContainerError"))), Phase.PENDING, "CreateContainerError", None),
        (
            known(job(), words="exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1"),
            Phase.QUEUED,
            "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1",
            None,
        ),
        (known(job(suspend=True)), Phase.QUEUED, "suspended: it waits in a queue", None),
        (  # pre-empted by Kueue: its pods are deleted, and the Job waits again
            known(job(suspend=True), gone_pods=[pod(exited(143), deleting=20)]),
            Phase.QUEUED,
            "suspended: it waits in a queue",
            5,
        ),
        (  # disrupted, and the Job controller has not made the next pod yet: no pod is not lost
            known(job(), gone_pods=[pod(exited(143), EVICTED, deleting=20)]),
            Phase.PENDING,
            "waits for another pod after EvictionByEvictionAPI: Eviction API: evicting",
            5,
        ),
        (
            known(job(), pod(running(), EVICTED, deleting=20)),
            Phase.RUNNING,
            f"{NAME}-0-eeeee is being ended: EvictionByEvictionAPI: Eviction API: evicting",
            5,
        ),
        (  # ended, and the Job does not know it yet
            known(job(active=1), pod(exited(0, report=FINAL))),
            Phase.RUNNING,
            "",
            5,
        ),
        (  # the controller has seen it fail, and waits for the other pods to go
            known(
                job(condition("FailureTarget", "PodFailurePolicy"), replicas=2), pod(exited(3)), pod(running(), index=1)
            ),
            Phase.RUNNING,
            "",
            5,
        ),
        (
            known(job(), pod(running(), deleting=20), gone=True, cancelled=True),
            Phase.RUNNING,
            "is being stopped",
            5,
        ),
        (
            known(job(), pod(waiting("ContainerCreating")), gone=True, cancelled=True),
            Phase.PENDING,
            "is being stopped",
            None,
        ),
    ],
)
def test_an_attempt_that_goes_on(evidence: Evidence, phase: Phase, reason: str, started: float | None) -> None:
    expected = JobView(NAME, phase, reason, started_at=None if started is None else unix(started))
    assert replace(seen(evidence), placed=None) == expected


@pytest.mark.parametrize(
    ("evidence", "placed"),
    [
        (known(job()), None),
        (known(job(), pod()), None),
        (known(job(), pod(None, UNSCHEDULABLE)), False),
        (known(job(), pod(waiting("ContainerCreating"))), True),
        (known(job(), pod(IMAGE)), True),
        (known(job(replicas=2), pod(waiting("ContainerCreating"))), None),
        (known(job(replicas=2), pod(waiting("ContainerCreating")), pod(None, UNSCHEDULABLE, index=1)), False),
        (known(job(replicas=2), pod(waiting("ContainerCreating")), pod(waiting("PodInitializing"), index=1)), True),
        (known(job(suspend=True)), None),
    ],
)
def test_whether_it_has_got_its_nodes(evidence: Evidence, placed: bool | None) -> None:
    assert seen(evidence).placed is placed


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(known(job(COMPLETE)), id="complete, and no pod was seen yet"),
        pytest.param(known(job(COMPLETE), pod(running())), id="complete, and its pod was not seen to end yet"),
        pytest.param(
            known(job(COMPLETE), gone_pods=[pod(exited(143), EVICTED, deleting=20)]),
            id="complete, and only the disrupted pod was seen, not the one that took its place",
        ),
        pytest.param(
            known(job(COMPLETE), pod(exited(0), EVICTED, deleting=20), pod(running(), run=1)),
            id="complete, and the pod that took the place was not seen to end yet",
        ),
        pytest.param(known(job(FAILED)), id="failed, and no pod was seen yet"),
        pytest.param(known(job(FAILED), pod(running(), deleting=20)), id="failed, and its pod was not seen to end yet"),
        pytest.param(
            known(job(FAILED), gone_pods=[pod(exited(143), EVICTED, deleting=20)]),
            id="failed, and only the disrupted pod was seen, not the one that took its place",
        ),
        pytest.param(
            known(job(POLICY, replicas=2), pod(exited(1, ended=30), index=1), pod(running(), index=0)),
            id="failed, and of two only one was seen to end",
        ),
        pytest.param(known(job(), gone=True), id="deleted from outside, and no pod was seen yet"),
        pytest.param(known(job(), gone=True, gone_pods=[pod(exited(143), deleting=9)]), id="nor any other pod of it"),
        pytest.param(known(job(), pod(running(), deleting=20), gone=True), id="deleted, and its pod is still there"),
    ],
)
def test_an_end_that_would_have_to_be_guessed_is_not_said_yet(evidence: Evidence) -> None:
    assert view(evidence) is None


def test_an_end_has_its_times_and_the_report_of_replica_0() -> None:
    pods = [pod(exited(0, report=FINAL, since=7, ended=40)), pod(exited(0, report="x", since=6, ended=44), index=1)]

    found = seen(known(job(COMPLETE, replicas=2), *pods))

    assert (found.started_at, found.ended_at) == (unix(6), unix(44))
    assert found.report == FINAL


def test_an_end_without_a_pods_time_has_the_jobs() -> None:
    assert seen(known(job(LATE))).ended_at == unix(60)


def test_what_an_earlier_pod_reported_counts_where_the_last_one_said_nothing() -> None:
    evidence = known(job(FAILED), pod(exited(1, report=STEPS)), pod(exited(137, "OOMKilled"), run=1))

    assert seen(evidence).report == STEPS


def test_a_lost_attempt_keeps_what_was_reported() -> None:
    evidence = known(job(), gone=True, gone_pods=[pod(exited(143, report=STEPS), deleting=20)], settled=True)

    found = seen(evidence)
    assert (found.phase, found.report, found.started_at) == (Phase.LOST, STEPS, unix(5))


def test_a_pod_that_failed_before_its_container_started_says_its_own_words() -> None:
    found = PodFacts.read(pod(None, BOUND, phase="Failed", reason="UnexpectedAdmissionError", message="no GPU left"))

    assert exit_of(found) == ExitFacts("exited", None, "no GPU left", "main-0")


def test_disrupted_pods_that_were_replaced_are_counted_and_a_failure_names_its_node() -> None:
    replaced = [pod(exited(143), EVICTED, deleting=20), pod(exited(143), PREEMPTED, deleting=20, run=1)]
    goes_on = seen(known(job(), pod(running(), run=2), gone_pods=replaced))
    failed = seen(known(job(FAILED), pod(exited(3), run=2), gone_pods=replaced))

    assert (goes_on.phase, goes_on.restarts) == (Phase.RUNNING, 2)
    assert failed.restarts == 2
    assert failed.exit is not None
    assert failed.exit.node == "node-1"
