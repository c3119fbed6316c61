"""The jobs of a runner: sent, looked at, ended and read through the same doors as those of a sweep."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchx.schedulers.api import DescribeAppResponse
from torchx.specs import AppDef, AppState

from axk8s import names
from axk8s.diagnose.exit_record import diagnose
from axk8s.errors import Axk8sError, SubmitError
from axk8s.folder import AttemptFolder
from axk8s.launch import appdef, session
from axk8s.launch.observation import Observation
from axk8s.launch.session import Session
from axk8s.metrics.collect import Reading, read
from axk8s.schedulers.kubernetes_job.scheduler import KubernetesJobScheduler
from axk8s.schedulers.local import logs, record, registry, slots
from axk8s.sweep.model import Diagnosis, ExitFacts, JobView, Phase

log = logging.getLogger(__name__)

LOCAL = "local"
_ENDED = {AppState.SUCCEEDED, AppState.FAILED, AppState.CANCELLED}
_LOG_EVERY = 30.0
"""Seconds between two readings of a running job's log where that is a call to a server."""
_TAIL = 20


@dataclass(frozen=True, slots=True)
class Place:
    """What a `Session` needs to know; for code in Python rather than in a sweep file."""

    scheduler: str
    scheduler_config: Mapping[str, Any]
    base: Path
    component: str | None = "component"
    function: str | None = None
    command: str | None = None

    def where(self, key: str) -> str:
        """The constructor's argument."""
        name, dot, rest = key.partition(".")
        known = {"scheduler_config": "cfg"}
        return f"TorchXRunner({known.get(name, name)}{f'[{rest!r}]' if dot else ''}=…)"


