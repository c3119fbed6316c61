"""What is kept of a Job and its pods, read from what real clusters were seen to say."""

from __future__ import annotations

import pytest

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job.facts import JobFacts, PodFacts, seconds
from tests.schedulers.kubernetes_job.objects import (
    ALL_DONE,
    COMPLETE,
    EVICTED,
    FAILED,
    LATE,
    NAME,
    NO_MORE_RESTARTS,
    ONE_FAILED,
    at,
    condition,
    exited,
    job,
    jobset,
    of_role,
    pod,
    running,
    unix,
    waiting,
)


def test_a_job_that_has_just_been_made_is_neither_ended_nor_started() -> None:
    facts = JobFacts.read({"metadata": {"name": "a", "uid": "1"}, "spec": {}, "status": {}})

    assert facts == JobFacts("a", "1")
    assert not facts.ended
    assert JobFacts.read({"metadata": {"name": "a"}}) == JobFacts("a", "")


def test_only_complete_and_failed_are_ends_and_only_when_they_are_true() -> None:
    almost = (condition("FailureTarget", "PodFailurePolicy"), condition("SuccessCriteriaMet", "CompletionsReached"))
    untrue = (condition("Failed", status="False"), condition("Complete", status="Unknown"))

    assert not JobFacts.read(job(*almost, *untrue)).ended
    assert not JobFacts.read(job(condition("Suspended", "JobSuspended"), suspend=True)).ended


def test_a_complete_job_has_its_end_from_its_completion_time() -> None:
    facts = JobFacts.read(job(COMPLETE, replicas=4))

    assert (facts.complete, facts.failed, facts.ended) == (True, "", True)
    assert facts.replicas == (("main", 0), ("main", 1), ("main", 2), ("main", 3))
    assert (facts.started_at, facts.ended_at) == (unix(0), unix(60))


def test_a_failed_job_keeps_reason_message_and_time_of_its_condition() -> None:
    facts = JobFacts.read(job(condition("FailureTarget", "Other"), LATE))

    assert (facts.failed, facts.message) == ("DeadlineExceeded", "Job was active longer than specified deadline")
    assert facts.ended_at == unix(60)
    assert JobFacts.read(job(condition("Failed"))).failed == "Failed"


def test_a_suspended_job_has_no_start() -> None:
    facts = JobFacts.read(job(suspend=True))

    assert facts.suspended
    assert facts.started_at is None


def test_a_deleted_job_is_how_it_was_last() -> None:
    facts = JobFacts.read(job(FAILED, active=None), gone=True)

    assert (facts.gone, facts.failed, facts.active) == (True, "BackoffLimitExceeded", 0)


def test_the_replicas_of_a_jobset_are_those_of_its_roles_in_their_order_and_all_alike_share_them() -> None:
    facts = JobFacts.read(jobset(uid="set-7"))

    assert facts.replicas == (("trainer", 0), ("trainer", 1), ("reader", 0))
    assert (facts.kind, facts.uid, facts.ended) == ("JobSet", "set-7", False)
    assert facts.children == (f"{NAME}-trainer-0", f"{NAME}-reader-0")
    other = JobFacts.read(jobset(name="other"))
    assert other.replicas is facts.replicas
    assert other.parts is facts.parts
    assert JobFacts.read(job()).children == ()


