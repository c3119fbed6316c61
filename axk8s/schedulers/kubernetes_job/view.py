"""From the facts of a Job or JobSet and its pods to where an attempt is, and how it ended. Pure.

The evidence may be incomplete, because jobs and pods are watched apart: `settled` says that no more of it will come.
Until then an end that would have to be guessed is not said.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from axk8s.schedulers.kubernetes_job.facts import JobFacts, PodFacts, Replica
from axk8s.schedulers.kueue import WorkloadFacts
from axk8s.schedulers.volcano import phase as volcano
from axk8s.sweep.model import ExitFacts, JobView, Phase
from axk8s.training import parse_result

_SIGNALS = range(128 + 1, 128 + 65)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one job."""

    name: str
    job: JobFacts | None = None
    """None: it was not seen yet."""
    pods: Sequence[PodFacts] = ()
    """Every pod that was ever seen, the gone ones as they were last."""
    cancelled: bool = False
    """We asked it to end."""
    settled: bool = False
    workload: WorkloadFacts | None = None
    """What Kueue says of it, or Volcano in its PodGroup, where they are asked."""
    position: int | None = None
    """How many are before it in its queue, where Kueue tells."""
    words: str = ""
    """Why it, or one of its roles, has no pods, in the Job controller's words."""

    @property
    def replicas(self) -> Sequence[Replica]:
        """All replicas in their order, or those that were seen where nobody says how many there are."""
        told = self.job.replicas if self.job is not None else ()
        return told or sorted({pod.replica for pod in self.pods})

    @property
    def queued(self) -> bool:
        """Whether it waits where it has no pods: it is suspended, or its PodGroup has not left Volcano's queue."""
        if self.job is None or self.job.phase is None:
            return self.job is not None and self.job.suspended
        admitted = self.workload is not None and self.workload.admitted
        return volcano.waits(self.job.phase) and not admitted and all(pod.gone for pod in self.pods)


def view(known: Evidence) -> JobView | None:
    """Where the attempt is; None when it has ended and the evidence does not yet say how."""
    replaced, newest = _replaced(known.pods) + _evictions(known), max((pod.restart for pod in known.pods), default=0)
    # What a JobSet has thrown away to begin anew decides nothing.
    current = [pod for pod in known.pods if pod.restart == newest]
    found = _view(known if len(current) == len(known.pods) else replace(known, pods=current))
    return replace(found, restarts=replaced) if found is not None and replaced else found


def _view(known: Evidence) -> JobView | None:
    job = known.job
    if job is None:
        return JobView(known.name, Phase.PENDING)
    started = _started(known.pods)
    if job.aborted or (known.cancelled and (job.gone or job.failed)):
        if not known.settled and any(pod.alive for pod in known.pods):
            return JobView(known.name, _alive(known).phase, "is being stopped", started_at=started)
        aborted = "its Job was aborted from outside the sweep" if job.aborted and not known.cancelled else ""
        return _ended(known, ExitFacts("cancelled", message=aborted))
    if job.complete:
        return _complete(known)
    if job.failed:
        return _failed(known)
    if job.gone:
        return _gone(known)
    return _alive(known)


def _alive(known: Evidence) -> JobView:
    job, pods = known.job, [pod for pod in known.pods if not pod.gone]
    assert job is not None
    started = _started(known.pods)
    if known.queued:
        return _queued(known, pods)
    if any(pod.running or pod.exit_code is not None for pod in pods):
        words = _deleting(pods) or known.words or _homeless(pods)
        return JobView(known.name, Phase.RUNNING, words, started_at=started)
    placed = True if len(pods) >= len(known.replicas) and all(pod.scheduled for pod in pods) else None
    for pod in pods:
        if pod.unschedulable:
            words = f"no node takes it: {pod.unschedulable}"
            return JobView(known.name, Phase.PENDING, words, started_at=started, placed=False)
        if pod.waiting not in ("", "ContainerCreating", "PodInitializing"):
            return JobView(known.name, Phase.PENDING, waiting_words(pod), started_at=started, placed=placed)
    if not pods and known.pods and _interrupted(known.pods[-1]):
        words = f"waits for another pod after {_interruption(known.pods[-1])}"
        return JobView(known.name, Phase.PENDING, words, started_at=started)
    if not pods and known.words:
        return JobView(known.name, Phase.QUEUED, known.words, started_at=started)
    words = known.words or (known.workload.words if known.workload is not None else "")
    return JobView(known.name, Phase.PENDING, words, started_at=started, placed=placed if pods else None)


def _queued(known: Evidence, pods: Sequence[PodFacts]) -> JobView:
    """It waits, or, when Kueue has given it up, has ended once its pods have gone."""
    started, workload = _started(known.pods), known.workload
    end = workload.end() if workload is not None else None
    if end is not None and not any(pod.alive for pod in pods):
        return _ended(known, end)
    words = workload.words if workload is not None else ""
    if words and known.position is not None and end is None:
        words = f"{words} ({known.position} before it in {workload.queue})" if workload is not None else words
    return JobView(known.name, Phase.QUEUED, words or _unsaid(known), started_at=started)


