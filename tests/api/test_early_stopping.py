"""Trials of real processes that are stopped early, and a sweep whose code reports no steps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.api import Sweep
from axk8s.controller import curves
from axk8s.journal import read
from axk8s.sweep.model import Category, Outcome, Phase
from axk8s.sweep.records import CancelDecided, PhaseChanged, Reached, Record
from tests.api.driver import Driver

Make = Callable[..., Sweep]
# A trial goes on to its next step as soon as the test lets all trials do so, and to its end.
STEPS = """\
import time
from pathlib import Path
from axk8s import report

def train(x):
    for step in (1, 3, 9):
        report(loss=x / step, step=step)
        gate = Path(__file__).with_name(f"gate{step}")
        while not gate.exists():
            time.sleep(0.01)
    return {"loss": x / 10}
"""
VALUES = "{x: {type: choice, values: [0.1, 0.9, 0.5], ordered: true}}"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "LOOK_EVERY", 0.02)


def reached(trial: int, step: int) -> Callable[[Record], bool]:
    return lambda record: isinstance(record, Reached) and (record.trial, record.step) == (trial, step)


def test_a_process_is_ended_at_its_rung_and_the_next_trial_starts_in_its_slot(make: Make, tmp_path: Path) -> None:
    sweep = make(STEPS, parameters=VALUES, optimizer="grid", parallelism="1", early_stopping="{kind: asha}")
    driver = Driver(sweep)
    driver.until(reached(0, 1))
    (tmp_path / "gate1").touch()
    driver.until(reached(0, 3))
    (tmp_path / "gate3").touch()
    (tmp_path / "gate9").touch()
    # The others are held before their second step; only a stop ends them.
    (tmp_path / "gate1").unlink()
    ending = driver.join()

    state = sweep.state()
    assert ending.summary.outcomes == {"succeeded": 1, "early_stopped": 2}
    assert [trial.outcome for trial in state.trials] == [
        Outcome.SUCCEEDED,
        Outcome.EARLY_STOPPED,
        Outcome.EARLY_STOPPED,
    ]
    assert state.trials[1].reason == "at step 1 loss was 0.9; the best of 2 trials there had 0.1"
    assert state.trials[1].values == {"loss": 0.9}
    assert state.trials[0].reached == {1: 0.1, 3: 0.1 / 3, 9: 0.1 / 9}
    assert state.best == 0
    diagnosis = state.trials[1].diagnosis
    assert diagnosis is not None
    assert diagnosis.category is Category.STOPPED


def test_a_controller_that_starts_again_judges_by_the_journal(make: Make, tmp_path: Path) -> None:
    keys = {"parameters": VALUES, "optimizer": "grid", "parallelism": "2", "trials": "2"}
    sweep = make(STEPS, **keys, early_stopping="{kind: asha}")
    driver = Driver(sweep)
    driver.until(lambda record: isinstance(record, CancelDecided) or reached(1, 1)(record))
    driver.until(reached(0, 1))
    assert driver.controller is not None
    driver.controller.interrupt()
    driver.join()
    for step in (1, 3, 9):
        (tmp_path / f"gate{step}").touch()
    again = make(STEPS, **keys, early_stopping="{kind: asha}")
    again.run()

    found = list(read(again.folder.journal))
    marks = [(record.trial, record.step) for record in found if isinstance(record, Reached)]
    assert len(set(marks)) == len(marks)
    assert {(0, 1), (1, 1), (0, 3), (0, 9)} <= set(marks)


def test_quick_trials_that_end_before_any_look_still_count(make: Make, tmp_path: Path) -> None:
    for step in (1, 3, 9):
        (tmp_path / f"gate{step}").touch()
    sweep = make(STEPS, early_stopping="{kind: median}")
    sweep.run()

    assert [sorted(trial.reached) for trial in sweep.state().trials] == [[1, 3, 9]] * 3


def test_a_sweep_whose_code_reports_other_steps_says_so_and_loses_nothing(make: Make) -> None:
    train = """\
from axk8s import report
def train(x):
    report(val_loss=x, step=1)
    return {"loss": x}
"""
    sweep = make(train, trials="4", early_stopping="{kind: asha}")
    ending = sweep.run()

    assert ending.summary.outcomes == {"succeeded": 4}
    assert [notice.text for notice in sweep.state().notices] == [
        "early stopping stops no trial: 3 trials have succeeded, and none has reported a step of 'loss'; steps come of "
        "'val_loss': name one of them in early_stopping.metric, or call report(loss=…, step=…)"
    ]
    assert sum(isinstance(one, PhaseChanged) and one.phase is Phase.ENDED for one in read(sweep.folder.journal)) == 4


def test_a_dry_run_of_the_sweep_stops_trials_as_the_sweep_would(make: Make) -> None:
    asha = make(trials="30", early_stopping="{kind: asha, max_step: 27}").simulate(results="bowl")
    dry = make(trials="30", early_stopping="{kind: asha, max_step: 27, dry: true}").simulate(results="bowl")

    assert asha.outcomes["early_stopped"] > 15
    assert dry.outcomes == {"succeeded": 30}
    assert asha.effort.seconds < dry.effort.seconds / 2


def test_values_that_mean_nothing_are_held_against_no_threshold(make: Make) -> None:
    sweep = make(trials="10", early_stopping="{kind: threshold, threshold: -5}")

    assert sweep.simulate().outcomes == {"succeeded": 10}
    assert sweep.simulate(results="bowl").outcomes == {"early_stopped": 10}
