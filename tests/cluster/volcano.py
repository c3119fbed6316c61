"""Volcano, played: what its controller and scheduler were seen to do with Jobs (v1.15.1), on a real API server.

Pods are real; fake nodes run them, or real ones. In a cluster that has the real one the same tests run with that, and
nothing here is started. It has no webhook: what a Job does not say is not filled in.

seen                            done                               what the Job says, and its PodGroup
made, its queue is missing      nothing                           no status, ever
made                            a PodGroup                        Pending; Pending
no room in the queue            no pods                           Pending; Pending, Unschedulable/NotEnoughResources
room                            a pod a task, of the job's name   Pending; Inqueue
enough pods run or have ended   -                                 Running; Running. At once with no minAvailable
no node takes a pod             -                                 Pending; Inqueue, Unschedulable/NotEnoughResources
a pod is lost, no policy        made again                        Pending, then Running; no retry is used
a pod fails, no policy          -                                 Running until all have ended
... TerminateJob                the others are killed             Terminating, Terminated
... RestartJob                  all are killed, made again        Restarting and retryCount + 1, then Pending
... `maxRetry` reached          what has failed stays             Failed
TaskCompleted, CompleteJob      the others are killed             Completing, Completed
all have ended                  PodGroup removed, pods stay       Completed if `minAvailable` succeeded, else Failed
Command AbortJob                all are killed                    Aborting, Aborted
Command ResumeJob               pods are made again               Restarting and retryCount + 1
ended `ttlSecondsAfterFinished` ago, not Aborted                  deleted, with pods
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from fractions import Fraction

from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import AlreadyExistsError, NotFoundError
from axk8s.kube.resource import POD_GROUPS, PODS, SERVICES, VOLCANO_JOBS, Resource
from axk8s.schedulers.kubernetes_job.quantity import number
from tests.cluster import crd
from tests.cluster.player import LATE, Player

QUEUES = Resource(POD_GROUPS.group, POD_GROUPS.version, "queues", namespaced=False)
COMMANDS = Resource("bus.volcano.sh", "v1alpha1", "commands")
KINDS = {VOLCANO_JOBS: "Job", POD_GROUPS: "PodGroup", QUEUES: "Queue", COMMANDS: "Command"}
FINISHED = ("Completed", "Failed", "Terminated")
_KILLING = {"Terminating": "Terminated", "Aborting": "Aborted", "Completing": "Completed"}
_ACTIONS = {"TerminateJob": "Terminating", "AbortJob": "Aborting", "CompleteJob": "Completing"}


def known(admin: Kube) -> AbstractContextManager[bool]:
    """Volcano's kinds in the cluster; tells whether it has to be played, because the real one is not there."""
    return crd.known(admin, KINDS)


def played(admin: Kube) -> AbstractContextManager[None]:
    """Its controller and scheduler, for the namespace of this client."""
    return Volcano(admin).at_work()


def make(admin: Kube, resource: Resource, body: Object) -> Object:
    """An object of one of its kinds."""
    return admin.create(
        resource, {"apiVersion": f"{resource.group}/{resource.version}", "kind": KINDS[resource], **body}
    )


@contextmanager
def queue(admin: Kube, *, cpu: float) -> Iterator[str]:
    """A queue that has the name of the client's namespace, for so many cores."""
    name = str(admin.access.namespace)
    spec = {"weight": 1, "reclaimable": True, "capability": {"cpu": str(cpu)}}
    make(admin, QUEUES, {"metadata": {"name": name}, "spec": spec})
    try:
        yield name
    finally:
        admin.delete(QUEUES, name)


def command(admin: Kube, job: str, action: str) -> None:
    """What `vcctl job suspend` and `resume` do."""
    uid = admin.get(VOLCANO_JOBS, job)["metadata"]["uid"]
    target = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "name": job, "uid": uid, "controller": True}
    metadata = {"name": f"{job}-{action.lower()}", "ownerReferences": [target]}
    make(admin, COMMANDS, {"metadata": metadata, "action": action, "target": target})


