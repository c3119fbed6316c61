"""What is sent for one app: manifests as they are, which can be kept, read by people, and sent again after a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from axk8s.errors import SubmitError
from axk8s.kube.resource import JOB_SETS, JOBS, VOLCANO_JOBS, Resource
from axk8s.schedulers.kubernetes_job.facts import Replica, is_volcano, job_specs

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_RESOURCES = {"Job": JOBS, "JobSet": JOB_SETS}


@dataclass(frozen=True, slots=True)
class KubernetesRequest:
    """A Job or JobSet, and the Service of its own that it needs, if any."""

    job: dict[str, Any]
    service: dict[str, Any] | None = None
    kube: Any = field(default=None, compare=False, repr=False)
    """The cluster that it was made for; None: the one that is asked next."""

    @property
    def kind(self) -> str:
        """`Job` or `JobSet`."""
        return str(self.job["kind"])

    @property
    def resource(self) -> Resource:
        return VOLCANO_JOBS if is_volcano(self.job) else _RESOURCES[self.kind]

    @property
    def roles(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Each role, and the spec of its Job."""
        return job_specs(self.job)

    @property
    def replicas(self) -> list[Replica]:
        """All of them; the first one speaks for all."""
        return [(role, index) for role, spec in self.roles for index in range(spec["completions"])]

    @property
    def name(self) -> str:
        return str(self.job["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.job["metadata"].get("namespace") or "")

    @property
    def app_id(self) -> str:
        """TorchX's name of the app, as its own Kubernetes schedulers write it."""
        return f"{self.namespace}:{self.name}"

    def to_text(self) -> str:
        """YAML that `kubectl apply -f` takes, and `from_text` reads back."""
        return as_yaml([one for one in (self.job, self.service) if one is not None])

    @classmethod
    def from_text(cls, text: str) -> KubernetesRequest:
        """Read what `to_text` wrote.

        Raises:
            SubmitError: it is damaged.
        """
        try:
            found = {one["kind"]: one for one in yaml.load_all(text, Loader=_LOADER)}
            return cls(found["Job"] if "Job" in found else found["JobSet"], found.get("Service"))
        except (yaml.YAMLError, KeyError, TypeError) as error:
            hint = "submit the job again from its component"
            raise SubmitError(f"the stored manifest is damaged: {error}", hint=hint) from error


def as_yaml(documents: list[dict[str, Any]]) -> str:
    """Objects as YAML documents, keys in the order in which they were made."""
    text: str = yaml.dump_all(documents, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=120)
    return text


def split(app_id: str) -> tuple[str, str]:
    """Namespace and name of an app id; a bare name has no namespace."""
    namespace, _, name = app_id.rpartition(":")
    return namespace, name
