"""When the whole sweep stops launching: failures that repeat, too many failures, time that has run out. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from axk8s.sweep.model import LogRule, Outcome, Parameters
from axk8s.sweep.records import Halted
from axk8s.sweep.state import HOUR, State
from axk8s.sweep.usage import price, rate, used

SAME_FAILURES = 3
"""This many first trials that fail alike, with no success before them, mean that the job is broken, not the trial."""
BUDGETS = {"wall_time": "{:g} s of wall time", "gpu_hours": "{:g} GPU hours", "cost": "{:g} in costs"}
"""What may run out, and how it is said."""
_ROUNDING = 1e-9
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
    budgets: Mapping[str, float] = field(default_factory=dict)
    """How much the sweep may use up: `wall_time` in seconds that controllers drive it, `gpu_hours`, `cost`."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """What an hour of each resource costs."""
    baseline: Parameters | None = None
    """What the first trial has, if it is one to compare with."""
    patience: int | None = None
    """How many trials in a row may bring nothing better."""
    drain: bool = False
    """Whether what runs is let end when one of these ends the sweep."""
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
    baseline = state.trials[state.baseline] if state.baseline is not None else None
    if state.goal.relative and baseline is not None and baseline.outcome not in (None, Outcome.SUCCEEDED):
        texts = " and ".join(repr(limit.text) for limit in state.goal.limits if limit.relative)
        return Halted(
            time=now,
            cause="aborted",
            reason=f"the baseline, trial {baseline.number}, brought no result to compare with, as {texts} would: "
            f"{baseline.reason}",
            hint="mend the baseline trial, or make the constraints absolute, and start anew with --fresh",
        )
    return _good_enough(state, settings, now) or _used_up(state, settings, now)


def _good_enough(state: State, settings: Settings, now: float) -> Halted | None:
    best = state.front if state.goal.several else [state.best] if state.best is not None else []
    reached = next((number for number in best if state.goal.reached(state.trials[number].values)), None)
    patience = settings.patience
    if reached is not None:
        values = state.trials[reached].values
        aims = [aim for aim in state.goal.aims if aim.target is not None]
        said = ", ".join(f"{aim.metric}={values[aim.metric]:g} (target: {aim.target:g})" for aim in aims)
        reason = f"trial {reached} has reached the target{'s' if len(aims) > 1 else ''}: {said}"
        hint = "choose another target and run the same command to go on"
        return Halted(time=now, cause="reached", reason=reason, hint=hint, drain=settings.drain)
    if best and patience is not None and state.since_best >= patience:
        others = "the front" if state.goal.several else f"trial {state.best}"
        reason = f"{state.since_best} trials in a row were no better than {others}"
        hint = "raise budget.patience and run the same command to go on"
        return Halted(time=now, cause="converged", reason=reason, hint=hint, drain=settings.drain)
    return None


def _used_up(state: State, settings: Settings, now: float) -> Halted | None:
    for name, gone in spent(state, settings, now).items():
        most = settings.budgets[name]
        if gone >= most * (1 - _ROUNDING):
            reason = f"the budget of {BUDGETS[name].format(most)} is used up"
            hint = f"raise budget.{name} and run the same command to go on"
            return Halted(time=now, cause="budget", reason=reason, hint=hint, drain=settings.drain)
    return None


def spent(state: State, settings: Settings, now: float) -> Mapping[str, float]:
    """How much of each budget is gone; none is there that was not set."""
    if not settings.budgets:
        return {}
    hours = used(state, now)
    known = {
        "wall_time": run_time(state, now),
        "gpu_hours": hours.get("gpu", 0.0),
        "cost": price(hours, settings.prices),
    }
    return {name: known[name] for name in settings.budgets}


def run_time(state: State, now: float) -> float:
    """Seconds that controllers have driven the sweep, without those in which everything waited."""
    if state.controller is None:
        return state.run_time
    until = state.waiting_since if state.waiting_since is not None else now
    return state.run_time + max(0.0, until - state.controller.time - state.waited)


def budget_ends(state: State, settings: Settings, now: float) -> float | None:
    """When the first budget runs out (Unix seconds) if nothing changes; None if none does.

    The wall time goes while a controller runs, and stands still while all that is alive waits for room: a sweep is not
    to end because others had the cluster. Hours and costs go while jobs run.
    """
    gone = spent(state, settings, now)
    if not gone:
        return None
    running = rate(state)
    speeds = {
        "wall_time": 1.0 if state.controller is not None and state.waiting_since is None else 0.0,
        "gpu_hours": running.get("gpu", 0.0) / HOUR,
        "cost": price(running, settings.prices) / HOUR,
    }
    left = {name: max(0.0, settings.budgets[name] - amount) for name, amount in gone.items()}
    return min((now + left[name] / speeds[name] for name in gone if speeds[name]), default=None)


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
