"""JobSet, played: what its controller was seen to do (v0.12.0), on a real API server, with real Jobs and their pods.

In a cluster that has the real one the same tests run with that, and nothing here is started.

seen                         done                                        what the JobSet says
made                         a headless Service, a Job a role            no condition; counts of each role's Job
suspended                    its Jobs are suspended                      Suspended=True/SuspendedJobs
resumed                      its Jobs are resumed                        Suspended=False/ResumeJobs, which lingers
all Jobs complete            -                                           Completed/AllJobsCompleted, terminalState
a Job fails                  the others are deleted, it stays            Failed/FailedJobs, names the first that failed
… with restarts left         all Jobs are deleted, then made again       RestartingJobSet=True/DefaultFailurePolicy,
                             under their names, restart-attempt + 1      then False/JobsReady; restarts counts
… with none left             as without                                  Failed/ReachedMaxRestarts
ended so many seconds ago    it is deleted (ttlSecondsAfterFinished)     -
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime

from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import AlreadyExistsError
from axk8s.kube.resource import JOB_SETS, JOBS, SERVICES
from tests.cluster import crd
from tests.cluster.player import LATE, Player

PREFIX = "jobset.sigs.k8s.io"


def known(admin: Kube) -> AbstractContextManager[bool]:
    """The kind in the cluster; tells whether it has to be played, because the real one is not there."""
    return crd.known(admin, {JOB_SETS: "JobSet"})


def played(admin: Kube) -> AbstractContextManager[None]:
    """Its controller, for the namespace of this client."""
    return JobSets(admin).at_work()


class JobSets(Player):
    """All JobSets of one namespace."""

    def look(self) -> None:
        jobs = self._admin.list_all(JOBS, labels=f"{PREFIX}/jobset-uid")[0]
        sets = self._admin.list_all(JOB_SETS)[0]
        present = {one["metadata"]["uid"] for one in sets}
        for job in jobs:
            # The garbage collector does it too, once it has heard of the kind: up to half a minute later.
            if job["metadata"]["labels"][f"{PREFIX}/jobset-uid"] not in present:
                self._delete(job)
        for one in sets:
            uid = one["metadata"]["uid"]
            mine = [job for job in jobs if job["metadata"]["labels"][f"{PREFIX}/jobset-uid"] == uid]
            with suppress(*LATE):  # it looks different next time
                self._look(Entry(one, mine))

    def _look(self, entry: Entry) -> None:
        if entry.ended:
            ttl = entry.spec.get("ttlSecondsAfterFinished")
            if ttl is not None and _age(entry.ended["lastTransitionTime"]) >= ttl:
                self._admin.delete(JOB_SETS, entry.name)
            return
        if entry.stale:
            # Of an earlier run: nothing is made before all are gone.
            for job in entry.stale:
                self._delete(job)
            return
        self._make(entry)
        self._suspend(entry)
        failed = [job for job in entry.jobs if _condition(job, "Failed")]
        if failed:
            self._fail(entry, min(failed, key=lambda job: _condition(job, "Failed")["lastTransitionTime"]))
        elif entry.jobs and all(_condition(job, "Complete") for job in entry.jobs):
            done = ("Completed", True, "AllJobsCompleted", "jobset completed successfully")
            self._say(entry, done, terminalState="Completed")
        elif entry.restarting and all((job["status"].get("ready") or 0) > 0 for job in entry.jobs):
            self._say(entry, ("RestartingJobSet", False, "JobsReady", "all jobs are ready"))
        else:
            self._say(entry)

    def _make(self, entry: Entry) -> None:
        with suppress(AlreadyExistsError):
            self._admin.create(SERVICES, entry.service())
        names = {job["metadata"]["name"] for job in entry.jobs}
        for number, part in enumerate(entry.spec["replicatedJobs"]):
            body = entry.job(number, part)
            if body["metadata"]["name"] not in names:
                with suppress(AlreadyExistsError):
                    entry.jobs.append(self._admin.create(JOBS, body))

    def _suspend(self, entry: Entry) -> None:
        wanted = bool(entry.spec.get("suspend"))
        for job in entry.jobs:
            if bool(job["spec"].get("suspend")) is not wanted and not _condition(job, "Complete"):
                self._admin.patch(JOBS, job["metadata"]["name"], {"spec": {"suspend": wanted}})
        if wanted:
            self._say(entry, ("Suspended", True, "SuspendedJobs", "jobset is suspended"))
        elif entry.condition("Suspended"):
            self._say(entry, ("Suspended", False, "ResumeJobs", "jobset is resumed"))

    def _fail(self, entry: Entry, first: Object) -> None:
        policy: Object = entry.spec.get("failurePolicy") or {}
        action = _action(policy, first) if policy else "FailJobSet"
        counted = action == "RestartJobSet"
        if counted and entry.counted >= policy["maxRestarts"]:
            self._end(entry, "ReachedMaxRestarts", "jobset failed due to reaching max number of restarts", first)
        elif action == "FailJobSet":
            self._end(entry, "FailedJobs", "jobset failed due to one or more job failures", first)
        else:
            words = f"restarting jobset (first failed job: {first['metadata']['name']})"
            self._say(
                entry,
                ("RestartingJobSet", True, "DefaultFailurePolicy", words),
                restarts=entry.restarts + 1,
                restartsCountTowardsMax=entry.counted + counted,
            )

    def _end(self, entry: Entry, reason: str, message: str, first: Object) -> None:
        words = f"{message} (first failed job: {first['metadata']['name']})"
        self._say(entry, ("Failed", True, reason, words), terminalState="Failed")
        for job in entry.jobs:
            # Their logs go with them; what had ended stays.
            if not _condition(job, "Failed") and not _condition(job, "Complete"):
                self._delete(job)

    def _delete(self, job: Object) -> None:
        with suppress(*LATE):
            self._admin.delete(JOBS, job["metadata"]["name"], uid=job["metadata"]["uid"])

    def _say(self, entry: Entry, *said: tuple[str, bool, str, str], **more: object) -> None:
        """Write what has changed of the status."""
        known = {one["type"]: one for one in entry.status.get("conditions", ())}
        for kind, holds, reason, message in said:
            status = "True" if holds else "False"
            if (known.get(kind, {}).get("status"), known.get(kind, {}).get("reason")) != (status, reason):
                known[kind] = {"type": kind, "status": status, "reason": reason, "message": message}
                known[kind]["lastTransitionTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        counts = {"replicatedJobsStatus": [entry.counts(part) for part in entry.spec["replicatedJobs"]]}
        conditions = {"conditions": list(known.values())} if known else {}
        fresh = {**entry.status, **counts, **conditions, "restarts": entry.restarts, **more}
        if fresh != entry.status:
            entry.status = fresh
            self._admin.patch(JOB_SETS, entry.name, {"status": fresh}, part="status")


class Entry:
    """A JobSet and its Jobs, in one look."""

    def __init__(self, found: Object, jobs: list[Object]) -> None:
        self.name, self.uid = str(found["metadata"]["name"]), str(found["metadata"]["uid"])
        self.spec: Object = found["spec"]
        self.status: Object = found.get("status") or {}
        self.restarts, self.counted = (
            int(self.status.get("restarts", 0)),
            int(self.status.get("restartsCountTowardsMax", 0)),
        )
        attempt = f"{PREFIX}/restart-attempt"
        self.jobs = [job for job in jobs if job["metadata"]["labels"][attempt] == str(self.restarts)]
        self.stale = [job for job in jobs if job not in self.jobs]

    def condition(self, kind: str) -> Mapping[str, str]:
        return _condition({"status": self.status}, kind)

    @property
    def ended(self) -> Mapping[str, str]:
        return self.condition("Completed") or self.condition("Failed")

    @property
    def restarting(self) -> bool:
        return bool(self.condition("RestartingJobSet"))

    def service(self) -> Object:
        spec = {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {f"{PREFIX}/jobset-name": self.name},
        }
        return {
            "metadata": {"name": self.spec["network"]["subdomain"], "ownerReferences": [self._owner()]},
            "spec": spec,
        }

    def job(self, number: int, part: Object) -> Object:
        made: Object = copy.deepcopy(part["template"])
        name = f"{self.name}-{part['name']}-0"
        every = len(self.spec["replicatedJobs"])
        own = {
            "jobset-name": self.name,
            "jobset-uid": self.uid,
            "replicatedjob-name": part["name"],
            "replicatedjob-replicas": str(part["replicas"]),
            "job-index": "0",
            "job-global-index": str(number),
            "job-group-index": str(number),
            "group-name": "default",
            "group-replicas": str(every),
            "global-replicas": str(every),
            "job-key": hashlib.sha1(f"{self.name}/{name}".encode(), usedforsecurity=False).hexdigest(),
            "restart-attempt": str(self.restarts),
        }
        labels = {f"{PREFIX}/{key}": value for key, value in own.items()}
        made["metadata"] = {
            **made.get("metadata", {}),
            "name": name,
            "labels": {**made.get("metadata", {}).get("labels", {}), **labels},
            "ownerReferences": [self._owner()],
        }
        made["spec"]["suspend"] = bool(self.spec.get("suspend"))
        template = made["spec"]["template"]
        template["metadata"]["labels"] = {**template["metadata"].get("labels", {}), **labels}
        template["spec"]["subdomain"] = self.spec["network"]["subdomain"]
        return made

    def counts(self, part: Object) -> Object:
        """What is said of one role's Job."""
        name = f"{self.name}-{part['name']}-0"
        none: Object = {"status": {}, "spec": {}}
        job = next((one for one in self.jobs if one["metadata"]["name"] == name), none)
        status = job.get("status") or {}
        active, ready = status.get("active") or 0, status.get("ready") or 0
        return {
            "name": part["name"],
            "active": int(active > 0),
            "ready": int(ready + (status.get("succeeded") or 0) >= part["template"]["spec"]["parallelism"]),
            "succeeded": int(bool(_condition(job, "Complete"))),
            "failed": int(bool(_condition(job, "Failed"))),
            "suspended": int(bool(job["spec"].get("suspend"))),
        }

    def _owner(self) -> Object:
        version = f"{JOB_SETS.group}/{JOB_SETS.version}"
        return {"apiVersion": version, "kind": "JobSet", "name": self.name, "uid": self.uid, "controller": True}


def _condition(found: Object, kind: str) -> Mapping[str, str]:
    """A condition that holds, or nothing."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind and one["status"] == "True"), {})


def _action(policy: Object, failed: Object) -> str:
    """Of the first rule that is for this Job and its reason; of none: all begin anew, and it counts."""
    role = failed["metadata"]["labels"][f"{PREFIX}/replicatedjob-name"]
    for rule in policy.get("rules", ()):
        roles, reasons = rule.get("targetReplicatedJobs"), rule.get("onJobFailureReasons")
        if (not roles or role in roles) and (not reasons or _condition(failed, "Failed")["reason"] in reasons):
            return str(rule["action"])
    return "RestartJobSet"


def _age(time: str) -> float:
    return datetime.now(UTC).timestamp() - datetime.fromisoformat(time).timestamp()
