"""What every Ax runner must do, as a pytest class that a runner's own test class inherits.

from axk8s.testing.ax_runner import AxRunnerContract

class TestMyRunner(AxRunnerContract):
    @pytest.fixture
    def runner(self) -> Runner:
        return MyRunner()
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from axk8s.ax.rehearsal import Point, Rehearsal

_TERMINAL = {"COMPLETED", "FAILED", "ABANDONED"}


class AxRunnerContract:
    """The contract; a subclass gives the fixture `runner`, and where needed the three settings below."""

    points: ClassVar[Sequence[Point]] = ({"x": 0.1}, {"x": 0.2}, {"x": 0.3})
    """Three trials that succeed: the parameters that the runner's program takes."""
    classes: ClassVar[Iterable[type]] = ()
    """The runner's class, for one that can be saved; those of this package are known."""
    saveable: ClassVar[bool] = True
    """Whether an experiment with this runner can be saved."""

    @pytest.fixture
    def runner(self) -> Any:
        """The runner under test, new for each test."""
        raise NotImplementedError("give the fixture `runner` that makes the runner under test")

    @pytest.fixture
    def rehearsal(self, runner: Any) -> Rehearsal:
        """An experiment with this runner of which nothing has run yet."""
        return Rehearsal(runner, self.points)

    def test_trials_run_and_are_completed(self, rehearsal: Rehearsal) -> None:
        metadata = rehearsal.deploy()

        assert sorted(metadata) == [0, 1, 2]
        assert rehearsal.until_ended() == dict.fromkeys([0, 1, 2], "COMPLETED")

    def test_run_metadata_is_plain_json_and_has_the_keys_that_are_reported(self, rehearsal: Rehearsal) -> None:
        metadata = rehearsal.deploy()

        for one in metadata.values():
            assert json.loads(json.dumps(one)) == one
            assert set(rehearsal.runner.run_metadata_report_keys) <= set(one)

    def test_a_repeated_run_of_a_trial_starts_nothing_new(self, rehearsal: Rehearsal) -> None:
        first = rehearsal.deploy()

        assert rehearsal.runner.run_multiple(rehearsal.trials) == first

    def test_no_trial_is_ever_staged(self, rehearsal: Rehearsal) -> None:
        rehearsal.deploy()

        assert not rehearsal.runner.staging_required
        assert "STAGED" not in rehearsal.statuses().values()

    def test_a_trial_that_was_never_run_harms_no_other(self, rehearsal: Rehearsal) -> None:
        stranger, *others = rehearsal.trials
        rehearsal.deploy(*others)

        found = rehearsal.statuses()

        assert found.get(stranger.index) not in {"COMPLETED", "RUNNING"}
        assert {trial.index for trial in others} <= set(found)
        assert isinstance(rehearsal.runner.poll_exception(stranger), str)

    def test_polling_nothing_finds_nothing(self, rehearsal: Rehearsal) -> None:
        assert rehearsal.runner.poll_trial_status([]) == {}

    def test_polling_again_after_the_end_says_the_same(self, rehearsal: Rehearsal) -> None:
        rehearsal.deploy()
        ended = rehearsal.until_ended()

        assert rehearsal.statuses() == ended

    def test_stopping_is_idempotent_and_keeps_the_reason(self, rehearsal: Rehearsal) -> None:
        rehearsal.deploy()
        trial = rehearsal.trials[0]

        for _ in range(2):
            assert rehearsal.runner.stop(trial, reason="enough")["reason"] == "enough"

        assert trial.stop_metadata["reason"] == "enough"
        assert rehearsal.statuses(trial).get(0, "gone") in {*_TERMINAL, "RUNNING", "gone"}

    def test_stopping_what_never_ran_or_has_ended_raises_nothing(self, rehearsal: Rehearsal) -> None:
        stranger, *others = rehearsal.trials
        rehearsal.deploy(*others)
        rehearsal.until_ended(*others)

        for trial in (stranger, *others):
            assert isinstance(rehearsal.runner.stop(trial), dict)

    def test_capacity_is_a_number_or_minus_one(self, rehearsal: Rehearsal) -> None:
        assert rehearsal.runner.poll_available_capacity() >= -1
        rehearsal.deploy()
        assert rehearsal.runner.poll_available_capacity() >= -1

    def test_a_saved_experiment_goes_on(self, rehearsal: Rehearsal, tmp_path: Path) -> None:
        if not self.saveable:
            pytest.skip("this runner cannot be saved")
        metadata = rehearsal.deploy()

        again = rehearsal.saved(tmp_path / "experiment.json", classes=self.classes)

        assert {trial.index: trial.run_metadata for trial in again.trials} == metadata
        assert again.until_ended() == dict.fromkeys([0, 1, 2], "COMPLETED")

    def test_a_runner_has_an_equal_clone(self, runner: Any) -> None:
        if not self.saveable:
            pytest.skip("this runner cannot be saved")
        assert runner.clone() == runner
