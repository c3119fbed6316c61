"""Who is stopped early, by numbers that can be followed by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from axk8s.sweep.decide import Cancel, Effect, OpenAttempt, Spare, decide
from axk8s.sweep.encoding import from_line, to_line
from axk8s.sweep.goal import Aim, Goal
from axk8s.sweep.limits import Settings
from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Outcome, Phase
from axk8s.sweep.records import (
    AttemptDiagnosed,
    Began,
    CancelDecided,
    PhaseChanged,
    Reached,
    Record,
    Spared,
    SpecChanged,
    SubmittedJob,
    Submitting,
    Suggested,
    TrialConcluded,
)
from axk8s.sweep.state import State, apply, fold
from axk8s.sweep.stopping import Ladder, Progress, Rule
from axk8s.sweep.trial import Trial

ASHA = Rule("asha", "loss", min_step=1, max_step=9, reduction_factor=3)


def stopped(ladder: Ladder, arrivals: list[tuple[int, int, float]]) -> dict[int, str]:
    """Who is stopped, and why, when trials come to steps with values in this order."""
    trials: dict[int, Trial] = {}
    for number, step, value in arrivals:
        trial = trials.setdefault(number, Trial(number, {}, "random", False, 0.0))
        if not trial.hopeless:
            ladder.climb(trial, {step: value})
        if trial.hopeless and trial.outcome is None:
            trial.outcome = Outcome.EARLY_STOPPED
            ladder.leave(trial)
    return {number: trial.hopeless for number, trial in trials.items() if trial.hopeless}


# --- asha -------------------------------------------------------------------------------------------------------


def test_asha_as_worked_out_by_hand() -> None:
    # At rung 1 of 1 and 3 (eta 3): how many have come, how many of them may go on, what those have.
    arrivals = [
        (0, 1, 0.90),  # 1, the best: 0.90, goes on
        (1, 1, 0.80),  # 2, the best: 0.80, goes on
        (2, 1, 0.85),  # 3, the best: 0.80, is stopped
        (3, 1, 0.70),  # 4, the best: 0.70, goes on
        (4, 1, 0.75),  # 5, the best: 0.70, is stopped
        (5, 1, 0.78),  # 6, the best 2: 0.70 0.75, is stopped
        (6, 1, 0.72),  # 7, the best 2: 0.70 0.72, goes on
        (0, 3, 0.50),  # rung 3: 1, the best
        (1, 3, 0.60),  # 2, the best: 0.50, is stopped
        (6, 3, 0.40),  # 3, the best: 0.40, goes on
        (7, 1, 0.72),  # 8, the best 2: 0.70 0.72, and as good as the second: goes on
        (8, 1, math.nan),  # 9, the best 3: 0.70 0.72 0.72, and nothing is worse than this
        (0, 9, 0.45),  # the last step
        (6, 9, 0.39),
    ]

    assert stopped(Ladder(ASHA), arrivals) == {
        2: "at step 1 loss was 0.85; the best of 3 trials there had 0.8",
        4: "at step 1 loss was 0.75; the best of 5 trials there had 0.7",
        5: "at step 1 loss was 0.78; the best 2 of 6 trials there had 0.75 or better",
        1: "at step 3 loss was 0.6; the best of 2 trials there had 0.5",
        8: "at step 1 loss was nan; the best 3 of 9 trials there had 0.72 or better",
    }


def test_larger_is_better_where_the_sweep_says_so() -> None:
    ladder = Ladder(Rule("asha", "accuracy", maximize=True))

    assert stopped(ladder, [(0, 1, 0.5), (1, 1, 0.4), (2, 1, 0.6)]).keys() == {1}


def test_equal_values_are_never_told_apart() -> None:
    assert stopped(Ladder(ASHA), [(number, 1, 0.1) for number in range(12)]) == {}
    assert stopped(Ladder(ASHA), [(number, 1, math.nan) for number in range(12)]) == {}


@pytest.mark.parametrize(
    ("min_step", "factor", "rungs"),
    [(1, 3.0, [1, 3, 9, 27]), (2, 4.0, [2, 8, 32]), (1, 2.5, [1, 3, 7, 16, 40]), (5, 1.1, [5, 6, 7, 8, 9, 10, 11])],
)
def test_rungs_are_multiples_of_the_first_rounded_up(min_step: int, factor: float, rungs: list[int]) -> None:
    ladder = Ladder(Rule("asha", "loss", min_step=min_step, reduction_factor=factor))
    last = rungs[-1]

    assert sorted({mark for step in range(last + 1) if (mark := ladder.mark(step)) is not None}) == rungs


def test_a_trial_is_judged_once_at_a_rung_by_its_first_report_there() -> None:
    ladder, trial = Ladder(ASHA), Trial(0, {}, "random", False, 0.0)

    assert ladder.news(None, [(0, 9.0), (1, 0.5), (2, 0.4), (3, 0.3), (4, 0.2)]) == [(1, 0.5), (3, 0.3)]
    ladder.climb(trial, {0: 9.0, 1: 0.5, 2: 0.4})
    assert trial.reached == {1: 0.5}
    assert ladder.news(1, [(1, 0.1), (2, 0.1)]) == []
    # A report at 4 is beyond rung 3; one at 9 is the end, and rung 3 that was jumped over stays empty.
    assert ladder.news(1, [(4, 0.2), (5, 0.1)]) == [(4, 0.2)]
    assert ladder.news(1, [(9, 0.2)]) == [(9, 0.2)]


def test_nobody_is_stopped_who_has_reported_the_last_step() -> None:
    ladder, late = Ladder(ASHA), Trial(1, {}, "random", False, 0.0)
    stopped(ladder, [(0, 1, 0.1), (0, 3, 0.1), (0, 9, 0.1)])

    ladder.climb(late, {1: 0.9})
    assert late.hopeless
    ladder.climb(late, {9: 0.9})  # which came with the same look
    assert not late.hopeless


# --- percentile, median, threshold ----------------------------------------------------------------------------------


def test_the_median_of_the_others_decides_once_there_are_enough() -> None:
    ladder = Ladder(Rule("percentile", "loss", min_trials=3))
    arrivals = [(0, 1, 0.9), (1, 1, 0.1), (2, 1, 0.5)]
    assert stopped(ladder, [*arrivals, (3, 1, 0.5), (4, 1, 0.6)]) == {
        4: "at step 1 loss was 0.6; the median of 4 others is 0.5"
    }


@pytest.mark.parametrize(
    ("percentile", "value", "goes"), [(25, 7, True), (25, 7.1, False), (75, 3, True), (75, 3.1, False)]
)
def test_a_percentile_is_the_share_of_others_that_a_trial_must_be_better_than(
    percentile: float, value: float, goes: bool
) -> None:
    # Others have 1 3 5 7 9, and less is better: 25 % of the way from the worst is 7, 75 % is 3.
    ladder = Ladder(Rule("percentile", "loss", percentile=percentile, min_trials=5))
    for other in (1, 9, 3, 7, 5):
        ladder.reach(1, other)

    assert (ladder.reach(1, value) == "") is goes


def test_who_was_stopped_counts_further_on_with_the_last_value() -> None:
    # Of four, the two worse ones are stopped at step 1; at step 2 the others are not halved again.
    ladder = Ladder(Rule("percentile", "loss", min_trials=1))
    arrivals = [(0, 1, 0.1), (1, 1, 0.9), (2, 1, 0.1), (3, 1, 0.8), (0, 2, 0.05), (2, 2, 0.07)]

    assert stopped(ladder, arrivals).keys() == {1, 3}


def test_not_a_number_among_the_others_is_a_bad_value() -> None:
    ladder = Ladder(Rule("percentile", "loss", min_trials=2))
    for other in (math.nan, math.nan, 0.5):
        ladder.reach(1, other)

    assert ladder.reach(1, 7.0) == ""
    assert ladder.reach(1, math.nan) == ""


def test_a_threshold_holds_from_its_step_on() -> None:
    ladder = Ladder(Rule("threshold", "accuracy", maximize=True, min_step=10, threshold=0.5))
    arrivals = [(0, 9, 0.1), (0, 10, 0.5), (1, 12, 0.49), (0, 13, 0.4), (2, 10, math.nan)]

    assert stopped(ladder, arrivals) == {
        1: "at step 12 accuracy was 0.49; the threshold is 0.5",
        0: "at step 13 accuracy was 0.4; the threshold is 0.5",
        2: "at step 10 accuracy was nan; the threshold is 0.5",
    }


def test_marks_that_are_no_rungs_lie_a_quarter_apart() -> None:
    ladder = Ladder(Rule("percentile", "loss", min_step=0))

    marks = sorted({ladder.mark(step) or 0 for step in range(101)})

    assert marks == [0, 1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24, 30, 38, 48, 60, 75, 94]


# --- the sweep file, and reports --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        (None, None),
        ({"kind": "asha", "min_step": 2, "max_step": 50}, Rule("asha", "loss", min_step=2, max_step=50)),
        ({"kind": "median", "min_trials": 4}, Rule("percentile", "loss", min_trials=4)),
        (
            {"kind": "percentile", "percentile": 25, "metric": "acc", "direction": "maximize", "dry": True},
            Rule("percentile", "acc", maximize=True, percentile=25, dry=True),
        ),
        ({"kind": "threshold", "threshold": 3.5}, Rule("threshold", "loss", threshold=3.5)),
    ],
)
def test_the_rule_of_a_sweep_file(part: Mapping[str, object] | None, rule: Rule | None) -> None:
    assert Rule.of({"early_stopping": part}, Goal((Aim("loss"),))) == rule


def test_progress_is_a_curve_by_step_and_the_names_of_others() -> None:
    reports: list[tuple[int | None, Mapping[str, float]]] = [
        (2, {"loss": 0.2, "lr": 0.1}),
        (1, {"loss": 0.3}),
        (2, {"loss": 0.25}),
        (None, {"loss": 0.1, "final": 1.0}),
    ]

    assert Progress.of("loss", reports) == Progress(((1, 0.3), (2, 0.25)), ("lr",))


# --- in a sweep -------------------------------------------------------------------------------------------------------

SETTINGS = Settings(trials=2, parallelism=2, retries=1)


def spec(**stopping: object) -> dict[str, object]:
    objectives = [{"metric": "loss", "direction": "minimize"}]
    return {"objectives": objectives, **({"early_stopping": {"kind": "asha", **stopping}} if stopping else {})}


def begun(**stopping: object) -> State:
    """Two trials that run; the first has come to the first rung."""
    records: list[Record] = [Began(time=0, uid="ab" * 16, name="s", spec=spec(min_step=1, **stopping), base="/b")]
    for trial in (0, 1):
        records += [
            Suggested(time=1, trial=trial, parameters={}, generator="g"),
            Submitting(time=1, trial=trial, attempt=0, job=f"t{trial}"),
            SubmittedJob(time=1, trial=trial, attempt=0, handle=f"h{trial}"),
            PhaseChanged(time=2, trial=trial, attempt=0, phase=Phase.RUNNING),
        ]
    records.append(reached(0, 1, 0.1))
    return fold(map(from_line, map(to_line, records)))


def reached(trial: int, step: int, value: float) -> Reached:
    return Reached(time=3, trial=trial, attempt=0, step=step, value=value)


def decided(state: State) -> list[object]:
    return [action for action in decide(state, SETTINGS, 9.0) if not isinstance(action, Effect)]


def test_who_is_not_among_the_best_is_cancelled_and_ends_early_stopped() -> None:
    state = begun()
    assert Effect("watch", 1, 0) in decide(state, SETTINGS, 9.0)
    apply(state, reached(1, 1, 0.9))

    reason = "at step 1 loss was 0.9; the best of 2 trials there had 0.1"
    assert decided(state) == [Cancel(1, 0, Outcome.EARLY_STOPPED, reason)]

    apply(state, CancelDecided(time=4, trial=1, attempt=0, outcome=Outcome.EARLY_STOPPED, reason=reason))
    assert Effect("watch", 1, 0) not in decide(state, SETTINGS, 9.0)
    apply(state, PhaseChanged(time=5, trial=1, attempt=0, phase=Phase.ENDED, exit=ExitFacts("cancelled")))
    stop = Diagnosis(Category.STOPPED, "was stopped")
    apply(state, AttemptDiagnosed(time=5, trial=1, attempt=0, diagnosis=stop, values={"loss": 0.9}))
    (end,) = [action for action in decided(state) if getattr(action, "trial", None) == 1]
    assert (getattr(end, "outcome", None), getattr(end, "reason", None)) == (Outcome.EARLY_STOPPED, reason)


def test_a_job_that_ended_well_before_it_could_be_stopped_has_succeeded() -> None:
    state = begun()
    apply(state, reached(1, 1, 0.9))
    apply(state, CancelDecided(time=4, trial=1, attempt=0, outcome=Outcome.EARLY_STOPPED, reason="r"))
    apply(state, PhaseChanged(time=5, trial=1, attempt=0, phase=Phase.ENDED, exit=ExitFacts("exited", 0)))
    apply(state, AttemptDiagnosed(time=5, trial=1, attempt=0, diagnosis=Diagnosis(Category.SUCCEEDED, "")))

    (end,) = [action for action in decided(state) if getattr(action, "trial", None) == 1]
    assert getattr(end, "outcome", None) is Outcome.SUCCEEDED


def test_a_hopeless_trial_that_was_disrupted_gets_no_further_attempt() -> None:
    state = begun()
    apply(state, reached(1, 1, 0.9))
    apply(state, PhaseChanged(time=5, trial=1, attempt=0, phase=Phase.ENDED, exit=ExitFacts("terminated")))
    apply(state, AttemptDiagnosed(time=5, trial=1, attempt=0, diagnosis=Diagnosis(Category.DISRUPTED, "evicted")))

    (end,) = decided(state)
    assert getattr(end, "outcome", None) is Outcome.EARLY_STOPPED


def test_a_disrupted_trial_keeps_the_rungs_that_it_has_reached() -> None:
    state = begun()
    apply(state, PhaseChanged(time=5, trial=0, attempt=0, phase=Phase.ENDED, exit=ExitFacts("terminated")))
    apply(state, AttemptDiagnosed(time=5, trial=0, attempt=0, diagnosis=Diagnosis(Category.DISRUPTED, "evicted")))

    assert decided(state) == [OpenAttempt(0, 1)]
    assert state.ladder is not None
    assert state.ladder.news(max(state.trials[0].reached), [(0, 1.0), (1, 0.4), (2, 0.3)]) == []


def test_dry_says_once_a_trial_what_it_would_stop() -> None:
    state = begun(dry=True)
    apply(state, reached(1, 1, 0.9))

    (said,) = decided(state)
    assert isinstance(said, Spare)
    apply(state, Spared(time=4, trial=1, attempt=0, reason=said.reason))
    apply(state, reached(0, 3, 0.1))
    apply(state, reached(1, 3, 0.9))
    assert decided(state) == []


def test_another_rule_keeps_what_is_known_and_judges_from_then_on() -> None:
    state = begun()
    apply(state, reached(1, 1, 0.9))
    apply(state, SpecChanged(time=4, spec=spec(min_step=1, reduction_factor=2)))
    assert decided(state) == [], "the old rule would have stopped it"
    apply(state, reached(0, 2, 0.1))
    apply(state, reached(1, 2, 0.9))
    assert [type(action) for action in decided(state)] == [Cancel]

    apply(state, SpecChanged(time=5, spec=spec()))
    assert (decided(state), state.ladder) == ([], None)


def test_the_last_value_of_a_stopped_trial_goes_into_its_conclusion() -> None:
    state = begun()
    apply(state, reached(1, 1, 0.9))
    ended = TrialConcluded(time=6, trial=1, outcome=Outcome.EARLY_STOPPED, reason="r", values={"loss": 0.9})
    apply(state, ended)

    assert (state.counts, state.best) == ({Outcome.EARLY_STOPPED: 1}, None)
    assert state.trials[1].reached == {1: 0.9}


def test_values_that_are_no_numbers_survive_the_journal() -> None:
    for value in (math.nan, math.inf, -math.inf):
        back = from_line(to_line(reached(0, 1, value)))
        assert isinstance(back, Reached)
        assert back.value == value or (math.isnan(back.value) and math.isnan(value))
