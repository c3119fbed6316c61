"""A TorchX scheduler that plays the states of a script: what a cluster does, on demand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Scheduler
from torchx.specs import AppDef, AppDryRunInfo, AppState, Role, runopts


class ApiError(Exception):
    """As the Kubernetes client raises it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"({status})")
        self.status = status


class Stage:
    """The cluster behind all schedulers of one test."""

    def __init__(self) -> None:
        self.jobs: dict[str, AppState | None] = {}
        """App id to state; None: the API does not know it."""
        self.calls: list[str] = []
        self.fault: Callable[[str], Exception | None] = lambda _: None
        """Called with `describe`, `list`, `cancel` or `submit <name>`; what it returns is raised."""
        self.lists = True
        self.log: list[str] = []
        self.messages: dict[str, str] = {}

    def called(self, what: str) -> None:
        self.calls.append(what)
        if (error := self.fault(what)) is not None:
            raise error

    def count(self, what: str) -> int:
        return sum(call.startswith(what) for call in self.calls)

    def all(self, state: AppState | None) -> None:
        self.jobs = dict.fromkeys(self.jobs, state)

    def scheduler(self, session_name: str) -> Scheduler:
        return PlayedScheduler(session_name, self)


class PlayedScheduler(Scheduler):  # type: ignore[type-arg,unused-ignore]  # generic in TorchX, Any when its code is skipped
    _numbers = itertools.count()

    def __init__(self, session_name: str, stage: Stage) -> None:
        super().__init__("stage", session_name)
        self._stage = stage

    def _run_opts(self) -> runopts:
        opts = runopts()
        opts.add("queue", type_=str, default="main", help="the queue")
        return opts

    def _validate(self, app: AppDef, scheduler: str, *args: object) -> None:
        """Roles need no resources here."""

    def _submit_dryrun(self, app: AppDef, cfg: Mapping[str, Any]) -> AppDryRunInfo:
        return AppDryRunInfo(app, repr)

    def schedule(self, dryrun_info: AppDryRunInfo) -> str:
        app: AppDef = dryrun_info.request
        self._stage.called(f"submit {app.name}")
        # TorchX appends a random text to every name.
        app_id = f"{app.name}-r{next(self._numbers)}"
        self._stage.jobs[app_id] = AppState.SUBMITTED
        return app_id

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        self._stage.called("describe")
        state = self._stage.jobs.get(app_id)
        if state is None:
            return None
        message = self._stage.messages.get(app_id, "")
        return DescribeAppResponse(app_id=app_id, state=state, msg=message, roles=[Role("main", "")])

    def list(self, cfg: object = None) -> list[ListAppResponse]:
        if not self._stage.lists:
            raise NotImplementedError
        self._stage.called("list")
        return [ListAppResponse(app_id, state) for app_id, state in self._stage.jobs.items() if state is not None]

    def _cancel_existing(self, app_id: str) -> None:
        self._stage.called("cancel")
        self._stage.jobs[app_id] = AppState.CANCELLED

    def log_iter(self, app_id: str, role_name: str, k: int = 0, *args: object, **kwargs: object) -> Iterable[str]:
        return iter(self._stage.log)
