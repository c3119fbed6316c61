"""Where a Workload says that its job stands: each condition and reason of the real ones, and some of later versions."""

from __future__ import annotations

from typing import Any

import pytest

from axk8s.diagnose.exit_record import diagnose
from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job.facts import JobFacts, PodFacts
from axk8s.schedulers.kubernetes_job.patience import Patience, overdue
from axk8s.schedulers.kubernetes_job.view import Evidence, view
from axk8s.schedulers.kueue import WorkloadFacts
from axk8s.sweep.model import Category, Phase
from tests.schedulers.kubernetes_job.objects import COMPLETE, FAILED, NAME, exited, job, pod, running

FULL = "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default, 1 more needed"
TOO_LARGE = (
    "couldn't assign flavors to pod set main: insufficient quota for cpu in flavor default, previously considered "
    "podsets requests (0) + current podset request (10) > maximum capacity (2)"
)
OLD_TOO_LARGE = "insufficient quota for cpu in flavor default, request > maximum capacity (10 > 2)"
PREEMPTED = "Preempted to accommodate a workload (UID: 77) due to prioritization in the ClusterQueue"


def said(kind: str, status: bool, reason: str, message: str = "") -> Object:
    return {"type": kind, "status": str(status), "reason": reason, "message": message}


def workload(*conditions: Object, active: bool = True, **status: Any) -> Object:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": NAME, "uid": "job-1", "controller": True}
    return {
        "metadata": {"name": f"job-{NAME}-12345", "ownerReferences": [owner]},
        "spec": {"queueName": "trials", "active": active},
        "status": {"conditions": list(conditions), **status},
    }


def facts(*conditions: Object, **more: Any) -> WorkloadFacts:
    found = WorkloadFacts.read(workload(*conditions, **more))
    assert found is not None
    return found


def reserved(reason: str, message: str = "") -> Object:
    return said("QuotaReserved", False, reason, message)


EVICTED = (
    said("Evicted", True, "Preempted", PREEMPTED),
    said("Preempted", True, "InClusterQueue", PREEMPTED),
    said("Requeued", True, "Preempted", PREEMPTED),
    said("Admitted", False, "NoReservation"),
    said("PodsReady", False, "WaitForStart"),
    reserved("Pending", PREEMPTED),
)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (facts(), "queued"),
        (facts(said("PodsReady", False, "WaitForStart")), "queued"),
        (facts(reserved("Pending", FULL)), f"queued: {FULL}"),
        (facts(reserved("WaitingForQuota", FULL)), f"queued: {FULL}"),
        (facts(reserved("PendingEvaluation")), "queued"),
        (facts(reserved("TopologyPlacementFailed", "no rack has room")), "queued: no rack has room"),
        (facts(reserved("Inadmissible", "ClusterQueue whole is inactive")), "queued: ClusterQueue whole is inactive"),
        (facts(reserved("AReasonOfLater", "some words")), "queued: some words"),
        (
            facts(
                said("QuotaReserved", True, "QuotaReserved"),
                admissionChecks=[
                    {"name": "machines", "state": "Pending", "message": "being made"},
                    {"name": "license", "state": "Ready"},
                ],
            ),
            "quota is reserved; admission waits for machines (Pending: being made)",
        ),
        (facts(*EVICTED), f"queued again after an eviction (Preempted): {PREEMPTED}"),
        (
            facts(
                said("Evicted", True, "PodsReadyTimeout", "Exceeded the PodsReady timeout"),
                said("Requeued", False, "PodsReadyTimeout"),
                requeueState={"count": 1},
            ),
            "queued again after an eviction (PodsReadyTimeout): Exceeded the PodsReady timeout",
        ),
        (
            facts(
                said("Evicted", True, "ClusterQueueStopped", "The ClusterQueue is stopped"),
                said("Requeued", False, "ClusterQueueStopped"),
                reserved("Inadmissible", "ClusterQueue whole is inactive"),
            ),
            "its queue is stopped (ClusterQueueStopped): The ClusterQueue is stopped",
        ),
    ],
)
def test_what_waits_says_why_and_does_not_end(found: WorkloadFacts, words: str) -> None:
    known = Evidence(NAME, JobFacts.read(job(suspend=True)), workload=found)
    seen = view(known)

    assert seen is not None
    assert (seen.phase, seen.reason, seen.exit) == (Phase.QUEUED, words, None)
    assert overdue(known, Patience(), now=1e6, waiting=None, podless=None, leaving=None) is None
    assert not found.hopeless


@pytest.mark.parametrize(
    "condition",
    [
        reserved("Pending", TOO_LARGE),
        reserved("Pending", OLD_TOO_LARGE),
        reserved("ExceedsMaxQuota", "more than the cohort has"),
        reserved("NoMatchingFlavor", "no flavor matches the node selector"),
        reserved("Misconfigured", "no resource group covers gpu"),
        reserved("Inadmissible", "LocalQueue trials doesn't exist"),
        reserved("Inadmissible", "ClusterQueue whole doesn't exist"),
    ],
)
def test_what_can_never_be_admitted_cannot_start_after_a_moment(condition: Object) -> None:
    known = Evidence(NAME, JobFacts.read(job(suspend=True)), workload=facts(condition))
    more: dict[str, Any] = {"waiting": None, "podless": None, "leaving": None}

    assert overdue(known, Patience(), now=109.0, hopeless=100.0, **more) is None
    end = overdue(known, Patience(), now=111.0, hopeless=100.0, **more)

    assert end is not None
    assert end.exit is not None
    found = diagnose(end.exit, ())
    assert found.category is Category.CANNOT_START
    assert condition["message"] in found.summary
    assert found.hint


