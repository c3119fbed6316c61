"""Kueue, played: what its controllers were seen to do with Jobs (v0.19.2), on a real API server and with real Jobs.

With JobSets it does the same, where the cluster has them: one Workload for all their roles.

Admins act on it as on the real one, through its objects: a quota, a priority, a stopped queue, a deactivated Workload.
In a cluster that has the real one the same tests run with that, and nothing here is started.

seen                         done to the Job                what the Workload says
no room yet                  stays suspended                QuotaReserved=False/Pending, in words
as the one before it         stays suspended                nothing at all
admitted                     suspend=false                  QuotaReserved, Admitted
ended                        -                              Finished=Succeeded or Failed
pre-empted                   suspend=true, pods deleted     Evicted and Preempted, Requeued, and it counts
no such LocalQueue           stays suspended                QuotaReserved=False/Inadmissible
more than the whole quota    stays suspended                QuotaReserved=False/Pending "... > maximum capacity"
queue held and drained       suspend=true                   Evicted=ClusterQueueStopped, QuotaReserved=False/…
`active: false`              suspended for ever             Evicted=Deactivated, and no end
label max-exec-time-seconds  suspended for ever             Evicted=DeactivatedDueToMaximumExecutionTimeExceeded
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from typing import TypeAlias

from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import AlreadyExistsError
from axk8s.kube.resource import JOB_SETS, JOBS, LOCAL_QUEUES, WORKLOADS, Resource
from axk8s.schedulers.kubernetes_job.job import QUEUE_LABEL, QUEUE_PRIORITY_LABEL
from axk8s.schedulers.kubernetes_job.quantity import number
from tests.cluster import crd
from tests.cluster.player import Player

GROUP, VERSION = WORKLOADS.group, WORKLOADS.version
CLUSTER_QUEUES = Resource(GROUP, VERSION, "clusterqueues", namespaced=False)
FLAVORS = Resource(GROUP, VERSION, "resourceflavors", namespaced=False)
PRIORITIES = Resource(GROUP, VERSION, "workloadpriorityclasses", namespaced=False)
KINDS = {
    WORKLOADS: "Workload",
    LOCAL_QUEUES: "LocalQueue",
    CLUSTER_QUEUES: "ClusterQueue",
    FLAVORS: "ResourceFlavor",
    PRIORITIES: "WorkloadPriorityClass",
}
LONGEST = "kueue.x-k8s.io/max-exec-time-seconds"

Condition: TypeAlias = tuple[bool, str, str]
"""Status, reason, message."""


def known(admin: Kube) -> AbstractContextManager[bool]:
    """Kueue's kinds in the cluster; tells whether it has to be played, because the real one is not there."""
    return crd.known(admin, KINDS)


def played(admin: Kube) -> AbstractContextManager[None]:
    """Its controllers, for the namespace of this client."""
    return Kueue(admin).at_work()


def make(admin: Kube, resource: Resource, body: Object) -> Object:
    """An object of one of its kinds."""
    return admin.create(resource, {"apiVersion": f"{GROUP}/{VERSION}", "kind": KINDS[resource], **body})


@contextmanager
def queue(admin: Kube, name: str, *, cpu: float) -> Iterator[str]:
    """A LocalQueue of the client's namespace with a quota of its own; its ClusterQueue has the namespace's name."""
    whole = str(admin.access.namespace)
    flavor = {"name": whole, "resources": [{"name": "cpu", "nominalQuota": str(cpu)}]}
    groups = [{"coveredResources": ["cpu"], "flavors": [flavor]}]
    preemption = {"withinClusterQueue": "LowerPriority"}
    make(admin, FLAVORS, {"metadata": {"name": whole}, "spec": {}})
    spec = {"namespaceSelector": {}, "resourceGroups": groups, "preemption": preemption}
    make(admin, CLUSTER_QUEUES, {"metadata": {"name": whole}, "spec": spec})
    make(admin, LOCAL_QUEUES, {"metadata": {"name": name}, "spec": {"clusterQueue": whole}})
    try:
        yield name
    finally:
        admin.delete(CLUSTER_QUEUES, whole)
        admin.delete(FLAVORS, whole)


