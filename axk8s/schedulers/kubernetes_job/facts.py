"""The few facts of a Job or JobSet and its pods that decide where an attempt is, read from the API's dicts. Pure.

A sweep of thousands of trials keeps these, not the objects: they are a hundredth of the size.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from axk8s import names
from axk8s.kube.resource import JOB_SETS, JOBS, VOLCANO_JOBS
from axk8s.schedulers.kubernetes_job.job import JOB_NAME_LABEL
from axk8s.schedulers.kubernetes_job.pod import CONTAINER
from axk8s.schedulers.volcano import phase as volcano

INDEX = "batch.kubernetes.io/job-completion-index"
JOBSET_NAME_LABEL = "jobset.sigs.k8s.io/jobset-name"
NAME_LABELS = {JOBS: JOB_NAME_LABEL, JOB_SETS: JOBSET_NAME_LABEL, VOLCANO_JOBS: volcano.JOB_NAME_LABEL}
"""By which the pods of a job are found, for each kind of job."""
_PART_LABEL = "jobset.sigs.k8s.io/replicatedjob-name"
_TORCHX_INDEX = "torchx.pytorch.org/replica-id"
"""What TorchX's own scheduler numbers replicas by: each is a Volcano task of its own, with one pod."""
_RESTART_LABEL = "jobset.sigs.k8s.io/restart-attempt"

Replica: TypeAlias = tuple[str, int]
"""A role's name, and the number within the role."""


_SUCCESS = ("Complete", "Completed")


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A Job, or a JobSet, as it was last seen."""

    name: str
    uid: str
    replicas: tuple[Replica, ...] = ((CONTAINER, 0),)
    """All of them in their order; only the first one reports. Empty while the object itself was not seen."""
    parts: tuple[str, ...] = ()
    """Of a JobSet: the names of its replicated Jobs."""
    phase: str | None = None
    """Of a Volcano Job: its phase, empty before it has one."""
    shrinks: bool = False
    """Of a Volcano Job: whether fewer replicas than it has will do."""
    suspended: bool = False
    """Its spec asks that no pod runs."""
    complete: bool = False
    failed: str = ""
    """Reason of the condition Failed; empty while there is none."""
    message: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    active: int = 0
    gone: bool = False
    """Deleted: this is how it was last."""

    @property
    def ended(self) -> bool:
        return self.complete or bool(self.failed) or self.aborted

    @property
    def aborted(self) -> bool:
        """Whether a Volcano Job was stopped by somebody; it could be resumed, but not by us."""
        return self.phase == volcano.ABORTED

    @property
    def kind(self) -> str:
        return "JobSet" if self.parts else "Job"

    @property
    def children(self) -> tuple[str, ...]:
        """Of a JobSet: the names of its Jobs."""
        return tuple(f"{self.name}-{part}-0" for part in self.parts)

    @classmethod
    def read(cls, found: Mapping[str, Any], *, gone: bool = False) -> JobFacts:
        """The facts of a Job's or a JobSet's dict.

        Only Complete (of a JobSet: Completed) and Failed are terminal, whatever else the conditions say.
        """
        if is_volcano(found):
            return cls._of_volcano(found, gone=gone)
        status, spec = found.get("status") or {}, found.get("spec") or {}
        complete, failed, message, ended_at = False, "", "", None
        for condition in status.get("conditions") or ():
            if condition.get("status") != "True":
                continue
            if condition["type"] in _SUCCESS:
                complete, ended_at = True, seconds(condition.get("lastTransitionTime"))
            elif condition["type"] == "Failed":
                failed = condition.get("reason") or "Failed"
                message, ended_at = condition.get("message") or "", seconds(condition.get("lastTransitionTime"))
        # It is written with the condition, and stays should others come after.
        terminal = status.get("terminalState")
        complete, failed = complete or terminal == "Completed", failed or ("Failed" if terminal == "Failed" else "")
        metadata, parts = found["metadata"], spec.get("replicatedJobs") or ()
        return cls(
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            replicas=_replicas(tuple((role, job.get("completions") or 1) for role, job in job_specs(found))),
            parts=_same(tuple(part["name"] for part in parts)),
            suspended=bool(spec.get("suspend")),
            complete=complete,
            failed=failed,
            message=message,
            started_at=seconds(status.get("startTime")),
            ended_at=seconds(status.get("completionTime")) or ended_at,
            active=status.get("active")
            or sum(one.get("active") or 0 for one in status.get("replicatedJobsStatus") or ()),
            gone=gone,
        )

    @classmethod
    def _of_volcano(cls, found: Mapping[str, Any], *, gone: bool) -> JobFacts:
        """The facts of a Volcano Job; of its status only the phase is told to the end."""
        metadata, status, phase = found["metadata"], found.get("status") or {}, volcano.phase(found)
        failed = volcano.failed(phase)
        over = failed or phase in (volcano.COMPLETED, volcano.ABORTED)
        return cls(
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            replicas=_replicas(tuple((role, job["completions"]) for role, job in job_specs(found))),
            phase=sys.intern(phase),
            shrinks=volcano.shrinks(found),
            complete=phase == volcano.COMPLETED,
            failed=phase if failed else "",
            message=volcano.words(found),
            ended_at=seconds((status.get("state") or {}).get("lastTransitionTime")) if over else None,
            active=int(status.get("running") or 0),
            gone=gone,
        )


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod as it was last seen."""

    name: str
    uid: str
    job: str
    """Name of its JobSet or Volcano Job, or else of its Job."""
    created_at: float = 0.0
    index: int = 0
    role: str = CONTAINER
    restart: int = 0
    """How often its JobSet or Volcano Job had begun anew before."""
    node: str = ""
    phase: str = "Pending"
    reason: str = ""
    """Of the pod as a whole: Evicted, DeadlineExceeded, …"""
    message: str = ""
    scheduled: bool = False
    unschedulable: str = ""
    """The scheduler's words, while no node takes it."""
    waiting: str = ""
    """Why the container does not run yet: ContainerCreating, ImagePullBackOff, …"""
    waiting_message: str = ""
    running: bool = False
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    """Of the training container; None while it has not ended."""
    exit_reason: str = ""
    report: str = ""
    """The termination message."""
    disruption: str = ""
    """`reason: message` of the condition DisruptionTarget."""
    deleting: bool = False
    grace: float = 0.0
    """Seconds that it is given to end, when it is being deleted."""
    gone: bool = False

    @property
    def replica(self) -> Replica:
        return self.role, self.index

    @property
    def ended(self) -> bool:
        return self.exit_code is not None or self.phase in ("Succeeded", "Failed")

    @property
    def alive(self) -> bool:
        """Whether it may still do something."""
        return not self.gone and not self.ended

    @classmethod
    def read(cls, found: Mapping[str, Any], *, gone: bool = False) -> PodFacts:
        """The facts of a pod's dict; the training container is found by its name, for meshes inject others."""
        metadata, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        container: Mapping[str, Any] = next(
            (one for one in status.get("containerStatuses") or () if one.get("name") == CONTAINER), {}
        )
        state = container.get("state") or {}
        waiting, running, ended = (state.get(kind) for kind in ("waiting", "running", "terminated"))
        conditions = {one["type"]: one for one in status.get("conditions") or ()}
        scheduled = conditions.get("PodScheduled", {})
        disruption = conditions.get("DisruptionTarget", {})
        ended = ended or {}
        return cls(
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            job=labels.get(JOBSET_NAME_LABEL) or labels.get(volcano.JOB_NAME_LABEL) or labels.get(JOB_NAME_LABEL, ""),
            created_at=seconds(metadata.get("creationTimestamp")) or 0.0,
            index=int(annotations.get(INDEX) or labels.get(INDEX) or labels.get(_TORCHX_INDEX) or 0),
            role=sys.intern(labels.get(names.LABEL_ROLE) or labels.get(_PART_LABEL) or CONTAINER),
            restart=int(labels.get(_RESTART_LABEL) or annotations.get(volcano.RETRY_COUNT) or 0),
            node=spec.get("nodeName") or "",
            phase=status.get("phase") or "Pending",
            reason=status.get("reason") or "",
            message=status.get("message") or "",
            scheduled=scheduled.get("status") == "True",
            unschedulable="" if scheduled.get("status") != "False" else scheduled.get("message") or "Unschedulable",
            waiting=(waiting or {}).get("reason") or "",
            waiting_message=(waiting or {}).get("message") or "",
            running=running is not None,
            started_at=seconds((running or ended).get("startedAt")),
            finished_at=seconds(ended.get("finishedAt")),
            exit_code=ended.get("exitCode"),
            exit_reason=ended.get("reason") or "",
            report=ended.get("message") or "",
            disruption=_words(disruption) if disruption.get("status") == "True" else "",
            deleting="deletionTimestamp" in metadata,
            grace=float(metadata.get("deletionGracePeriodSeconds") or 0),
            gone=gone,
        )


