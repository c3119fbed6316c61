"""When the whole sweep stops launching: failures that repeat, too many failures, time that has run out. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from axk8s.sweep.model import LogRule, Outcome
from axk8s.sweep.records import Halted
from axk8s.sweep.state import State

SAME_FAILURES = 3
"""This many first trials that fail alike, with no success before them, mean that the job is broken, not the trial."""
MAX_DISRUPTIONS = 20
"""Bounds the free retries of one trial: a job that is pre-empted this often will not finish."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a sweep file says about the course of its sweep."""

    trials: int
    parallelism: int
    retries: int
    max_failures: int | None = None
    """Failed trials (infeasible ones are not failures) at which the sweep aborts."""
    wall_time: float | None = None
    """Seconds that controllers may drive the sweep in total."""
    max_disruptions: int = MAX_DISRUPTIONS
    max_queued: int | None = None
    """How many attempts may wait for room at a time; None: `default_max_queued`."""
    queued: bool = False
    """Jobs go through a queue."""
    shared: bool = False
    """Machines are shared with others, so that jobs may have to wait for them."""
    same_failures: int = SAME_FAILURES
    """0: never abort for this."""
    retry_exit_codes: tuple[int, ...] = (75,)
    infeasible_exit_codes: tuple[int, ...] = (64,)
    log_rules: tuple[LogRule, ...] = ()
    """The sweep file's, which come before those that are built in."""


def limit(state: State, settings: Settings, now: float) -> Halted | None:
    """Why nothing further may be launched, or None."""
    count = settings.same_failures
    first = state.signatures[:count]
    if count and len(first) == count and len(set(first)) == 1 and not state.counts[Outcome.SUCCEEDED]:
        reason, hint = _last_failure(state)
        return Halted(
            time=now,
            cause="aborted",
            reason=f"the first {count} trials failed alike: {reason}",
            hint=hint or "try one trial in the foreground: axk8s try",
        )
    failures = state.counts[Outcome.FAILED]
    if settings.max_failures is not None and failures >= settings.max_failures and failures:
        reason, hint = _last_failure(state)
        return Halted(
            time=now,
            cause="aborted",
            reason=f"{failures} trials failed (max_failures: {settings.max_failures}); the last: {reason}",
            hint=hint,
        )
    deadline = budget_ends(state, settings)
    if deadline is not None and now >= deadline:
        return Halted(
            time=now,
            cause="budget",
            reason=f"the wall-time budget of {settings.wall_time:g} s is used up",
            hint="raise budget.wall_time and run the same command to go on",
        )
    return None


def budget_ends(state: State, settings: Settings) -> float | None:
    """When the wall-time budget runs out (Unix seconds), if there is one and its clock goes.

    The clock goes while a controller runs, and stands still while all that is alive waits for room: a sweep is not to
    end because others had the cluster.
    """
    if settings.wall_time is None or state.controller is None or state.waiting_since is not None:
        return None
    return state.controller.time + settings.wall_time - state.run_time + state.waited


def default_max_queued(parallelism: int) -> int:
    """A quarter of the slots, and at least 2: enough that one waits whenever room comes, few enough to stay fresh."""
    return max(2, math.ceil(parallelism / 4))


def room(state: State, settings: Settings, *, ahead: int) -> int:
    """How many more attempts may be sent, when so many have been that may still be waiting.

    Each is made without the results that come while it waits. Where nothing says yet whether jobs will have to wait,
    more are sent as more have started; where nothing ever waits, nothing holds them back.
    """
    most = settings.max_queued or default_max_queued(settings.parallelism)
    if settings.queued or state.crowded:
        return max(0, most - ahead)
    if settings.shared:
        return max(0, most + state.started - ahead)
    return settings.parallelism


def room_matters(state: State, settings: Settings) -> bool:
    """Whether `room` depends on which attempts have got a machine."""
    return settings.queued or state.crowded or (settings.shared and state.started < settings.parallelism)


def _last_failure(state: State) -> tuple[str, str]:
    for trial in reversed(state.trials):
        if trial.outcome in (Outcome.FAILED, Outcome.INFEASIBLE):
            return trial.reason, trial.diagnosis.hint if trial.diagnosis else ""
    return "", ""