@contextmanager
def priority(admin: Kube, value: int) -> Iterator[str]:
    """A class of workloads that matter so much; those of no class matter 0."""
    name = f"{admin.access.namespace}-{value}"
    make(admin, PRIORITIES, {"metadata": {"name": name}, "value": value})
    try:
        yield name
    finally:
        admin.delete(PRIORITIES, name)


class Kueue(Player):
    """All Jobs of one namespace."""

    def __init__(self, admin: Kube) -> None:
        super().__init__(admin)
        self._kinds = (JOBS, JOB_SETS) if crd.installed(admin, JOB_SETS) else (JOBS,)
        self._admitted_at: dict[str, float] = {}

    def look(self) -> None:
        workloads = {one["metadata"]["ownerReferences"][0]["uid"]: one for one in self._list(WORKLOADS)}
        queues = {one["metadata"]["name"]: one["spec"]["clusterQueue"] for one in self._list(LOCAL_QUEUES)}
        jobs = [(kind, job) for kind in self._kinds for job in self._list(kind)]
        jobs = [(kind, job) for kind, job in jobs if QUEUE_LABEL in job["metadata"].get("labels", {})]
        for uid in workloads.keys() - {job["metadata"]["uid"] for _, job in jobs}:
            self._admin.delete(WORKLOADS, workloads[uid]["metadata"]["name"])
        entries = []
        for kind, job in jobs:
            uid = job["metadata"]["uid"]
            workload = workloads.get(uid) or self._make(kind, job)
            entries.append(Entry(kind, job, workload, queues.get(job["metadata"]["labels"][QUEUE_LABEL])))
        self._admit([entry for entry in entries if not self._settled(entry)], entries)

    def _list(self, resource: Resource) -> list[Object]:
        return self._admin.list_all(resource)[0]

    def _make(self, kind: Resource, job: Object) -> Object:
        word = "Job" if kind is JOBS else "JobSet"
        metadata = job["metadata"]
        name, uid, labels = metadata["name"], metadata["uid"], metadata["labels"]
        digest = hashlib.sha1(f"{word}\n{kind.group}\n{name}\n{uid}".encode(), usedforsecurity=False).hexdigest()[:5]
        version = f"{kind.group}/{kind.version}"
        owner = {"apiVersion": version, "kind": word, "name": name, "uid": uid, "controller": True}
        level = 0
        if QUEUE_PRIORITY_LABEL in labels:
            level = self._admin.get(PRIORITIES, labels[QUEUE_PRIORITY_LABEL])["value"]
        body = {
            "metadata": {
                "name": f"{word.lower()}-{name}-{digest}",
                "labels": {"kueue.x-k8s.io/job-uid": uid},
                "ownerReferences": [owner],
            },
            "spec": {"queueName": labels[QUEUE_LABEL], "active": True, "priority": level},
        }
        try:
            return make(self._admin, WORKLOADS, body)
        except AlreadyExistsError:
            return self._admin.get(WORKLOADS, body["metadata"]["name"])

    def _settled(self, entry: Entry) -> bool:
        """Whether it takes no part in what follows: ended, given up, or sent back just now."""
        if entry.ended:
            if not entry.holds("Finished"):
                reason = "Failed" if entry.ended == "Failed" else "Succeeded"
                self._say(entry, Finished=(True, reason, f"Job {entry.ended}"))
            return True
        longest = entry.job["metadata"]["labels"].get(LONGEST)
        since = self._admitted_at.get(entry.uid)
        if entry.active and longest and since is not None and time.monotonic() - since > int(longest):
            self._admin.patch(WORKLOADS, entry.name, {"spec": {"active": False}})
            self._say(
                entry, DeactivationTarget=(True, "MaximumExecutionTimeExceeded", "exceeding the maximum execution time")
            )
            self._give_up(entry, "DeactivatedDueToMaximumExecutionTimeExceeded", "exceeding the maximum execution time")
            return True
        if not entry.active:
            if not entry.holds("Evicted"):
                self._give_up(entry, "Deactivated", "The workload is deactivated")
            return True
        return self._without_queue(entry)

    def _give_up(self, entry: Entry, reason: str, message: str) -> None:
        self._send_back(entry, reason, message, Requeued=(False, reason, message))

    def _without_queue(self, entry: Entry) -> bool:
        label = entry.job["metadata"]["labels"][QUEUE_LABEL]
        if entry.queue is None:
            self._say(entry, QuotaReserved=(False, "Inadmissible", f"LocalQueue {label} doesn't exist"))
            return True
        whole = self._admin.get(CLUSTER_QUEUES, entry.queue)
        entry.quota = number(whole["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"])
        policy = whole["spec"].get("stopPolicy", "None")
        if policy != "None":
            if policy == "HoldAndDrain" and entry.holds("Admitted"):
                message = "The ClusterQueue is stopped"
                self._send_back(entry, "ClusterQueueStopped", message, Requeued=(False, "ClusterQueueStopped", message))
            if not entry.holds("Admitted"):
                self._say(entry, QuotaReserved=(False, "Inadmissible", f"ClusterQueue {entry.queue} is inactive"))
            return True
        if entry.condition("Requeued") == (False, "ClusterQueueStopped"):
            self._say(
                entry, Requeued=(True, "ClusterQueueRestarted", "The ClusterQueue was restarted after being stopped")
            )
        return False

    def _admit(self, waiting: list[Entry], everything: list[Entry]) -> None:
        """Who matters most, then who was first; those that matter less make room."""
        used = {entry.queue: Fraction(0) for entry in everything}
        for entry in everything:
            if not entry.ended and (entry.holds("Admitted") or entry.runs):
                used[entry.queue] += entry.cpu
        running = [entry for entry in waiting if entry.holds("Admitted")]
        refused: set[str | None] = set()
        for entry in sorted(waiting, key=lambda entry: entry.rank):
            if entry in running:
                continue
            head = "couldn't assign flavors to pod set main: insufficient"
            if entry.cpu > entry.quota:
                sums = f"previously considered podsets requests (0) + current podset request ({float(entry.cpu):g})"
                words = (
                    f"{head} quota for cpu in flavor {entry.queue}, {sums} > maximum capacity ({float(entry.quota):g})"
                )
                self._say(entry, QuotaReserved=(False, "Pending", words))
            elif used[entry.queue] + entry.cpu <= entry.quota and not entry.runs:
                used[entry.queue] += entry.cpu
                self._start(entry)
            elif entry.queue not in refused:
                refused.add(entry.queue)  # of those behind it nothing is said
                missing = float(used[entry.queue] + entry.cpu - entry.quota)
                words = f"{head} unused quota for cpu in flavor {entry.queue}, {missing:g} more needed"
                self._say(
                    entry, QuotaReserved=(False, "Pending", words), PodsReady=(False, "WaitForStart", "Not ready")
                )
                for victim in sorted(running, key=lambda one: one.rank, reverse=True):
                    if victim.queue == entry.queue and victim.level < entry.level:
                        self._preempt(victim, entry)
                        running.remove(victim)
                        break

    def _start(self, entry: Entry) -> None:
        now = f"Quota reserved in ClusterQueue {entry.queue}"
        before = {
            kind: (False, reason, f"Previously: {reason}")
            for kind in ("Evicted", "Preempted")
            if entry.holds(kind) and (reason := entry.condition(kind)[1])
        }
        admitted = (True, "Admitted", "The workload is admitted")
        self._say(entry, QuotaReserved=(True, "QuotaReserved", now), Admitted=admitted, **before)
        self._admitted_at[entry.uid] = time.monotonic()
        self._admin.patch(entry.kind, entry.job["metadata"]["name"], {"spec": {"suspend": False}})

    def _preempt(self, victim: Entry, by: Entry) -> None:
        message = f"Preempted to accommodate a workload (UID: {by.uid}) due to prioritization in the ClusterQueue"
        again = {"Preempted": (True, "InClusterQueue", message), "Requeued": (True, "Preempted", message)}
        self._send_back(victim, "Preempted", message, **again)

    def _send_back(self, entry: Entry, reason: str, message: str, **more: Condition) -> None:
        """Evict: the count is the one trace of it that stays."""
        if entry.holds("Admitted"):
            counted = list((entry.workload.get("status", {}).get("schedulingStats") or {}).get("evictions", ()))
            same = next((one for one in counted if one["reason"] == reason), None)
            counted = [one for one in counted if one is not same]
            counted.append({"reason": reason, "underlyingCause": "", "count": (same["count"] if same else 0) + 1})
            entry.stats = {"schedulingStats": {"evictions": counted}}
        self._say(
            entry,
            Evicted=(True, reason, message),
            QuotaReserved=(False, "Pending", message),
            Admitted=(False, "NoReservation", "The workload has no reservation"),
            PodsReady=(False, "WaitForStart", "Not all pods are ready or succeeded"),
            **more,
        )
        self._admin.patch(entry.kind, entry.job["metadata"]["name"], {"spec": {"suspend": True}})

    def _say(self, entry: Entry, **said: Condition) -> None:
        known = {one["type"]: one for one in entry.workload.get("status", {}).get("conditions", ())}
        fresh = dict(known)
        for kind, (holds, reason, message) in said.items():
            status = "True" if holds else "False"
            old = known.get(kind, {})
            if (old.get("status"), old.get("reason"), old.get("message")) != (status, reason, message):
                at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                fresh[kind] = {"type": kind, "status": status, "reason": reason, "message": message}
                fresh[kind]["lastTransitionTime"] = at
        if fresh == known and not entry.stats:
            return
        status_of = {"conditions": list(fresh.values()), **entry.stats}
        entry.workload = self._admin.patch(WORKLOADS, entry.name, {"status": status_of}, part="status")
        entry.stats = {}


