"""What a sweep cost: time, attempts, and what the slots' time was spent on. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from axk8s.sweep.model import Category, Outcome
from axk8s.sweep.state import State
from axk8s.sweep.trial import Attempt

_BROUGHT_A_RESULT = (Outcome.SUCCEEDED, Outcome.EARLY_STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Sums over all attempts; times in seconds."""

    seconds: float
    """From the beginning of the sweep to its last record."""
    attempts: int
    ends: Mapping[str, int] = field(default_factory=dict)
    """How many attempts ended for which reason, by `Category`."""
    slot_seconds: float = 0.0
    """How long jobs ran."""
    busy: float = 0.0
    """The share of the slots' time, from first intent to last end, in which jobs ran."""
    disrupted_seconds: float = 0.0
    """Of attempts that were disrupted or lost, and tried again."""
    failed_seconds: float = 0.0
    """Of all attempts of trials that brought no result."""
    waited: float = 0.0
    """From intent to start, the median."""
    waited_longest: float = 0.0

    def to_json(self) -> dict[str, object]:
        """As plain JSON values."""
        return asdict(self)


def effort(state: State, *, slots: int) -> Effort:
    """The effort of a sweep so far, on so many slots."""
    attempts = [(trial, attempt) for trial in state.trials for attempt in trial.attempts]
    ran = [(trial, attempt, _seconds(attempt)) for trial, attempt in attempts]
    total = sum(seconds for _, _, seconds in ran)
    begun = min((attempt.submitting_at for _, attempt in attempts), default=0.0)
    ended = max((attempt.ended_at or 0.0 for _, attempt in attempts), default=0.0)
    waits = sorted(a.started_at - a.submitting_at for _, a in attempts if a.started_at is not None)
    again = (Category.DISRUPTED, Category.LOST)
    return Effort(
        seconds=state.last_time - state.began_at,
        attempts=len(attempts),
        ends=dict(Counter(a.diagnosis.category.value for _, a in attempts if a.diagnosis is not None).most_common()),
        slot_seconds=total,
        busy=total / (slots * (ended - begun)) if ended > begun else 0.0,
        disrupted_seconds=sum(s for _, a, s in ran if a.diagnosis is not None and a.diagnosis.category in again),
        failed_seconds=sum(s for t, _, s in ran if t.outcome is not None and t.outcome not in _BROUGHT_A_RESULT),
        waited=statistics.median(waits) if waits else 0.0,
        waited_longest=waits[-1] if waits else 0.0,
    )


def _seconds(attempt: Attempt) -> float:
    if attempt.started_at is None or attempt.ended_at is None:
        return 0.0
    return max(0.0, attempt.ended_at - attempt.started_at)
