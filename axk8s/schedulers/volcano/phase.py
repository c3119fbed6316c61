"""What Volcano says of a Job: its phase, and in its PodGroup why it waits. Pure.

Only the phase decides: the counts beside it are wiped when the Job ends. A phase may come again: Running goes back to
Pending when a pod is lost, and through Restarting when all begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from axk8s.schedulers.kueue import WorkloadFacts

JOB_NAME_LABEL = "volcano.sh/job-name"
RETRY_COUNT = "volcano.sh/job-retry-count"
"""Annotation of pods: how often their Job had begun anew before."""

COMPLETED, ABORTED, TERMINATED = "Completed", "Aborted", "Terminated"
_FAILED = ("Failed", TERMINATED)
_WAITING = ("", "Pending")


def phase(found: Mapping[str, Any]) -> str:
    """The phase of a Job's dict; empty while Volcano has not seen it."""
    return str(((found.get("status") or {}).get("state") or {}).get("phase") or "")


def failed(name: str) -> bool:
    """Whether a Job of this phase has failed for good; Aborted could be resumed, and is told apart."""
    return name in _FAILED


def waits(name: str) -> bool:
    """Whether a Job of this phase may have no pods yet: they are made once its PodGroup has left the queue."""
    return name in _WAITING


def words(found: Mapping[str, Any]) -> str:
    """Why a Job has come to its phase, in Volcano's words, where it has some."""
    state = (found.get("status") or {}).get("state") or {}
    return ": ".join(str(state[key]) for key in ("reason", "message") if state.get(key))


def shrinks(found: Mapping[str, Any]) -> bool:
    """Whether fewer pods than it has will do."""
    spec = found.get("spec") or {}
    replicas = sum(int(task.get("replicas") or 0) for task in spec.get("tasks") or ())
    return int(spec.get("minAvailable") or replicas) < replicas


def group(found: Mapping[str, Any]) -> WorkloadFacts | None:
    """What a PodGroup's dict says of its Job; None for one that no Job owns.

    It is `admitted` when pods may be made for it: Inqueue, and whatever comes after.
    """
    metadata, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
    owner = next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), None)
    if owner is None:
        return None
    queue = str(spec.get("queue") or "")
    admitted = str(status.get("phase") or "") not in _WAITING
    return WorkloadFacts(
        name=metadata["name"],
        owner=str(owner["uid"]),
        queue=queue,
        words=_why(status, queue, admitted=admitted),
        admitted=admitted,
    )


def _why(status: Mapping[str, Any], queue: str, *, admitted: bool) -> str:
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    stuck = conditions.get("Unschedulable") or {}
    said = ""
    # The condition stays when there is room again; Scheduled is set beside it then, with a later time.
    scheduled = conditions.get("Scheduled") or {}
    later = str(scheduled.get("lastTransitionTime") or "") >= str(stuck.get("lastTransitionTime") or "")
    if stuck.get("status") == "True" and not (scheduled.get("status") == "True" and later):
        said = ": ".join(str(stuck[key]) for key in ("reason", "message") if stuck.get(key))
    if not admitted:
        return f"waits in the queue {queue}" + (f": {said}" if said else "")
    return f"no room for all of its pods: {said}" if said else ""
