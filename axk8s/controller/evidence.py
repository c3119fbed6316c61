"""How much of what happened goes into a record: enough to explain, at most 4 KB."""

from __future__ import annotations

from dataclasses import replace

from axk8s.diagnose.exit_record import diagnose
from axk8s.diagnose.log_rules import BUILT_IN, ruled
from axk8s.sweep.goal import Goal
from axk8s.sweep.limits import Settings
from axk8s.sweep.model import Diagnosis, ExitFacts, Harvest, JobView, TrialFact
from axk8s.sweep.records import PhaseChanged
from axk8s.sweep.trial import Attempt, Trial
from axk8s.sweep.verdict import judge

TEXT_LENGTH = 500
"""Characters of a reason, summary or hint."""
_TAIL_BYTES = 1500
"""How much of a failed job's last output goes into the journal; the whole is in the attempt's folder."""


def is_news(view: JobView, attempt: Attempt, *, room_matters: bool) -> bool:
    """Whether a view says of an attempt what is not known of it; that it got a machine only where that matters."""
    return attempt.alive and (
        attempt.phase is not view.phase
        or attempt.reason != view.reason
        or attempt.restarts < view.restarts
        or (view.pid is not None and attempt.pid != view.pid)
        or (view.placed is not None and view.placed is not attempt.placed and (room_matters or not view.placed))
    )


def phase_changed(view: JobView, trial: int, attempt: int, now: float) -> PhaseChanged:
    """The record of a view."""
    return PhaseChanged(
        time=now,
        trial=trial,
        attempt=attempt,
        phase=view.phase,
        reason=view.reason[:TEXT_LENGTH],
        pid=view.pid,
        started_at=view.started_at,
        ended_at=view.ended_at,
        exit=view.exit,
        restarts=view.restarts,
        placed=view.placed,
    )


def trial_fact(trial: Trial) -> TrialFact:
    """What the optimizer needs to know of a trial."""
    return TrialFact(
        trial=trial.number,
        parameters=trial.parameters,
        generator=trial.generator,
        outcome=trial.outcome,
        values=trial.values,
        sems=trial.sems,
        reached=dict(trial.reached) if trial.outcome is not None else {},
    )


def diagnosed(facts: ExitFacts, harvest: Harvest, settings: Settings, *, goal: Goal, cancelled: bool) -> Diagnosis:
    """Why an attempt ended: what its scheduler says, what its last lines say, in the light of what it reported."""
    found = diagnose(
        facts,
        harvest.log_tail,
        retry_codes=settings.retry_exit_codes,
        infeasible_codes=settings.infeasible_exit_codes,
    )
    found = ruled(found, (*settings.log_rules, *BUILT_IN))
    return bounded(judge(found, harvest, goal=goal, cancelled=cancelled))


def bounded(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis in at most about 3 KB: the journal is no log store."""
    tail: list[str] = []
    room = _TAIL_BYTES
    for line in reversed(diagnosis.log_tail):
        room -= len(line.encode()) + 4
        if room < 0:
            break
        tail.append(line)
    return replace(
        diagnosis,
        summary=diagnosis.summary[:TEXT_LENGTH],
        hint=diagnosis.hint[:TEXT_LENGTH],
        log_tail=tuple(reversed(tail)),
    )


def bounded_values(harvest: Harvest, goal: Goal, most: int = 24) -> dict[str, float]:
    """The metrics that the sweep is about and the first others; the rest stays in the attempt's metrics file."""
    names = [name for name in goal.metrics if name in harvest.values]
    names += [name for name in harvest.values if name not in names][: max(0, most - len(names))]
    return {name: harvest.values[name] for name in names}
