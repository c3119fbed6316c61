"""What to do next, from what is: `decide(state, settings, now) -> actions`.

Pure and level-triggered: it looks at the state, not at what just happened, so a restart is no special case, and asking
twice gives the same answer until a record changes the state. It costs O(active trials). The controller turns the
first group of actions into records; the second group are side effects, which it keeps from repeating while they are
under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from axk8s.sweep.limits import Settings, limit, room
from axk8s.sweep.model import Outcome
from axk8s.sweep.records import Halted
from axk8s.sweep.state import State
from axk8s.sweep.trial import Attempt, Trial
from axk8s.sweep.verdict import Conclude, Retry, verdict

# --- actions that become records -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenTrials:
    """Turn up to `count` proposals into trials."""

    count: int


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """Write the intent to submit this attempt."""

    trial: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Decide that a live attempt is to end."""

    trial: int
    attempt: int
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Spare:
    """Say that early stopping would end a live attempt, and let it run."""

    trial: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class ConcludeTrial:
    """Give the trial its outcome."""

    trial: int
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Halt:
    """Launch nothing further."""

    halted: Halted


@dataclass(frozen=True, slots=True)
class Finish:
    """Everything is over."""

    reason: str


# --- actions that are side effects of records -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Effect:
    """`submit`, `follow`, `stop`, `harvest` or `delete` one attempt's job, or `watch` what it reports."""

    do: Literal["submit", "follow", "watch", "stop", "harvest", "delete"]
    trial: int
    attempt: int


Action: TypeAlias = OpenTrials | OpenAttempt | Cancel | Spare | ConcludeTrial | Halt | Finish | Effect


def decide(state: State, settings: Settings, now: float) -> list[Action]:
    """The actions that the state calls for now; empty means: wait."""
    if state.finished is not None:
        return _deletions(state)
    actions: list[Action] = []
    alive = ahead = 0
    due: list[OpenAttempt] = []
    for trial in state.active.values():
        last = trial.last
        if last is None or (not last.alive and last.diagnosis is not None):
            due.extend(_between_attempts(state, settings, trial, last, now, actions))
        elif last.alive:
            alive += 1
            ahead += last.ahead
            _alive_attempt(state, settings, trial, last, actions)
        else:
            actions.append(Effect("harvest", trial.number, last.number))
    actions.extend(_deletions(state))
    halted = state.halted
    if halted is None and not any(isinstance(action, Halt) for action in actions):
        reached = limit(state, settings, now)
        if reached is not None:
            actions.append(Halt(reached))
            halted = reached
    if halted is None and not state.paused:
        # A slot is free as soon as its job has ended, before its results are read: a retry that follows from them
        # may find it taken, waits for the next one, and goes before new trials.
        slots = max(0, min(settings.parallelism - alive, room(state, settings, ahead=ahead)))
        actions.extend(due[:slots])
        fresh = min(slots - len(due), settings.trials - len(state.trials))
        if fresh > 0:
            actions.append(OpenTrials(fresh))
    nothing_to_come = halted is not None or len(state.trials) >= settings.trials
    if nothing_to_come and not state.active:
        actions.append(Finish(halted.reason if halted else ""))
    return actions


def _between_attempts(
    state: State, settings: Settings, trial: Trial, last: Attempt | None, now: float, actions: list[Action]
) -> list[OpenAttempt]:
    """A trial without a live attempt and with nothing to collect: its outcome, or the attempt that is due."""
    number = trial.number
    if last is not None:
        result = verdict(
            trial,
            last,
            retries=settings.retries,
            anything_started=state.started > 0,
            max_disruptions=settings.max_disruptions,
        )
        if isinstance(result, Conclude):
            actions.append(ConcludeTrial(number, result.outcome, result.reason))
            if result.abort and state.halted is None:
                hint = last.diagnosis.hint if last.diagnosis else ""
                actions.append(Halt(Halted(time=now, cause="aborted", reason=result.reason, hint=hint)))
            return []
        assert isinstance(result, Retry)
    if trial.stop_requested:
        actions.append(ConcludeTrial(number, Outcome.STOPPED, "stopped by request"))
        return []
    if trial.hopeless and not _dry(state):
        actions.append(ConcludeTrial(number, Outcome.EARLY_STOPPED, trial.hopeless))
        return []
    if state.halted is not None:
        actions.append(ConcludeTrial(number, Outcome.STOPPED, state.halted.reason))
        return []
    return [OpenAttempt(number, last.number + 1 if last else 0)]


def _alive_attempt(state: State, settings: Settings, trial: Trial, last: Attempt, actions: list[Action]) -> None:
    number = trial.number
    if last.cancel is None:
        if trial.disruptions > settings.max_disruptions:
            reason = f"disrupted {trial.disruptions} times (max_disruptions: {settings.max_disruptions})"
            actions.append(Cancel(number, last.number, Outcome.FAILED, reason))
            return
        if trial.stop_requested:
            actions.append(Cancel(number, last.number, Outcome.STOPPED, "stopped by request"))
        elif state.halted is not None and (_ends_what_runs(state.halted) or last.started_at is None):
            actions.append(Cancel(number, last.number, Outcome.STOPPED, state.halted.reason))
        elif trial.hopeless and not _dry(state):
            actions.append(Cancel(number, last.number, Outcome.EARLY_STOPPED, trial.hopeless))
        elif trial.hopeless and not trial.spared:
            actions.append(Spare(number, last.number, trial.hopeless))
    if not last.handle:
        actions.append(Effect("submit", number, last.number))
        return
    actions.append(Effect("follow", number, last.number))
    if last.cancel is not None:
        actions.append(Effect("stop", number, last.number))
    elif state.ladder is not None and last.started_at is not None:
        actions.append(Effect("watch", number, last.number))


def _ends_what_runs(halted: Halted) -> bool:
    """An abort lets running jobs end: they cost nothing further and may still succeed."""
    return halted.cause not in ("aborted", "exhausted") and not halted.drain


def _dry(state: State) -> bool:
    return state.ladder is None or state.ladder.rule.dry


def _deletions(state: State) -> list[Action]:
    return [
        Effect("delete", trial, attempt)
        for (trial, attempt), job in state.undeleted.items()
        if job.diagnosis is not None
        and (state.trials[trial].outcome is not None or attempt + 1 < len(state.trials[trial].attempts))
    ]
