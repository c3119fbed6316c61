"""What one job's answers add up to, on a scheduler that is asked.

What cannot be learnt never ends a job: an error, an unknown state or one missing answer may be the API's trouble, and a
job that is taken for dead runs twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from torchx.schedulers.api import DescribeAppResponse
from torchx.specs import NONE, AppState

from axk8s.sweep.model import ExitFacts, JobView, Phase

Describe: TypeAlias = Callable[[str], DescribeAppResponse | None]
"""Asks the scheduler about one app id; may raise anything."""

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
class Observation:
    """One job, and all that its earlier answers said."""

    job: str
    app_id: str
    cancel: Callable[[str], None] = lambda _: None
    """Asks the scheduler to end one app id; must return at once."""
    absent_for: float = ABSENT_FOR
    """How long a job must be unknown to count as lost, in seconds."""
    forgetful: bool = False
    """The scheduler keeps jobs in this process's memory only: what it does not know, no waiting brings back."""
    deadline: float | None = None
    """Seconds of running after which the job is cancelled, for schedulers that have no such limit."""
    now: Callable[[], float] = time.monotonic
    view: JobView | None = None
    """As last seen; None before the first look."""
    known: bool = False
    """Whether the last look was answered with a state."""
    cancelled: bool = False
    """Whether we have asked it to end: some schedulers report such an end as a failure."""
    running_since: float | None = None
    deadline_passed: bool = False
    absences: int = 0
    absent_since: float = 0.0
    faults: int = 0

    def look(self, describe: Describe) -> JobView:
        """Ask once, and say where the job is as far as is known; never raises."""
        self.view = self._looked(describe)
        return self.view

    def _looked(self, describe: Describe) -> JobView:
        before = self.view or JobView(self.job, Phase.QUEUED)
        self.known = False
        try:
            found = describe(self.app_id)
        # Each scheduler raises what its client library does, and none of it says anything about the job.
        except Exception as error:  # noqa: BLE001
            self.faults += 1
            self.absences = 0
            reason = f"the scheduler does not answer: {type(error).__name__}: {error}"
            return replace(before, reason=reason) if self.faults >= FAULTS else before
        self.faults = 0
        if found is None:
            return self._absent(before)
        self.absences = 0
        return self._present(found, before)

    def _absent(self, before: JobView) -> JobView:
        self.absences += 1
        if self.absences == 1:
            self.absent_since = self.now()
        gone_for = self.now() - self.absent_since
        if self.forgetful or (self.absences >= ABSENCES and gone_for >= self.absent_for):
            if self.cancelled:
                # Schedulers that cancel by deleting leave nothing that could say so.
                return self._ended(before, ExitFacts("cancelled"))
            reason = "the scheduler does not know this job any more"
            if self.forgetful:
                reason = (
                    "this scheduler keeps its jobs in the memory of the process that submitted them, and that is gone"
                )
            return replace(before, phase=Phase.LOST, reason=reason, exit=ExitFacts("lost", message=reason))
        return before

    def _present(self, found: DescribeAppResponse, before: JobView) -> JobView:
        message = _message(found)
        restarts = max(0, found.num_restarts)
        if found.state in _PHASES:
            self.known = True
            if found.state is AppState.RUNNING:
                self._check_deadline()
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
            if self.cancelled or (not failed and not self.deadline_passed):
                return self._ended(before, ExitFacts("cancelled", code, message, replica))
            cause: Literal["deadline", "exited"] = "deadline" if self.deadline_passed else "exited"
            return self._ended(before, ExitFacts(cause, code, message, replica))
        # UNKNOWN: a job that was just accepted often has no state yet.
        return replace(before, reason=message or "the scheduler does not know its state")

    def _ended(self, before: JobView, facts: ExitFacts) -> JobView:
        self.known = True
        return replace(before, phase=Phase.ENDED, reason=facts.message, exit=facts, ended_at=time.time())

    def _check_deadline(self) -> None:
        if self.running_since is None:
            self.running_since = self.now()
        over = self.deadline is not None and self.now() - self.running_since >= self.deadline
        if over and not self.deadline_passed:
            self.deadline_passed = True
            self.cancel(self.app_id)


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
