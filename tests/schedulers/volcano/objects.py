"""Volcano Jobs, their pods and PodGroups as the API server shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from axk8s.kube.client import Object
from tests.schedulers.kubernetes_job.objects import NAME, at, pod


def volcano(
    phase: str = "",
    *,
    name: str = NAME,
    roles: Mapping[str, int] | None = None,
    least: int | None = None,
    words: str = "",
    labels: Mapping[str, str] | None = None,
    **status: Any,
) -> Object:
    """A Volcano Job in this phase, by default of one trainer; `least` is its minAvailable."""
    tasks = [
        {
            "name": f"{role}-{index}",
            "replicas": 1,
            "template": {
                "metadata": {"labels": {"axk8s/role": role}},
                "spec": {
                    "containers": [{"name": "main", "image": "a/b:1", "command": ["python"], "args": ["-m", "x"]}]
                },
            },
        }
        for role, count in (roles or {"trainer": 1}).items()
        for index in range(count)
    ]
    state = {"phase": phase, "lastTransitionTime": at(60), **({"message": words} if words else {})}
    return {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "metadata": {"name": name, "uid": "volcano-1", "resourceVersion": "1", "labels": dict(labels or {})},
        "spec": {"minAvailable": len(tasks) if least is None else least, "tasks": tasks},
        **({"status": {"state": state, **status}} if phase else {}),
    }


def of_task(found: Object, role: str = "trainer", *, run: int = 0) -> Object:
    """A pod as one of a Volcano Job's: its index is that of the replica, not of the task's one pod."""
    metadata = found["metadata"]
    index = metadata["annotations"]["batch.kubernetes.io/job-completion-index"]
    labels = {
        "axk8s/role": role,
        "torchx.pytorch.org/replica-id": index,
        "volcano.sh/job-name": NAME,
        "volcano.sh/task-spec": f"{role}-{index}",
        "volcano.sh/task-index": "0",
    }
    own = {
        "name": f"{NAME}-{role}-{index}-0",
        "uid": f"uid-{role}-{index}-{metadata['name']}-{run}",
        "labels": labels,
        "annotations": {"volcano.sh/job-retry-count": str(run)},
    }
    return {**found, "metadata": {**metadata, **own}}


def replica(
    state: Object | None = None, *conditions: Object, role: str = "trainer", run: int = 0, **more: Any
) -> Object:
    """A pod in this state; `run` is how often the Job had begun anew before it."""
    return of_task(pod(state, *conditions, run=run, **more), role, run=run)


def pod_group(phase: str, *conditions: Object, uid: str = "volcano-1", queue: str = "training") -> Object:
    return {
        "metadata": {
            "name": f"{NAME}-{uid}",
            "resourceVersion": "6",
            "ownerReferences": [{"kind": "Job", "name": NAME, "uid": uid, "controller": True}],
        },
        "spec": {"minMember": 1, "queue": queue},
        "status": {"phase": phase, **({"conditions": list(conditions)} if conditions else {})},
    }


def stuck(message: str = "2/2 tasks in gang unschedulable", *, since: float = 5) -> Object:
    return {
        "type": "Unschedulable",
        "status": "True",
        "reason": "NotEnoughResources",
        "message": message,
        "lastTransitionTime": at(since),
    }


def scheduled(*, since: float = 9) -> Object:
    return {
        "type": "Scheduled",
        "status": "True",
        "reason": "tasks in gang are ready to be scheduled",
        "lastTransitionTime": at(since),
    }
