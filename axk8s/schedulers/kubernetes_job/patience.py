"""How long things may take in a cluster, and what it means when they take longer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from axk8s.schedulers.kubernetes_job.facts import PodFacts
from axk8s.schedulers.kubernetes_job.view import Evidence, ended_by_itself, view, waiting_words
from axk8s.sweep.model import ExitFacts, JobView, Phase

_NEVER = {"InvalidImageName", "ErrImageNeverPull"}
"""Why a container does not start, where waiting cannot help."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    start: float = 600.0
    """From a node to a running container: images are pulled meanwhile, volumes attached."""
    pod: float = 5.0
    """From a Job to its pods; then the Job controller is asked why there are none."""
    admission: float = 10.0
    """For Kueue to say something else than that it will never admit a job: queues made just now it may not know."""
    leave: float = 60.0
    """Beyond its grace, for a pod to go; then its node is lost."""
    linger: float = 30.0
    """For containers beside the training to end after it; then its own end counts: meshes inject some that never do."""


def ends_now(known: Evidence) -> JobView | None:
    """The end of an attempt that can never start, whatever the time."""
    for pod in known.pods:
        if not pod.gone and pod.waiting in _NEVER:
            return _end(known, ExitFacts("spawn_failed", message=waiting_words(pod), replica=f"{pod.role}-{pod.index}"))
    if "violates PodSecurity" in known.words:
        return _end(known, ExitFacts("spawn_failed", message=f"the namespace refuses its pods: {known.words}"))
    return None


def overdue(
    known: Evidence,
    patience: Patience,
    *,
    now: float,
    waiting: float | None,
    podless: float | None,
    leaving: float | None,
    lingering: float | None = None,
    hopeless: float | None = None,
) -> JobView | None:
    """The end of an attempt that takes too long; None while it does not.

    Args:
        known: the evidence.
        patience: the limits.
        now: the time on the clock of the next three.
        waiting: since when a pod has a node and no running container.
        podless: since when the Job has no pods.
        leaving: since when a pod that is deleted does not go.
        lingering: since when only containers beside the training still run.
        hopeless: since when Kueue says that it will never be admitted.
    """
    pods = [pod for pod in known.pods if not pod.gone]
    if waiting is not None and now - waiting > patience.start:
        stuck = next((pod for pod in pods if pod.scheduled and not pod.running and not pod.ended), None)
        words = waiting_words(stuck) if stuck is not None and stuck.waiting else "its container does not start"
        facts = ExitFacts("spawn_failed", message=f"not started after {patience.start:.0f} s: {words}")
        return _end(known, facts)
    if hopeless is not None and known.workload is not None and now - hopeless > patience.admission:
        return _end(known, ExitFacts("spawn_failed", message=f"it will never be admitted: {known.workload.words}"))
    refused = known.words and "exceeded quota" not in known.words
    if podless is not None and refused and now - podless > patience.start:
        facts = ExitFacts("spawn_failed", message=f"no pod after {patience.start:.0f} s: {known.words}")
        return _end(known, facts)
    if lingering is not None and now - lingering > patience.linger:
        return ended_by_itself(known)
    if leaving is not None:
        pod = next((pod for pod in pods if pod.deleting and pod.alive), None)
        if pod is not None and now - leaving > pod.grace + patience.leave:
            words = f"the node {pod.node} is lost: {_why(pod)}, and the pod does not go"
            return _end(known, ExitFacts("terminated", message=words, replica=f"{pod.role}-{pod.index}"))
    return None


def lingers(pods: Sequence[PodFacts]) -> bool:
    """Whether every training container has ended, and its pod has not."""
    return all(pod.exit_code is not None and not pod.deleting for pod in pods) and any(
        pod.phase == "Running" for pod in pods
    )


def view_when_overdue(known: Evidence) -> Phase:
    """The phase of a job whose end is known and whose evidence is not complete yet."""
    return Phase.RUNNING if any(pod.started_at is not None for pod in known.pods) else Phase.PENDING


def _end(known: Evidence, facts: ExitFacts) -> JobView:
    present = view(known)
    started = present.started_at if present is not None else None
    cancelled = ExitFacts("cancelled") if known.cancelled else facts
    return JobView(known.name, Phase.ENDED, facts.message, exit=cancelled, started_at=started)


def _why(pod: PodFacts) -> str:
    return pod.disruption or "its pod was deleted"
