"""Scheduler options that say no: TorchX 0.7 ignores a misspelt option, and takes no `5` for a number of seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchx.specs import runopts

from axk8s.errors import SchedulerConfigError, suggestion


class ClosedOptions(runopts):
    """TorchX's options, but closed."""

    def __init__(self, scheduler: str) -> None:
        super().__init__()
        self._scheduler = scheduler

    def resolve(self, cfg: Mapping[str, Any], *args: object) -> Any:
        """As TorchX does, but unknown options are errors and whole numbers will do for seconds.

        Raises:
            SchedulerConfigError: there is no such option; the message has the list.
        """
        known = dict(iter(self))
        for name in cfg:
            if name not in known:
                message = f"the scheduler {self._scheduler} has no option {name!r}"
                raise SchedulerConfigError(message, hint=suggestion(name, known))
        given = {
            name: float(value) if known[name].opt_type is float and type(value) is int else value
            for name, value in cfg.items()
        }
        return super().resolve(given, *args)