def _unsaid(known: Evidence) -> str:
    if known.job is not None and known.job.phase == "":
        return "Volcano has not looked at it yet: without its controller, or a queue of this name, it never does"
    return "suspended: it waits in a queue" if known.job is None or known.job.phase is None else "waits in its queue"


def waiting_words(pod: PodFacts) -> str:
    """Why the container of a pod does not start, in Kubernetes' words."""
    return f"{pod.waiting}: {pod.waiting_message}" if pod.waiting_message else pod.waiting


def _complete(known: Evidence) -> JobView | None:
    last = _first(known)
    if (wrong := _failed_all_the_same(known)) is not None:
        return _ended(known, exit_of(wrong))
    good = last is not None and last.exit_code == 0 and not _interrupted(last)
    if not good and not known.settled:
        return None  # a pod that took the place of this one may not have been seen yet
    if last is None:
        assert known.job is not None
        words = f"the {known.job.kind} completed, and its pod was gone before its result was read"
        return _ended(known, ExitFacts("lost", message=words))
    if _interrupted(last):
        # Training code that handles SIGTERM often exits with 0, and Kubernetes takes that for success.
        facts = ExitFacts("terminated", last.exit_code, _interruption(last), _replica(last), last.node)
        return _ended(known, facts)
    return _ended(known, ExitFacts("exited", code=0))


def _failed_all_the_same(known: Evidence) -> PodFacts | None:
    """Of a Volcano Job that is Completed a replica that failed: Volcano calls it so when enough pods have succeeded.

    For an elastic one only the first replica counts, which has the results.
    """
    if known.job is None or known.job.phase is None:
        return None
    counting = known.replicas[:1] if known.job.shrinks else known.replicas
    failed = [pod for pod in _lasts(known) if pod.replica in counting and pod.ended and pod.exit_code != 0]
    own = [pod for pod in failed if not _interrupted(pod)]
    return min(own, key=lambda pod: pod.finished_at or 0.0) if own else None


def _failed(known: Evidence) -> JobView | None:
    job = known.job
    assert job is not None
    if job.failed == "DeadlineExceeded":
        return _ended(known, ExitFacts("deadline", message=f"the Job's deadline passed: {job.message}"))
    failed = [pod for pod in known.pods if pod.ended and (pod.exit_code != 0 or pod.phase == "Failed")]
    # A disrupted pod was replaced, or took its peers with it: what failed by itself decided.
    own = [pod for pod in failed if not _interrupted(pod)]
    if not known.settled and (not own or any(pod.alive for pod in known.pods)):
        return None
    if own:
        # Times are whole seconds; of those that failed in one, the Job controller names the one that it saw first.
        first = min(own, key=lambda pod: (pod.finished_at or 0.0, pod.name not in job.message))
        return _ended(known, exit_of(_taken_before(known, first) or first))
    stopped = [pod for pod in _lasts(known) if pod.deleting or pod.disruption]
    if stopped:
        # What disrupted one of several says more than that the others were ended then.
        return _ended(known, exit_of(min(stopped, key=lambda pod: (not pod.disruption, pod.finished_at or 0.0))))
    if any(pod.gone for pod in known.pods):
        return _ended(known, ExitFacts("terminated", message="its pod was deleted while it ran"))
    if job.failed == volcano.TERMINATED:
        # Pods that have failed would have been kept.
        words = "the Job was terminated, and no pod has failed: one was evicted or deleted while nobody watched"
        return _ended(known, ExitFacts("terminated", message=words))
    words = f"the {job.kind} failed ({job.failed}: {job.message}), no pod says why"
    return _ended(known, ExitFacts("lost", message=words))


def _taken_before(known: Evidence, failed: PodFacts) -> PodFacts | None:
    """The one that was ended from outside before that one failed: who loses a peer fails as well.

    One with a successor was not missed, and what the Job controller ends because of a failure ends after it.
    """

    def order(pod: PodFacts) -> tuple[float, bool]:
        return pod.finished_at or (0.0 if pod.disruption else float("inf")), not pod.disruption

    taken = [pod for pod in _lasts(known) if _interrupted(pod) and order(pod) < (failed.finished_at or 0.0, True)]
    return min(taken, key=order, default=None)


def _gone(known: Evidence) -> JobView | None:
    """Deleted by somebody, before it was seen to end."""
    job = known.job
    assert job is not None
    ends = _lasts(known)
    if len(ends) == max(1, len(known.replicas)) and all(pod.exit_code == 0 and not _interrupted(pod) for pod in ends):
        return _ended(known, ExitFacts("exited", code=0))
    if not known.settled:
        return None
    failed = [pod for pod in ends if pod.exit_code not in (None, 0) and not pod.deleting and not pod.disruption]
    if failed:
        return _ended(known, exit_of(failed[0]))
    reason = f"the {job.kind} was deleted from outside the sweep"
    facts = ExitFacts("lost", message=reason)
    return JobView(known.name, Phase.LOST, reason, exit=facts, started_at=_started(known.pods), report=_report(known))


