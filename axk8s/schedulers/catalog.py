"""All schedulers that a TorchX `Runner` of ours knows, by name.

They are handed to the `Runner`, never published as a `torchx.schedulers` entry point: TorchX 0.7 drops all of its own
schedulers as soon as one such entry point is installed, and later versions make it the default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torchx.schedulers import get_scheduler_factories
from torchx.schedulers.api import Scheduler

SchedulerFactory: TypeAlias = Callable[..., Scheduler]
"""Called by the `Runner` as `factory(session_name=…, **params)`."""


def factories() -> dict[str, SchedulerFactory]:
    """TorchX's own schedulers and ours, for `Runner("torchx", scheduler_factories=factories())`.

    Its `kubernetes` (Volcano) is among ours: TorchX's, held right.
    """
    ours = {"local": _local, "kubernetes_job": _kubernetes_job, "kubernetes": _kubernetes}
    return {**get_scheduler_factories(), **ours}


def _local(session_name: str, **params: object) -> Scheduler:
    from axk8s.schedulers.local.scheduler import create_scheduler

    return create_scheduler(session_name, **params)


def _kubernetes_job(session_name: str, **params: object) -> Scheduler:
    from axk8s.schedulers.kubernetes_job.scheduler import create_scheduler

    return create_scheduler(session_name, **params)


def _kubernetes(session_name: str, **params: object) -> Scheduler:
    from axk8s.schedulers.volcano.scheduler import create_scheduler

    return create_scheduler(session_name, **params)
