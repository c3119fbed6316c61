"""Volcano Jobs as they are sent, and as TorchX alone would send them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torchx.schedulers.kubernetes_scheduler import app_to_resource, sanitize_for_serialization
from torchx.specs import AppDef

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job.changes import Changes
from axk8s.schedulers.kubernetes_job.options import Options
from axk8s.schedulers.volcano.job import check, completed
from axk8s.schedulers.volcano.options import run_opts

NAME = "tune-0a1b2c-t3-a0"


def asked(made: AppDef, *, queue: str = "default", priority_class: str | None = None) -> Object:
    """TorchX's own request, as plain JSON."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Volcano's retries
        found = sanitize_for_serialization(app_to_resource(made, queue, None, priority_class))
    assert isinstance(found, dict)
    return found


def options(**cfg: Any) -> Options:
    """The options as the scheduler reads them."""
    return Options.read(run_opts().resolve(cfg))


def volcano(
    made: AppDef,
    *,
    name: str = NAME,
    namespace: str | None = None,
    restricted: bool = False,
    changes: Mapping[str, Any] | None = None,
    **cfg: Any,
) -> Object:
    """The Volcano Job of an AppDef with options."""
    check(made)
    own = Changes.read(changes or {}, "changes")
    return completed(
        asked(made), made, options(**cfg), name=name, namespace=namespace, restricted=restricted, changes=own
    )
