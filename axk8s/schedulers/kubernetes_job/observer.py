"""All jobs of a sweep, seen through one list and watch of Jobs (of whichever kind) and one of pods, however many.

What cannot be learnt never ends an attempt: an outage, a missing status or one 404 says nothing. What does is a
terminal condition, a deletion that was seen, absence from a complete list that began after the job was followed, or a
limit on how long something may take to start or to go.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import KubeError
from axk8s.kube.resource import EVENTS, JOB_SETS, JOBS, PODS, VOLCANO_JOBS, Resource
from axk8s.kube.watch import Watcher
from axk8s.schedulers.kubernetes_job.facts import JobFacts, PodFacts
from axk8s.schedulers.kubernetes_job.patience import Patience, ends_now, lingers, overdue, view_when_overdue
from axk8s.schedulers.kubernetes_job.queueing import Queueing
from axk8s.schedulers.kubernetes_job.view import Evidence, view
from axk8s.schedulers.volcano.groups import Groups
from axk8s.sweep.model import JobView

log = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between looks at what takes too long; everything else is seen as it happens."""
_UNSEEN = 10.0
"""Seconds after which a Job that was followed and has not shown up in the watch is looked for in a new list."""
_SETTLING = 2.0
"""Seconds that the pods' watch may lag behind the Jobs'; then the pods are listed."""
_WORDS_EVERY = 30.0
"""Seconds between two lists of the events of Jobs that have no pods: one for all of them."""


@dataclass(slots=True)
class _Known:
    """One job: what was seen of it, and since when it is as it is."""

    name: str
    job: JobFacts | None = None
    pods: dict[str, PodFacts] = field(default_factory=dict)
    followed_at: float | None = None
    cancelled: bool = False
    over_since: float | None = None
    """When the Job was first seen to have ended or gone."""
    podless_since: float | None = None
    waiting_since: float | None = None
    """When a pod was first seen to have a node and no running container."""
    leaving_since: float | None = None
    """When a pod was first seen to be deleted, and is still there."""
    lingering_since: float | None = None
    """When every training container had ended, and a container beside one still ran."""
    hopeless_since: float | None = None
    """When Kueue was first seen to say that it can never be admitted."""
    words: str = ""
    last: JobView | None = None

    def by_age(self) -> list[PodFacts]:
        """The pods, the newest last; a list brings them in the order of their names."""
        return sorted(self.pods.values(), key=lambda pod: pod.created_at)


