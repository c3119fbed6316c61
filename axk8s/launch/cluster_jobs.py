"""A sweep's jobs in a cluster, of whichever kind: watched, not polled.

Their results come with the watch, their logs are copied.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from torchx.specs import AppDryRunInfo

from axk8s import names
from axk8s.errors import PostponedError, SubmitError
from axk8s.folder import AttemptFolder, SweepFolder
from axk8s.kube import log as pod_log
from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import AlreadyExistsError, ForbiddenError, KubeError, NotFoundError
from axk8s.kube.resource import CONFIG_MAPS, JOB_SETS, JOBS, PODS, SERVICES, VOLCANO_JOBS, Resource
from axk8s.launch import kept_log, session
from axk8s.launch.backend import Collect, Place, Replica
from axk8s.launch.observers import Observers
from axk8s.launch.session import Session
from axk8s.launch.shipment import Shipment
from axk8s.schedulers.kubernetes_job import code, job
from axk8s.schedulers.kubernetes_job.facts import NAME_LABELS, PodFacts
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.schedulers.kubernetes_job.options import Options
from axk8s.schedulers.kubernetes_job.patience import Patience
from axk8s.schedulers.kubernetes_job.pod import CONTAINER
from axk8s.schedulers.kubernetes_job.request import KubernetesRequest, split
from axk8s.schedulers.kubernetes_job.scheduler import ALONE, PAUSE, KubernetesJobScheduler, refusal
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Harvest, JobOrder, JobView, Submitted
from axk8s.training import format_record, parse_result

log = logging.getLogger(__name__)

_LOG_PATIENCE = 15.0
"""Seconds that a log may take to begin: the results are there already, and a slot's worth of trials waits."""
_LOG_LINES = 200_000
"""Of a longer log the last so many lines are kept; the kubelet itself keeps about 10 MiB."""


