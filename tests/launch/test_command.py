from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.errors import SpecError
from axk8s.launch import command, workspace
from axk8s.launch.command import CommandProgram
from axk8s.spec.sweep import SweepSpec

Make = Callable[..., SweepSpec]
Write = Callable[[str, str], Path]

CONDITIONAL = """
parameters:
  opt: {type: choice, values: [adam, sgd]}
  momentum: {type: float, min: 0, max: 1, when: {opt: sgd}}
"""


def load(spec: SweepSpec) -> CommandProgram:
    return command.load(spec, workspace.in_place(spec))


def words(program: CommandProgram, **parameters: float | str | bool) -> list[str]:
    return command.fill(program.words, parameters, {"trial_idx": 7})


@pytest.mark.parametrize(
    "value", ["two words", 'it\'s "quoted"', "$HOME `ls` ; rm", "größe ☃", "", "{lr}", "a\\b", "*"]
)
def test_a_value_stays_one_argument_as_it_is(sweep: Make, value: str) -> None:
    program = load(sweep("command: prog --name {lr} end"))

    assert words(program, lr=value) == ["prog", "--name", value, "end"]


def test_all_parameters_formats_braces_and_filled_in_names_can_be_written(sweep: Make) -> None:
    program = load(sweep("command: 'prog {params} {lr:.1e} {{x}} t{trial_idx} \"a b\"'"))

    params, *rest = words(program, lr=0.05)[1:]
    assert json.loads(params) == {"lr": 0.05}
    assert rest == ["5.0e-02", "{x}", "t7", "a b"]
    assert program.problems() == []
    assert program.warnings() == []


def test_true_and_false_are_written_as_in_the_sweep_file(sweep: Make) -> None:
    assert words(load(sweep("command: prog {lr}")), lr=True) == ["prog", "true"]


def test_an_option_of_a_conditional_parameter_is_left_out_with_its_word(sweep: Make) -> None:
    program = load(sweep(f"command: prog --momentum={{momentum}} {{opt}}{CONDITIONAL}"))

    assert program.problems() == []
    assert words(program, opt="sgd", momentum=0.5) == ["prog", "--momentum=0.5", "sgd"]
    assert words(program, opt="adam") == ["prog", "adam"]


def test_a_conditional_placeholder_that_cannot_be_left_out_is_refused(sweep: Make) -> None:
    [problem] = load(sweep(f"command: prog {{opt}} --momentum {{momentum}}{CONDITIONAL}")).problems()

    assert "--momentum={momentum}" in problem.hint


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("prog 'open", "No closing quotation"),
        ("prog {lr", "write {{ and }} for literal braces"),
        ("prog '{\"a\": 1}'", "write {{ and }} for literal braces"),
        ("prog ${lr}", "shell language"),
        ("LR=1 prog {lr}", "env: {LR: …}"),
        ("prog {lr} && other", "sh -c"),
    ],
)
def test_a_line_that_cannot_be_is_refused_with_the_remedy(sweep: Make, line: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(sweep(f"command: {json.dumps(line)}"))

    assert says in str(caught.value)
    assert "sweep.yaml:6: command: " in str(caught.value)


@pytest.mark.parametrize(("line", "says"), [("prog {lrr}", "did you mean 'lr'?"), ("prog {lr:d}", "format")])
def test_a_wrong_placeholder_is_a_problem(sweep: Make, line: str, says: str) -> None:
    [problem] = load(sweep(f"command: {json.dumps(line)}")).problems()

    assert says in str(problem)


def test_a_parameter_in_no_placeholder_is_worth_a_warning(sweep: Make) -> None:
    assert "lr in no placeholder" in load(sweep("command: prog")).warnings()[0]


def test_python_means_this_python_on_this_machine_only(sweep: Make) -> None:
    here = load(sweep("command: python train.py {lr}")).appdef({"lr": 1.0}, {}).roles[0]
    there = load(sweep("command: python train.py {lr}\nscheduler: kubernetes")).appdef({"lr": 1.0}, {}).roles[0]

    assert (here.entrypoint, there.entrypoint) == (sys.executable, "python")


def test_the_script_that_the_line_names_is_watched(sweep: Make, write: Write) -> None:
    path = write("train.py", "")

    assert load(sweep("command: python train.py {lr}")).files == (path,)
