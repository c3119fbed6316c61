"""What people look at, row by row: one `TrialRow` a trial, computed from the state. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from axk8s.spec import outcomes
from axk8s.sweep.encoding import encode_values
from axk8s.sweep.model import Outcome, Phase, Scalar, Values
from axk8s.sweep.state import State
from axk8s.sweep.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial at one moment; times are Unix seconds."""

    trial: int
    outcome: Outcome | None = None
    """None while the trial is under way."""
    phase: Phase | None = None
    """Where its last attempt is; None before the first one."""
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    objective: str = ""
    """Name of the metric that `value` is of."""
    value: float | None = None
    """The objective's value; None until it is known; may be NaN or infinite."""
    values: Values = field(default_factory=dict)
    """Every metric's value, the objective's included."""
    sems: Values = field(default_factory=dict)
    """The standard errors of the values, of those metrics that were reported with one."""
    generator: str = ""
    from_model: bool = False
    """Whether the optimizer's model proposed it (else it is an initial or random point)."""
    attempts: int = 0
    seconds: float | None = None
    """From the first attempt's start to the last one's end; None while under way unless the time was given."""
    started_at: float | None = None
    ended_at: float | None = None
    reason: str = ""
    """Why it ended as it did, or what it waits for."""
    category: str | None = None
    """What the last diagnosis is about; see `axk8s.sweep.model.Category`."""
    hint: str = ""
    """What to do about a failure."""
    log_tail: tuple[str, ...] = ()
    """The last lines of a failed attempt's output."""
    best: bool = False
    """Whether this is the best trial so far."""
    front: bool = False
    """Of several objectives: whether no other trial beats it in all of them."""
    feasible: bool | None = None
    """Whether it has succeeded and keeps the outcome constraints; None while that cannot be told."""
    breaks: Values = field(default_factory=dict)
    """The constraints that it breaks, each as it is written, and by how much."""
    baseline: bool = False
    """Whether others are compared with it."""

    def to_json(self) -> dict[str, object]:
        """As strict JSON: NaN and infinities, which JSON has not, are the strings `nan`, `inf` and `-inf`."""
        return {
            "trial": self.trial,
            "outcome": self.outcome.value if self.outcome else None,
            "phase": self.phase.value if self.phase else None,
            "parameters": dict(self.parameters),
            "objective": self.objective,
            "value": None if self.value is None else encode_values({"": self.value})[""],
            "values": encode_values(self.values),
            "sems": encode_values(self.sems),
            "generator": self.generator,
            "from_model": self.from_model,
            "attempts": self.attempts,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "reason": self.reason,
            "category": self.category,
            "hint": self.hint,
            "log_tail": list(self.log_tail),
            "best": self.best,
            "front": self.front,
            "feasible": self.feasible,
            "breaks": encode_values(self.breaks),
            "baseline": self.baseline,
        }


def trial_row(state: State, trial: Trial, *, now: float | None = None) -> TrialRow:
    """One trial's row; with `now`, `seconds` of a trial under way is the time that it has run."""
    started = next((attempt.started_at for attempt in trial.attempts if attempt.started_at is not None), None)
    last, diagnosis = trial.last, trial.diagnosis
    ended = None
    if trial.outcome is not None:
        ended = last.ended_at if last is not None and last.ended_at is not None else trial.ended_at
    until = ended if trial.outcome is not None else now
    told = trial if trial.values or last is None else last
    values, (feasible, breaks) = told.values, _kept(state, trial)
    waits = last is not None and trial.outcome is None
    explained = trial.outcome is not Outcome.SUCCEEDED and diagnosis is not None
    return TrialRow(
        trial=trial.number,
        outcome=trial.outcome,
        phase=trial.phase,
        parameters=trial.parameters,
        objective=state.objective,
        value=state.goal.value(values),
        values=values,
        sems=told.sems,
        generator=trial.generator,
        from_model=trial.from_model,
        attempts=len(trial.attempts),
        seconds=max(0.0, until - started) if started is not None and until is not None else None,
        started_at=started,
        ended_at=ended,
        reason=last.reason if waits and last is not None else trial.reason,
        category=diagnosis.category.value if diagnosis is not None else None,
        hint=diagnosis.hint if explained and diagnosis is not None else "",
        log_tail=diagnosis.log_tail if explained and diagnosis is not None else (),
        best=trial.number == state.best,
        front=trial.number in state.front,
        feasible=feasible,
        breaks=breaks,
        baseline=trial.number == state.baseline,
    )


def _kept(state: State, trial: Trial) -> tuple[bool | None, Values]:
    """Whether a trial keeps the constraints, and by how much it breaks which."""
    goal, baseline = state.goal, state.baseline_values
    if trial.outcome is not Outcome.SUCCEEDED or not goal.measured(trial.values):
        return None, {}
    if goal.feasible(trial.values, baseline):
        return True, {}
    excesses = goal.excesses(trial.values, baseline)
    breaks = {text: excess for text, excess in excesses.items() if excess is not None and not excess <= 0}
    return (False if breaks else None), breaks


def trial_rows(state: State, *, now: float | None = None) -> list[TrialRow]:
    """All trials in the order of their numbers; see `trial_row` for `now`."""
    return [trial_row(state, trial, now=now) for trial in state.trials]


def better(row: TrialRow, *, maximize: bool) -> tuple[bool, bool, bool, float]:
    """A key that sorts the best value first, and trials without a finite value last.

    What breaks a constraint comes after what keeps them; of several objectives the front comes first, and each part
    goes by the first objective.
    """
    if row.value is None or not math.isfinite(row.value):
        return True, True, True, 0.0
    return False, row.feasible is False, not row.front, -row.value if maximize else row.value


def nearest(rows: Iterable[TrialRow]) -> TrialRow | None:
    """Of succeeded trials that break constraints the one whose worst breach is the smallest; None without any.

    A breach is measured relative to the bound that is broken, so that constraints of any units compare.
    """
    broken = [row for row in rows if row.feasible is False and all(map(math.isfinite, row.breaks.values()))]
    return min(broken, key=_breach, default=None)


def _breach(row: TrialRow) -> float:
    return max(excess / (abs(outcomes.parse(text).bound) or 1.0) for text, excess in row.breaks.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Trials that ended badly for the same reason, whatever the numbers in it."""

    outcome: Outcome
    reason: str
    """Of the first of them."""
    hint: str
    trials: tuple[int, ...]
    log_tail: tuple[str, ...] = ()


def failure_groups(rows: list[TrialRow]) -> list[FailureGroup]:
    """The trials that did not succeed, grouped by reason, the commonest first.

    Numbers in the reason are ignored, so that `exit code 1 after 12 s` and `… after 13 s` are one group.
    """
    groups: dict[tuple[Outcome, str], list[TrialRow]] = {}
    for row in rows:
        if row.outcome in (Outcome.FAILED, Outcome.INFEASIBLE, Outcome.STOPPED):
            alike = "".join("#" if char.isdigit() else char for char in row.reason)
            groups.setdefault((row.outcome, alike), []).append(row)
    return [
        FailureGroup(
            outcome=outcome,
            reason=members[0].reason,
            hint=members[0].hint,
            trials=tuple(member.trial for member in members),
            log_tail=members[0].log_tail,
        )
        for (outcome, _), members in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
