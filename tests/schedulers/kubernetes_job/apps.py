"""AppDefs, options and the manifests that they make, with as few words as a test needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchx.specs import AppDef, Resource, Role

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job import job as manifests
from axk8s.schedulers.kubernetes_job import jobset as sets
from axk8s.schedulers.kubernetes_job.changes import Changes
from axk8s.schedulers.kubernetes_job.options import Options, run_opts

IMAGE = "registry.example.com:5000/team/train:1.2"


def role(**fields: Any) -> Role:
    return Role(**{"name": "main", "image": IMAGE, "entrypoint": "python", "args": ["-m", "train"], **fields})


def resource(cpu: float = -1, gpu: int = -1, memory: int = -1, **more: Any) -> Resource:
    return Resource(cpu=cpu, gpu=gpu, memMB=memory, **more)


def app(*roles: Role, metadata: Mapping[str, str] | None = None, **fields: Any) -> AppDef:
    """An AppDef of these roles, or of one with these fields."""
    return AppDef("tune", roles=list(roles) or [role(**fields)], metadata=dict(metadata or {}))


def options(**cfg: Any) -> Options:
    """The options as the scheduler reads them."""
    return Options.read(run_opts().resolve(cfg))


def job(
    made: AppDef,
    *,
    name: str = "tune-0a1b2c-t3-a0",
    namespace: str | None = None,
    restricted: bool = False,
    changes: Mapping[str, Any] | None = None,
    **cfg: Any,
) -> Object:
    """The Job of an AppDef with options."""
    own = Changes.read(changes or {}, "changes")
    return manifests.job(made, options(**cfg), name=name, namespace=namespace, restricted=restricted, changes=own)


def jobset(
    made: AppDef,
    *,
    name: str = "tune-0a1b2c-t3-a0",
    namespace: str | None = None,
    restricted: bool = False,
    changes: Mapping[str, Any] | None = None,
    **cfg: Any,
) -> Object:
    """The JobSet of an AppDef with options."""
    own = Changes.read(changes or {}, "changes")
    return sets.jobset(made, options(**cfg), name=name, namespace=namespace, restricted=restricted, changes=own)


def pod(made: Object) -> Object:
    """The pod's spec of a Job."""
    found: Object = made["spec"]["template"]["spec"]
    return found


def container(made: Object) -> Object:
    """The training container of a Job."""
    found: Object = pod(made)["containers"][0]
    return found
