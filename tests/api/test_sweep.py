"""A sweep's life, from Python, with real processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.api import Sweep, sweeps
from axk8s.errors import FolderError, JournalError, LockedError, SpecError, UsageError
from axk8s.journal import read
from axk8s.sweep.model import Category, Outcome
from tests.api.driver import GATED, Driver, runs

Make = Callable[..., Sweep]


def test_a_sweep_runs_to_its_end_and_tells_its_best_trial(make: Make) -> None:
    sweep = make()

    ending = sweep.run()

    assert (ending.summary.state, ending.exit_code) == ("done", 0)
    rows = sweep.trials()
    assert [row.outcome for row in rows] == [Outcome.SUCCEEDED] * 3
    best = sweep.best()
    assert best is not None
    assert best.value == min(row.parameters["x"] for row in rows)
    assert best.value == sweep.summary().best_value
    assert [summary.name for summary in sweeps(sweep.folder.path.parent)] == ["small"]


def test_running_it_again_changes_nothing(make: Make) -> None:
    sweep = make()
    sweep.run()
    before = sweep.trials()

    ending = make().run()

    assert ending.summary.state == "done"
    assert sweep.trials() == before


def test_more_trials_are_a_safe_change_and_go_on(make: Make) -> None:
    make().run()

    ending = make(trials="5").run()

    assert ending.summary.outcomes == {"succeeded": 5}
    kinds = [record.kind for record in read(make().folder.journal)]
    assert kinds.count("spec_changed") == 1


def test_other_changes_are_refused_by_name_and_lose_nothing(make: Make) -> None:
    make().run()
    changed = make(parameters="{x: {type: float, min: 0, max: 2}}")
    before = changed.folder.journal.read_bytes()

    with pytest.raises(FolderError, match=r"parameters\.x\.max") as caught:
        changed.run()

    assert "--fresh" in caught.value.hint
    assert changed.folder.journal.read_bytes() == before


def test_fresh_keeps_the_old_folder_aside(make: Make, tmp_path: Path) -> None:
    make().run()

    ending = make(parameters="{x: {type: float, min: 0, max: 2}}").run(fresh=True)

    assert ending.summary.outcomes == {"succeeded": 3}
    assert (tmp_path / "sweeps" / ".replaced" / "small-1" / "journal.jsonl").exists()
    assert [summary.name for summary in sweeps(tmp_path / "sweeps")] == ["small"]


def test_a_folder_with_other_peoples_files_is_refused(make: Make, tmp_path: Path) -> None:
    sweep = make()
    sweep.folder.path.mkdir(parents=True)
    (sweep.folder.path / "thesis.tex").write_text("years of work")

    with pytest.raises(FolderError, match=r"thesis\.tex"):
        sweep.run()


def test_a_damaged_journal_names_the_line_and_stays_as_it_is(make: Make) -> None:
    sweep = make()
    sweep.run()
    lines = sweep.folder.journal.read_text().splitlines(keepends=True)
    damaged = "".join([*lines[:4], "#?!\n", *lines[5:]])
    sweep.folder.journal.write_text(damaged)

    with pytest.raises(JournalError, match=r"journal\.jsonl:5"):
        make().run()

    assert sweep.folder.journal.read_text() == damaged


def test_a_second_controller_is_refused_while_the_first_goes_on(make: Make, tmp_path: Path) -> None:
    driver = Driver(make(GATED))
    driver.until(runs)

    with pytest.raises(LockedError, match="another controller"):
        make(GATED).run()

    (tmp_path / "gate").touch()
    assert driver.join().summary.outcomes == {"succeeded": 3}


def test_an_interrupt_leaves_jobs_running_and_the_same_call_finds_them_again(make: Make, tmp_path: Path) -> None:
    driver = Driver(make(GATED))
    driver.until(runs, times=2)
    assert driver.controller
    driver.controller.interrupt()
    ending = driver.join()
    assert (ending.summary.state, ending.exit_code) == ("interrupted", 130)
    assert ending.summary.phases == {"running": 2}
    assert make(GATED).summary().state == "interrupted"

    (tmp_path / "gate").touch()
    again = make(GATED).run()

    assert again.summary.outcomes == {"succeeded": 3}
    assert [row.attempts for row in make(GATED).trials()] == [1, 1, 1]


def test_a_stop_ends_running_jobs_and_their_trials(make: Make) -> None:
    driver = Driver(make(GATED))
    driver.until(runs, times=2)

    summary = make(GATED).stop()

    assert summary.state == "stopped"
    assert driver.join().exit_code == 130
    assert {row.outcome for row in make(GATED).trials()} == {Outcome.STOPPED}


def test_a_stop_without_a_controller_ends_what_was_left_running(make: Make) -> None:
    driver = Driver(make(GATED))
    driver.until(runs, times=2)
    assert driver.controller
    driver.controller.interrupt()
    driver.join()

    summary = make(GATED).stop()

    assert summary.state == "stopped"
    assert summary.outcomes == {"stopped": 2}
    assert summary.phases == {}


def test_one_trial_can_be_stopped_and_the_others_go_on(make: Make, tmp_path: Path) -> None:
    driver = Driver(make(GATED))
    driver.until(runs, times=2)

    make(GATED).stop(trial=0)

    assert make(GATED).trials()[0].outcome is Outcome.STOPPED
    (tmp_path / "gate").touch()
    assert driver.join().summary.outcomes == {"succeeded": 2, "stopped": 1}
    with pytest.raises(UsageError, match="no trial 9"):
        make(GATED).stop(trial=9)


def test_a_pause_drains_and_the_same_call_goes_on(make: Make, tmp_path: Path) -> None:
    driver = Driver(make(GATED))
    driver.until(runs, times=2)
    make(GATED).pause()
    driver.until(lambda record: record.kind == "request")
    (tmp_path / "gate").touch()
    ending = driver.join()
    assert (ending.summary.state, ending.summary.outcomes) == ("paused", {"succeeded": 2})

    assert make(GATED).run().summary.outcomes == {"succeeded": 3}


def test_a_pause_that_still_drains_is_taken_back_by_running_it_again(make: Make, tmp_path: Path) -> None:
    driver = Driver(make(GATED))
    driver.until(runs, times=2)
    make(GATED).pause()
    driver.until(lambda record: record.kind == "request")
    driver.sweep.folder.status.unlink()  # what a reader sees must come from the journal then

    with pytest.raises(LockedError, match="asked to go on"):
        make(GATED).run()

    driver.until(lambda record: record.kind == "request", times=2)
    (tmp_path / "gate").touch()
    assert driver.join().summary.outcomes == {"succeeded": 3}


def test_a_pause_without_a_controller_is_misuse(make: Make) -> None:
    sweep = make()
    sweep.run()

    with pytest.raises(UsageError, match="no controller"):
        sweep.pause()


def test_a_script_that_always_crashes_ends_the_sweep_after_three_trials_with_its_last_words(make: Make) -> None:
    ending = make("def train(x):\n    raise RuntimeError('no data at /data')\n", trials="9", parallelism="1").run()

    assert (ending.summary.state, ending.exit_code) == ("aborted", 1)
    assert ending.summary.ended in (3, 4), "one more may start before the third is diagnosed"
    assert "no data at /data" in ending.summary.reason
    assert {row.category for row in make().trials()} <= {Category.USER_ERROR, Category.STOPPED}


def test_an_objective_that_nobody_reports_names_what_was_reported(make: Make) -> None:
    ending = make("def train(x):\n    return {'los': x}\n", trials="1").run()

    assert ending.exit_code == 1
    (row,) = make(trials="1").trials()
    assert row.outcome is Outcome.FAILED
    assert row.category == Category.NO_METRIC
    assert "reported: los" in row.reason


def test_nan_is_infeasible_and_kept_as_evidence(make: Make) -> None:
    make("def train(x):\n    return float('nan')\n", trials="1").run()

    (row,) = make(trials="1").trials()
    assert row.outcome is Outcome.INFEASIBLE
    assert row.values["loss"] != row.values["loss"]


def test_exit_code_75_is_retried_as_often_as_the_file_says(make: Make) -> None:
    train = "import os, sys\ndef train(x):\n    if os.environ['AXK8S_ATTEMPT'] == '0': sys.exit(75)\n    return x\n"
    ending = make(train, trials="2", retries="1").run()

    assert ending.summary.outcomes == {"succeeded": 2}
    assert [row.attempts for row in make(trials="2").trials()] == [2, 2]


def test_a_used_up_wall_time_stops_what_runs(make: Make) -> None:
    ending = make(GATED, budget="{wall_time: 1s}").run()

    assert ending.summary.state == "budget"
    assert {row.outcome for row in make(GATED, budget="{wall_time: 1s}").trials()} == {Outcome.STOPPED}


def test_a_changed_script_is_reported_on_resume(make: Make) -> None:
    make(trials="2").run()
    notices: list[str] = []

    make("def train(x):\n    return x * 2\n", trials="3").run(started=lambda _, said: notices.extend(said))

    assert any("train.py changed" in notice for notice in notices)


def test_a_pinned_workspace_goes_on_with_the_code_as_it_was(make: Make) -> None:
    make("def train(x):\n    return 1.0\n", trials="1", workspace=".").run()

    make("def train(x):\n    return 2.0\n", trials="2", workspace=".").run()

    assert [row.value for row in make(trials="2", workspace=".").trials()] == [1.0, 1.0]


def test_trying_one_trial_shows_its_output_and_leaves_no_sweep(make: Make) -> None:
    said: list[str] = []
    sweep = make("def train(x):\n    print('hello from', x)\n    return x\n")

    tried = sweep.try_trial({"x": 0.25}, output=said.append)

    assert tried.outcome is Outcome.SUCCEEDED
    assert tried.values == {"loss": 0.25}
    assert any("hello from 0.25" in line for line in said)
    assert not sweep.folder.path.exists()
    with pytest.raises(SpecError, match="x"):
        sweep.try_trial({"x": 7.0}, output=said.append)


def test_a_failed_try_says_why(make: Make) -> None:
    tried = make("def train(x):\n    return 1 / 0\n").try_trial({}, output=lambda _: None)

    assert tried.outcome is Outcome.FAILED
    assert "ZeroDivisionError" in tried.diagnosis.summary


def test_a_detached_controller_outlives_the_caller_and_can_be_followed(make: Make, tmp_path: Path) -> None:
    sweep = make(GATED)
    pid = sweep.detach()
    assert pid > 0
    (tmp_path / "gate").touch()

    *_, last = sweep.follow(interval=0.05)

    assert last.outcomes == {"succeeded": 3}


def test_logs_are_those_of_the_attempt(make: Make) -> None:
    sweep = make("import os\ndef train(x):\n    print('trial', os.environ['AXK8S_TRIAL'])\n    return x\n")
    sweep.run()

    assert any("trial 1" in line for line in sweep.logs(1))
    with pytest.raises(UsageError, match="no attempt 3"):
        sweep.logs(1, attempt=3)


def test_python_and_yaml_describe_the_same_sweep(make: Make, tmp_path: Path) -> None:
    sweep = make()
    twin = Sweep(
        "small",
        base=tmp_path,
        directory=tmp_path / "sweeps",
        function="train.py:train",
        parameters={"x": {"type": "float", "min": 0, "max": 1}},
        objectives=[{"metric": "loss", "direction": "minimize"}],
        optimizer="random",
        trials=3,
        parallelism=2,
    )

    assert twin.spec == sweep.spec
    assert twin.run().summary.outcomes == {"succeeded": 3}


def test_an_unknown_sweep_lists_the_known_ones(make: Make, tmp_path: Path) -> None:
    make().run()

    with pytest.raises(FolderError, match="'smal'") as caught:
        Sweep.open("smal", directory=tmp_path / "sweeps")

    assert "did you mean 'small'" in caught.value.hint


def test_several_objectives_have_a_front_and_no_best_trial(make: Make) -> None:
    two = "[{metric: loss, direction: minimize}, {metric: cost, direction: minimize}]"
    train = "def train(x):\n    return {'loss': (x, 0.01), 'cost': 1 - x, 'waste': x}\n"
    sweep = make(train, objectives=two, outcome_constraints="['waste <= 0.9']")
    assert sweep.run().exit_code == 0

    rows = sweep.trials()
    assert [row.trial for row in sweep.front()] == [row.trial for row in rows if row.feasible]
    assert all(row.front and row.sems == {"loss": 0.01} for row in sweep.front())
    assert sweep.summary().hypervolume is None
    with pytest.raises(UsageError, match="no one trial of small is the best in loss and cost") as raised:
        sweep.best()
    assert "Sweep.front()" in raised.value.hint


def test_of_one_objective_the_front_is_the_best_trial(make: Make) -> None:
    sweep = make()
    sweep.run()

    assert [row.trial for row in sweep.front()] == [row.trial for row in sweep.trials() if row.best]


def test_the_baseline_runs_first_and_a_constraint_may_compare_with_it(make: Make) -> None:
    sweep = make(baseline="{x: 0.5}", outcome_constraints="['loss <= baseline']", parallelism="1")
    sweep.run()

    first, *others = sweep.trials()
    assert (first.baseline, first.parameters, first.feasible) == (True, {"x": 0.5}, True)
    assert [row.feasible for row in others] == [row.values["loss"] <= 0.5 for row in others]
    assert all(row.breaks for row in others if row.feasible is False)
