"""A Job or JobSet and its pods in TorchX's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchx.schedulers.api import DescribeAppResponse
from torchx.specs import NONE, AppState, ReplicaStatus, Resource, Role, RoleStatus

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job.facts import JobFacts, PodFacts, job_specs
from axk8s.schedulers.kubernetes_job.pod import CONTAINER, GPU
from axk8s.schedulers.kubernetes_job.view import Evidence, view
from axk8s.sweep.model import JobView, Phase

_STATES = {Phase.QUEUED: AppState.PENDING, Phase.PENDING: AppState.PENDING, Phase.RUNNING: AppState.RUNNING}


def description(app_id: str, found: Object, pods: Sequence[PodFacts]) -> DescribeAppResponse:
    """What TorchX tells of an app.

    Args:
        app_id: its name of it.
        found: the Job or JobSet.
        pods: its pods, the newest last.
    """
    facts = JobFacts.read(found)
    seen = view(Evidence(facts.name, facts, pods, settled=True)) or JobView(facts.name, Phase.PENDING)
    roles = [_role(name, spec) for name, spec in job_specs(found)]
    # Pods may have been removed since; that the job is complete stays true.
    complete = facts.complete and seen.phase is Phase.LOST
    return DescribeAppResponse(
        app_id=app_id,
        state=AppState.SUCCEEDED if complete else _state(seen),
        num_restarts=max(0, len(pods) - sum(role.num_replicas for role in roles)),
        msg=seen.reason or NONE,
        roles=roles,
        roles_statuses=[
            RoleStatus(role.name, [_replica(role, pods, index) for index in range(role.num_replicas)]) for role in roles
        ],
    )


def state(found: Object) -> AppState:
    """The state of a job of any kind as it alone tells it."""
    facts = JobFacts.read(found)
    if facts.aborted:
        return AppState.CANCELLED
    if facts.ended:
        return AppState.SUCCEEDED if facts.complete else AppState.FAILED
    status = found.get("status") or {}
    ready = (
        status.get("ready")
        or (facts.phase is not None and facts.active)
        or any(one.get("ready") for one in status.get("replicatedJobsStatus") or ())
    )
    return AppState.RUNNING if ready and not facts.suspended else AppState.PENDING


def _state(seen: JobView) -> AppState:
    if seen.exit is None:
        return _STATES[seen.phase]
    if seen.exit.cause == "exited" and seen.exit.code == 0:
        return AppState.SUCCEEDED
    return AppState.CANCELLED if seen.exit.cause == "cancelled" else AppState.FAILED


def _role(name: str, spec: Mapping[str, Any]) -> Role:
    """The role as far as a Job shows it: enough to read its logs, and to run it again."""
    pod = spec["template"]["spec"]
    container: Mapping[str, Any] = next(
        (one for one in pod["containers"] if one["name"] == CONTAINER), pod["containers"][0]
    )
    limits = (container.get("resources") or {}).get("requests") or {}
    return Role(
        name=name,
        image=container.get("image", ""),
        entrypoint=" ".join(container.get("command") or ()),
        args=list(container.get("args") or ()),
        env={one["name"]: one["value"] for one in container.get("env") or () if "value" in one},
        num_replicas=spec.get("completions") or 1,
        resource=Resource(cpu=-1, gpu=int(limits.get(GPU, 0)), memMB=-1),
    )


def _replica(role: Role, pods: Sequence[PodFacts], index: int) -> ReplicaStatus:
    mine = [pod for pod in pods if pod.replica == (role.name, index)]
    found = AppState.PENDING
    if mine:
        pod = mine[-1]
        ended = AppState.SUCCEEDED if pod.exit_code == 0 and pod.phase != "Failed" else AppState.FAILED
        found = ended if pod.ended else AppState.RUNNING if pod.running else AppState.PENDING
    return ReplicaStatus(index, found, role.name, mine[-1].node if mine else "")
