"""Early stopping by the real controller in simulated worlds: slots are used again, a crash changes no judgement."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from axk8s.journal import fold_file, read
from axk8s.results.events import events
from axk8s.simulate.conditions import Conditions
from axk8s.spec.settings import Objective
from axk8s.sweep.model import Outcome, Parameters, Phase
from axk8s.sweep.records import CancelDecided, PhaseChanged, Reached, Record, Spared, Submitting
from tests.simulate.stage import Stage, spec

ASHA = {"kind": "asha", "max_step": 27}
CALM = "steps=27,run_time=270,start_delay=0,api_latency=0"


def stage(folder: Path, *, words: str = CALM, **changes: object) -> Stage:
    return Stage(folder, spec(folder, **{"early_stopping": ASHA, **changes}), Conditions.read([words]))


def journal(one: Stage) -> list[Record]:
    return list(read(one.folder.journal))


def test_a_slot_of_a_stopped_trial_is_used_again_at_once(tmp_path: Path) -> None:
    one = stage(tmp_path, trials=12)
    assert one.run()

    state = one.state
    assert state.counts.total() == 12
    assert state.counts[Outcome.EARLY_STOPPED] >= 6
    assert state.counts.keys() == {Outcome.EARLY_STOPPED, Outcome.SUCCEEDED}
    found = journal(one)
    stops = [record.time for record in found if isinstance(record, CancelDecided)]
    starts = [record.time for record in found if isinstance(record, Submitting)]
    # While there were trials left, each stop was followed by a submit at the same virtual moment.
    for stop in stops[: len(starts) - 3]:
        assert stop in starts
    assert one.most_alive == 3


def test_each_stop_rests_on_records_and_happens_where_the_rung_is(tmp_path: Path) -> None:
    one = stage(tmp_path, trials=12)
    one.run()

    for trial in one.state.trials:
        marks = sorted(trial.reached)
        assert marks == [1, 3, 9, 27][: len(marks)]
        assert (trial.outcome is Outcome.SUCCEEDED) == (marks[-1] == 27)
        assert trial.attempts[0].steps == marks[-1]
        if trial.outcome is Outcome.EARLY_STOPPED:
            assert trial.reason.startswith(f"at step {marks[-1]} loss was ")
            assert trial.values["loss"] == trial.reached[marks[-1]]


def test_a_kill_after_each_record_changes_no_judgement(tmp_path: Path) -> None:
    whole = stage(tmp_path / "whole", trials=6)
    whole.run()
    for count in range(1, len(journal(whole)) - 1):
        one = stage(tmp_path / str(count), trials=6)
        assert not one.run(dies_after=count)
        doomed = {trial.number: trial.hopeless for trial in one.state.active.values() if trial.hopeless}
        assert one.run()

        state = one.state
        assert state.counts.total() == 6
        assert not one.world.cluster.jobs
        for number, reason in doomed.items():
            assert (state.trials[number].outcome, state.trials[number].reason) == (Outcome.EARLY_STOPPED, reason)
        marks = Counter((record.trial, record.step) for record in journal(one) if isinstance(record, Reached))
        assert set(marks.values()) == {1}, "a trial is judged once at each rung"
        for trial in state.trials:
            assert bool(trial.hopeless) == (trial.outcome is Outcome.EARLY_STOPPED)


def test_pre_emptions_and_lost_attempts_keep_the_curve(tmp_path: Path) -> None:
    words = "steps=27,run_time=1h,checkpoint_every=2m,preemptions_per_hour=4,failures.transient=0.1"
    one = stage(tmp_path, words=words, trials=20, retries=3)
    assert one.run()

    assert one.state.counts[Outcome.EARLY_STOPPED] >= 8
    assert max(len(trial.attempts) for trial in one.state.trials) > 2
    found = [record for record in journal(one) if isinstance(record, Reached)]
    assert len({(record.trial, record.step) for record in found}) == len(found)
    assert any(record.attempt > 0 for record in found)


def test_dry_stops_nothing_and_tells_in_the_events_what_it_would_have_stopped(tmp_path: Path) -> None:
    one = stage(tmp_path, trials=8, early_stopping={**ASHA, "dry": True})
    assert one.run()

    assert one.state.counts == {Outcome.SUCCEEDED: 8}
    spared = [record for record in journal(one) if isinstance(record, Spared)]
    assert len(spared) >= 3
    assert len({record.trial for record in spared}) == len(spared), "once a trial"
    said = [event.text for event in events(journal(one)) if event.what == "would stop"]
    assert said == [record.reason for record in spared]


def test_without_steps_there_is_one_word_and_nothing_is_stopped(tmp_path: Path) -> None:
    one = stage(tmp_path, words="steps=0", trials=8)
    assert one.run()

    assert one.state.counts == {Outcome.SUCCEEDED: 8}
    assert [notice.text for notice in one.state.notices] == [
        "early stopping stops no trial: 3 trials have succeeded, and none has reported a step of 'loss'; "
        "call report(loss=…, step=…) after each step in the training code"
    ]


def test_steps_that_all_lie_before_the_first_rung_are_named(tmp_path: Path) -> None:
    one = stage(tmp_path, words="steps=9", trials=4, early_stopping={"kind": "asha", "min_step": 10})
    assert one.run()

    assert [notice.text for notice in one.state.notices] == [
        "early stopping stops no trial: no trial has come to step 10, the highest is 9; lower early_stopping.min_step"
    ]


def test_the_median_and_a_threshold_stop_too(tmp_path: Path) -> None:
    median = stage(tmp_path / "a", trials=20, early_stopping={"kind": "median", "min_trials": 3})
    median.run()
    assert 5 <= median.state.counts[Outcome.EARLY_STOPPED] <= 15

    strict = {"kind": "threshold", "threshold": 0.8, "min_step": 12}
    threshold = stage(tmp_path / "b", trials=20, early_stopping=strict)
    threshold.run()
    for trial in threshold.state.trials:
        worse = any(value > 0.8 for value in trial.reached.values())
        assert (trial.outcome is Outcome.EARLY_STOPPED) == worse


def test_a_curve_that_is_not_a_number_is_stopped_like_a_bad_one(tmp_path: Path) -> None:
    def broken(parameters: Parameters, objective: Objective, final: float, share: float) -> float:
        return float("nan") if float(parameters["x"]) > 0.5 else final + 1 - share

    content = spec(tmp_path, early_stopping=ASHA, trials=12)
    one = Stage(tmp_path, content, Conditions.read([CALM]), shape=broken)
    assert one.run()

    bad = [trial for trial in one.state.trials if float(trial.parameters["x"]) > 0.5]
    assert [trial.outcome for trial in bad].count(Outcome.EARLY_STOPPED) >= len(bad) - 1
    assert any("loss was nan" in trial.reason for trial in bad)


def test_a_sweep_without_it_has_no_such_records(tmp_path: Path) -> None:
    one = stage(tmp_path, trials=3, early_stopping=None)
    one.run()

    state = fold_file(one.folder.journal)
    assert not [record for record in journal(one) if isinstance(record, (Reached, Spared, CancelDecided))]
    assert [record.phase for record in journal(one) if isinstance(record, PhaseChanged)].count(Phase.RUNNING) == 3
    assert state.ladder is None
