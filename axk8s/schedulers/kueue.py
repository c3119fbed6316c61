"""What Kueue says of a job: where it stands in its queue, and whether it will ever leave it. Pure.

Kueue keeps its own object beside each job, a Workload; on the job itself nothing but `suspend` is seen of it. What is
read here was seen of Kueue 0.19; reasons that later versions bring are shown as they are, and end nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from axk8s.sweep.model import ExitFacts

_NEVER_FITS = ("ExceedsMaxQuota", "NoMatchingFlavor", "Misconfigured")
"""Reasons of a reservation that is refused whatever else ends; `Pending` in most versions, told by its message."""
_ABOVE_ALL = "maximum capacity"
_MAY_STILL_FIT = ("unused quota", "more needed")
"""Another flavor of the queue is only full."""
_MISSING = "doesn't exist"

End = Literal["stopped", "deadline", "cannot_start"]


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """The few facts of a Workload that decide where its job stands."""

    name: str
    owner: str
    """The uid of its job."""
    queue: str = ""
    """The LocalQueue."""
    words: str = ""
    """Why the job does not run yet, for a person; empty once it is admitted."""
    admitted: bool = False
    hopeless: bool = False
    """It can never be admitted as queue and job are now."""
    deactivated: End | None = None
    """Kueue will not try it again; what this means for the job."""
    evictions: int = 0
    """How often it was admitted, and sent back."""

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> WorkloadFacts | None:
        """The facts of a Workload's dict; None for one that no job owns."""
        metadata, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
        owner = next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), None)
        if owner is None:
            return None
        conditions = {one["type"]: one for one in status.get("conditions") or ()}
        admitted = _holds(conditions, "Admitted")
        deactivated = _deactivated(spec, conditions)
        return cls(
            name=metadata["name"],
            owner=str(owner["uid"]),
            queue=str(spec.get("queueName") or ""),
            words="" if admitted else _words(status, conditions, deactivated),
            admitted=admitted,
            hopeless=not admitted and deactivated is None and _hopeless(conditions.get("QuotaReserved") or {}),
            deactivated=deactivated,
            evictions=_evictions(status, conditions),
        )

    def end(self) -> ExitFacts | None:
        """How the job ends that Kueue has given up; None while it has not."""
        match self.deactivated:
            case "stopped":
                return ExitFacts("cancelled", message=self.words)
            case "deadline":
                return ExitFacts("deadline", message=self.words)
            case "cannot_start":
                return ExitFacts("spawn_failed", message=self.words)
        return None


def _holds(conditions: Mapping[str, Mapping[str, Any]], kind: str) -> bool:
    return conditions.get(kind, {}).get("status") == "True"


def _deactivated(spec: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> End | None:
    """What it means that the Workload was made inactive, by its admin or by Kueue."""
    reasons = " ".join(
        str(conditions[kind].get("reason"))
        for kind in ("DeactivationTarget", "Evicted", "Requeued")
        if kind in conditions and (kind == "Requeued" or _holds(conditions, kind))
    )
    if (
        spec.get("active") is not False
        and "Deactivated" not in reasons
        and not _holds(conditions, "DeactivationTarget")
    ):
        return None
    if "MaximumExecutionTime" in reasons:
        return "deadline"
    if "RequeuingLimit" in reasons or "AdmissionCheck" in reasons:
        return "cannot_start"
    return "stopped"


def _hopeless(reserved: Mapping[str, Any]) -> bool:
    if reserved.get("status") != "False":
        return False
    reason, message = str(reserved.get("reason") or ""), str(reserved.get("message") or "")
    if reason in _NEVER_FITS:
        return True
    if reason == "Inadmissible":
        # Any other word of it, such as an inactive queue, is a matter of waiting.
        return _MISSING in message
    return _ABOVE_ALL in message and not any(part in message for part in _MAY_STILL_FIT)


def _words(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]], deactivated: End | None) -> str:
    evicted, reserved = conditions.get("Evicted") or {}, conditions.get("QuotaReserved") or {}
    if deactivated is not None:
        why = conditions.get("DeactivationTarget") or (evicted if evicted.get("status") == "True" else {})
        return _said("deactivated by Kueue", why)
    if reserved.get("status") == "True":
        checks = [
            f"{one.get('name')} ({one.get('state')}{': ' + str(one['message']) if one.get('message') else ''})"
            for one in status.get("admissionChecks") or ()
            if one.get("state") != "Ready"
        ]
        return f"quota is reserved; admission waits for {', '.join(checks) or 'its checks'}"
    if evicted.get("status") == "True":
        if "QueueStopped" in str(evicted.get("reason")):
            return _said("its queue is stopped", evicted)
        return _said("queued again after an eviction", evicted)
    if reserved.get("message"):
        return _said("queued", reserved, reason=False)
    return "queued"


def _said(what: str, condition: Mapping[str, Any], *, reason: bool = True) -> str:
    """`what (Reason): message`, as far as there are any."""
    name = str(condition.get("reason") or "") if reason else ""
    head = f"{what} ({name})" if name else what
    message = str(condition.get("message") or "")
    return f"{head}: {message}" if message else head


def _evictions(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> int:
    counted = (status.get("schedulingStats") or {}).get("evictions") or ()
    total = sum(int(one.get("count") or 0) for one in counted)
    # Versions without the count leave at least the last one.
    return total or int(_holds(conditions, "Evicted"))
