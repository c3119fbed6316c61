"""What differs between two specs, and what may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from axk8s.spec.changes import Change, changes
from axk8s.spec.sweep import SweepSpec

SPEC: dict[str, Any] = {
    "name": "s",
    "function": "train.py:train",
    "parameters": {"x": {"type": "float", "min": 0, "max": 1}},
    "objectives": [{"metric": "loss", "direction": "minimize"}],
    "trials": 10,
}

ASHA = {"min_step": 1, "dry": False, "kind": "asha", "reduction_factor": 3.0}


def spec(**changed: object) -> SweepSpec:
    return SweepSpec.from_mapping({**SPEC, **changed}, base=Path("/base"))


def test_equal_specs_do_not_differ() -> None:
    assert changes(spec(), spec(retries=1, optimizer="ax")) == ()


@pytest.mark.parametrize(
    ("changed", "change"),
    [
        ({"trials": 20}, Change("trials", 10, 20, True)),
        ({"trials": 5}, Change("trials", 10, 5, True)),
        ({"parallelism": 4}, Change("parallelism", 1, 4, True)),
        ({"retries": 0}, Change("retries", 1, 0, True)),
        ({"max_failures": 3}, Change("max_failures", None, 3, True)),
        ({"trial_timeout": "1m"}, Change("trial_timeout", None, 60.0, True)),
        ({"budget": {"wall_time": 5}}, Change("budget.wall_time", None, 5.0, True)),
        ({"optimizer": {"seed": 3}}, Change("optimizer.seed", 0, 3, False)),
        ({"scheduler": "local_cwd"}, Change("scheduler", "local", "local_cwd", False)),
        ({"arguments": {"n": True}}, Change("arguments.n", None, True, False)),
        (
            {"objectives": [{"metric": "loss", "direction": "minimize", "target": 0.5}]},
            Change("objectives[0].target", None, 0.5, True),
        ),
        (
            {"objectives": [{"metric": "loss", "direction": "maximize"}]},
            Change("objectives[0].direction", "minimize", "maximize", False),
        ),
        ({"early_stopping": "asha"}, Change("early_stopping", None, ASHA, True)),
        ({"outcome_constraints": ["m <= 3"]}, Change("outcome_constraints", [], ["m <= 3"], False)),
        ({"workspace": "."}, Change("workspace", None, ".", False)),
    ],
)
def test_a_change_names_its_key_and_whether_it_is_safe(changed: dict[str, object], change: Change) -> None:
    assert changes(spec(), spec(**changed)) == (change,)


def test_changes_inside_a_parameter_name_the_key() -> None:
    wider = spec(parameters={"x": {"type": "float", "min": 0, "max": 2}, "y": {"type": "bool"}})
    found = changes(spec(), wider)
    assert [(change.key, change.safe) for change in found] == [("parameters.x.max", False), ("parameters.y", False)]


def test_true_is_not_one_and_one_is_not_a_float() -> None:
    for old, new in ((1, True), (1, 1.0)):
        assert len(changes(spec(arguments={"n": old}), spec(arguments={"n": new}))) == 1


def test_a_change_reads_as_a_sentence() -> None:
    assert str(changes(spec(), spec(trials=20))[0]) == "trials: 10 → 20"
    assert str(changes(spec(), spec(max_failures=2))[0]) == "max_failures: not set → 2"
