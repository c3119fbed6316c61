"""A sweep's jobs on any other scheduler that TorchX has: asked about politely, one by one."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from torchx.specs import AppDryRunInfo

from axk8s.errors import Axk8sError, SubmitError
from axk8s.folder import SweepFolder
from axk8s.launch import session
from axk8s.launch.backend import Collect, Replica
from axk8s.launch.polling import CAP, PollingObserver
from axk8s.launch.session import Session
from axk8s.sweep.model import Harvest, JobOrder, JobView, Submitted

log = logging.getLogger(__name__)

LOCAL_CAP = 1.0
"""Seconds; asking a scheduler in this process costs nothing."""
_CANCELS = 4
"""How many cancels wait for slow schedulers at a time."""
_CANCEL_TRIES = 6


class PolledJobs:
    """Meets `Backend`.

    Such schedulers choose names of their own; after a crash a job is recognised as far as they can list their jobs.
    """

    def __init__(
        self,
        opened: Session,
        folder: SweepFolder,
        collect: Collect,
        *,
        again: Callable[[JobOrder], AppDryRunInfo],
        replicas: Callable[[JobOrder], list[Replica]],
        deadline: float | None,
    ) -> None:
        """Describe what to poll.

        Args:
            opened: the scheduler.
            folder: the sweep's folder.
            collect: reads an ended attempt's values.
            again: renders an attempt anew.
            replicas: of an attempt, for its log.
            deadline: seconds that a job may run.
        """
        self._session, self._folder, self._collect = opened, folder, collect
        self._again, self._replicas, self._deadline = again, replicas, deadline
        self._observer: PollingObserver | None = None
        self._closed = threading.Event()
        self._cancels = ThreadPoolExecutor(_CANCELS, thread_name_prefix="cancel")

    def place(self) -> None:
        """Not known of a scheduler in general."""

    def submit(self, order: JobOrder, info: AppDryRunInfo | None) -> Submitted:
        if info is None:
            present = self._session.present(order.job)
            if present is not None:
                return Submitted(present, adopted=True)
            info = self._again(order)
        return Submitted(self._session.send(info))

    def watch(self, seen: Callable[[JobView], None]) -> None:
        here = self._session.scheduler_name.startswith("local_")
        self._observer = PollingObserver(
            seen,
            self._session.describe,
            cancel=self._cancel,
            cap=LOCAL_CAP if here else CAP,
            forgetful=self._session.scheduler_name == "local_cwd",
            deadline=self._deadline,
        )

    def follow(self, job: str, handle: str) -> None:
        assert self._observer is not None, "watch() comes first"
        self._observer.follow(job, session.app_id(handle))

    def stop(self, handle: str) -> None:
        job = session.app_id(handle)
        if self._observer is not None:
            self._observer.cancelling(job)
        self._cancel(job)

    def delete(self, handle: str) -> None:
        try:
            self._session.delete(session.app_id(handle))
        except Axk8sError:
            raise
        # TorchX's schedulers share no base class for their errors.
        except Exception as error:
            raise SubmitError(f"{handle} could not be deleted: {type(error).__name__}: {error}") from error

    def harvest(self, order: JobOrder, handle: str, replicas: list[Replica]) -> Harvest:
        return self._collect(
            self._folder.attempt(order.trial, order.attempt),
            lambda: self.lines(order, handle, replicas[0], follow=False),
        )

    def lines(self, order: JobOrder, handle: str, replica: Replica, *, follow: bool) -> Iterator[str]:
        del order
        return self._session.log(session.app_id(handle), *replica, follow=follow)

    def output(self, order: JobOrder, handle: str, replica: Replica) -> Iterator[str]:
        return self.lines(order, handle, replica, follow=True)

    def tail(self, order: JobOrder, handle: str, lines: int) -> list[str]:
        replica = self._replicas(order)[0]
        return list(deque(self.lines(order, handle, replica, follow=False), maxlen=lines))

    def tidy(self) -> None:
        """Nothing is known to be shared."""

    def close(self) -> None:
        """Stop observing; jobs go on running (but those of `local_cwd` end with this process)."""
        self._closed.set()
        if self._observer is not None:
            self._observer.close()
        self._cancels.shutdown(wait=False, cancel_futures=True)

    def _cancel(self, app_id: str) -> None:
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
