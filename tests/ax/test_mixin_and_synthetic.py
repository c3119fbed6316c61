from __future__ import annotations

from typing import Any

from ax.core.base_trial import BaseTrial
from ax.core.runner import Runner
from ax.runners import single_running_trial_mixin
from ax.runners import synthetic as ax_synthetic

from axk8s.ax import SingleRunningTrialMixin, SyntheticRunner
from axk8s.ax.rehearsal import Rehearsal

POINTS = [{"x": 0.1}, {"x": 0.2}, {"x": 0.3}]


class Named(Runner):
    def run(self, trial: BaseTrial) -> dict[str, Any]:
        return {"name": str(trial.index)}


class Theirs(single_running_trial_mixin.SingleRunningTrialMixin, Named):
    pass


class Ours(SingleRunningTrialMixin, Named):
    pass


class Patient(SingleRunningTrialMixin, Named):
    over = False

    def trial_is_over(self, trial: BaseTrial) -> bool:
        return self.over


def test_the_last_trial_ends_which_it_never_does_in_ax() -> None:
    found = []
    for runner in (Theirs(), Ours()):
        made = Rehearsal(runner, POINTS)
        made.deploy()
        found.append(made.statuses())

    assert found[0] == {0: "COMPLETED", 1: "COMPLETED", 2: "RUNNING"}
    assert found[1] == {0: "COMPLETED", 1: "COMPLETED", 2: "COMPLETED"}


def test_the_latest_trial_runs_until_its_own_rule_says_that_it_is_over() -> None:
    made = Rehearsal(runner := Patient(), POINTS)
    made.deploy()

    assert made.statuses() == {0: "COMPLETED", 1: "COMPLETED", 2: "RUNNING"}
    runner.over = True
    assert made.statuses()[2] == "COMPLETED"


def test_trials_that_do_not_run_keep_their_status() -> None:
    made = Rehearsal(Ours(), POINTS)
    made.deploy(*made.trials[:1])

    assert made.statuses() == {0: "COMPLETED", 1: "CANDIDATE", 2: "CANDIDATE"}


def test_the_synthetic_runner_names_trials_and_is_one_of_ax() -> None:
    made = Rehearsal(SyntheticRunner("dummy"), POINTS)

    assert made.deploy()[1] == {"name": "rehearsal_1", "dummy_metadata": "dummy"}
    assert isinstance(made.runner, ax_synthetic.SyntheticRunner)
    assert made.runner.run_metadata_report_keys == ["name"]
