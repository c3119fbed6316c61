from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ax.core.base_trial import BaseTrial
from ax.utils.testing import backend_simulator as original

from axk8s.ax import BackendSimulator, BackendSimulatorOptions, SimulatedBackendRunner, sample_runtime_unif
from axk8s.ax.rehearsal import Rehearsal
from axk8s.errors import UsageError
from axk8s.simulate.cluster import Cluster

POINTS = [{"x": 0.1 * number} for number in range(6)]


def twenty(trial: BaseTrial) -> float:
    """At the top level, so that it can be saved."""
    return 20.0


def half(trial: BaseTrial) -> float:
    """Between two polls."""
    return 2.5


def simulator(**options: Any) -> BackendSimulator:
    settings = {"max_concurrency": 1, "internal_clock": 0.0, "seed": 1, **options}
    return BackendSimulator(BackendSimulatorOptions(**settings), verbose_logging=False)


def started(simulator: original.BackendSimulator, trials: int = 3) -> Rehearsal:
    made = Rehearsal(SimulatedBackendRunner(simulator, twenty), POINTS[:trials])
    made.deploy()
    return made


def test_a_run_time_follows_from_seed_and_trial_alone() -> None:
    trials = Rehearsal(SimulatedBackendRunner(simulator()), POINTS).trials
    drawn = [sample_runtime_unif(trial) for trial in trials]

    assert drawn == [sample_runtime_unif(trial) for trial in trials]
    assert len(set(drawn)) == len(drawn)
    assert all(1.0 <= runtime <= 5.0 for runtime in drawn)
    assert drawn != [sample_runtime_unif(trial, seed=2) for trial in trials]
    assert all(7.0 <= sample_runtime_unif(trial, 7.0, 8.0) <= 8.0 for trial in trials)
    with pytest.raises(UsageError, match="no run time"):
        sample_runtime_unif(trials[0], 2.0, 1.0)


def test_a_stopped_trial_frees_its_slot_at_once() -> None:
    """In Ax's own simulator the next trial starts at the stopped one's natural end."""
    theirs = original.BackendSimulator(
        original.BackendSimulatorOptions(max_concurrency=1, internal_clock=0.0), verbose_logging=False
    )
    starts = []
    for one in (theirs, simulator()):
        made = started(one, 2)
        made.statuses()
        made.runner.stop(made.trials[0], reason="flat")
        made.statuses()
        trial = one.get_sim_trial_by_index(1)
        assert trial is not None
        starts.append(trial.sim_start_time)

    assert starts == [20.0, 1.0]


def test_a_queued_trial_can_be_stopped() -> None:
    one = simulator()
    made = started(one)

    made.runner.stop(made.trials[1])

    assert one.status().queued == [2]
    assert made.statuses() == {0: "RUNNING", 1: "COMPLETED", 2: "RUNNING"}


def test_failures_happen_in_a_slot_in_their_time_and_are_the_same_for_a_seed() -> None:
    ends = []
    for _ in range(2):
        one = simulator(max_concurrency=2, failure_rate=0.5)
        made = started(one, 6)
        assert set(made.statuses().values()) == {"RUNNING"}
        ends.append(made.until_ended())
        failed = [trial for trial in one.all_trials if ends[-1][trial.trial_index] == "FAILED"]
        assert all(0.0 < trial.sim_runtime < 20.0 for trial in failed)
        assert "simulated failure" in made.runner.poll_exception(made.trials[failed[0].trial_index])
    other = started(simulator(max_concurrency=2, failure_rate=0.5, seed=4), 6).until_ended()

    assert ends[0] == ends[1] != other
    assert set(ends[0].values()) == {"COMPLETED", "FAILED"}


def test_capacity_is_what_would_start_at_once() -> None:
    made = Rehearsal(SimulatedBackendRunner(simulator(max_concurrency=4), twenty), POINTS[:3])

    assert made.runner.poll_available_capacity() == 4
    made.deploy()
    assert made.runner.poll_available_capacity() == 1


def test_a_trial_that_the_simulator_does_not_know_fails_alone() -> None:
    made = Rehearsal(SimulatedBackendRunner(simulator(max_concurrency=4), twenty), POINTS[:2])
    made.deploy(made.trials[1])

    assert made.statuses() == {0: "FAILED", 1: "RUNNING"}
    assert "does not know trial 0" in made.runner.poll_exception(made.trials[0])


@pytest.mark.parametrize("options", [{}, {"failure_rate": 0.5}, {"use_update_as_start_time": True}])
def test_the_whole_state_is_saved_and_goes_on(tmp_path: Path, options: dict[str, Any]) -> None:
    one = simulator(max_concurrency=2, **options)
    made = started(one, 6)
    made.statuses()

    again = made.saved(tmp_path / "saved.json")

    assert again.runner.simulator.to_dict() == one.to_dict()
    assert again.until_ended() == made.until_ended()
    assert again.runner.simulator.to_dict() == one.to_dict()


def test_ax_own_simulator_is_accepted_and_saved_as_ours(tmp_path: Path) -> None:
    theirs = original.BackendSimulator(
        original.BackendSimulatorOptions(max_concurrency=3, internal_clock=0.0), verbose_logging=False
    )
    made = started(theirs)

    assert isinstance(made.saved(tmp_path / "saved.json").runner.simulator, BackendSimulator)
    assert set(made.until_ended().values()) == {"COMPLETED"}


def test_impossible_options_are_refused() -> None:
    with pytest.raises(UsageError, match="failure_rate from 0 to 1"):
        simulator(failure_rate=2.0)


def test_a_start_is_when_the_slot_was_free_or_when_that_was_noticed() -> None:
    starts = []
    for late in (False, True):
        one = simulator(use_update_as_start_time=late)
        made = Rehearsal(SimulatedBackendRunner(one, half), POINTS[:2])
        made.deploy()
        made.until_ended()
        trial = one.get_sim_trial_by_index(1)
        assert trial is not None
        starts.append(trial.sim_start_time)

    assert starts == [2.5, 3.0]


def test_it_runs_on_the_cluster_that_plans_are_simulated_on() -> None:
    assert isinstance(simulator()._cluster, Cluster)