class ClusterJobs:
    """Meets `Backend`."""

    def __init__(
        self,
        opened: Session,
        folder: SweepFolder,
        collect: Collect,
        *,
        spec: SweepSpec,
        uid: str,
        shipped: Shipment | None,
        again: Callable[[JobOrder], AppDryRunInfo],
    ) -> None:
        """Find the cluster; nothing is asked of it yet.

        Args:
            opened: the scheduler.
            folder: the sweep's folder.
            collect: reads an ended attempt's values.
            spec: the sweep.
            uid: the sweep's uid, by which its objects are known.
            shipped: the code that travels with the jobs.
            again: renders an attempt whose stored manifest is damaged.

        Raises:
            ClusterAccessError: there are no credentials.
            SchedulerConfigError: an option cannot be.
        """
        assert isinstance(opened.scheduler, KubernetesJobScheduler)
        self._session, self._scheduler = opened, opened.scheduler
        self._folder, self._collect, self._again = folder, collect, again
        self._spec, self._uid, self._shipped = spec, uid, shipped
        config = opened.config({"base": str(spec.base)})
        self._options = Options.read(opened.options.resolve(config))
        self._connection = self._scheduler.connection(config)
        self._labels = job.ours({names.LABEL_SWEEP_UID: uid, names.LABEL_SWEEP: spec.name})
        self._service = service_name(spec.name, uid)
        self._shared: set[str] = set()
        self._sharing = threading.Lock()
        self._observers = Observers(f"{names.LABEL_SWEEP_UID}={uid}", Patience(start=spec.start_timeout))
        self._resources: dict[str, Resource] = {}
        self._ends: dict[str, JobView] = {}
        self._heard_out: set[str] = set()
        """Pods, by uid, whose output was followed to its end: asked for again they have no more to say."""

    @property
    def _kube(self) -> Kube:
        return self._connection.kube

    def place(self) -> Place:
        """The namespace, by its uid."""
        found = self._connection.place()
        return Place(found.uid, f"namespace {found.name} on {self._kube.access.server}")

    def submit(self, order: JobOrder, info: AppDryRunInfo | None) -> Submitted:
        request: KubernetesRequest = info.request if info is not None else self._stored(order)
        if self._shipped is not None:
            made = code.config_map(self._shipped.name, self._shipped.files, self._labels)
            self._share(CONFIG_MAPS, self._shipped.name, made)
        self._resources[order.job] = request.resource
        if request.resource is JOBS and len(request.replicas) > 1:
            chosen = {names.LABEL_SWEEP_UID: self._uid}
            served = job.service(self._service, None, labels=self._labels, selector=chosen)
            self._share(SERVICES, self._service, served)
        created = self._scheduler.start(request)
        return Submitted(self._session.handle(request.app_id), adopted=not created)

    def _share(self, resource: Resource, name: str, made: Object) -> None:
        """Create what all jobs use, once; what an earlier controller of the sweep has made will do."""
        with self._sharing:
            if name in self._shared:
                return
            try:
                self._kube.create(resource, made)
            except AlreadyExistsError:
                self._check_ours(resource, name)
            except KubeError as error:
                raise self._refusal(name, error) from error
            self._shared.add(name)

    def _check_ours(self, resource: Resource, name: str) -> None:
        try:
            found = self._kube.get(resource, name)
        except NotFoundError as error:
            raise PostponedError(f"{resource}/{name} is being deleted just now") from error
        except KubeError as error:
            raise refusal(name, error) from error
        if (found["metadata"].get("labels") or {}).get(names.LABEL_SWEEP_UID) != self._uid:
            raise SubmitError(
                f"{resource}/{name} is in {self._connection.namespace} already, and belongs to something else",
                hint="delete it, or give the sweep another name",
            )

    def watch(self, seen: Callable[[JobView], None]) -> None:
        def noted(view: JobView) -> None:
            if view.exit is not None:
                self._ends[view.job] = view
                self._keep_report(view)
            seen(view)

        self._observers.begin(self._kube, noted)

    def _observer(self, name: str) -> KubernetesObserver | None:
        return self._observers.of(self._resource(name))

    def _resource(self, name: str) -> Resource:
        """What this job is: as it was submitted, or as its manifest says."""
        if name not in self._resources:
            text = self._stored_text(self._folder.attempt(*names.job_numbers(name)))
            try:
                self._resources[name] = KubernetesRequest.from_text(text).resource
            except SubmitError:
                self._resources[name] = self._found(name)
        return self._resources[name]

    def _found(self, name: str) -> Resource:
        """As the cluster says; without its answer nothing is, for what is looked for among the others would be lost."""
        *others, usual = self._scheduler.kinds
        for resource in others:
            with contextlib.suppress(NotFoundError, ForbiddenError):
                self._kube.get(resource, name)
                return resource
        return usual

    def _keep_report(self, view: JobView) -> None:
        """Write what the termination message says into the attempt's folder, before the end is journaled."""
        result = parse_result(view.report)
        attempt = self._folder.attempt(*names.job_numbers(view.job))
        if not result.records or attempt.metrics.exists():
            return
        text = "".join(f"{format_record(record)}\n" for record in result.records)
        fresh = attempt.metrics.with_name(f".{attempt.metrics.name}")
        try:
            attempt.path.mkdir(parents=True, exist_ok=True)
            # Whole or not at all: the next controller takes a file that is there for everything.
            fresh.write_text(text, "utf-8")
            fresh.replace(attempt.metrics)
        except OSError as error:
            log.warning("%s: its results could not be written to %s: %s", view.job, attempt.metrics, error.strerror)

    def follow(self, job: str, handle: str) -> None:
        del handle
        observer = self._observer(job)
        assert observer is not None, "watch() comes first"
        observer.follow(job)

    def stop(self, handle: str) -> None:
        name = split(session.app_id(handle))[1]
        if (observer := self._observer(name)) is not None:
            observer.cancelling(name)
        self._delete(handle)

    def delete(self, handle: str) -> None:
        self._delete(handle)
        self._resources.pop(split(session.app_id(handle))[1], None)

    def _delete(self, handle: str) -> None:
        app_id = session.app_id(handle)
        try:
            self._scheduler.remove(self._resource(split(app_id)[1]), app_id)
        except KubeError as error:
            said = self._refusal(handle, error)
            if isinstance(said, PostponedError):
                raise said from error
            raise SubmitError(f"{handle} could not be deleted: {error.message}", hint=error.hint) from error

    def _refusal(self, name: str, error: KubeError) -> SubmitError | PostponedError:
        """What an answer means; what is to be tried again is so a little later."""
        said = refusal(name, error)
        if isinstance(said, PostponedError):
            self._kube.pause(PAUSE)
        return said

    def harvest(self, order: JobOrder, handle: str, replicas: list[Replica]) -> Harvest:
        end = self._ends.pop(order.job, None)
        attempt = self._folder.attempt(order.trial, order.attempt)
        facts = end.exit if end is not None else None
        good = facts is not None and facts.cause == "exited" and facts.code == 0
        keep = self._options.keep_logs == "all" or (self._options.keep_logs == "failed" and not good)
        trouble = ""
        if keep or not self._has_objectives(attempt):
            alone = len(replicas) == 1
            said = [self._copy(order, handle, one, alone=alone) for one in (replicas if keep else replicas[:1])]
            trouble = "; ".join(filter(None, said))

        def lines() -> Iterable[str]:
            path = kept_log.place(attempt, replicas[0], alone=len(replicas) == 1)
            if path.exists():
                with path.open(encoding="utf-8", errors="replace") as file:
                    yield from file
            elif trouble:
                raise SubmitError(trouble)

        found = self._collect(attempt, lines)
        if facts is not None and facts.replica and len(replicas) > 1:
            role, _, index = facts.replica.rpartition("-")
            found = replace(
                found,
                log_tail=kept_log.last_lines(kept_log.place(attempt, (role, int(index)), alone=False), found.log_tail),
            )
        elif not found.log_tail and end is not None:
            # The last lines of a container that failed are its termination message, if it wrote no other.
            found = replace(found, log_tail=tuple(end.report.splitlines()[-20:]))
        steps = max(found.steps, parse_result(end.report).steps if end is not None else 0)
        return replace(found, steps=steps, lost="" if found.values else trouble)

    def _has_objectives(self, attempt: AttemptFolder) -> bool:
        known = self._collect(attempt, lambda: ())
        return bool(known.infeasible) or all(name in known.values for name in self._spec.metrics)

    def _copy(self, order: JobOrder, handle: str, replica: Replica, *, alone: bool) -> str:
        """Copy a replica's log into the attempt's folder; what went wrong, or nothing."""
        target = kept_log.place(self._folder.attempt(order.trial, order.attempt), replica, alone=alone)
        if target.exists():
            return ""
        fresh = target.with_name(f".{target.name}")
        try:
            pod = self._pod(handle, replica)
            if pod is None:
                return f"{replica[0]}-{replica[1]}: its pod is gone"
            target.parent.mkdir(parents=True, exist_ok=True)
            kube = self._kube.impatient(_LOG_PATIENCE)
            with fresh.open("w", encoding="utf-8") as file:
                for line in pod_log.lines(kube, pod.name, CONTAINER, tail=_LOG_LINES):
                    file.write(f"{line}\n")
            fresh.replace(target)
        except KubeError as error:
            return f"{replica[0]}-{replica[1]}: {error.message}"
        except OSError as error:
            return f"{target}: {error.strerror}"
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink()
        return ""

    def _pod(self, handle: str, replica: Replica) -> PodFacts | None:
        """The newest pod of a replica: as the observer knows it, else as the cluster does."""
        name = split(session.app_id(handle))[1]
        observer, resource = self._observer(name), self._resource(name)
        known = observer.pods(name) if observer is not None else []
        if not known:
            mine = f"{NAME_LABELS[resource]}={name}"
            found, _ = self._kube.impatient(_LOG_PATIENCE).list_all(PODS, labels=mine)
            found.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
            known = [PodFacts.read(pod) for pod in found]
        # A Job has one role, and its pods need not say which.
        own = [pod for pod in known if (pod.index == replica[1] if resource is JOBS else pod.replica == replica)]
        present = [pod for pod in own if not pod.gone]
        return present[-1] if present else None

    def lines(self, order: JobOrder, handle: str, replica: Replica, *, follow: bool) -> Iterator[str]:
        attempt = self._folder.attempt(order.trial, order.attempt)
        for alone in (True, False):
            path = kept_log.place(attempt, replica, alone=alone)
            if path.exists():
                with path.open(encoding="utf-8", errors="replace") as file:
                    yield from (line.rstrip("\n") for line in file)
                return
        yield from self._session.log(session.app_id(handle), *replica, follow=follow)

    def output(self, order: JobOrder, handle: str, replica: Replica) -> Iterator[str]:
        pod = self._pod(handle, replica)  # which the watch has brought: no list of pods
        if pod is None or pod.uid in self._heard_out:
            return
        observer, uid = self._observer(order.job), pod.uid
        assert observer is not None, "watch() comes first"
        seen = any(each.uid == uid for each in observer.pods(order.job))

        def over() -> bool:
            return not any(each.uid == uid and each.alive for each in observer.pods(order.job))

        yield from pod_log.follow(self._kube, pod.name, CONTAINER, over=over if seen else None)
        self._heard_out.add(uid)

    def tail(self, order: JobOrder, handle: str, lines: int) -> list[str]:
        return list(deque(self.lines(order, handle, self._stored(order).replicas[0], follow=False), maxlen=lines))

    def tidy(self) -> None:
        """Delete the code and the Service; a sweep that goes on later makes them again from its own folder."""
        shared: list[tuple[Resource, str]] = [(SERVICES, self._service)] if self._served() else []
        if self._shipped is not None:
            shared.append((CONFIG_MAPS, self._shipped.name))
        for resource, name in shared:
            try:
                self._kube.delete(resource, name)
            except KubeError as error:
                log.warning("%s/%s is left in the cluster, and `axk8s clean` removes it: %s", resource, name, error)

    def _served(self) -> bool:
        """Whether there is a Service: made by this controller, or by an earlier one for the first trial."""
        first = self._stored_text(self._folder.attempt(0, 0))
        return self._service in self._shared or f"subdomain: {self._service}\n" in first

    def clean(self) -> list[str]:
        """Delete everything of this sweep that is in the cluster; the names of what was there.

        Raises:
            KubeError: no answer, or not allowed.
        """
        found: list[str] = []
        mine = f"{names.LABEL_SWEEP_UID}={self._uid}"
        for resource in (*self._scheduler.kinds, SERVICES, CONFIG_MAPS):
            try:
                objects, _ = self._kube.list_all(resource, labels=f"{mine},{ALONE}" if resource is JOBS else mine)
            except (NotFoundError, ForbiddenError):
                if resource in (JOB_SETS, VOLCANO_JOBS):
                    continue  # not installed, or not allowed: there is none of ours
                raise
            for one in objects:
                name = str(one["metadata"]["name"])
                if self._kube.delete(resource, name):
                    found.append(f"{resource}/{name}")
        return found

    def close(self) -> None:
        self._kube.close()
        self._observers.close()

    def _stored(self, order: JobOrder) -> KubernetesRequest:
        """What was rendered before a crash, so that an adopted job and its manifest agree."""
        try:
            return KubernetesRequest.from_text(self._stored_text(self._folder.attempt(order.trial, order.attempt)))
        except SubmitError:
            request: KubernetesRequest = self._again(order).request
            return request

    def _stored_text(self, attempt: AttemptFolder) -> str:
        try:
            return attempt.manifest.read_text("utf-8")
        except FileNotFoundError:
            return ""


def service_name(sweep: str, uid: str) -> str:
    """The headless Service of a sweep."""
    return f"{names.slug(sweep)}-{uid[:6]}"


def options(spec: SweepSpec, uid: str, order: JobOrder, shipped: Shipment | None) -> dict[str, Any]:
    """The scheduler's options that the sweep decides for an attempt."""
    return {
        "name": order.job,
        "base": str(spec.base),
        "service": service_name(spec.name, uid),
        **({} if spec.trial_timeout is None else {"timeout": spec.trial_timeout}),
        **({"avoid_nodes": list(order.avoid)} if order.avoid else {}),
        **({} if shipped is None else {"code": shipped.name, "code_files": shipped.paths}),
    }
