"""Parameters become a running job, and a job its observations: the controller's port to any TorchX scheduler."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from torchx.specs import AppDryRunInfo

from axk8s import names
from axk8s.errors import Axk8sError, SubmitError
from axk8s.folder import AttemptFolder, SweepFolder
from axk8s.launch import appdef, merged, program, rendering, session, workspace
from axk8s.launch.polling import CAP, PollingObserver
from axk8s.launch.session import Session
from axk8s.launch.workspace import Workspace
from axk8s.schedulers.local import logs as local_logs
from axk8s.schedulers.local import record
from axk8s.schedulers.local.observer import LocalObserver
from axk8s.schedulers.local.request import LocalRequest
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Harvest, JobOrder, JobView, Submitted

log = logging.getLogger(__name__)

LOCAL_CAP = 1.0
"""Seconds; asking a scheduler in this process costs nothing."""
_CANCELS = 4
"""How many cancels wait for slow schedulers at a time."""
_CANCEL_TRIES = 6

Collect = Callable[[AttemptFolder, Callable[[], Iterable[str]]], Harvest]
"""Reads what an attempt left, given its folder and a way to open the scheduler's log."""


class _Observer(Protocol):
    def close(self) -> None: ...


class Launcher:
    """All of one sweep's jobs; meets the controller's port `Jobs`."""

    def __init__(self, spec: SweepSpec, folder: SweepFolder, uid: str, *, collect: Collect) -> None:
        """Load what runs, pin its code, and create the scheduler.

        Args:
            spec: the sweep.
            folder: where it is kept; the code is copied there the first time.
            uid: the sweep's uid, for labels.
            collect: reads an ended attempt's values.

        Raises:
            ComponentError: the program cannot be loaded.
            SpecError: the program, or the workspace, does not fit.
            SchedulerConfigError: the scheduler or one of its options does not exist.
        """
        self._spec, self._folder, self._uid, self._collect = spec, folder, uid, collect
        self._session = Session(spec)
        known = program.watched(spec) if spec.workspace is None else ()
        self.workspace: Workspace = workspace.prepare(spec, folder, known)
        """The pinned code; its `digest` belongs into the journal."""
        self._program = program.load(spec, self.workspace)
        appdef.write_support(folder)
        self._rendered: dict[str, AppDryRunInfo] = {}
        self._roles: dict[str, list[tuple[str, int]]] = {}
        self._observer: _Observer | None = None
        self._local: LocalObserver | None = None
        self._polling: PollingObserver | None = None
        self._closed = threading.Event()
        self._cancels = ThreadPoolExecutor(_CANCELS, thread_name_prefix="cancel")

    def render(self, order: JobOrder) -> None:
        """Write the attempt's `params.json` and `manifest.yaml`, whole or not at all.

        Raises:
            ComponentError: the component refuses these parameters.
        """
        attempt = self._attempt(order)
        info = self._dryrun(order)
        attempt.output.mkdir(parents=True, exist_ok=True)
        self._folder.checkpoints(order.trial).mkdir(parents=True, exist_ok=True)
        _write(attempt.params, json.dumps(dict(order.parameters), indent=1, ensure_ascii=False) + "\n")
        _write(attempt.manifest, str(info))
        self._rendered[order.job] = info

    def submit(self, order: JobOrder) -> Submitted:
        """Send the rendered job, or adopt the one of this name that exists.

        On `local` a job is never started twice. Other schedulers of TorchX choose names of their own; after a crash a
        job is recognised there as far as the scheduler can list its jobs.

        Raises:
            SubmitError: refused for good.
        """
        info = self._rendered.pop(order.job, None)
        if self._spec.scheduler == "local":
            request = info.request if info is not None else self._stored(order)
            started = self._session.scheduler.start(request)
            return Submitted(self._session.handle(request.app_id), adopted=not started)
        if info is None:
            present = self._session.present(order.job)
            if present is not None:
                return Submitted(present, adopted=True)
            info = self._dryrun(order)
        return Submitted(self._session.send(info))

    def watch(self, seen: Callable[[JobView], None]) -> None:
        """Start observing."""
        if self._spec.scheduler == "local":
            self._observer = self._local = LocalObserver(seen)
            return
        here = self._spec.scheduler.startswith("local_")
        self._observer = self._polling = PollingObserver(
            seen,
            self._session.describe,
            cancel=self._cancel,
            cap=LOCAL_CAP if here else CAP,
            forgetful=self._spec.scheduler == "local_cwd",
            deadline=self._spec.trial_timeout,
        )

    def follow(self, job: str, handle: str) -> None:
        """Observe this job from now on."""
        assert self._observer is not None, "watch() comes first"
        if self._local is not None:
            self._local.follow(job, self._folder.attempt(*names.job_numbers(job)).path)
        if self._polling is not None:
            self._polling.follow(job, session.app_id(handle))

    def stop(self, handle: str) -> None:
        """Ask the job to end; returns at once."""
        job = session.app_id(handle)
        if self._polling is not None:
            self._polling.cancelling(job)
        self._cancel(job)

    def delete(self, handle: str) -> None:
        """Remove what the job left on the scheduler.

        Raises:
            SubmitError: the scheduler refused.
        """
        try:
            self._session.delete(session.app_id(handle))
        except Axk8sError:
            raise
        # TorchX's schedulers share no base class for their errors.
        except Exception as error:
            raise SubmitError(f"{handle} could not be deleted: {type(error).__name__}: {error}") from error

    def harvest(self, order: JobOrder, handle: str) -> Harvest:
        """Values and last log lines of an ended attempt."""
        self._roles.pop(order.job, None)
        return self._collect(self._attempt(order), lambda: self._first_replica(order, handle))

    def logs(self, order: JobOrder, handle: str, *, follow: bool = False) -> Iterator[str]:
        """The job's output, line by line; of several replicas each line begins with `<role>-<index>`.

        Raises:
            SubmitError: the scheduler has no log.
        """
        app_id = session.app_id(handle)
        replicas = self._replicas(order)

        def stream(role: str, index: int) -> Iterator[str]:
            if self._spec.scheduler == "local":
                # The files are the sweep's own and stay when the scheduler has forgotten the job.
                return _local_log(self._attempt(order).path, f"{role}-{index}", follow=follow)
            return self._session.log(app_id, role, index, follow=follow)

        if len(replicas) == 1:
            return stream(*replicas[0])
        streams = {f"{role}-{index}": stream(role, index) for role, index in replicas}
        return merged.concurrently(streams) if follow else merged.in_turn(streams)

    def log_tail(self, order: JobOrder, handle: str, *, lines: int = 20) -> list[str]:
        """The last lines of the output: of the replica that failed, where the scheduler says which; never raises."""
        path = self._attempt(order).path
        if self._spec.scheduler == "local":
            found = record.read(path)
            facts = found.facts if found is not None else None
            return list(local_logs.tail(path, facts.replica if facts is not None else "", lines=lines))
        try:
            return list(deque(self.logs(order, handle), maxlen=lines))
        except Axk8sError:
            return []

    def close(self) -> None:
        """Stop observing; jobs go on running (but those of `local_cwd` end with this process)."""
        self._closed.set()
        if self._observer is not None:
            self._observer.close()
        self._cancels.shutdown(wait=False, cancel_futures=True)

    def _attempt(self, order: JobOrder) -> AttemptFolder:
        return self._folder.attempt(order.trial, order.attempt)

    def _dryrun(self, order: JobOrder) -> AppDryRunInfo:
        app = rendering.appdef_of(self._program, self._spec, order, self._folder, self._uid, self.workspace)
        self._roles[order.job] = [(role.name, index) for role in app.roles for index in range(role.num_replicas)]
        return self._session.dryrun(
            app, self._session.config(rendering.options(self._spec, order, self._folder, self.workspace))
        )

    def _stored(self, order: JobOrder) -> LocalRequest:
        """What was rendered before a crash, so that an adopted job and its manifest agree."""
        try:
            return LocalRequest.from_text(self._attempt(order).manifest.read_text("utf-8"))
        except (FileNotFoundError, SubmitError):
            request: LocalRequest = self._dryrun(order).request
            return request

    def _replicas(self, order: JobOrder) -> list[tuple[str, int]]:
        if order.job not in self._roles:
            app = rendering.appdef_of(self._program, self._spec, order, self._folder, self._uid, self.workspace)
            return [(role.name, index) for role in app.roles for index in range(role.num_replicas)]
        return self._roles[order.job]

    def _first_replica(self, order: JobOrder, handle: str) -> Iterator[str]:
        role, index = self._replicas(order)[0]
        return self._session.log(session.app_id(handle), role, index, follow=False)

    def _cancel(self, app_id: str) -> None:
        if self._spec.scheduler == "local":
            self._session.cancel(app_id)
        else:
            self._cancels.submit(self._cancel_patiently, app_id)

    def _cancel_patiently(self, app_id: str) -> None:
        for attempt in range(_CANCEL_TRIES):
            try:
                return self._session.cancel(app_id)
            # As in `delete`; a stop that the API missed would leave the job running for ever.
            except Exception as error:  # noqa: BLE001
                log.warning("%s: cancelling failed, trying again: %s", app_id, error)
            if self._closed.wait(2.0**attempt):
                return None
        return log.error("%s: could not be cancelled; end it with the scheduler's own tools", app_id)


def _local_log(path: Path, replica: str, *, follow: bool) -> Iterator[str]:
    def ended() -> bool:
        found = record.read(path)
        return found is None or found.exit is not None

    for line in local_logs.follow(local_logs.paths(path, replica), ended if follow else None):
        yield line.rstrip("\n")


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, "utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