def _ours(scheduler: str, *, job: str, folder: str) -> dict[str, object]:
    """The options with which a scheduler of ours takes the job's name as it is."""
    if scheduler == LOCAL:
        return {"name": job, "folder": folder}
    return {"name": job} if scheduler in appdef.CLUSTER else {}


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at a job."""

    view: JobView
    known: bool
    """False when nothing could be learnt this time."""


class Jobs:
    """All jobs that one runner sent, or was told about by their handles."""

    patience: tuple[float, ...] = (1.0, 2.0)
    """Seconds to wait before the second and later tries of a call that the scheduler's API did not answer."""

    def __init__(self, place: Place) -> None:
        """Open the scheduler and check its options.

        Raises:
            SchedulerConfigError: the scheduler or an option does not exist.
        """
        self.scheduler = place.scheduler
        self._session = Session(place)
        config = self._session.config(_ours(place.scheduler, job="", folder=""))
        if isinstance(self._session.scheduler, KubernetesJobScheduler):
            # A runner that was loaded again asks about its jobs before it sends any.
            self._session.scheduler.connection(config)
        self._observations: dict[str, Observation] = {}
        self._ends: dict[str, Diagnosis] = {}
        self._owed: set[str] = set()
        self._roles: dict[str, str] = {}
        self._lists = place.scheduler != LOCAL
        self._readings: dict[str, tuple[float, Reading]] = {}
        self._gpus = 0

    def send(self, app: AppDef, *, job: str, environment: Mapping[str, str]) -> str:
        """Send a job under this name; the handle. A job of this name that exists is adopted where that can be seen.

        Raises:
            ComponentError: the scheduler does not take such an AppDef.
            SchedulerConfigError: an option cannot be.
            SubmitError: refused, or no answer to any try.
        """
        ours = _ours(self.scheduler, job=job, folder="")
        app.name = job
        extra = dict(environment)
        if self.scheduler == LOCAL:
            folder = self._new_folder(job)
            ours = _ours(self.scheduler, job=job, folder=str(folder.path))
            extra |= {names.ENV_METRICS: str(folder.metrics), names.ENV_OUTPUT_DIR: str(folder.output)}
            try:
                folder.output.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SubmitError(
                    f"{job}: its folder {folder.path} cannot be made: {error.strerror}",
                    hint=f"name another place in cfg={{'log_dir': …}}, or in the environment, {names.ENV_STATE_DIR}",
                ) from error
        for index, role in enumerate(app.roles):
            role.env = {"PYTHONUNBUFFERED": "1", **role.env}
            role.env |= {name: appdef.verbatim(value) for name, value in extra.items()}
            if self.scheduler != LOCAL:  # which numbers its replicas itself
                role.env[names.ENV_REPLICA] = "${replica_id}" if index == 0 else str(index)
        self._gpus = sum(max(role.resource.gpu, 0) * role.num_replicas for role in app.roles)
        info = self._session.dryrun(app, self._session.config(ours))
        for pause in (*self.patience, None):
            try:
                return self._sent(self._session.send(info), app)
            except SubmitError as error:
                # A refusal of our own scheduler's is final; what a client library raises may be the API's trouble.
                if pause is None or self.scheduler == LOCAL or error.__cause__ is None:
                    raise
                log.warning("%s: the submit failed, trying again: %s", job, error)
                time.sleep(pause)
                if (handle := self._session.present(job)) is not None:
                    return self._sent(handle, app)
        raise AssertionError("the last try returns or raises")

    def look(self, handles: Iterable[str]) -> dict[str, Sight]:
        """Where these jobs are: one question for all of them where the scheduler can list its jobs; never raises."""
        self._settle()
        apps = {handle: session.app_id(handle) for handle in handles}
        if self.scheduler == LOCAL:
            return {handle: self._local(app_id) for handle, app_id in apps.items()}
        listed = self._listed(set(apps.values())) if len(apps) > 1 else {}
        found: dict[str, Sight] = {}
        for handle, app_id in apps.items():
            one = self._observations.setdefault(app_id, self._observation(app_id))

            def describe(asked: str) -> DescribeAppResponse | None:
                state = listed.get(asked)
                # An end is looked at in full: its message and exit code are not in a list.
                if state is None or state in _ENDED:
                    return self._session.describe(asked)
                return DescribeAppResponse(app_id=asked, state=state)

            view = one.view if one.view is not None and one.view.exit is not None else one.look(describe)
            found[handle] = Sight(view, one.known or view.exit is not None)
        return found

    def end(self, handle: str, exit_facts: ExitFacts) -> Diagnosis:
        """Why an ended job ended, with its last log lines."""
        app_id = session.app_id(handle)
        if app_id not in self._ends:
            good = exit_facts.cause == "exited" and exit_facts.code == 0
            self._ends[app_id] = diagnose(exit_facts, () if good else self.tail(handle, exit_facts.replica))
        return self._ends[app_id]

    def stop(self, handle: str) -> str:
        """Ask a job to end: `asked`, `gone` when there is none, else what went wrong, and it is tried again later."""
        app_id = session.app_id(handle)
        if self.scheduler != LOCAL:
            self._observations.setdefault(app_id, self._observation(app_id)).cancelled = True
        trouble = ""
        for pause in (*self.patience, 0.0):
            trouble = self._cancel(app_id)
            if trouble in ("asked", "gone"):
                self._owed.discard(app_id)
                return trouble
            time.sleep(pause)
        self._owed.add(app_id)
        log.warning("%s: could not be stopped, and will be tried again with each poll: %s", handle, trouble)
        return trouble

    def reading(self, handle: str, *, ended: bool) -> Reading:
        """What the job reported: by `report()`, or by marked lines of its output."""
        app_id = session.app_id(handle)
        if self.scheduler == LOCAL:
            return read(AttemptFolder(registry.find(app_id) or registry.default_folder(app_id)))
        at, kept = self._readings.get(app_id, (0.0, Reading()))
        if not ended and at and time.monotonic() - at < _LOG_EVERY:
            return kept
        # A folder that cannot be: only the log is read.
        found = read(AttemptFolder(Path(os.devnull, app_id)), lambda: self._lines(app_id))
        found.searched[:] = [text for text in found.searched if not text.startswith(os.devnull)]
        self._readings[app_id] = (time.monotonic(), found)
        if ended:
            del self._readings[app_id]
        return found

    def tail(self, handle: str, replica: str = "") -> list[str]:
        """The last lines of the output; empty when the scheduler has none."""
        app_id = session.app_id(handle)
        if self.scheduler == LOCAL:
            folder = registry.find(app_id)
            return [] if folder is None else list(logs.tail(folder, replica, lines=_TAIL))
        try:
            return list(deque(self._lines(app_id), maxlen=_TAIL))
        except Axk8sError:
            return []

    def capacity(self, alive: int) -> int:
        """How many more jobs would start at once: GPUs on this machine; -1 where it is not limited, or not known.

        At least 1 while no job of ours is alive: Ax takes "no room and nothing running" for a fault of its own, and
        jobs wait for GPUs by themselves.
        """
        if self.scheduler != LOCAL or not self._gpus:
            return -1
        room = len(slots.gpus(os.environ)) // self._gpus - alive
        return max(room, 0 if alive else 1)

    def _sent(self, handle: str, app: AppDef) -> str:
        # Not every scheduler tells them later: `local_cwd` describes a job without its roles.
        self._roles[session.app_id(handle)] = app.roles[0].name
        return handle

    def _new_folder(self, job: str) -> AttemptFolder:
        given = self._session.config({"name": job, "folder": ""}).get("log_dir")
        if given is None:
            return AttemptFolder(registry.default_folder(job))
        return AttemptFolder((Path(str(given)).expanduser() / session.NAME / job).absolute())

    def _local(self, app_id: str) -> Sight:
        folder = registry.find(app_id)
        try:
            found = record.read(folder) if folder is not None else None
        except OSError as error:
            return Sight(JobView(app_id, Phase.PENDING, f"its folder cannot be read: {error.strerror}"), known=False)
        if found is not None:
            return Sight(found.view(app_id), known=True)
        reason = "its folder is gone" if folder is None else f"no job was ever started in {folder}"
        return Sight(JobView(app_id, Phase.LOST, reason, exit=ExitFacts("lost", message=reason)), known=True)

    def _observation(self, app_id: str) -> Observation:
        return Observation(app_id, app_id, forgetful=self.scheduler == "local_cwd")

    def _listed(self, wanted: set[str]) -> dict[str, AppState]:
        """States of all jobs in one call; empty from a scheduler that cannot, which is not asked again."""
        if not self._lists:
            return {}
        try:
            found = {app.app_id: app.state for app in self._session.scheduler.list()}
        except NotImplementedError:
            self._lists = False
            return {}
        # Each scheduler raises what its client library does; the jobs are asked for one by one then.
        except Exception as error:  # noqa: BLE001
            log.debug("%s cannot list its jobs: %s", self.scheduler, error)
            return {}
        return {app_id: state for app_id, state in found.items() if app_id in wanted}

    def _lines(self, app_id: str) -> Iterable[str]:
        return self._session.log(app_id, self._roles.get(app_id) or self._first_role(app_id), 0, follow=False)

    def _first_role(self, app_id: str) -> str:
        try:
            described = self._session.describe(app_id)
        # As in `_listed`.
        except Exception as error:
            raise SubmitError(f"{self.scheduler} does not answer: {type(error).__name__}: {error}") from error
        role: str | None = described.roles[0].name if described is not None and described.roles else None
        if role is None and described is not None and described.roles_statuses:
            role = described.roles_statuses[0].role
        if role is None:
            raise SubmitError(f"{self.scheduler} does not know the roles of {app_id}")
        return role

    def _cancel(self, app_id: str) -> str:
        if self.scheduler == LOCAL and registry.find(app_id) is None:
            return "gone"
        try:
            self._session.cancel(app_id)
        # As in `_listed`; a stop must not end the sweep.
        except Exception as error:  # noqa: BLE001
            if getattr(error, "status", None) == 404:
                return "gone"
            return f"{type(error).__name__}: {error}"
        return "asked"

    def _settle(self) -> None:
        """Try again to stop what could not be stopped."""
        for app_id in list(self._owed):
            if self._cancel(app_id) in ("asked", "gone"):
                self._owed.discard(app_id)