class Entry:
    """A Job or JobSet and its Workload, in one look."""

    def __init__(self, kind: Resource, job: Object, workload: Object, queue: str | None) -> None:
        self.kind, self.job, self.workload, self.queue = kind, job, workload, queue
        self.quota = Fraction(0)
        self.stats: Object = {}
        self.uid, self.name = str(job["metadata"]["uid"]), str(workload["metadata"]["name"])
        self.level = int(workload["spec"].get("priority", 0))
        self.rank = (-self.level, str(job["metadata"]["creationTimestamp"]), str(job["metadata"]["name"]))
        self.active = workload["spec"].get("active") is not False
        parts = [part["template"]["spec"] for part in job["spec"].get("replicatedJobs", ())] or [job["spec"]]
        self.cpu = sum(map(_cpu, parts), Fraction(0))
        status = job.get("status", {})
        self.runs = bool(status.get("active")) or any(one["active"] for one in status.get("replicatedJobsStatus", ()))

    @property
    def ended(self) -> str:
        conditions = self.job.get("status", {}).get("conditions", ())
        return next((one["type"] for one in conditions if one["type"] in ("Complete", "Completed", "Failed")), "")

    def condition(self, kind: str) -> tuple[bool, str]:
        conditions: list[Mapping[str, str]] = self.workload.get("status", {}).get("conditions", [])
        found = next((one for one in conditions if one["type"] == kind), None)
        return (found["status"] == "True", found["reason"]) if found is not None else (False, "")

    def holds(self, kind: str) -> bool:
        return self.condition(kind)[0]


def _cpu(spec: Object) -> Fraction:
    """What all pods of a Job ask for."""
    containers = spec["template"]["spec"]["containers"]
    asked = sum(number(((one.get("resources") or {}).get("requests") or {}).get("cpu", "0")) for one in containers)
    return Fraction(asked) * int(spec["parallelism"])
