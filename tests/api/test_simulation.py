"""Dry runs from Python: the real optimizer on a simulated cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.api import Sweep
from axk8s.errors import SpecError, UsageError
from axk8s.folder import SweepFolder
from axk8s.simulate.conditions import Conditions

Make = Callable[..., Sweep]


def test_ax_itself_writes_one_journal_for_one_seed(make: Make, tmp_path: Path) -> None:
    sweep = make(optimizer="ax", trials="9", parallelism="3")
    rough = Conditions.read(["preemptions_per_hour=2,failures.transient=0.2,noise=0.01"])
    journals = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        found = sweep.simulate(rough, seed=seed, results="bowl", keep=tmp_path / name)
        assert found.optimizer == "ax"
        assert found.from_model > 0
        journals.append(SweepFolder(tmp_path / name / "small").journal.read_bytes())

    assert journals[0] == journals[1] != journals[2]


def test_the_optimizer_finds_the_best_point_of_a_synthetic_objective(make: Make) -> None:
    found = make(optimizer="ax", trials="12", parallelism="2").simulate(seed=3, results="bowl")

    assert found.best_value is not None
    assert found.best_value < 0.001
    assert found.values == "a synthetic objective (bowl)"


def test_an_earlier_sweep_answers_with_its_values_and_run_times(make: Make) -> None:
    sweep = make()
    sweep.run()

    found = make(trials="10", name="next").simulate(results="small")
    by_folder = make(trials="10", name="next").simulate(results=sweep.folder.path)

    best = sweep.best()
    assert best is not None
    assert found.best_value == best.value
    assert (found.values, found.outcomes) == (by_folder.values, {"succeeded": 10})
    assert "recorded trials (the sweep in" in found.values


def test_a_plan_from_python_has_the_rendered_job(make: Make) -> None:
    plan = make().plan({"x": 0.75})

    assert plan.first.parameters == {"x": 0.75}
    assert '"x": 0.75' in plan.first.manifest.replace("\\", "")
    assert plan.hours_at_most is None
    assert not plan.begun


def test_a_value_outside_of_the_space_is_refused(make: Make) -> None:
    with pytest.raises(UsageError, match="x"):
        make().plan({"x": 7})


def test_conditions_may_be_a_mapping_and_are_checked(make: Make) -> None:
    found = make().simulate({"run_time": "1h", "start_delay": 0, "api_latency": 0})

    assert found.effort.slot_seconds == 3 * 3600
    with pytest.raises(SpecError, match="run_time"):
        make().simulate({"run_tim": "1h"})


def test_a_simulation_leaves_nothing_behind(make: Make) -> None:
    sweep = make(trials="400")

    found = sweep.simulate()

    assert (found.folder, found.trials) == (None, 400)
    assert not sweep.folder.path.exists()


def test_without_results_no_constraint_on_them_is_looked_at(make: Make) -> None:
    limited = make(outcome_constraints="['loss + cost <= 1']", baseline="{x: 0.5}")

    assert limited.simulate().outcomes == {"succeeded": 3}


def test_of_several_objectives_a_dry_run_tells_the_front(make: Make, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("x,loss,cost\n0,0,1\n0.5,0.5,0.5\n1,1,0\n")
    two = "[{metric: loss, direction: minimize, threshold: 2}, {metric: cost, direction: minimize, threshold: 2}]"

    found = make(objectives=two, trials="8").simulate(results=tmp_path / "old.csv")

    assert found.best_trial is None
    assert set(found.front) == set(range(8)), "every recorded trial is on the front"
    assert found.hypervolume is not None
    assert found.hypervolume > 2
