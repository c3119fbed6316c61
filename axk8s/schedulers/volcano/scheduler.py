"""TorchX's scheduler `kubernetes` under its own name: what it lacks is added on the way, all else is TorchX's.

Handles stay as they are (`kubernetes://session/namespace:name`), so that `torchx status`, `torchx log` and
`torchx cancel` understand them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torchx.schedulers import kubernetes_scheduler as torchx
from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.ids import make_unique
from torchx.specs import AppDef, AppDryRunInfo, runopts

from axk8s import names
from axk8s.errors import SubmitError
from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import NotFoundError
from axk8s.kube.resource import VOLCANO_JOBS
from axk8s.schedulers import words
from axk8s.schedulers.kubernetes_job.connection import Connections
from axk8s.schedulers.kubernetes_job.description import description, state
from axk8s.schedulers.kubernetes_job.facts import PodFacts, Replica
from axk8s.schedulers.kubernetes_job.options import Options
from axk8s.schedulers.kubernetes_job.request import KubernetesRequest, split
from axk8s.schedulers.kubernetes_job.scheduler import OURS, KubernetesJobScheduler, changes
from axk8s.schedulers.volcano import job as manifests
from axk8s.schedulers.volcano.options import ABSENT, INSTALL, run_opts
from axk8s.schedulers.volcano.phase import JOB_NAME_LABEL


@dataclass(frozen=True, slots=True)
class VolcanoRequest(KubernetesRequest):
    """A Volcano Job, and the images that TorchX has built for it and not pushed yet."""

    images: Mapping[str, tuple[str, str]] = field(default_factory=dict, compare=False, repr=False)


class VolcanoScheduler(KubernetesJobScheduler, torchx.KubernetesScheduler):
    """Runs an AppDef as one Volcano Job: a gang of one task a replica; safe to use from several threads."""

    kinds = (VOLCANO_JOBS,)

    def __init__(self, session_name: str, client: Any = None, docker_client: Any = None, **default: Any) -> None:
        """Make a scheduler; no cluster is asked yet.

        Args:
            session_name: the TorchX session, part of the handles.
            client: an API client as TorchX takes one; unused, for which cluster is meant is said by options.
            docker_client: for TorchX's image workspaces.
            default: options that say which cluster is meant, as `KubernetesJobScheduler` takes them.
        """
        torchx.KubernetesScheduler.__init__(self, session_name, client, docker_client)
        self._connections = Connections(default)

    def _run_opts(self) -> runopts:
        return run_opts()

    def _submit_dryrun(self, app: AppDef, cfg: Any) -> AppDryRunInfo:
        options = Options.read(cfg)
        manifests.check(app)
        for role in app.roles:
            words.check(role, where=f"role {role.name!r}")
        with warnings.catch_warnings():
            # It warns of Volcano's retries, which TorchX itself miscounts and what is sent does not.
            warnings.simplefilter("ignore")
            asked = super(KubernetesJobScheduler, self)._submit_dryrun(app, cfg).request
        namespace = self._connections.namespace(options)
        made = manifests.completed(
            torchx.sanitize_for_serialization(asked.resource),
            app,
            options,
            name=options.name or make_unique(names.slug(app.name)),
            namespace=namespace,
            restricted=self._connections.restricted(options),
            changes=changes(options),
        )
        kube = self._connections.of(options).kube if self._connections.known(options) else None
        return AppDryRunInfo(VolcanoRequest(made, None, kube, dict(asked.images_to_push)), KubernetesRequest.to_text)

    def schedule(self, dryrun_info: AppDryRunInfo) -> str:
        """Push the images that were built, and create the Job, or adopt the one of this name that is ours.

        Raises:
            SubmitError: refused for good, or another Job has its name.
            PostponedError: the API does not answer.
        """
        if images := getattr(dryrun_info.request, "images", None):
            self.push_images(images)
        return super().schedule(dryrun_info)

    def _created(self, kube: Kube, request: KubernetesRequest) -> Object:
        try:
            return super()._created(kube, request)
        except NotFoundError as error:
            if absent(error, request.name):
                raise SubmitError(f"the Job {request.name} was refused: {ABSENT}", hint=INSTALL) from error
            raise

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """The present state of the Job, whoever made it; None when there is none.

        Raises:
            KubeError: no answer.
        """
        namespace, name = split(app_id)
        try:
            found = self.kube.get(VOLCANO_JOBS, name, namespace=namespace or None)
        except NotFoundError:
            return None
        return description(app_id, found, self._pods(namespace, name, JOB_NAME_LABEL))

    def list(self, cfg: object = None) -> list[ListAppResponse]:
        """The Jobs of the namespace that were made here, by whomever; later versions of TorchX pass options."""
        if isinstance(cfg, Mapping):
            self.connection(cfg)
        kube = self.kube
        jobs, _ = kube.list_all(VOLCANO_JOBS, labels=OURS)
        return [ListAppResponse(f"{kube.access.namespace}:{one['metadata']['name']}", state(one)) for one in jobs]

    def delete(self, app_id: str) -> None:
        """Delete the Job and its pods; nothing happens when there is none.

        Raises:
            KubeError: no answer, or refused.
        """
        self.remove(VOLCANO_JOBS, app_id)

    def _replica_pods(self, namespace: str, name: str, replica: Replica) -> Sequence[PodFacts]:
        return [pod for pod in self._pods(namespace, name, JOB_NAME_LABEL) if pod.replica == replica]


def absent(error: NotFoundError, name: str) -> bool:
    """Whether it is the kind that the server does not know: then it does not say which object is missing."""
    return name not in error.message.partition(": ")[2]


def create_scheduler(
    session_name: str, client: Any = None, docker_client: Any = None, **given: object
) -> VolcanoScheduler:
    """As TorchX calls it; parameters meant for other schedulers are ignored."""
    ours = ("kubeconfig", "context", "namespace", "qps")
    known = {name: given[name] for name in ours if given.get(name) is not None}
    return VolcanoScheduler(session_name, client, docker_client, **known)