def test_a_flavor_that_is_too_small_does_not_matter_where_another_is_only_full() -> None:
    both = f"insufficient quota for gpu in flavor small, request > maximum capacity (8 > 4), {FULL}"

    assert not facts(reserved("Pending", both)).hopeless


@pytest.mark.parametrize(
    ("found", "category", "words"),
    [
        (
            facts(said("Evicted", True, "Deactivated", "The workload is deactivated"), active=False),
            Category.STOPPED,
            "deactivated by Kueue (Deactivated): The workload is deactivated",
        ),
        (facts(active=False), Category.STOPPED, "deactivated by Kueue"),
        (
            facts(
                said("Evicted", True, "DeactivatedDueToMaximumExecutionTimeExceeded", "exceeding the time"),
                said("DeactivationTarget", True, "MaximumExecutionTimeExceeded", "exceeding the time"),
                active=False,
            ),
            Category.DEADLINE,
            "deactivated by Kueue (MaximumExecutionTimeExceeded): exceeding the time",
        ),
        (
            facts(
                said("Evicted", True, "DeactivatedDueToRequeuingLimitExceeded", "exceeding the requeuing limit"),
                said("Requeued", False, "DeactivatedDueToRequeuingLimitExceeded"),
            ),
            Category.CANNOT_START,
            "exceeding the requeuing limit",
        ),
        (
            facts(said("Evicted", True, "DeactivatedDueToAdmissionCheck", "rejected: no licence"), active=False),
            Category.CANNOT_START,
            "rejected: no licence",
        ),
    ],
)
def test_what_kueue_has_given_up_has_ended_in_its_words(found: WorkloadFacts, category: Category, words: str) -> None:
    suspended = JobFacts.read(job(suspend=True))
    still = view(Evidence(NAME, suspended, [PodFacts.read(pod(running(), deleting=20))], workload=found))
    assert still is not None
    assert (still.phase, still.exit) == (Phase.QUEUED, None), "its pod has not gone yet"

    end = view(Evidence(NAME, suspended, workload=found))

    assert end is not None
    assert end.exit is not None
    diagnosis = diagnose(end.exit, ())
    assert diagnosis.category is category
    assert words in diagnosis.summary


@pytest.mark.parametrize(("condition", "code"), [(COMPLETE, 0), (FAILED, 3)])
def test_how_a_job_has_ended_is_the_jobs_own_word(condition: Object, code: int) -> None:
    finished = facts(said("Finished", True, "Succeeded" if code == 0 else "Failed"), active=False)
    known = Evidence(NAME, JobFacts.read(job(condition)), [PodFacts.read(pod(exited(code)))], workload=finished)

    end = view(known if code == 0 else Evidence(NAME, known.job, known.pods, settled=True, workload=finished))

    assert end is not None
    assert end.exit is not None
    assert end.exit.code == code


def test_an_admitted_job_is_what_its_pods_say() -> None:
    admitted = facts(said("QuotaReserved", True, "QuotaReserved"), said("Admitted", True, "Admitted"))
    seen = view(Evidence(NAME, JobFacts.read(job()), [PodFacts.read(pod(running()))], workload=admitted))

    assert seen is not None
    assert (seen.phase, seen.restarts) == (Phase.RUNNING, 0)


def test_evictions_are_counted_as_kueue_counts_them_or_else_as_pods_were_replaced() -> None:
    counted = {"evictions": [{"reason": "Preempted", "count": 2}, {"reason": "ClusterQueueStopped", "count": 1}]}
    again = facts(said("Evicted", False, "QuotaReserved", "Previously: Preempted"), schedulingStats=counted)
    first, second = PodFacts.read(pod(running(), deleting=20), gone=True), PodFacts.read(pod(running(), run=1))

    assert again.evictions == 3
    assert facts(*EVICTED).evictions == 1
    for found, restarts in ((again, 3), (None, 1)):
        seen = view(Evidence(NAME, JobFacts.read(job()), [first, second], workload=found))
        assert seen is not None
        assert (seen.phase, seen.restarts) == (Phase.RUNNING, restarts)


def test_a_workload_that_no_job_owns_is_nobodys() -> None:
    found = workload()
    found["metadata"]["ownerReferences"] = []

    assert WorkloadFacts.read(found) is None


def test_how_many_are_before_it_is_told_where_kueue_tells() -> None:
    seen = view(
        Evidence(NAME, JobFacts.read(job(suspend=True)), workload=facts(reserved("Pending", "full")), position=4)
    )

    assert seen is not None
    assert seen.reason == "queued: full (4 before it in trials)"
