"""The user's own changes to pods: of all roles, of one, and those that a role itself carries. Pure.

They have the shape of a pod, `metadata` with labels and annotations, and `spec`; what is neither is taken for the spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torchx.specs import Role

from axk8s import names
from axk8s.errors import Axk8sError, ComponentError, SchedulerConfigError
from axk8s.schedulers.kubernetes_job import overlay

OWN = "kubernetes"
"""The key of a role's metadata under which it carries a piece of its pods, as in TorchX."""
Template: TypeAlias = Mapping[str, Any]
"""Metadata and spec of a pod."""
_POD = {"apiVersion", "kind", "metadata", "spec", "status"}
_HINT = "write what stands under `spec:` of a pod, such as `hostNetwork: true` or `containers: [{name: main, …}]`"


@dataclass(frozen=True, slots=True)
class Changes:
    """What the option `pod_overlay` says."""

    everywhere: Template = field(default_factory=dict)
    roles: Mapping[str, Template] = field(default_factory=dict)
    """For the pods of one role, after what is for all."""

    @classmethod
    def read(cls, found: object, where: str) -> Changes:
        """What a mapping says; `roles:` beside the rest holds such mappings for single roles.

        Raises:
            SchedulerConfigError: it is no part of a pod.
        """
        where = f"scheduler: {where}"
        if not isinstance(found, Mapping):
            raise _none(SchedulerConfigError, where, found)
        rest = {key: value for key, value in found.items() if key != "roles"}
        roles = found.get("roles", {})
        if not isinstance(roles, Mapping):
            hint = "write roles: {trainer: {nodeSelector: {pool: gpu}}}"
            raise SchedulerConfigError(f"{where}: roles is no mapping from roles: {roles!r:.60}", hint=hint)
        own = {str(name): _pod(one, f"{where}: roles: {name}", SchedulerConfigError) for name, one in roles.items()}
        return cls({} if "roles" in found and not rest else _pod(rest, where, SchedulerConfigError), own)

    def check(self, roles: Iterable[Role]) -> None:
        """Whether each role that is named is one of these.

        Raises:
            SchedulerConfigError: one is not.
        """
        known = [role.name for role in roles]
        for name in self.roles:
            if name not in known:
                hint = f"its roles are: {', '.join(known)}"
                raise SchedulerConfigError(f"scheduler: pod_overlay: the job has no role {name!r}", hint=hint)

    def applied(self, made: Template, role: Role) -> dict[str, Any]:
        """The template of a role's pods with the role's own changes, then those for all roles, then those for this one.

        Raises:
            ComponentError: what the role carries is no part of a pod.
        """
        whole = dict(made)
        for one in self._of(role):
            whole = overlay.merged(whole, one)
        return whole

    def _of(self, role: Role) -> Iterator[Template]:
        if OWN in (role.metadata or {}):
            where = f"role {role.name!r}: metadata[{OWN!r}]"
            yield _pod(role.metadata[OWN], where, ComponentError)
        yield self.everywhere
        if role.name in self.roles:
            yield self.roles[role.name]


def _pod(found: object, where: str, error: type[Axk8sError]) -> Template:
    if not isinstance(found, Mapping):
        raise _none(error, where, found)
    if not _POD & set(found):
        return {"spec": found} if found else {}
    if beside := sorted(set(found) - _POD):
        raise error(f"{where}: {beside[0]} stands beside the metadata or spec of a pod", hint="put it under `spec:`")
    spec, metadata = found.get("spec"), found.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise _none(error, where, metadata)
    parts = {name: metadata[name] for name in ("labels", "annotations") if name in metadata}
    if not isinstance(spec, Mapping) and not (spec is None and parts):
        raise _none(error, where, spec)
    for name, values in parts.items():
        _check(values, f"{where}: {name}", error)
    return {**({"metadata": parts} if parts else {}), **({"spec": spec} if spec else {})}


def _check(values: object, where: str, error: type[Axk8sError]) -> None:
    if not isinstance(values, Mapping):
        raise error(f"{where}: {values!r:.60} is no mapping", hint="write keys and texts: {example.com/key: text}")
    for key, value in values.items():
        if key == names.LABEL_MANAGED_BY or str(key).startswith(f"{names.LABEL_PREFIX}/"):
            raise error(f"{where}: {key} is ours: by it pods are found again", hint="take another key")
        if value is not None and not isinstance(value, str):
            raise error(f"{where}: {key}: {value!r} is no text", hint=f'put it between quotes: "{value}"')


def _none(error: type[Axk8sError], where: str, found: object) -> Axk8sError:
    return error(f"{where} is no part of a pod: {found!r:.60}", hint=_HINT)