def ended_by_itself(known: Evidence) -> JobView:
    """The end as the training containers alone tell it."""
    failed = [pod for pod in _lasts(known) if pod.exit_code != 0]
    return _ended(known, exit_of(failed[0]) if failed else ExitFacts("exited", code=0))


def exit_of(pod: PodFacts) -> ExitFacts:
    """How a pod that failed has ended."""
    who, where = _replica(pod), pod.node
    if _interrupted(pod):
        return ExitFacts("terminated", pod.exit_code, _interruption(pod), who, where)
    if pod.reason == "DeadlineExceeded":
        return ExitFacts("deadline", message="ran longer than its time-out", replica=who, node=where)
    if pod.exit_reason == "OOMKilled":
        words = "out of memory: over the container's limit (OOMKilled)"
        return ExitFacts("exited", -signal.SIGKILL, words, who, where)
    if pod.reason == "Evicted":
        return ExitFacts("over_limit", pod.exit_code, pod.message, who, where)
    code = pod.exit_code
    if code is not None and code in _SIGNALS:
        code = 128 - code  # the container runtime's way to write a signal
    words = pod.exit_reason if pod.exit_reason not in ("Error", "Completed") else ""
    return ExitFacts("exited", code, words or pod.message, who, where)


def _interrupted(pod: PodFacts) -> bool:
    """Ended from outside, whatever its exit code, unless it had reported its final values and then ended well."""
    return bool(pod.disruption or pod.deleting) and not (pod.exit_code == 0 and parse_result(pod.report).final)


def _interruption(pod: PodFacts) -> str:
    return pod.disruption or f"the pod {pod.name} was deleted while it ran"


def _deleting(pods: Sequence[PodFacts]) -> str:
    leaving = [pod for pod in pods if pod.deleting and pod.alive]
    return f"{leaving[0].name} is being ended: {_interruption(leaving[0])}" if leaving else ""


def _homeless(pods: Sequence[PodFacts]) -> str:
    """For whom the others wait."""
    found = next((pod for pod in pods if pod.unschedulable), None)
    return f"no node takes {_replica(found)}: {found.unschedulable}" if found is not None else ""


def _ended(known: Evidence, facts: ExitFacts) -> JobView:
    job = known.job
    finished = max((pod.finished_at for pod in known.pods if pod.finished_at is not None), default=None)
    return JobView(
        known.name,
        Phase.LOST if facts.cause == "lost" else Phase.ENDED,
        facts.message,
        exit=facts,
        started_at=_started(known.pods),
        ended_at=finished if finished is not None else job.ended_at if job is not None else None,
        report=_report(known),
    )


def _replaced(pods: Sequence[PodFacts]) -> int:
    """How many disrupted pods have a successor."""
    newest = {pod.replica: pod.created_at for pod in sorted(pods, key=lambda pod: pod.created_at)}
    return sum(1 for pod in pods if pod.disruption and pod.created_at < newest[pod.replica])


def _evictions(known: Evidence) -> int:
    """How often it was suspended again after it had run: as Kueue counts, or as pods that were replaced show."""
    mine = _of(known.pods, known.replicas[0]) if known.replicas else []
    # A pod that is deleted with its Job going on was so for a suspension: any other end of it would be the Job's.
    seen = sum(1 for pod in mine[:-1] if pod.deleting and not pod.disruption)
    return max(seen, known.workload.evictions if known.workload is not None else 0)


def _report(known: Evidence) -> str:
    first = known.replicas[0] if known.replicas else None
    last = next((pod for pod in reversed(_of(known.pods, first)) if pod.report), None)
    return last.report if last is not None else ""


def _first(known: Evidence) -> PodFacts | None:
    """The pod whose end and whose report count."""
    return _last_of(known.pods, known.replicas[0]) if known.replicas else None


def _last_of(pods: Sequence[PodFacts], replica: Replica) -> PodFacts | None:
    """The newest pod of a replica that has ended, or else the newest at all."""
    mine = _of(pods, replica)
    return next((pod for pod in reversed(mine) if pod.ended), mine[-1] if mine else None)


def _lasts(known: Evidence) -> list[PodFacts]:
    """The newest pod of each replica that has one, as `_last_of` chooses it."""
    found = (_last_of(known.pods, replica) for replica in known.replicas)
    return [pod for pod in found if pod is not None]


def _of(pods: Sequence[PodFacts], replica: Replica | None) -> list[PodFacts]:
    """The pods of a replica, the newest last: a list has them in the order of their names."""
    return sorted((pod for pod in pods if pod.replica == replica), key=lambda pod: pod.created_at)


def _started(pods: Sequence[PodFacts]) -> float | None:
    return min((pod.started_at for pod in pods if pod.started_at is not None), default=None)


def _replica(pod: PodFacts) -> str:
    return f"{pod.role}-{pod.index}"
