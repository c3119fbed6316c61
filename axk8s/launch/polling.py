"""Watches jobs on schedulers that announce nothing, by asking politely.

One thread asks about all followed jobs: after 0.5 s, then half as often each time that nothing changed, up to a cap;
any change, or a new job, makes it prompt again. What cannot be learnt never ends a job: an error, an unknown state or
one missing answer may be the API's trouble, and a job that is taken for dead runs twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from axk8s.launch.observation import ABSENT_FOR, Describe, Observation
from axk8s.sweep.model import JobView

FIRST = 0.5
"""Seconds between two looks while things move."""
CAP = 60.0
"""Seconds between two looks when nothing has changed for long."""


class PollingObserver:
    """Calls `seen` from its own thread with the present view of each followed job and with every change.

    After the view whose phase is `ended` or `lost` nothing more comes of that job.
    """

    def __init__(
        self,
        seen: Callable[[JobView], None],
        describe: Describe,
        *,
        cancel: Callable[[str], None] = lambda _: None,
        first: float = FIRST,
        cap: float = CAP,
        absent_for: float = ABSENT_FOR,
        forgetful: bool = False,
        deadline: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an observer; it starts with the first job.

        Args:
            seen: receives the views.
            describe: asks the scheduler about one app id.
            cancel: asks the scheduler to end one app id; must return at once.
            first: shortest time between two looks, in seconds.
            cap: longest time between two looks, in seconds.
            absent_for: how long a job must be unknown to count as lost, in seconds.
            forgetful: the scheduler keeps jobs in this process's memory only: what it does not know, no waiting brings
                back.
            deadline: seconds of running after which a job is cancelled, for schedulers that have no such limit.
            now: the clock.
        """
        self._seen, self._describe, self._cancel = seen, describe, cancel
        self._first, self._cap, self._absent_for = first, cap, absent_for
        self._forgetful, self._deadline, self._now = forgetful, deadline, now
        self._followed: dict[str, Observation] = {}
        self._changed = threading.Condition()
        self._prompt = False
        self._closing = False
        self._thread: threading.Thread | None = None

    def follow(self, job: str, app_id: str) -> None:
        """Report this job from now on; from any thread."""
        with self._changed:
            if self._closing or job in self._followed:
                return
            self._followed[job] = Observation(
                job,
                app_id,
                cancel=self._cancel,
                absent_for=self._absent_for,
                forgetful=self._forgetful,
                deadline=self._deadline,
                now=self._now,
            )
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="polling", daemon=True)
                self._thread.start()
            self._rouse()

    def cancelling(self, app_id: str) -> None:
        """We have asked this job to end: some schedulers report such an end as a failure."""
        with self._changed:
            for one in self._followed.values():
                if one.app_id == app_id:
                    one.cancelled = True
            self._rouse()

    def close(self) -> None:
        """Stop asking; the jobs go on. Returns when the last call of `seen` has returned."""
        with self._changed:
            self._closing = True
            self._rouse()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _rouse(self) -> None:
        self._prompt = True
        self._changed.notify_all()

    def _run(self) -> None:
        pause = self._first
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or bool(self._followed))
                if self._closing:
                    return
                self._prompt = False
                jobs = list(self._followed.values())
            moved = [self._look(one) for one in jobs]
            with self._changed:
                pause = self._first if any(moved) or self._prompt else min(pause * 2, self._cap)
                self._changed.wait_for(lambda: self._prompt or self._closing, self._next(pause, jobs))

    def _next(self, pause: float, jobs: list[Observation]) -> float:
        """`pause`, or less when a deadline comes first."""
        if self._deadline is None:
            return pause
        ends = [
            one.running_since + self._deadline
            for one in jobs
            if one.running_since is not None and not one.deadline_passed
        ]
        return max(min([pause, *(end - self._now() for end in ends)]), 0.01)

    def _look(self, one: Observation) -> bool:
        before = one.view
        view = one.look(self._describe)
        if self._closing:
            one.view = before
            return False
        if view == before:
            return False
        if view.exit is not None:
            with self._changed:
                self._followed.pop(one.job, None)
        self._seen(view)
        return True