class Volcano(Player):
    """All Jobs of one namespace."""

    def __init__(self, admin: Kube) -> None:
        super().__init__(admin)
        self._made: dict[str, set[str]] = {}
        """Of each Job the pods that were made and not killed: one that is not there was lost."""

    def look(self) -> None:
        commands = {one["target"]["uid"]: one for one in self._admin.list_all(COMMANDS)[0]}
        pods = self._admin.list_all(PODS, labels="volcano.sh/job-name")[0]
        groups = {one["metadata"]["ownerReferences"][0]["uid"]: one for one in self._admin.list_all(POD_GROUPS)[0]}
        jobs = self._admin.list_all(VOLCANO_JOBS)[0]
        entries = [Entry(job, groups.get(job["metadata"]["uid"]), pods) for job in jobs]
        self._clear_up(entries, pods, groups)
        for entry in sorted(entries, key=lambda entry: entry.age):
            with suppress(*LATE):
                if entry.uid in commands:
                    self._admin.delete(COMMANDS, commands[entry.uid]["metadata"]["name"])
                    self._act(entry, commands[entry.uid]["action"])
                else:
                    self._next(entry, entries)

    def _clear_up(self, entries: list[Entry], pods: list[Object], groups: Mapping[str, Object]) -> None:
        # The garbage collector does it too, once it has heard of the kinds: up to half a minute later.
        present = {entry.uid for entry in entries}
        for pod in pods:
            if pod["metadata"]["ownerReferences"][0]["uid"] not in present:
                self._kill(pod)
        for uid in groups.keys() - present:
            self._admin.delete(POD_GROUPS, groups[uid]["metadata"]["name"])

    def _next(self, entry: Entry, entries: list[Entry]) -> None:
        match entry.phase:
            case "Completed" | "Failed" | "Terminated" | "Aborted":
                if entry.phase in FINISHED and entry.ttl is not None and entry.since >= entry.ttl:
                    self._admin.delete(VOLCANO_JOBS, entry.name)
            case "Terminating" | "Aborting" | "Completing":
                self._end_when_killed(entry, _KILLING[entry.phase])
            case "Restarting":
                if entry.retries >= entry.most:
                    self._end_when_killed(entry, "Failed")
                elif self._killed(entry, entry.pods):
                    self._made[entry.uid] = set()
                    self._say(entry, "Pending")
            case _:
                self._go_on(entry, entries)

    def _go_on(self, entry: Entry, entries: list[Entry]) -> None:
        if entry.group is None:
            with suppress(NotFoundError):
                self._admin.get(QUEUES, entry.queue)
                self._admit(entry, entries, make(self._admin, POD_GROUPS, entry.pod_group()))
            return
        if entry.group_phase == "Pending":
            self._admit(entry, entries, entry.group)
            return
        lost = self._made.get(entry.uid, set()) - {pod["metadata"]["name"] for pod in entry.pods}
        self._made[entry.uid] = self._made.get(entry.uid, set()) - lost
        actions = [entry.lost(name) for name in lost] + [entry.action(pod) for pod in entry.pods]
        if action := next(filter(None, actions), ""):
            self._act(entry, action)
            return
        self._make_pods(entry)
        ended = [pod for pod in entry.pods if _phase(pod) in ("Succeeded", "Failed")]
        begun = ended + [pod for pod in entry.pods if _phase(pod) == "Running"]
        if len(ended) == len(entry.tasks):
            self._end_when_killed(entry, "Completed" if entry.enough() else "Failed")
        elif len(begun) >= entry.least:
            self._group(entry, "Running")
            self._say(entry, "Running")
        else:
            stuck = any(_holds(pod, "PodScheduled") == "False" for pod in entry.pods)
            self._group(entry, "Inqueue", "pod group is not ready, 1 Pending; Unschedulable" if stuck else "")
            self._say(entry, "Pending")

    def _admit(self, entry: Entry, entries: list[Entry], group: Object) -> None:
        """The oldest first, as long as there is room in the queue."""
        entry.group = group
        self._say(entry, "Pending")
        capability = self._admin.get(QUEUES, entry.queue)["spec"]["capability"]["cpu"]
        used = sum(one.cpu for one in entries if one is not entry and one.queue == entry.queue and one.holds_room)
        if used + entry.cpu <= number(capability):
            self._group(entry, "Inqueue")
        else:
            self._group(entry, "Pending", "queue resource quota insufficient: insufficient cpu")

    def _act(self, entry: Entry, action: str) -> None:
        if action in ("RestartJob", "ResumeJob"):
            self._say(entry, "Restarting", retryCount=entry.retries + 1)
        elif action in _ACTIONS:
            self._say(entry, _ACTIONS[action])

    def _end_when_killed(self, entry: Entry, phase: str) -> None:
        """Running pods are killed, those that have ended stay; the counts are wiped with the end."""
        if self._killed(entry, [pod for pod in entry.pods if _phase(pod) not in ("Succeeded", "Failed")]):
            entry.pods = []
            if entry.group is not None:
                self._admin.delete(POD_GROUPS, entry.group["metadata"]["name"])
            self._admin.delete(SERVICES, entry.name)
            self._say(entry, phase)

    def _killed(self, entry: Entry, pods: list[Object]) -> bool:
        for pod in pods:
            self._made.get(entry.uid, set()).discard(pod["metadata"]["name"])
            self._kill(pod)
        return not pods

    def _kill(self, pod: Object) -> None:
        if "deletionTimestamp" not in pod["metadata"]:
            with suppress(*LATE):
                self._admin.delete(PODS, pod["metadata"]["name"], uid=pod["metadata"]["uid"])

    def _make_pods(self, entry: Entry) -> None:
        if "svc" in (entry.spec.get("plugins") or {}):
            with suppress(AlreadyExistsError):
                self._admin.create(SERVICES, entry.service())
        present = {pod["metadata"]["name"] for pod in entry.pods}
        for task in entry.tasks:
            body = entry.pod(task)
            if body["metadata"]["name"] not in present:
                with suppress(AlreadyExistsError):  # the lost one has not gone yet
                    entry.pods.append(self._admin.create(PODS, body))
                    self._made[entry.uid].add(body["metadata"]["name"])

    def _group(self, entry: Entry, phase: str, stuck: str = "") -> None:
        assert entry.group is not None
        status = entry.group.get("status") or {}
        known = {one["type"]: one for one in status.get("conditions", ())}
        if stuck:
            said = {"type": "Unschedulable", "reason": "NotEnoughResources", "message": stuck}
        elif phase == "Running":
            said = {"type": "Scheduled", "reason": "tasks in gang are ready to be scheduled", "message": ""}
        else:
            said = {}
        if said and not said.items() <= known.get(said["type"], {}).items():
            known[said["type"]] = {**said, "status": "True", "lastTransitionTime": _now()}
        fresh = {**status, "phase": phase, "conditions": list(known.values())}
        if fresh != status:
            name = entry.group["metadata"]["name"]
            entry.group = self._admin.patch(POD_GROUPS, name, {"status": fresh}, part="status")

    def _say(self, entry: Entry, phase: str, **more: object) -> None:
        """Write what has changed of the status."""
        counts: dict[str, int] = {}
        for pod in entry.pods:
            kind = "terminating" if "deletionTimestamp" in pod["metadata"] else _phase(pod).lower()
            counts[kind] = counts.get(kind, 0) + 1
        state = entry.status.get("state") or {}
        if state.get("phase") != phase:
            state = {"phase": phase, "lastTransitionTime": _now()}
        # Merged, so that what is not there any more has to be said.
        zero = dict.fromkeys(("pending", "running", "succeeded", "failed", "terminating"))
        retries = {"retryCount": entry.retries} if entry.retries else {}
        fresh = {"state": state, "minAvailable": entry.least, **retries, **counts, **more}
        if fresh != {key: value for key, value in entry.status.items() if key != "version"}:
            whole = {"status": {**zero, **fresh}}
            entry.status = self._admin.patch(VOLCANO_JOBS, entry.name, whole, part="status")["status"]