def test_a_role_that_is_not_named_in_its_pods_has_the_name_of_its_job() -> None:
    found = jobset(roles={"trainer": 1})
    del found["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]

    assert JobFacts.read(found).replicas == (("trainer", 0),)


@pytest.mark.parametrize(
    ("found", "complete", "failed"),
    [
        (jobset(replicatedJobsStatus=[{"name": "trainer", "active": 1, "ready": 1}]), False, ""),
        (jobset(ALL_DONE), True, ""),
        (jobset(terminalState="Completed"), True, ""),
        (jobset(ONE_FAILED), False, "FailedJobs"),
        (jobset(NO_MORE_RESTARTS, restarts=2), False, "ReachedMaxRestarts"),
        (jobset(terminalState="Failed"), False, "Failed"),
        (jobset(condition("RestartingJobSet", "DefaultFailurePolicy")), False, ""),
        (jobset(condition("RestartingJobSet", "JobsReady", status="False"), restarts=1), False, ""),
        (jobset(condition("Suspended", "SuspendedJobs"), suspend=True), False, ""),
        (jobset(condition("Suspended", "ResumeJobs", status="False")), False, ""),
        (jobset(condition("StartupPolicyInProgress", "InOrderStartupPolicyExecuting")), False, ""),
    ],
)
def test_of_a_jobsets_conditions_only_two_are_ends(found: Object, complete: bool, failed: str) -> None:
    facts = JobFacts.read(found)

    assert (facts.complete, facts.failed, facts.ended) == (complete, failed, complete or bool(failed))
    assert facts.suspended is found["spec"]["suspend"]


def test_a_pod_belongs_to_its_jobset_and_knows_role_index_and_run() -> None:
    facts = PodFacts.read(of_role(pod(running(), index=1), "trainer", restart=2))

    assert (facts.job, facts.replica, facts.restart) == (NAME, ("trainer", 1), 2)


def test_a_pod_without_status_is_pending() -> None:
    facts = PodFacts.read({"metadata": {"name": "p"}})

    assert facts == PodFacts("p", "", "")
    assert facts.alive


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pod(), {"phase": "Pending", "scheduled": False, "alive": True}),
        (pod(waiting("ContainerCreating")), {"waiting": "ContainerCreating", "scheduled": True, "node": "node-1"}),
        (
            pod(waiting("ImagePullBackOff", "Back-off pulling image")),
            {"waiting": "ImagePullBackOff", "waiting_message": "Back-off pulling image", "running": False},
        ),
        (pod(running(5)), {"running": True, "started_at": unix(5), "exit_code": None, "phase": "Running"}),
        (
            pod(exited(0, report="a\nb")),
            {"exit_code": 0, "report": "a\nb", "started_at": unix(5), "finished_at": unix(50), "ended": True},
        ),
        (pod(exited(137, "OOMKilled")), {"exit_code": 137, "exit_reason": "OOMKilled", "alive": False}),
        (
            pod(None, condition("PodScheduled", "Unschedulable", "0/3 nodes", status="False")),
            {"scheduled": False, "unschedulable": "0/3 nodes"},
        ),
        (
            pod(None, condition("PodScheduled", "SchedulingGated", status="False")),
            {"unschedulable": "Unschedulable"},
        ),
        (
            pod(running(), EVICTED, deleting=20, grace=40),
            {"disruption": "EvictionByEvictionAPI: Eviction API: evicting", "deleting": True, "grace": 40.0},
        ),
        (pod(running(), condition("DisruptionTarget", "Any", status="False")), {"disruption": "", "deleting": False}),
        (
            pod(None, phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            {"reason": "Evicted", "message": "The node was low on resource: memory.", "ended": True, "exit_code": None},
        ),
        (pod(running(), index=3), {"index": 3, "job": NAME, "role": "main"}),
    ],
)
def test_a_pod_is_read(found: Object, expected: dict[str, object]) -> None:
    facts = PodFacts.read(found)

    assert {name: getattr(facts, name) for name in expected} == expected


def test_a_mesh_beside_our_container_does_not_speak_for_it() -> None:
    proxy = {"name": "istio-proxy", "state": {"running": {"startedAt": at(1)}}}
    ended = {"name": "istio-proxy", "state": exited(1)}

    facts = PodFacts.read(pod(exited(0), beside=[proxy], phase="Running"))
    assert (facts.exit_code, facts.running, facts.started_at) == (0, False, unix(5))
    facts = PodFacts.read(pod(running(), beside=[ended]))
    assert (facts.exit_code, facts.running) == (None, True)
    facts = PodFacts.read(pod(None, beside=[proxy]))
    assert (facts.exit_code, facts.running) == (None, False)


def test_the_index_is_also_read_from_the_label_that_newer_clusters_set() -> None:
    found = pod(running())
    found["metadata"]["annotations"] = {}
    found["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] = "2"

    assert PodFacts.read(found).index == 2


def test_times_of_the_api_are_unix_seconds_with_and_without_fractions() -> None:
    assert seconds(None) is None
    assert seconds(at(3)) == unix(3)
    assert seconds("2026-01-01T12:00:00.250000Z") == unix(0.25)
