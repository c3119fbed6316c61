"""TorchX's interface to Kubernetes Jobs. It keeps nothing in memory: each answer comes from the cluster.

It installs nothing and needs one namespaced Role. Usable without a sweep:

    Runner("torchx", scheduler_factories=axk8s.schedulers.factories()).run_component("utils.echo", [], "kubernetes_job")
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import yaml
from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Scheduler, Stream
from torchx.schedulers.ids import make_unique
from torchx.specs import AppDef, AppDryRunInfo, runopts

from axk8s import names
from axk8s.errors import PostponedError, SchedulerConfigError, SubmitError
from axk8s.kube import log
from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import (
    AlreadyExistsError,
    BusyError,
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from axk8s.kube.resource import JOB_SETS, JOBS, PODS, SERVICES, Resource
from axk8s.schedulers.kubernetes_job import job as manifests
from axk8s.schedulers.kubernetes_job.changes import Changes
from axk8s.schedulers.kubernetes_job.connection import Connection, Connections
from axk8s.schedulers.kubernetes_job.description import description, state
from axk8s.schedulers.kubernetes_job.facts import JOBSET_NAME_LABEL, PodFacts, Replica
from axk8s.schedulers.kubernetes_job.job import JOB_NAME_LABEL
from axk8s.schedulers.kubernetes_job.jobset import ABSENT, INSTALL, jobset
from axk8s.schedulers.kubernetes_job.options import NAME, Options, run_opts
from axk8s.schedulers.kubernetes_job.pod import CONTAINER
from axk8s.schedulers.kubernetes_job.request import KubernetesRequest, split

PAUSE = 10.0
_DELETION_PAUSE = 1.0
"""Seconds before a call is made again that was tried for long enough, or cannot succeed yet."""
OURS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
"""Selects what was made here, whichever sweep or app it belongs to."""
ALONE = f"!{JOBSET_NAME_LABEL}"
"""Selects Jobs that are not of a JobSet: those go with it."""


class KubernetesJobScheduler(Scheduler):  # type: ignore[type-arg,unused-ignore]  # generic in TorchX, Any when its code is skipped
    """Runs an AppDef as one Indexed Job, or one of several roles as a JobSet; safe to use from several threads."""

    kinds: tuple[Resource, ...] = (JOB_SETS, JOBS)
    """What a job can be; the last one where nothing says which."""

    def __init__(self, session_name: str, **default: Any) -> None:
        """Make a scheduler; no cluster is asked yet.

        Args:
            session_name: the TorchX session, part of the handles.
            default: options that say which cluster is meant (`kubeconfig`, `context`, `namespace`, `qps`) while no job
                was submitted: for asking about jobs of an earlier program.
        """
        super().__init__(NAME, session_name)
        self._connections = Connections(default)

    def _run_opts(self) -> runopts:
        return run_opts()

    def _validate(self, app: AppDef, scheduler: str, *args: object) -> None:
        """Nothing to say before the options are known; a role without resources gets what the namespace gives."""

    def connection(self, cfg: Mapping[str, Any]) -> Connection:
        """The cluster that these options mean; calls without options go there from now on.

        Raises:
            ClusterAccessError: there are no credentials.
            SchedulerConfigError: an option cannot be.
        """
        return self._connections.of(Options.read(self.run_opts().resolve(cfg)))

    @property
    def kube(self) -> Kube:
        """The API of the cluster that was used last."""
        return self._connections.last().kube

    def _submit_dryrun(self, app: AppDef, cfg: Mapping[str, Any]) -> AppDryRunInfo:
        options = Options.read(cfg)
        namespace = self._connections.namespace(options)
        restricted = self._connections.restricted(options)
        name = options.name or make_unique(names.slug(app.name))
        make = jobset if len(app.roles) > 1 else manifests.job
        made = make(app, options, name=name, namespace=namespace, restricted=restricted, changes=changes(options))
        service = None
        if make is manifests.job and app.roles[0].num_replicas > 1 and options.service is None:
            service = manifests.service(
                name, namespace, labels=made["metadata"]["labels"], selector={JOB_NAME_LABEL: name}
            )
        kube = self._connections.of(options).kube if self._connections.known(options) else None
        return AppDryRunInfo(KubernetesRequest(made, service, kube), KubernetesRequest.to_text)

    def schedule(self, dryrun_info: AppDryRunInfo) -> str:
        """Create the Job or JobSet, or adopt the one of this name that is ours.

        Raises:
            SubmitError: as `start`.
        """
        request: KubernetesRequest = dryrun_info.request
        self.start(request)
        return request.app_id

    def start(self, request: KubernetesRequest) -> bool:
        """Create the Job or JobSet unless it exists already; True when this call did it. Safe to repeat.

        Raises:
            SubmitError: refused for good, or another object has its name.
            PostponedError: the API does not answer.
        """
        kube = request.kube or self.kube
        try:
            made, created = self._created(kube, request), True
        except AlreadyExistsError:
            made, created = self._adopted(kube, request), False
        except KubeError as error:
            said = refusal(request.name, error, request.kind)
            if isinstance(said, PostponedError):
                # Others have to end first, or somebody to log in: the API need not be asked again at once.
                kube.pause(PAUSE)
            raise said from error
        if request.service is not None:
            self._serve(kube, request, made)
        return created

    def _created(self, kube: Kube, request: KubernetesRequest) -> Object:
        return kube.create(request.resource, request.job, namespace=request.namespace or None)

    def _adopted(self, kube: Kube, request: KubernetesRequest) -> Object:
        kind = request.kind
        try:
            found = kube.get(request.resource, request.name, namespace=request.namespace or None)
        except NotFoundError as error:
            raise PostponedError(f"the {kind} {request.name} is being deleted just now") from error
        except KubeError as error:
            raise refusal(request.name, error, kind) from error
        if "deletionTimestamp" in found["metadata"]:
            kube.pause(_DELETION_PAUSE)
            raise PostponedError(f"the {kind} {request.name} is being deleted just now")
        wanted, present = request.job["metadata"]["labels"], found["metadata"].get("labels") or {}
        if any(present.get(key) != value for key, value in wanted.items() if key.startswith(names.LABEL_PREFIX + "/")):
            raise SubmitError(
                f"a {kind} {request.name} is in {request.namespace} already, and it is not ours",
                hint=f"look at it: kubectl -n {request.namespace} get {kind.lower()} {request.name} -o yaml",
            )
        if present.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY:
            raise SubmitError(
                f"a {kind} {request.name} is in {request.namespace} already, and axk8s did not make it",
                hint="delete it, or choose another name",
            )
        return found

    def _serve(self, kube: Kube, request: KubernetesRequest, owner: Object) -> None:
        assert request.service is not None
        reference = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": request.name,
            "uid": owner["metadata"]["uid"],
        }
        service = {**request.service, "metadata": {**request.service["metadata"], "ownerReferences": [reference]}}
        place = request.namespace or None
        try:
            kube.create(SERVICES, service, namespace=place)
        except AlreadyExistsError:
            pass  # of an earlier try
        except KubeError as error:
            # Without it the replicas would look for each other until their time is up.
            with contextlib.suppress(KubeError):
                kube.delete(JOBS, request.name, namespace=place)
            raise refusal(request.name, error) from error

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """The present state of the Job or JobSet, whoever made it; None when there is none.

        Raises:
            KubeError: no answer.
        """
        namespace, name = split(app_id)
        try:
            found, label = self.kube.get(JOBS, name, namespace=namespace or None), JOB_NAME_LABEL
        except NotFoundError:
            try:
                found, label = self.kube.get(JOB_SETS, name, namespace=namespace or None), JOBSET_NAME_LABEL
            except (NotFoundError, ForbiddenError):
                return None  # who may not read any has made none
        return description(app_id, found, self._pods(namespace, name, label))

    def list(self, cfg: object = None) -> list[ListAppResponse]:
        """The jobs of the namespace that were made here, by whomever; later versions of TorchX pass options."""
        if isinstance(cfg, Mapping):
            self.connection(cfg)
        kube = self.kube
        jobs, _ = kube.list_all(JOBS, labels=f"{OURS},{ALONE}")
        with contextlib.suppress(NotFoundError, ForbiddenError):  # where JobSet is not installed
            jobs += kube.list_all(JOB_SETS, labels=OURS)[0]
        return [ListAppResponse(f"{kube.access.namespace}:{one['metadata']['name']}", state(one)) for one in jobs]

    def cancel(self, app_id: str) -> None:
        """End the Job by deleting it with its pods, which get SIGTERM and their grace; returns at once.

        A suspended Job would stay for ever, and nothing else ends one: as in TorchX's own scheduler it is gone then.

        Raises:
            KubeError: no answer, or refused.
        """
        self.delete(app_id)

    def _cancel_existing(self, app_id: str) -> None:
        self.delete(app_id)

    def delete(self, app_id: str) -> None:
        """Delete the Job or JobSet and its pods; nothing happens when there is none.

        Raises:
            KubeError: no answer, or refused.
        """
        if not self.remove(JOBS, app_id):
            with contextlib.suppress(ForbiddenError):  # who may not delete any has made none
                self.remove(JOB_SETS, app_id)

    def remove(self, resource: Resource, app_id: str) -> bool:
        """As `delete`, where it is known which of the two it is; False when there was none.

        Raises:
            KubeError: no answer, or refused.
        """
        namespace, name = split(app_id)
        return self.kube.delete(resource, name, namespace=namespace or None)

    def _delete_existing(self, app_id: str) -> None:
        self.delete(app_id)

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        """Lines of the `k`th replica's output with their line ends; of its newest pod.

        Kubernetes keeps stdout and stderr together, and says no times with the lines unless they are followed, so
        `until` is not honoured.

        Raises:
            ValueError: there is no such role or replica, or one stream alone is wanted.
            KubeError: no answer.
        """
        if streams not in (None, Stream.COMBINED):
            raise ValueError(f"Kubernetes keeps both streams together, so there is no log of {streams.value} alone")
        del until
        return self._lines(app_id, role_name, k, regex, since, follow=should_tail)

    def _lines(
        self, app_id: str, role_name: str, k: int, regex: str | None, since: datetime | None, *, follow: bool
    ) -> Iterator[str]:
        namespace, name = split(app_id)
        pods = self._replica_pods(namespace, name, (role_name, k))
        if not pods:
            raise ValueError(f"{app_id} has no pod {role_name}-{k}: it has not started, or was deleted with its log")
        read = log.follow if follow else log.lines
        try:
            for line in read(self.kube, pods[-1].name, CONTAINER, namespace=namespace or None, since=since):
                if regex is None or re.search(regex, line):
                    yield f"{line}\n"
        except InvalidError:
            return  # it has not started, so it has said nothing

    def _replica_pods(self, namespace: str, name: str, replica: Replica) -> Sequence[PodFacts]:
        """The pods of one replica, the newest last."""
        if pods := self._pods(namespace, name):
            # A Job has one role, and its pods need not say which.
            return [pod for pod in pods if pod.index == replica[1]]
        return [pod for pod in self._pods(namespace, name, JOBSET_NAME_LABEL) if pod.replica == replica]

    def _pods(self, namespace: str, job: str, label: str = JOB_NAME_LABEL) -> Sequence[PodFacts]:
        """The pods of a Job or JobSet, the newest last."""
        found, _ = self.kube.list_all(PODS, namespace=namespace or None, labels=f"{label}={job}")
        found.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        return [PodFacts.read(pod) for pod in found]

    def close(self) -> None:
        """Let go of the cluster; Jobs go on running."""
        self._connections.close()


def create_scheduler(session_name: str, **given: object) -> KubernetesJobScheduler:
    """As TorchX calls it; parameters meant for other schedulers are ignored."""
    ours = ("kubeconfig", "context", "namespace", "qps")
    return KubernetesJobScheduler(session_name, **{name: given[name] for name in ours if given.get(name) is not None})


def changes(options: Options) -> Changes:
    """What `pod_overlay` says, read from its file or text.

    Raises:
        SchedulerConfigError: it cannot be read, or is no part of a pod.
    """
    if options.pod_overlay is None:
        return Changes()
    text, where = options.pod_overlay, "pod_overlay"
    if "\n" not in text and not text.lstrip().startswith("{") and ": " not in text:
        path = options.below(text)
        where = f"pod_overlay {path}"
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SchedulerConfigError(f"scheduler: {where} cannot be read: {error}") from error
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SchedulerConfigError(f"scheduler: {where} is not YAML: {error}") from error
    return Changes.read(found, where)


def refusal(name: str, error: KubeError, kind: str = "Job") -> SubmitError | PostponedError:
    """What the API's answer to a create means for whoever submits."""
    if kind == "JobSet" and isinstance(error, NotFoundError) and name not in error.message.partition(": ")[2]:
        return SubmitError(f"the JobSet {name} was refused: {ABSENT}", hint=INSTALL)
    waits = isinstance(error, ForbiddenError) and "exceeded quota" in error.message
    if waits or isinstance(error, UnreachableError | BusyError | UnauthorizedError):
        # Not of which call: it is the same for all, and should be told once.
        return PostponedError(error.message.partition(": ")[2] or error.message, hint=error.hint)
    return SubmitError(f"the {kind} {name} was refused: {error.message}", hint=error.hint)