class KubernetesObserver:
    """Tells what becomes of the followed Jobs; `seen` is called from its threads."""

    def __init__(
        self,
        kube: Kube,
        labels: str,
        seen: Callable[[JobView], None],
        *,
        resource: Resource = JOBS,
        namespace: str | None = None,
        patience: Patience | None = None,
        now: Callable[[], float] = time.monotonic,
        watching: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe what to watch; nothing begins before `start`.

        Args:
            kube: the cluster.
            labels: a selector that all of the sweep's jobs and pods fulfil, and no other.
            seen: told of each change.
            resource: what a job is: Jobs, JobSets or Volcano Jobs.
            namespace: where they are.
            patience: how long things may take.
            now: a clock that never goes back.
            watching: arguments for the two watchers.
        """
        self._kube, self._seen, self._now = kube, seen, now
        self._resource = resource
        self._namespace = namespace
        self._patience = patience or Patience()
        self._known: dict[str, _Known] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._jobs_listed = self._pods_listed = -1.0
        self._asked_at = -_WORDS_EVERY
        more = {"namespace": namespace, "labels": labels, "now": now, **(watching or {})}
        self._jobs = Watcher(kube, resource, _Jobs(self), **more)
        self._pods = Watcher(kube, PODS, _Pods(self), **more)
        queues = Groups if resource is VOLCANO_JOBS else Queueing
        self._queueing = queues(kube, self._workload_changed, namespace=namespace, now=now, watching=watching)
        self._by_uid: dict[str, _Known] = {}
        self._ticker = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._queueing.start()
        self._jobs.start()
        self._pods.start()
        self._ticker.start()

    def follow(self, job: str) -> None:
        """Tell about this Job from now on, beginning with how it is; nothing where its end was told already."""
        with self._lock:
            known = self._of(job)
            if known.last is not None and known.last.exit is not None:
                return
            if known.followed_at is None:
                known.followed_at = self._now()
            self._look(known)

    def cancelling(self, job: str) -> None:
        """It was, or is about to be, asked to end: its deletion is no surprise."""
        with self._lock:
            self._of(job).cancelled = True

    def pods(self, job: str) -> list[PodFacts]:
        """The pods of a Job that were seen, also once its end was told; the newest last."""
        with self._lock:
            known = self._known.get(job)
            return known.by_age() if known is not None else []

    def close(self) -> None:
        """Stop; the Jobs go on. Nothing is told after it returns."""
        self._closing.set()
        self._jobs.close()
        self._pods.close()
        self._queueing.close()
        if self._ticker.is_alive() and self._ticker is not threading.current_thread():
            self._ticker.join(2.0)

    # --- what the watchers tell ------------------------------------------------------------------------------------

    def jobs_listed(self, objects: Sequence[Object], began: float) -> None:
        with self._lock:
            self._jobs_listed = began
            present = {found["metadata"]["name"]: JobFacts.read(found) for found in objects}
            for name, facts in present.items():
                self._job(name, facts)
            for name, known in list(self._known.items()):
                followed = known.followed_at
                # One that was seen before cannot be younger than this list; one that was only submitted can.
                if name not in present and (known.job is not None or followed is None or followed < began):
                    self._job(name, replace(known.job or JobFacts(name, "", replicas=()), gone=True))

    def pods_listed(self, objects: Sequence[Object], began: float) -> None:
        with self._lock:
            self._pods_listed = began
            present = {facts.uid: facts for facts in map(PodFacts.read, objects) if facts.job}
            for facts in present.values():
                self._of(facts.job).pods[facts.uid] = facts
            for known in list(self._known.values()):
                for uid, facts in known.pods.items():
                    if uid not in present and not facts.gone:
                        known.pods[uid] = replace(facts, gone=True)
                self._look(known)

    def job_seen(self, found: Object, *, gone: bool) -> None:
        with self._lock:
            self._job(found["metadata"]["name"], JobFacts.read(found, gone=gone))

    def pod_seen(self, found: Object, *, gone: bool) -> None:
        facts = PodFacts.read(found, gone=gone)
        with self._lock:
            if not facts.job:
                return
            known = self._of(facts.job)
            known.pods[facts.uid] = facts
            self._look(known)
            if gone and known.followed_at is None and (known.job is None or known.job.gone):
                self._forget(known)

    def _job(self, name: str, facts: JobFacts) -> None:
        known = self._of(name)
        if known.job is not None and known.job.ended and facts.gone and not facts.ended:
            facts = replace(known.job, gone=True)
        known.job = facts
        self._by_uid[facts.uid] = known
        if facts.suspended:
            self._queueing.need()
        self._look(known)
        if facts.gone and known.followed_at is None and not any(pod.alive for pod in known.pods.values()):
            self._forget(known)

    def _workload_changed(self, uid: str) -> None:
        with self._lock:
            if (known := self._by_uid.get(uid)) is not None:
                self._look(known)

    # --- what follows ----------------------------------------------------------------------------------------------

    def _of(self, name: str) -> _Known:
        return self._known.setdefault(name, _Known(name))

    def _forget(self, known: _Known) -> None:
        # Of a Job that we delete ourselves somebody may still want to hear.
        if not known.cancelled or known.last is not None:
            self._known.pop(known.name, None)
            if known.job is not None:
                self._by_uid.pop(known.job.uid, None)

    def _look(self, known: _Known) -> None:
        if known.followed_at is None or known.job is None:
            return  # nothing is known of it yet, and what was known of it before still holds
        self._note_times(known)
        evidence = self._evidence(known)
        found = view(evidence) or known.last or JobView(known.name, view_when_overdue(evidence))
        ending = ends_now(evidence) if found.exit is None else None
        self._tell(known, ending or found)

    def _tell(self, known: _Known, found: JobView) -> None:
        if found == known.last or self._closing.is_set():
            return
        known.last = found
        if found.exit is not None:
            # What is left in the cluster is of no interest any more, until it is deleted.
            known.followed_at = None
        self._seen(found)

    def _note_times(self, known: _Known) -> None:
        now, job = self._now(), known.job
        pods = [pod for pod in known.pods.values() if not pod.gone]
        over = job is not None and (job.ended or job.gone)
        queued = job is not None and (job.suspended if job.phase is None else self._evidence(known).queued)
        podless = job is not None and not over and not queued and not _all_there(job, pods)
        waiting = any(pod.scheduled and not pod.running and not pod.ended and not pod.deleting for pod in pods)
        leaving = any(pod.deleting and pod.alive for pod in pods)
        known.over_since = (known.over_since or now) if over else None
        known.podless_since = (known.podless_since or now) if podless else None
        known.waiting_since = (known.waiting_since or now) if waiting else None
        known.leaving_since = (known.leaving_since or now) if leaving else None
        lingering = not over and not podless and bool(pods) and lingers(pods)
        known.lingering_since = (known.lingering_since or now) if lingering else None
        if not podless:
            known.words = ""
        workload = self._queueing.of(job.uid) if job is not None and job.suspended else None
        hopeless = workload is not None and workload.hopeless
        known.hopeless_since = (known.hopeless_since or now) if hopeless else None

    def _evidence(self, known: _Known) -> Evidence:
        uid = known.job.uid if known.job is not None else ""
        return Evidence(
            known.name,
            known.job,
            known.by_age(),
            known.cancelled,
            self._settled(known),
            self._queueing.of(uid),
            self._queueing.position(uid),
            known.words,
        )

    def _settled(self, known: _Known) -> bool:
        if known.over_since is None or self._pods_listed <= known.over_since:
            return False
        alive = [pod for pod in known.pods.values() if pod.alive]
        longest = max((pod.grace for pod in alive), default=0.0) + self._patience.leave
        return not alive or self._now() - known.over_since > longest

    def _run(self) -> None:
        while not self._closing.wait(TICK):
            try:
                self.tick()
            except KubeError as error:
                log.debug("the reasons why jobs wait could not be read: %s", error)

    def tick(self) -> None:
        """Look at what takes too long, and ask again for what is missed.

        Raises:
            KubeError: events or positions could not be read.
        """
        with self._lock:
            followed = [known for known in self._known.values() if known.followed_at is not None]
            now = self._now()
            unseen = [k for k in followed if k.job is None and now - (k.followed_at or now) > _UNSEEN]
            if unseen and now - self._jobs_listed > _UNSEEN:
                self._jobs.relist()
            for known in followed:
                if known.over_since is not None and known.over_since >= self._pods_listed:
                    if now - known.over_since > _SETTLING:
                        self._pods.relist()
                    continue
                self._look(known)
                late = overdue(
                    self._evidence(known),
                    self._patience,
                    now=now,
                    waiting=known.waiting_since,
                    podless=known.podless_since,
                    leaving=known.leaving_since,
                    lingering=known.lingering_since,
                    hopeless=known.hopeless_since,
                )
                if late is not None and known.followed_at is not None:
                    self._tell(known, late)
            podless = [
                k for k in followed if k.podless_since is not None and now - k.podless_since > self._patience.pod
            ]
            suspended = [known.job.uid for known in followed if known.job is not None and known.job.suspended]
        self._queueing.ask_positions(suspended)
        if podless and now - self._asked_at >= _WORDS_EVERY:
            self._asked_at = now
            self._ask_why(podless)

    def _ask_why(self, podless: Sequence[_Known]) -> None:
        jobs: dict[str, _Known] = {}
        for known in podless:
            assert known.job is not None
            jobs |= dict.fromkeys(known.job.children or (known.job.uid,), known)
        asked = ["reason=FailedCreate,involvedObject.kind=Job"]
        if self._resource is JOB_SETS:
            jobs |= {known.job.uid: known for known in podless if known.job is not None}
            asked.append("reason=JobCreationFailed,involvedObject.kind=JobSet")
        events = [
            event
            for fields in asked
            for event in self._kube.list_all(EVENTS, namespace=self._namespace, fields=fields)[0]
        ]
        newest: dict[str, tuple[str, str]] = {}
        for event in events:
            about = event.get("involvedObject") or {}
            at, words = str(event.get("lastTimestamp") or event.get("eventTime") or ""), str(event.get("message") or "")
            # The Jobs of a JobSet are not watched, so only their names are known.
            one = jobs.get(str(about.get("uid"))) or jobs.get(str(about.get("name")))
            if one is not None and at >= newest.get(one.name, ("", ""))[0] and "already exists" not in words:
                newest[one.name] = (at, words)
        with self._lock:
            for known in podless:
                if known.podless_since is not None and known.name in newest:
                    known.words = newest[known.name][1]
                    self._look(known)

    def trouble(self, what: str, error: KubeError | None) -> None:
        if error is not None:
            log.warning("the %s cannot be watched; they go on, and this is tried again: %s", what, error)
        else:
            log.warning("the %s are watched again", what)


def _all_there(job: JobFacts, pods: Sequence[PodFacts]) -> bool:
    """Whether each replica has a pod."""
    return set(job.replicas) <= {pod.replica for pod in pods}


class _Jobs:
    def __init__(self, observer: KubernetesObserver) -> None:
        self._observer = observer
        self._quiet = True

    def listed(self, objects: Sequence[Object], began: float) -> None:
        self._observer.jobs_listed(objects, began)

    def changed(self, found: Object) -> None:
        self._observer.job_seen(found, gone=False)

    def deleted(self, found: Object) -> None:
        self._observer.job_seen(found, gone=True)

    def troubled(self, error: KubeError | None) -> None:
        # Jobs and pods come from one server: to hear of its trouble once will do.
        if error is None and not self._quiet:
            self._observer.trouble("Jobs", None)
        elif error is not None and self._quiet:
            self._observer.trouble("Jobs", error)
        self._quiet = error is None


class _Pods:
    def __init__(self, observer: KubernetesObserver) -> None:
        self._observer = observer

    def listed(self, objects: Sequence[Object], began: float) -> None:
        self._observer.pods_listed(objects, began)

    def changed(self, found: Object) -> None:
        self._observer.pod_seen(found, gone=False)

    def deleted(self, found: Object) -> None:
        self._observer.pod_seen(found, gone=True)

    def troubled(self, error: KubeError | None) -> None:
        log.debug("pods: %s", error)
