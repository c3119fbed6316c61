"""What follows from each way to end."""

import math

import pytest

from axk8s.spec.outcomes import parse
from axk8s.sweep.goal import Aim, Goal
from axk8s.sweep.limits import MAX_DISRUPTIONS
from axk8s.sweep.model import Category, Diagnosis, Harvest, Outcome
from axk8s.sweep.records import CancelDecided
from axk8s.sweep.trial import Attempt, Trial
from axk8s.sweep.verdict import Conclude, Retry, Verdict, judge, verdict


def goal(*metrics: str, limits: tuple[str, ...] = ()) -> Goal:
    return Goal(tuple(map(Aim, metrics)), tuple(map(parse, limits)))


def ended(*categories: Category, retries: int = 1, started: bool = True, cancel: Outcome | None = None) -> Verdict:
    trial = Trial(0, {}, "g", False, 0.0)
    for number, category in enumerate(categories):
        trial.attempts.append(Attempt(number, f"j{number}", 0.0, diagnosis=Diagnosis(category, f"why {number}")))
    last = trial.attempts[-1]
    if cancel:
        last.cancel = CancelDecided(time=0.0, trial=0, attempt=last.number, outcome=cancel, reason="asked")
    return verdict(trial, last, retries=retries, anything_started=started)


@pytest.mark.parametrize(
    ("category", "outcome"),
    [
        (Category.SUCCEEDED, Outcome.SUCCEEDED),
        (Category.USER_ERROR, Outcome.FAILED),
        (Category.DEADLINE, Outcome.FAILED),
        (Category.OVER_LIMIT, Outcome.FAILED),
        (Category.NO_METRIC, Outcome.FAILED),
        (Category.OUT_OF_MEMORY, Outcome.INFEASIBLE),
        (Category.BAD_PARAMETERS, Outcome.INFEASIBLE),
        (Category.NON_FINITE, Outcome.INFEASIBLE),
        (Category.STOPPED, Outcome.STOPPED),
    ],
)
def test_some_ends_are_final(category: Category, outcome: Outcome) -> None:
    result = ended(category)

    assert isinstance(result, Conclude)
    assert result.outcome is outcome
    assert not result.abort


def test_every_category_has_a_verdict() -> None:
    assert all(isinstance(ended(category), Conclude | Retry) for category in Category)


def test_a_disruption_costs_nothing_but_is_bounded() -> None:
    assert ended(Category.DISRUPTED, retries=0) == Retry(counted=False)
    assert ended(*[Category.DISRUPTED] * MAX_DISRUPTIONS, retries=0) == Retry(counted=False)
    too_many = ended(*[Category.DISRUPTED] * (MAX_DISRUPTIONS + 1))
    assert isinstance(too_many, Conclude)
    assert too_many.outcome is Outcome.FAILED


def test_replicas_that_the_scheduler_replaced_count_as_well() -> None:
    trial = Trial(0, {}, "g", False, 0.0)
    trial.attempts.append(Attempt(0, "j", 0.0, restarts=3, diagnosis=Diagnosis(Category.DISRUPTED, "evicted")))

    assert trial.disruptions == 4
    assert verdict(trial, trial.attempts[0], retries=0, anything_started=True, max_disruptions=4) == Retry(
        counted=False
    )
    too_many = verdict(trial, trial.attempts[0], retries=0, anything_started=True, max_disruptions=3)
    assert too_many == Conclude(Outcome.FAILED, "disrupted 4 times; last: evicted")


def test_a_log_rule_can_end_the_sweep() -> None:
    trial = Trial(0, {}, "g", False, 0.0)
    diagnosis = Diagnosis(Category.USER_ERROR, "its log says: no data", advice="abort")
    trial.attempts.append(Attempt(0, "j", 0.0, diagnosis=diagnosis))

    result = verdict(trial, trial.attempts[0], retries=5, anything_started=True)

    assert result == Conclude(Outcome.FAILED, "its log says: no data", abort=True)


