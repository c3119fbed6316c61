"""Jobs and pods as the API server shows them: only the fields that clusters were seen to fill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from axk8s.kube.client import Object

NAME = "tune-0a1b2c-t3-a0"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
FINAL = 'axk8s: {"loss": 0.25}'
"""A termination message with final values."""
STEPS = 'axk8s steps: 7\naxk8s: {"step": 6, "loss": 0.5}'
"""One without: the training was still under way."""


def at(seconds: float) -> str:
    """A time so many seconds after the start, as the API writes it."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix(seconds: float) -> float:
    return START.timestamp() + seconds


def condition(kind: str, reason: str = "", message: str = "", *, since: float = 60, status: str = "True") -> Object:
    found: Object = {"type": kind, "status": status, "lastTransitionTime": at(since)}
    return found | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


COMPLETE = condition("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
FAILED = condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
LATE = condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
EVICTED = condition("DisruptionTarget", "EvictionByEvictionAPI", "Eviction API: evicting")
PREEMPTED = condition("DisruptionTarget", "PreemptionByScheduler", "default-scheduler: preempting")
TAINTED = condition("DisruptionTarget", "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
SHUTDOWN = condition("DisruptionTarget", "TerminationByKubelet", "Pod was terminated in response to node shutdown.")
POLICY = condition("Failed", "PodFailurePolicy", "Container main failed with exit code 3 matching FailJob rule")
BOUND = condition("PodScheduled", since=1)


def job(
    *conditions: Object,
    name: str = NAME,
    uid: str = "job-1",
    replicas: int = 1,
    suspend: bool = False,
    labels: Mapping[str, str] | None = None,
    **status: Any,
) -> Object:
    """A Job with these conditions."""
    ended = [one for one in conditions if one["type"] == "Complete"]
    return {
        "metadata": {"name": name, "uid": uid, "resourceVersion": "1", "labels": dict(labels or {})},
        "spec": {"completions": replicas, "parallelism": replicas, "suspend": suspend},
        "status": {
            **({} if suspend else {"startTime": at(0)}),
            **({"conditions": list(conditions)} if conditions else {}),
            **({"completionTime": ended[0]["lastTransitionTime"]} if ended else {}),
            **status,
        },
    }


def jobset(
    *conditions: Object,
    name: str = NAME,
    uid: str = "set-1",
    roles: Mapping[str, int] | None = None,
    suspend: bool = False,
    **status: Any,
) -> Object:
    """A JobSet with these conditions, by default of two trainers and a reader."""
    jobs = []
    for role, replicas in (roles or {"trainer": 2, "reader": 1}).items():
        template = {"metadata": {"labels": {"axk8s/role": role}}}
        spec = {"completions": replicas, "parallelism": replicas, "template": template}
        jobs.append({"name": role, "replicas": 1, "template": {"spec": spec}})
    ends = {"Completed": "Completed", "Failed": "Failed"}
    terminal = next((ends[one["type"]] for one in conditions if one["type"] in ends), None)
    return {
        "metadata": {"name": name, "uid": uid, "resourceVersion": "1", "labels": {}},
        "spec": {"suspend": suspend, "replicatedJobs": jobs},
        "status": {
            **({"conditions": list(conditions)} if conditions else {}),
            **({"terminalState": terminal} if terminal else {}),
            **status,
        },
    }


ALL_DONE = condition("Completed", "AllJobsCompleted", "jobset completed successfully")
ONE_FAILED = condition(
    "Failed", "FailedJobs", f"jobset failed due to one or more job failures (first: {NAME}-reader-0)"
)
NO_MORE_RESTARTS = condition("Failed", "ReachedMaxRestarts", "jobset failed due to reaching max number of restarts")


def of_role(found: Object, role: str, *, restart: int = 0, jobset: str = NAME) -> Object:
    """A pod as one of a JobSet's."""
    labels = {
        "axk8s/role": role,
        "jobset.sigs.k8s.io/jobset-name": jobset,
        "jobset.sigs.k8s.io/replicatedjob-name": role,
        "jobset.sigs.k8s.io/restart-attempt": str(restart),
        "batch.kubernetes.io/job-name": f"{jobset}-{role}-0",
    }
    index = found["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
    suffix = found["metadata"]["name"].rpartition("-")[2]
    name = f"{jobset}-{role}-0-{index}-{suffix}{restart}"
    return {**found, "metadata": {**found["metadata"], "labels": labels, "name": name, "uid": f"uid-{name}"}}


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def running(since: float = 5) -> Object:
    return {"running": {"startedAt": at(since)}}


def exited(code: int, reason: str = "", *, report: str = "", since: float = 5, ended: float = 50) -> Object:
    """A container that has ended, in containerd's words."""
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason or ("Completed" if code == 0 else "Error"),
            "startedAt": at(since),
            "finishedAt": at(ended),
            **({"message": report} if report else {}),
        }
    }


def pod(
    state: Object | None = None,
    *conditions: Object,
    name: str = "",
    index: int = 0,
    run: int = 0,
    job: str = NAME,
    phase: str = "",
    deleting: float | None = None,
    grace: int = 30,
    beside: Sequence[Object] = (),
    **status: Any,
) -> Object:
    """A pod of a Job.

    Args:
        state: of the training container; None while there is no word of it.
        conditions: beside that it has a node, which is so as soon as there is a state.
        name: by default of the index and of `run`; later pods come first in a list, which is sorted by name.
        index: of the replica.
        run: 0 for the first pod of the index, 1 for the one in its place.
        job: the Job's name.
        phase: by default what follows from the state.
        deleting: when its deletion was asked for, in seconds after the start.
        grace: what it is given then.
        beside: statuses of other containers.
        status: more of the status.
    """
    name = name or f"{job}-{index}-{'edcba'[run] * 5}"
    kind = next(iter(state), "") if state is not None else ""
    own = [{"name": "main", "state": dict(state or {})}] if state is not None else []
    follows = {"": "Pending", "waiting": "Pending", "running": "Running"}
    if kind == "terminated" and state is not None:
        follows["terminated"] = "Succeeded" if state["terminated"]["exitCode"] == 0 else "Failed"
    deletion = {
        "deletionTimestamp": at((deleting or 0) + grace),
        "deletionGracePeriodSeconds": grace,
    }
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "creationTimestamp": at(run * 20),
            "labels": {"batch.kubernetes.io/job-name": job, "axk8s/role": "main"},
            "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
            **(deletion if deleting is not None else {}),
        },
        "spec": {"nodeName": "node-1"} if state is not None else {},
        "status": {
            "phase": phase or follows[kind],
            "conditions": [*([BOUND] if state is not None else []), *conditions],
            **({"containerStatuses": [*beside, *own]} if own or beside else {}),
            **status,
        },
    }
