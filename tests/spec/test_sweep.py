"""The sweep file as a whole: what is right, what it means, and every way to be wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from axk8s.errors import SpecError, UsageError
from axk8s.spec.parameters import BoolParameter, ChoiceParameter, FixedParameter, FloatParameter, IntParameter
from axk8s.spec.sweep import SweepSpec

FULL = """\
name: digits
component: train.py:component
arguments: {epochs: 10, sizes: [1, 2.0, null], nested: {a: {b: true}}}
workspace: .
parameters:
  lr:        {type: float, min: 1e-4, max: 1e-1, log: true}
  hidden:    {type: int, min: 8, max: 256, step: 8}
  optimizer: {type: choice, values: [adam, sgd, no]}
  momentum:  {type: float, min: 0.0, max: 0.99, when: {optimizer: sgd}}
  nesterov:  {type: bool, when: {optimizer: [sgd, no]}}
  damping:   {type: float, min: 0, max: 1, when: {nesterov: false}}
  layers:    {type: fixed, value: 3}
parameter_constraints: ["momentum + damping <= 1"]
objectives: [{metric: val/accuracy, direction: maximize, aggregate: best}]
outcome_constraints: []
optimizer: {kind: ax, seed: 7}
trials: 40
parallelism: 4
retries: 2
max_failures: 10
trial_timeout: 2h
early_stopping: null
budget: {wall_time: 1h30m}
storage:
scheduler: local_cwd
scheduler_config: {log_dir: /tmp/x, prepend_cwd: true, nothing: null}
"""

SMALL: dict[str, Any] = {
    "name": "small",
    "function": "train.py:train",
    "parameters": {"x": {"type": "float", "min": 0, "max": 1}},
    "objectives": [{"metric": "loss", "direction": "minimize"}],
    "trials": 3,
}


def small(**changed: object) -> SweepSpec:
    return SweepSpec.from_mapping({**SMALL, **changed}, base=Path("/base"))


@pytest.fixture
def full(tmp_path: Path) -> SweepSpec:
    (tmp_path / "sweep.yaml").write_text(FULL)
    return SweepSpec.load(tmp_path / "sweep.yaml")


def test_a_file_says_what_it_means(full: SweepSpec) -> None:
    assert full.name == "digits"
    assert full.component == "train.py:component"
    assert full.function is None
    assert full.arguments == {"epochs": 10, "sizes": [1, 2.0, None], "nested": {"a": {"b": True}}}
    assert full.parameters["lr"] == FloatParameter(min=1e-4, max=0.1, log=True)
    assert full.parameters["hidden"] == IntParameter(min=8, max=256, step=8)
    assert full.parameters["optimizer"] == ChoiceParameter(values=("adam", "sgd", "no"))
    assert full.parameters["nesterov"] == BoolParameter(when={"optimizer": ("sgd", "no")})
    assert full.parameters["momentum"].when == {"optimizer": ("sgd",)}
    assert full.parameters["layers"] == FixedParameter(value=3)
    assert (full.objectives[0].metric, full.objectives[0].direction) == ("val/accuracy", "maximize")
    assert full.objectives[0].aggregate == "best"
    assert (full.optimizer.kind, full.optimizer.seed) == ("ax", 7)
    assert (full.trials, full.parallelism, full.retries, full.max_failures) == (40, 4, 2, 10)
    assert full.trial_timeout == 7200.0
    assert full.budget.wall_time == 5400.0
    assert full.scheduler_config == {"log_dir": "/tmp/x", "prepend_cwd": True, "nothing": None}
    assert full.linear_constraints[0].coefficients == {"momentum": 1, "damping": 1}


def test_what_is_not_said_has_its_default() -> None:
    spec = small()
    assert (spec.component, spec.command, spec.workspace) == (None, None, None)
    assert (spec.image, spec.env, spec.arguments) == ("python:3.11-slim", {}, {})
    assert (spec.resources.cpu, spec.resources.memory, spec.resources.gpu) == (None, None, None)
    assert spec.resources.memory_mib is None
    assert (spec.parallelism, spec.retries, spec.max_failures, spec.trial_timeout) == (1, 1, None, None)
    assert (spec.optimizer.kind, spec.optimizer.seed) == ("ax", 0)
    assert (spec.scheduler, spec.scheduler_config, spec.budget.wall_time) == ("local", {}, None)
    assert (spec.early_stopping, spec.storage, spec.outcome_constraints) == (None, None, ())


def test_null_means_the_default() -> None:
    assert small(arguments=None, env=None, optimizer=None, retries=None, scheduler=None) == small()


def test_the_optimizer_has_a_short_form() -> None:
    assert small(optimizer="random") == small(optimizer={"kind": "random"})


def test_resources_have_units() -> None:
    spec = small(resources={"cpu": 0.5, "memory": "4Gi", "gpu": 1})
    assert (spec.resources.cpu, spec.resources.memory_mib, spec.resources.gpu) == (0.5, 4096, 1)


def test_a_timeout_may_be_a_number_of_seconds() -> None:
    assert small(trial_timeout=90).trial_timeout == 90.0


def test_parameters_may_be_made_in_python() -> None:
    assert small(parameters={"x": FloatParameter(min=0, max=1)}) == small()


def test_a_spec_cannot_be_changed() -> None:
    spec = small()
    with pytest.raises(ValidationError, match="frozen"):
        spec.trials = 5  # type: ignore[misc]  # that it is frozen is what is tested


def test_places_are_those_of_the_file_as_the_user_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "sweep.yaml").write_text(FULL)
    monkeypatch.chdir(tmp_path)
    spec = SweepSpec.load("./sub/sweep.yaml")
    assert spec.where("parameters.lr.min") == "./sub/sweep.yaml:6"
    assert spec.where("component") == "./sub/sweep.yaml:2"
    assert spec.where("env.HOME") == "./sub/sweep.yaml:1"
    assert spec.base == tmp_path / "sub"
    assert spec.file == tmp_path / "sub" / "sweep.yaml"


def test_from_python_there_is_a_folder_and_no_file() -> None:
    spec = small()
    assert (spec.where("trials"), spec.base, spec.file) == ("sweep", Path("/base"), None)


def test_json_is_read_back_to_an_equal_spec(full: SweepSpec) -> None:
    text = json.dumps(full.to_json(), allow_nan=False)
    again = SweepSpec.from_mapping(json.loads(text), base=full.base)
    assert again == full
    assert json.dumps(again.to_json()) == text


def test_specs_are_equal_when_they_say_the_same_wherever_they_stand(full: SweepSpec) -> None:
    assert full != small()
    assert full.linear_constraints
    assert SweepSpec.from_mapping(full.to_json(), base=Path("/elsewhere")) == full
    assert full != "digits"


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}q", fullmatch=True)
FINITE = st.floats(-1e6, 1e6, allow_nan=False)
CONSTANTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def parameter(draw: st.DrawFn) -> dict[str, object]:
    match draw(st.sampled_from(["float", "log", "stepped", "int", "choice", "numbers", "bool", "fixed"])):
        case "float":
            low = draw(FINITE)
            return {"type": "float", "min": low, "max": low + draw(st.floats(1, 1e6))}
        case "log":
            low = draw(st.floats(1e-9, 1.0))
            return {"type": "float", "min": low, "max": low * draw(st.floats(2, 1e6)), "log": True}
        case "stepped":
            low, step = draw(st.integers(-1000, 1000)), draw(st.integers(1, 50))
            return {"type": "float", "min": low, "max": low + step * draw(st.integers(1, 50)), "step": step}
        case "int":
            low = draw(st.integers(-1000, 1000))
            return {"type": "int", "min": low, "max": low + draw(st.integers(1, 1000))}
        case "choice":
            return {"type": "choice", "values": draw(st.lists(st.text(), min_size=1, max_size=4, unique=True))}
        case "numbers":
            values = draw(st.lists(st.integers(-99, 99) | FINITE, min_size=1, max_size=4, unique=True))
            return {"type": "choice", "values": values, "ordered": draw(st.none() | st.booleans())}
        case "bool":
            return {"type": "bool"}
        case _:
            return {"type": "fixed", "value": draw(st.text() | st.booleans() | st.integers(-99, 99) | FINITE)}


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, object]:
    parameters: dict[str, dict[str, object]] = {"flag": {"type": "bool"}, **draw(st.dictionaries(NAMES, parameter()))}
    for name in parameters:
        if name != "flag" and draw(st.booleans()):
            parameters[name]["when"] = {"flag": draw(st.booleans() | st.just([True, False]))}
    optional = {
        "arguments": st.dictionaries(NAMES.map(str.upper), CONSTANTS, max_size=3),
        "env": st.dictionaries(NAMES.map(str.upper), st.text().filter(lambda text: "\0" not in text), max_size=2),
        "optimizer": st.sampled_from(["ax", {"kind": "random", "seed": 3}, {"seed": 1}]),
        "trial_timeout": st.sampled_from(["90s", 12, 0.5, "1h30m"]),
        "budget": st.sampled_from([{}, {"wall_time": "2d"}, {"wall_time": None}]),
        "resources": st.sampled_from([{}, {"cpu": 1}, {"memory": "4Gi", "gpu": 0}]),
        "scheduler_config": st.dictionaries(st.text(), CONSTANTS, max_size=3),
        "max_failures": st.none() | st.integers(1, 9),
    }
    said = {key: draw(values) for key, values in optional.items() if draw(st.booleans())}
    return {**SMALL, "parameters": parameters, **said}


@given(mappings())
def test_every_spec_survives_its_json(mapping: dict[str, object]) -> None:
    spec = SweepSpec.from_mapping(mapping, base=Path("/base"))
    text = json.dumps(spec.to_json(), allow_nan=False)
    again = SweepSpec.from_mapping(json.loads(text), base=Path("/base"))
    assert again == spec
    assert json.dumps(again.to_json()) == text


def test_conditional_parameters_exist_when_all_above_them_do(full: SweepSpec) -> None:
    always = ("lr", "hidden", "optimizer")
    assert full.active_parameters({"optimizer": "adam"}) == (*always, "layers")
    assert full.active_parameters({"optimizer": "sgd"}) == (*always, "momentum", "nesterov", "layers")
    chain: dict[str, str | bool] = {"optimizer": "no", "nesterov": False}
    assert full.active_parameters(chain) == (*always, "nesterov", "damping", "layers")
    # A value of a parameter that is itself absent decides nothing.
    assert full.active_parameters({"optimizer": "adam", "nesterov": False}) == (*always, "layers")


def test_fixed_parameters_are_filled_in_and_count_as_conditions() -> None:
    parameters = {
        "x": {"type": "float", "min": 0, "max": 1, "when": {"mode": "a"}},
        "mode": {"type": "fixed", "value": "a"},
    }
    spec = small(parameters=parameters)
    assert spec.complete_parameters({"x": 0.5}) == {"x": 0.5, "mode": "a"}
    assert spec.check_parameters({"x": 0.5}) == []


def test_values_that_are_a_trial_have_no_problems(full: SweepSpec) -> None:
    assert full.check_parameters({"lr": 0.01, "hidden": 16, "optimizer": "adam"}) == []


@pytest.mark.parametrize(
    ("values", "where", "words"),
    [
        ({"hiden": 8}, 5, "did you mean 'hidden'?"),
        ({"lr": 3}, 6, "3 is not a number from 0.0001 to 0.1"),
        ({"lr": "0.01"}, 6, "'0.01' is not a number"),
        ({"lr": 0.01, "hidden": 16}, 8, "optimizer: has no value"),
        ({"lr": 0.01, "hidden": 16, "optimizer": "adam", "momentum": 0.5}, 9, "exists only when optimizer is sgd"),
        ({"layers": 4}, 12, "it is fixed"),
    ],
)
def test_values_that_are_no_trial_say_why(full: SweepSpec, values: dict[str, object], where: int, words: str) -> None:
    problem = full.check_parameters(values)[0]
    assert problem.where.endswith(f"sweep.yaml:{where}")
    assert words in str(problem)


def test_values_that_break_a_constraint_name_it() -> None:
    parameters = {name: {"type": "float", "min": 0, "max": 1} for name in "xy"}
    spec = small(parameters=parameters, parameter_constraints=["x + y <= 1"])
    assert spec.check_parameters({"x": 0.5, "y": 0.5}) == []
    (problem,) = spec.check_parameters({"x": 0.6, "y": 0.5})
    assert "break the constraint 'x + y <= 1'" in problem.message


def test_assignments_take_the_type_of_the_parameter(full: SweepSpec) -> None:
    assert full.parse_assignment("lr=1e-2") == ("lr", 0.01)
    assert full.parse_assignment("hidden = 16") == ("hidden", 16)
    assert full.parse_assignment("nesterov=true") == ("nesterov", True)
    equal = small(parameters={"x": {"type": "choice", "values": ["a=b", "c"]}})
    assert equal.parse_assignment("x=a=b") == ("x", "a=b")


@pytest.mark.parametrize(
    ("text", "words"),
    [("lr", "write lr=VALUE"), ("lrr=1", "did you mean 'lr'?"), ("lr=1", "'1' is not a number from 0.0001 to 0.1")],
)
def test_a_wrong_assignment_is_a_usage_error(full: SweepSpec, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        full.parse_assignment(text)
    assert words in str(caught.value)


def test_loading_needs_none_of_the_large_packages() -> None:
    code = (
        "import sys; import axk8s.spec.sweep, axk8s.spec.schema, axk8s.spec.changes;"
        "print([m for m in ('ax', 'torch', 'torchx', 'kubernetes', 'typer', 'rich', 'ruamel.yaml', 'numpy')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_constructor_checks_as_much_as_the_file_does() -> None:
    with pytest.raises(SpecError, match="nothing says what runs"):
        SweepSpec.model_validate({**SMALL, "function": None})