class Entry:
    """A Job with its PodGroup and pods, in one look."""

    def __init__(self, job: Object, group: Object | None, pods: list[Object]) -> None:
        self.name, self.uid = str(job["metadata"]["name"]), str(job["metadata"]["uid"])
        self.namespace = str(job["metadata"]["namespace"])
        self.age = (str(job["metadata"]["creationTimestamp"]), self.name)
        self.spec: Object = job["spec"]
        self.status: Object = job.get("status") or {}
        self.group = group
        self.pods = [pod for pod in pods if pod["metadata"]["ownerReferences"][0]["uid"] == self.uid]
        self.tasks: list[Object] = self.spec["tasks"]
        self.queue = str(self.spec.get("queue") or "default")
        self.least, self.most = int(self.spec.get("minAvailable") or 0), int(self.spec.get("maxRetry") or 3)
        self.ttl = self.spec.get("ttlSecondsAfterFinished")
        containers = [one for task in self.tasks for one in task["template"]["spec"]["containers"]]
        asked = [((one.get("resources") or {}).get("requests") or {}).get("cpu", "0") for one in containers]
        self.cpu = Fraction(sum(map(number, asked)))

    @property
    def phase(self) -> str:
        return str((self.status.get("state") or {}).get("phase") or "")

    @property
    def since(self) -> float:
        """Seconds that it has been in its phase."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.status["state"]["lastTransitionTime"])).total_seconds()

    @property
    def retries(self) -> int:
        return int(self.status.get("retryCount") or 0)

    @property
    def group_phase(self) -> str:
        return str(((self.group or {}).get("status") or {}).get("phase") or "Pending")

    @property
    def holds_room(self) -> bool:
        return self.group is not None and self.group_phase != "Pending"

    def enough(self) -> bool:
        """Whether as many have succeeded as it says: of the whole, and of each task."""
        good = {_task(pod) for pod in self.pods if _phase(pod) == "Succeeded"}
        needed = {task["name"] for task in self.tasks if int(task.get("minAvailable") or 0) > 0}
        return len(good) >= self.least and needed <= good

    def action(self, pod: Object) -> str:
        """What the policies say to what has become of a pod."""
        event = {"Failed": "PodFailed", "Succeeded": "TaskCompleted"}.get(_phase(pod), "")
        if "deletionTimestamp" in pod["metadata"]:
            event = "PodEvicted"
        return self._answer(_task(pod), event)

    def lost(self, pod: str) -> str:
        """What they say to one that is not there any more."""
        return self._answer(pod.removeprefix(f"{self.name}-").removesuffix("-0"), "PodEvicted")

    def _answer(self, name: str, event: str) -> str:
        task = next(task for task in self.tasks if task["name"] == name)
        for policy in (*(task.get("policies") or ()), *(self.spec.get("policies") or ())):
            if event and event in (policy.get("event"), *policy.get("events", ())):
                return str(policy["action"])
        return ""

    def pod_group(self) -> Object:
        spec = {"minMember": self.least, "queue": self.queue}
        return {"metadata": {"name": f"{self.name}-{self.uid}", "ownerReferences": [self._owner()]}, "spec": spec}

    def service(self) -> Object:
        spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"volcano.sh/job-name": self.name}}
        return {"metadata": {"name": self.name, "ownerReferences": [self._owner()]}, "spec": spec}

    def pod(self, task: Object) -> Object:
        made: Object = copy.deepcopy(task["template"])
        metadata = made.setdefault("metadata", {})
        name = f"{self.name}-{task['name']}-0"
        labels = {
            "volcano.sh/job-name": self.name,
            "volcano.sh/job-namespace": self.namespace,
            "volcano.sh/queue-name": self.queue,
            "volcano.sh/task-spec": task["name"],
            "volcano.sh/task-index": "0",
        }
        metadata |= {
            "name": name,
            "labels": {**metadata.get("labels", {}), **labels},
            "annotations": {
                **(metadata.get("annotations") or {}),
                "volcano.sh/job-retry-count": str(self.retries),
                "scheduling.k8s.io/group-name": f"{self.name}-{self.uid}",
            },
            "ownerReferences": [self._owner()],
        }
        # The cluster's own scheduler places them: there is no other.
        made["spec"] |= {"schedulerName": "default-scheduler"}
        if "svc" in (self.spec.get("plugins") or {}):
            made["spec"] |= {"hostname": name, "subdomain": self.name}
        return made

    def _owner(self) -> Object:
        version = f"{VOLCANO_JOBS.group}/{VOLCANO_JOBS.version}"
        return {"apiVersion": version, "kind": "Job", "name": self.name, "uid": self.uid, "controller": True}


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase") or "Pending")


def _task(pod: Object) -> str:
    return str(pod["metadata"]["labels"]["volcano.sh/task-spec"])


def _holds(pod: Object, kind: str) -> str:
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((str(one["status"]) for one in conditions if one["type"] == kind), "")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
