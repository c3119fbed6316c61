"""What follows from an attempt's end: settings, metrics and history in, a verdict out. Pure.

what diagnose says       what follows
succeeded                objective finite: succeeded; NaN or infinite: infeasible; missing: failed (no metric)
disrupted                free retry, at most `max_disruptions` a trial
lost                     one free retry, then stopped
transient                counted retry, then failed
cannot start             nothing in this sweep ever started: abort; later a counted retry, then failed
out of memory, bad parameters, non-finite   infeasible: another try would end alike
user error, deadline, own limit, no metric  failed
stopped                  whatever the decision to stop it said
a log rule that says abort                  failed, and the sweep ends
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

from axk8s.sweep.goal import Goal
from axk8s.sweep.limits import MAX_DISRUPTIONS
from axk8s.sweep.model import Category, Diagnosis, Harvest, Outcome
from axk8s.sweep.trial import Attempt, Trial

_INFEASIBLE = (Category.OUT_OF_MEMORY, Category.BAD_PARAMETERS, Category.NON_FINITE)


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt with the same parameters."""

    counted: bool


@dataclass(frozen=True, slots=True)
class Conclude:
    """The trial's outcome; `abort` ends the whole sweep with the same sentence."""

    outcome: Outcome
    reason: str
    abort: bool = False


Verdict: TypeAlias = Retry | Conclude


def judge(diagnosis: Diagnosis, harvest: Harvest, *, goal: Goal, cancelled: bool) -> Diagnosis:
    """The diagnosis in the light of what the attempt reported: no metric, NaN, declared infeasible, stopped by us."""
    if cancelled and diagnosis.category is not Category.SUCCEEDED:
        return replace(diagnosis, category=Category.STOPPED)
    if harvest.infeasible:
        return replace(
            diagnosis,
            category=Category.BAD_PARAMETERS,
            summary=f"the training code called these parameters infeasible: {harvest.infeasible}",
        )
    broken = next((each for each in goal.metrics if not math.isfinite(harvest.values.get(each, 0.0))), None)
    if broken is not None and diagnosis.category in (Category.SUCCEEDED, Category.USER_ERROR):
        value = str(harvest.values[broken])
        return Diagnosis(
            category=Category.NON_FINITE,
            summary=f"{_role(goal, broken)} {broken!r} was {value}",
            evidence={**diagnosis.evidence, "value": value},
            hint="these parameters count as infeasible; narrow the search space if it happens often",
            log_tail=harvest.log_tail,
        )
    missing = [each for each in goal.metrics if each not in harvest.values]
    if diagnosis.category is Category.SUCCEEDED and missing and harvest.lost:
        return replace(
            diagnosis,
            category=Category.LOST,
            summary=f"ended well, but its results are lost: {harvest.lost}",
            hint="call axk8s.report() in the training code: its values come with the end itself",
        )
    if diagnosis.category is Category.SUCCEEDED and missing:
        searched = "; ".join(harvest.searched) or "nothing was found to look at"
        return Diagnosis(
            category=Category.NO_METRIC,
            summary=f"ended well but never reported {_named(goal, missing)}: {searched}",
            evidence=diagnosis.evidence,
            hint=f"call axk8s.report({_argument(missing[0])}) in the training code, "
            f'or print a line such as: axk8s: {{"{missing[0]}": 0.5}}',
            log_tail=harvest.log_tail,
        )
    return diagnosis


def _role(goal: Goal, metric: str) -> str:
    return "the objective" if any(aim.metric == metric for aim in goal.aims) else "the constrained metric"


def _named(goal: Goal, metrics: list[str]) -> str:
    return " and ".join(f"{_role(goal, metric)} {metric!r}" for metric in metrics)


def _argument(metric: str) -> str:
    return f"{metric}=…" if metric.isidentifier() else f'{{"{metric}": …}}'


def verdict(
    trial: Trial,
    attempt: Attempt,
    *,
    retries: int,
    anything_started: bool,
    max_disruptions: int = MAX_DISRUPTIONS,
) -> Verdict:
    """What follows from the end of `attempt`, the last one of `trial`; it must have a diagnosis."""
    diagnosis = attempt.diagnosis
    assert diagnosis is not None
    category, summary = diagnosis.category, diagnosis.summary
    if category is Category.SUCCEEDED:
        return Conclude(Outcome.SUCCEEDED, "")
    if attempt.cancel is not None:
        return Conclude(attempt.cancel.outcome, attempt.cancel.reason)
    if diagnosis.advice == "abort":
        return Conclude(Outcome.FAILED, summary, abort=True)
    if category in _INFEASIBLE:
        return Conclude(Outcome.INFEASIBLE, summary)
    if category is Category.STOPPED:
        return Conclude(Outcome.STOPPED, summary or "ended from outside the sweep")
    if category is Category.DISRUPTED:
        if trial.disruptions <= max_disruptions:
            return Retry(counted=False)
        return Conclude(Outcome.FAILED, f"disrupted {trial.disruptions} times; last: {summary}")
    if category is Category.LOST:
        if trial.ended_by(Category.LOST) <= 1:
            return Retry(counted=False)
        return Conclude(Outcome.STOPPED, f"lost twice; last: {summary}")
    if category is Category.CANNOT_START and not anything_started:
        return Conclude(Outcome.FAILED, summary, abort=True)
    counted = trial.ended_by(Category.TRANSIENT, Category.CANNOT_START)
    if category in (Category.TRANSIENT, Category.CANNOT_START) and counted <= retries:
        return Retry(counted=True)
    return Conclude(Outcome.FAILED, summary)
