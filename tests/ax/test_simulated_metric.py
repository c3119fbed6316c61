"""Curves of simulated trials, under Ax's own loop and its early stopping."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ax.early_stopping.strategies import PercentileEarlyStoppingStrategy

from axk8s.ax import (
    BackendSimulator,
    BackendSimulatorOptions,
    SimulatedBackendRunner,
    SimulatedMetric,
    SyntheticRunner,
    load,
    save,
)
from axk8s.ax.rehearsal import Rehearsal
from axk8s.errors import ComponentError, UsageError
from tests.ax import loop


def loss(parameters: Mapping[str, Any]) -> float:
    """At the top level, so that it can be saved."""
    return float(parameters["x"])


def ten(trial: object) -> float:
    return 10.0


def runner(**options: Any) -> SimulatedBackendRunner:
    settings = {"max_concurrency": 2, "internal_clock": 0.0, "seed": 1, **options}
    return SimulatedBackendRunner(BackendSimulator(BackendSimulatorOptions(**settings), verbose_logging=False), ten)


def curve(metric: SimulatedMetric, made: Rehearsal, index: int = 0) -> list[float]:
    return list(metric.fetch_trial_data(made.trials[index]).unwrap().full_df["mean"])


def test_a_curve_grows_with_the_simulated_time_and_ends_at_its_value() -> None:
    made = Rehearsal(runner(), [{"x": 0.25}])
    metric = SimulatedMetric("loss", loss, lower_is_better=True, steps=5)
    made.deploy()

    lengths = []
    for _ in range(11):
        made.statuses()
        lengths.append(len(curve(metric, made)))

    assert lengths == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    values = curve(metric, made)
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0.25


def test_a_stopped_trial_keeps_the_steps_that_it_came_to() -> None:
    made = Rehearsal(runner(), [{"x": 0.25}])
    metric = SimulatedMetric("acc", loss, lower_is_better=False, steps=5)
    made.deploy()
    for _ in range(4):
        made.statuses()
    made.runner.stop(made.trials[0])
    for _ in range(9):
        made.statuses()

    assert len(curve(metric, made)) == 2
    assert curve(metric, made)[-1] < 0.25


def test_without_steps_there_is_a_final_value_and_no_other() -> None:
    made = Rehearsal(runner(), [{"x": 0.25}])
    metric = SimulatedMetric("loss", loss, steps=0)
    made.deploy()
    assert curve(metric, made) == []
    made.until_ended()
    assert curve(metric, made) == [0.25]


def test_ax_stops_hopeless_trials_early_in_simulated_time() -> None:
    times = []
    for strategy in (
        None,
        PercentileEarlyStoppingStrategy(
            metric_signatures=["loss"], percentile_threshold=50, min_progression=2, min_curves=1
        ),
    ):
        simulated = runner(max_concurrency=1)
        made = loop.client(simulated, [SimulatedMetric("loss", loss, lower_is_better=True, steps=5)])
        running = loop.orchestrator(
            made, early_stopping_strategy=strategy, max_pending_trials=1, init_seconds_between_polls=0.001
        )
        running.run_n_trials(6)
        times.append(simulated.simulator.time)
        ended = loop.statuses(running)
        assert set(ended.values()) == ({"COMPLETED", "EARLY_STOPPED"} if strategy else {"COMPLETED"})

    assert times[1] < times[0]


def test_it_is_saved_with_the_experiment(tmp_path: Path) -> None:
    made = loop.client(runner(), [SimulatedMetric("loss", loss, lower_is_better=True, steps=7)])
    save(made, tmp_path / "saved.json")

    again = loop.experiment(load(tmp_path / "saved.json")).metrics["loss"]

    assert isinstance(again, SimulatedMetric)
    assert (again.steps, again.lower_is_better) == (7, True)
    assert again._program.function({"x": 0.5}) == 0.5

    with pytest.raises(ComponentError, match="cannot be saved"):
        save(loop.client(runner(), [SimulatedMetric("loss", lambda p: 0.0)]), tmp_path / "other.json")


def test_it_says_what_it_needs() -> None:
    made = Rehearsal(SyntheticRunner(), [{"x": 0.25}])
    made.deploy()

    assert "runner is a SyntheticRunner" in SimulatedMetric("loss", loss).fetch_trial_data(made.trials[0]).err.message
    with pytest.raises(UsageError, match="0 steps or more"):
        SimulatedMetric("loss", loss, steps=-1)