def job_specs(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Of a Job, or of each Job of a JobSet: the role, and the spec; of a Volcano Job what a Job of it would have."""
    spec = found.get("spec") or {}
    if is_volcano(found):
        return _task_specs(spec["tasks"])
    parts = [(part["name"], part["template"]["spec"]) for part in spec.get("replicatedJobs") or ()]
    return [(_role(name, job), job) for name, job in parts or [(CONTAINER, spec)]]


def is_volcano(found: Mapping[str, Any]) -> bool:
    """Whether it is a Volcano Job: no other kind has tasks."""
    return "tasks" in (found.get("spec") or {})


def _task_specs(tasks: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """One Job's spec a role: each of its replicas is a task of its own."""
    found: dict[str, Mapping[str, Any]] = {}
    for task in tasks:
        role = _role(task["name"].rpartition("-")[0], task)
        count = int((found.get(role) or {}).get("completions", 0)) + int(task.get("replicas") or 0)
        found[role] = {"completions": count, "parallelism": count, "template": task["template"]}
    return list(found.items())


def _role(part: str, job: Mapping[str, Any]) -> str:
    labels = ((job.get("template") or {}).get("metadata") or {}).get("labels") or {}
    return str(labels.get(names.LABEL_ROLE) or part)


@functools.cache
def _replicas(roles: tuple[tuple[str, int], ...]) -> tuple[Replica, ...]:
    """One object for all jobs that look alike: a sweep has thousands of them."""
    return tuple((sys.intern(role), index) for role, count in roles for index in range(count))


@functools.cache
def _same(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The one object that was given first for equal ones."""
    return parts


def seconds(text: str | None) -> float | None:
    """A time of the API as Unix seconds."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


def _words(condition: Mapping[str, Any]) -> str:
    return ": ".join(part for part in (condition.get("reason"), condition.get("message")) if part)
