from __future__ import annotations

from pathlib import Path

import pytest

from axk8s.cli.assignments import parameters, scheduler_config
from axk8s.errors import UsageError
from axk8s.spec.middle import middle
from axk8s.spec.parameters import (
    BoolParameter,
    ChoiceParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Scalar


@pytest.mark.parametrize(
    ("words", "config"),
    [
        (None, {}),
        (["a=1"], {"a": "1"}),
        (["a=1,b=x"], {"a": "1", "b": "x"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=1", "a=2"], {"a": "2"}),
        (["list=a,b,c,other=1"], {"list": "a,b,c", "other": "1"}),
        (["url=http://x?y=z"], {"url": "http://x?y=z"}),
        (["empty="], {"empty": ""}),
    ],
)
def test_scheduler_options_are_read_as_torchx_reads_them(words: list[str] | None, config: dict[str, str]) -> None:
    assert scheduler_config(words) == config


def test_an_option_without_a_value_is_refused_with_the_form_that_is_right() -> None:
    with pytest.raises(UsageError, match="'queue' gives no option") as caught:
        scheduler_config(["queue"])
    assert "name=value" in caught.value.hint


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (FloatParameter(min=0.0, max=1.0), 0.5),
        (FloatParameter(min=1e-4, max=1e-2, log=True), 1e-3),
        (FloatParameter(min=0.0, max=1.0, step=0.25), 0.5),
        (FloatParameter(min=1.0, max=1.00001), 1.000005),
        (IntParameter(min=1, max=9), 5),
        (IntParameter(min=1, max=10_000, log=True), 100),
        (IntParameter(min=0, max=2**53), 2**52),
        (IntParameter(min=2, max=14, step=4), 10),
        (ChoiceParameter(type="choice", values=("b", "a")), "b"),
        (BoolParameter(type="bool"), False),
        (FixedParameter(type="fixed", value=7), 7),
    ],
)
def test_a_parameter_that_is_not_given_takes_an_ordinary_value(parameter: Parameter, value: Scalar) -> None:
    assert middle(parameter) == value
    assert parameter.contains(middle(parameter))


@pytest.fixture
def spec() -> SweepSpec:
    mapping = {
        "name": "s",
        "command": "true {lr} {kind} {depth}",
        "parameters": {
            "depth": {"type": "int", "min": 1, "max": 3, "when": {"kind": "tree"}},
            "lr": {"type": "float", "min": 0.0, "max": 1.0},
            "kind": {"type": "choice", "values": ["tree", "line"]},
        },
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "trials": 1,
    }
    return SweepSpec.from_mapping(mapping, base=Path("/"))


def test_what_is_not_given_is_completed_in_the_order_of_the_file(spec: SweepSpec) -> None:
    values, chosen = parameters(spec, ["lr=0.1"])
    assert list(values.items()) == [("depth", 2), ("lr", 0.1), ("kind", "tree")]
    assert sorted(chosen) == ["depth", "kind"]


def test_conditional_parameters_are_left_out_where_their_condition_does_not_hold(spec: SweepSpec) -> None:
    values, chosen = parameters(spec, ["kind=line"])
    assert values == {"lr": 0.5, "kind": "line"}
    assert chosen == ["lr"]


def test_a_parameter_given_twice_is_refused(spec: SweepSpec) -> None:
    with pytest.raises(UsageError, match="lr is given twice"):
        parameters(spec, ["lr=0.1", "lr=0.2"])


def test_a_misspelt_parameter_gets_a_suggestion(spec: SweepSpec) -> None:
    with pytest.raises(UsageError) as caught:
        parameters(spec, ["dept=0.1"])
    assert "did you mean 'depth'" in caught.value.hint
