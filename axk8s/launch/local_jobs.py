"""A sweep's jobs on this machine: their folders are the sweep's own, and the kernel says what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from torchx.specs import AppDryRunInfo

from axk8s import names
from axk8s.errors import SubmitError
from axk8s.folder import AttemptFolder, SweepFolder
from axk8s.launch import session
from axk8s.launch.backend import Collect, Replica
from axk8s.launch.session import Session
from axk8s.schedulers.local import logs, record
from axk8s.schedulers.local.observer import LocalObserver
from axk8s.schedulers.local.request import LocalRequest
from axk8s.sweep.model import Harvest, JobOrder, JobView, Submitted


class LocalJobs:
    """Meets `Backend`."""

    def __init__(
        self, opened: Session, folder: SweepFolder, collect: Collect, *, again: Callable[[JobOrder], AppDryRunInfo]
    ) -> None:
        """`again` renders an attempt whose stored request is damaged."""
        self._session, self._folder, self._collect, self._again = opened, folder, collect, again
        self._observer: LocalObserver | None = None

    def place(self) -> None:
        """Here."""

    def submit(self, order: JobOrder, info: AppDryRunInfo | None) -> Submitted:
        request = info.request if info is not None else self._stored(order)
        started = self._session.scheduler.start(request)
        return Submitted(self._session.handle(request.app_id), adopted=not started)

    def watch(self, seen: Callable[[JobView], None]) -> None:
        self._observer = LocalObserver(seen)

    def follow(self, job: str, handle: str) -> None:
        del handle
        assert self._observer is not None, "watch() comes first"
        self._observer.follow(job, self._folder.attempt(*names.job_numbers(job)).path)

    def stop(self, handle: str) -> None:
        self._session.cancel(session.app_id(handle))

    def delete(self, handle: str) -> None:
        self._session.delete(session.app_id(handle))

    def harvest(self, order: JobOrder, handle: str, replicas: list[Replica]) -> Harvest:
        role, index = replicas[0]
        return self._collect(
            self._attempt(order), lambda: self._session.log(session.app_id(handle), role, index, follow=False)
        )

    def lines(self, order: JobOrder, handle: str, replica: Replica, *, follow: bool) -> Iterator[str]:
        # The files are the sweep's own and stay when the scheduler has forgotten the job.
        del handle
        return _log(self._attempt(order).path, f"{replica[0]}-{replica[1]}", follow=follow)

    def output(self, order: JobOrder, handle: str, replica: Replica) -> Iterator[str]:
        return self.lines(order, handle, replica, follow=True)

    def tail(self, order: JobOrder, handle: str, lines: int) -> list[str]:
        del handle
        path = self._attempt(order).path
        found = record.read(path)
        facts = found.facts if found is not None else None
        return list(logs.tail(path, facts.replica if facts is not None else "", lines=lines))

    def tidy(self) -> None:
        """Jobs share nothing here that is not in the sweep's folder."""

    def close(self) -> None:
        if self._observer is not None:
            self._observer.close()

    def _attempt(self, order: JobOrder) -> AttemptFolder:
        return self._folder.attempt(order.trial, order.attempt)

    def _stored(self, order: JobOrder) -> LocalRequest:
        """What was rendered before a crash, so that an adopted job and its manifest agree."""
        try:
            return LocalRequest.from_text(self._attempt(order).manifest.read_text("utf-8"))
        except (FileNotFoundError, SubmitError):
            request: LocalRequest = self._again(order).request
            return request


def _log(path: Path, replica: str, *, follow: bool) -> Iterator[str]:
    def ended() -> bool:
        found = record.read(path)
        return found is None or found.exit is not None

    for line in logs.follow(logs.paths(path, replica), ended if follow else None):
        yield line.rstrip("\n")
