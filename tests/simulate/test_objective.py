from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.errors import UsageError
from axk8s.simulate.objective import Recorded, Synthetic, position
from axk8s.spec.parameters import ChoiceParameter, FloatParameter
from axk8s.spec.sweep import SweepSpec


def spec(**changes: Any) -> SweepSpec:
    content = {
        "name": "s",
        "command": "true {params}",
        "parameters": {
            "lr": {"type": "float", "min": 1e-4, "max": 1.0, "log": True},
            "kind": {"type": "choice", "values": ["a", "b", "c"]},
            "extra": {"type": "int", "min": 0, "max": 10, "when": {"kind": "b"}},
        },
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "trials": 3,
        **changes,
    }
    return SweepSpec.from_mapping(content, base=Path("/"))


def test_a_position_is_on_the_parameters_own_scale() -> None:
    lr = FloatParameter(min=1e-4, max=1.0, log=True)

    assert position(lr, 1e-2) == pytest.approx(0.5)
    assert position(ChoiceParameter(values=("a", "b", "c")), "b") == 0.5


@given(st.floats(1e-4, 1.0), st.sampled_from(["a", "b", "c"]), st.sampled_from(["bowl", "ripples"]), st.integers(0, 9))
def test_a_synthetic_objective_is_never_better_than_its_best_point(lr: float, kind: str, shape: str, seed: int) -> None:
    small = Synthetic(spec(), shape, seed=seed).values({"lr": lr, "kind": kind})["loss"]
    large = Synthetic(spec(objectives=[{"metric": "acc", "direction": "maximize"}]), shape, seed=seed)

    assert small >= 0
    assert large.values({"lr": lr, "kind": kind})["acc"] == pytest.approx(1 - small)


def test_every_metric_has_a_best_point_of_its_own_and_constraints_can_be_kept_and_broken() -> None:
    two = spec(
        objectives=[{"metric": "acc", "direction": "maximize"}, {"metric": "size", "direction": "minimize"}],
        outcome_constraints=["ms <= 20", "mem >= 0.9 * baseline"],
        baseline={"lr": 0.1, "kind": "a"},
    )
    made = Synthetic(two, "bowl", seed=1)
    alone = Synthetic(spec(), "bowl", seed=1)
    grid = [{"lr": 10.0**-power, "kind": kind} for power in (0, 1, 2, 3, 4) for kind in ("a", "c")]
    values = [made.values(parameters) for parameters in grid]

    assert [each["acc"] for each in values] == [1 - alone.values(parameters)["loss"] for parameters in grid]
    assert len({tuple(each) for each in values}) == 1
    assert set(values[0]) == {"acc", "size", "ms", "mem"}
    assert max(values, key=lambda each: each["acc"]) != min(values, key=lambda each: each["size"])
    first = two.limits[0]
    assert {(first.excess(each, None) or 0.0) <= 0 for each in values} == {True, False}


def test_an_unknown_shape_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="bowl, ripples"):
        Synthetic(spec(), "bowel", seed=0)


CSV = "lr,kind,extra,loss,seconds,note\n0.001,a,,0.5,60,first\n0.1,b,3,0.2,90,\n0.1,c,,0.3,,\n0.5,c,,,10,no loss\n"


def test_the_nearest_recorded_trial_answers() -> None:
    found = Recorded.from_csv(spec(), CSV, source="old.csv")

    assert found.values({"lr": 0.002, "kind": "a"}) == {"loss": 0.5}
    assert found.values({"lr": 0.09, "kind": "b", "extra": 4}) == {"loss": 0.2}
    assert (found.seconds({"lr": 0.09, "kind": "b", "extra": 4}), found.seconds({"lr": 0.1, "kind": "c"})) == (90, None)
    assert "3 recorded trials (old.csv)" in found.note


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr,loss\n0.1,1\n", "old.csv:1: there is no column 'kind'"),
        ("lr,kind\n0.1,a\n", "there is no column 'loss'"),
        ("lr,kind,loss\n7,a,1\n", "old.csv:2: lr: '7' is not a number from 0.0001 to 1"),
        ("lr,kind,loss\n0.1,a,good\n", "old.csv:2: loss"),
        ("lr,kind,loss\n0.1,a,\n", "has no row with a value of loss"),
        ("", "columns are none"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Recorded.from_csv(spec(), text, source="old.csv")
    assert said in str(caught.value)