def test_a_lost_job_gets_one_free_retry() -> None:
    assert ended(Category.LOST, retries=0) == Retry(counted=False)
    assert isinstance(twice := ended(Category.LOST, Category.LOST, retries=5), Conclude)
    assert twice.outcome is Outcome.STOPPED


def test_transient_failures_are_retried_as_often_as_the_file_says() -> None:
    assert isinstance(ended(Category.TRANSIENT, retries=0), Conclude)
    assert ended(Category.TRANSIENT, retries=1) == Retry(counted=True)
    assert isinstance(ended(Category.TRANSIENT, Category.TRANSIENT, retries=1), Conclude)


def test_free_retries_do_not_use_up_the_counted_ones() -> None:
    assert ended(Category.DISRUPTED, Category.LOST, Category.TRANSIENT, retries=1) == Retry(counted=True)


def test_what_cannot_start_aborts_a_sweep_in_which_nothing_ever_started() -> None:
    result = ended(Category.CANNOT_START, retries=3, started=False)

    assert isinstance(result, Conclude)
    assert result.abort
    assert ended(Category.CANNOT_START, retries=1, started=True) == Retry(counted=True)


def test_a_decision_to_stop_decides_the_outcome_unless_the_job_had_succeeded() -> None:
    stopped = ended(Category.STOPPED, cancel=Outcome.EARLY_STOPPED)
    assert stopped == Conclude(Outcome.EARLY_STOPPED, "asked")
    assert ended(Category.SUCCEEDED, cancel=Outcome.STOPPED) == Conclude(Outcome.SUCCEEDED, "")


def test_a_success_without_the_objective_is_no_metric_and_says_where_it_looked() -> None:
    harvest = Harvest({"loss": 1.0}, searched=("metrics.jsonl: 3 records", "reported: loss; not accuracy"))

    found = judge(Diagnosis(Category.SUCCEEDED, ""), harvest, goal=goal("accuracy"), cancelled=False)

    assert found.category is Category.NO_METRIC
    assert "'accuracy'" in found.summary
    assert "reported: loss; not accuracy" in found.summary
    assert "report(accuracy=" in found.hint


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("category", [Category.SUCCEEDED, Category.USER_ERROR])
def test_a_non_finite_objective_is_infeasible_also_when_the_script_then_fails(value: float, category: Category) -> None:
    found = judge(Diagnosis(category, "exit code 1"), Harvest({"loss": value}), goal=goal("loss"), cancelled=False)

    assert found.category is Category.NON_FINITE


def test_nan_in_another_metric_is_nobodys_business() -> None:
    success = Diagnosis(Category.SUCCEEDED, "")

    assert judge(success, Harvest({"loss": 1.0, "aux": math.nan}), goal=goal("loss"), cancelled=False) == success


def test_a_declared_infeasibility_carries_its_reason() -> None:
    found = judge(
        Diagnosis(Category.BAD_PARAMETERS, "exit code 64"),
        Harvest({}, infeasible="batch too large"),
        goal=goal("loss"),
        cancelled=False,
    )

    assert found.category is Category.BAD_PARAMETERS
    assert "batch too large" in found.summary


def test_a_cancelled_attempt_is_stopped_whatever_its_exit_code_was() -> None:
    found = judge(Diagnosis(Category.USER_ERROR, "exit code 143"), Harvest({}), goal=goal("loss"), cancelled=True)

    assert found.category is Category.STOPPED


def test_every_metric_that_the_sweep_needs_must_be_reported_and_finite() -> None:
    needed = goal("loss", "size", limits=("latency <= 3",))
    success = Diagnosis(Category.SUCCEEDED, "")

    whole = Harvest({"loss": 1.0, "size": 2.0, "latency": 9.0})
    assert judge(success, whole, goal=needed, cancelled=False) == success

    part = judge(success, Harvest({"loss": 1.0}), goal=needed, cancelled=False)
    assert part.category is Category.NO_METRIC
    assert "the objective 'size' and the constrained metric 'latency'" in part.summary

    broken = judge(success, Harvest({**whole.values, "latency": math.inf}), goal=needed, cancelled=False)
    assert (broken.category, broken.summary) == (Category.NON_FINITE, "the constrained metric 'latency' was inf")
