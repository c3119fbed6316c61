"""Watches jobs on schedulers that announce nothing, by asking politely.

One thread asks about all followed jobs: after 0.5 s, then half as often each time that nothing changed, up to a cap;
any change, or a new job, makes it prompt again. What cannot be learnt never ends a job: an error, an unknown state or
one missing answer may be the API's trouble, and a job that is taken for dead runs twice.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from torchx.schedulers.api import DescribeAppResponse
from torchx.specs import NONE, AppState

from axk8s.sweep.model import ExitFacts, JobView, Phase

FIRST = 0.5
"""Seconds between two looks while things move."""
CAP = 60.0
"""Seconds between two looks when nothing has changed for long."""
ABSENCES = 3
ABSENT_FOR = 60.0
"""A job is lost when the scheduler did not know it this many times in a row, over at least this many seconds."""
FAULTS = 3
"""After this many errors in a row the view says so."""

_PHASES = {
    AppState.UNSUBMITTED: Phase.QUEUED,
    AppState.SUBMITTED: Phase.QUEUED,
    AppState.PENDING: Phase.PENDING,
    AppState.RUNNING: Phase.RUNNING,
}


@dataclass(slots=True)
class _Followed:
    job: str
    app_id: str
    view: JobView | None = None
    """As last reported."""
    absences: int = 0
    absent_since: float = 0.0
    faults: int = 0
    running_since: float | None = None
    cancelled: bool = False
    deadline_passed: bool = False


class PollingObserver:
    """Calls `seen` from its own thread with the present view of each followed job and with every change.

    After the view whose phase is `ended` or `lost` nothing more comes of that job.
    """

    def __init__(
        self,
        seen: Callable[[JobView], None],
        describe: Callable[[str], DescribeAppResponse | None],
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
        self._followed: dict[str, _Followed] = {}
        self._changed = threading.Condition()
        self._prompt = False
        self._closing = False
        self._thread: threading.Thread | None = None

    def follow(self, job: str, app_id: str) -> None:
        """Report this job from now on; from any thread."""
        with self._changed:
            if self._closing or job in self._followed:
                return
            self._followed[job] = _Followed(job, app_id)
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

    def _next(self, pause: float, jobs: list[_Followed]) -> float:
        """`pause`, or less when a deadline comes first."""
        if self._deadline is None:
            return pause
        ends = [
            one.running_since + self._deadline
            for one in jobs
            if one.running_since is not None and not one.deadline_passed
        ]
        return max(min([pause, *(end - self._now() for end in ends)]), 0.01)

    def _look(self, one: _Followed) -> bool:
        view = self._view(one)
        if self._closing or view == one.view:
            return False
        one.view = view
        if view.exit is not None:
            with self._changed:
                self._followed.pop(one.job, None)
        self._seen(view)
        return True

    def _view(self, one: _Followed) -> JobView:
        before = one.view or JobView(one.job, Phase.QUEUED)
        try:
            found = self._describe(one.app_id)
        # Each scheduler raises what its client library does, and none of it says anything about the job.
        except Exception as error:  # noqa: BLE001
            one.faults += 1
            one.absences = 0
            reason = f"the scheduler does not answer: {type(error).__name__}: {error}"
            return replace(before, reason=reason) if one.faults >= FAULTS else before
        one.faults = 0
        if found is None:
            return self._absent(one, before)
        one.absences = 0
        return self._present(one, found, before)

    def _absent(self, one: _Followed, before: JobView) -> JobView:
        one.absences += 1
        if one.absences == 1:
            one.absent_since = self._now()
        gone_for = self._now() - one.absent_since
        if self._forgetful or (one.absences >= ABSENCES and gone_for >= self._absent_for):
            if one.cancelled:
                # Schedulers that cancel by deleting leave nothing that could say so.
                return self._ended(before, ExitFacts("cancelled"))
            reason = "the scheduler does not know this job any more"
            if self._forgetful:
                reason = (
                    "this scheduler keeps its jobs in the memory of the process that submitted them, and that is gone"
                )
            return replace(before, phase=Phase.LOST, reason=reason, exit=ExitFacts("lost", message=reason))
        return before

    def _present(self, one: _Followed, found: DescribeAppResponse, before: JobView) -> JobView:
        message = _message(found)
        restarts = max(0, found.num_restarts)
        if found.state in _PHASES:
            if found.state is AppState.RUNNING:
                self._check_deadline(one)
            started = before.started_at
            if found.state is AppState.RUNNING and started is None:
                started = time.time()
            return replace(before, phase=_PHASES[found.state], reason=message, started_at=started, restarts=restarts)
        before = replace(before, restarts=restarts)
        if found.state is AppState.SUCCEEDED:
            return self._ended(before, ExitFacts("exited", code=0))
        if found.state in (AppState.CANCELLED, AppState.FAILED):
            failed = found.state is AppState.FAILED
            code, replica = _exit_code(found) if failed else (None, "")
            if one.cancelled or (not failed and not one.deadline_passed):
                return self._ended(before, ExitFacts("cancelled", code, message, replica))
            cause: Literal["deadline", "exited"] = "deadline" if one.deadline_passed else "exited"
            return self._ended(before, ExitFacts(cause, code, message, replica))
        # UNKNOWN: a job that was just accepted often has no state yet.
        return replace(before, reason=message or "the scheduler does not know its state")

    def _ended(self, before: JobView, facts: ExitFacts) -> JobView:
        return replace(before, phase=Phase.ENDED, reason=facts.message, exit=facts, ended_at=time.time())

    def _check_deadline(self, one: _Followed) -> None:
        if one.running_since is None:
            one.running_since = self._now()
        over = self._deadline is not None and self._now() - one.running_since >= self._deadline
        if over and not one.deadline_passed:
            one.deadline_passed = True
            self._cancel(one.app_id)


def _message(found: DescribeAppResponse) -> str:
    """The scheduler's words about a job; the error file of torchelastic says most."""
    structured = found.structured_error_msg
    if structured and structured != NONE:
        try:
            inner = json.loads(structured).get("message")
        except (ValueError, AttributeError):
            inner = structured
        return str(inner.get("message") if isinstance(inner, dict) else inner)
    return "" if found.msg == NONE else found.msg or ""


def _exit_code(found: DescribeAppResponse) -> tuple[int | None, str]:
    """Exit code and name of the first failed replica, where the scheduler left them (`local_cwd`: its file SUCCESS)."""
    url = urlsplit(found.ui_url or "")
    if url.scheme != "file":
        return None, ""
    try:
        record: dict[str, Any] = json.loads((Path(unquote(url.path)) / "SUCCESS").read_bytes())
        for role, replicas in record["roles"].items():
            for one in replicas:
                if one["exitcode"]:
                    return int(one["exitcode"]), f"{role}-{one['replica_id']}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # not that scheduler's file
    return None, ""
