from __future__ import annotations

import ast
from collections.abc import Callable

import pytest

from axk8s.errors import Problem
from axk8s.launch import fit, signature
from axk8s.launch.signature import Signature
from axk8s.spec.sweep import SweepSpec

Make = Callable[..., SweepSpec]


def shape(head: str) -> Signature:
    node = ast.parse(f"def train({head}): ...").body[0]
    assert isinstance(node, ast.FunctionDef)
    return signature.of_source(node)


def problems(spec: SweepSpec, head: str) -> list[Problem]:
    return fit.problems(shape(head), spec, key="function")


FUNCTION = "function: train.py:train\n"


def test_everything_that_does_not_fit_is_said_at_once_with_its_line(sweep: Make) -> None:
    spec = sweep(FUNCTION + "arguments: {epoch: 3, depth: 2}\nparameters:\n  lrr: {type: float, min: 0, max: 1}\n")

    found = problems(spec, "lr, epochs, depth")

    assert [(one.where.rpartition(":")[2], one.key) for one in found] == [
        ("7", "parameters.lrr"),
        ("5", "arguments.epoch"),
        ("4", "function"),
        ("4", "function"),
    ]
    assert "did you mean 'lr'?" in found[0].hint
    assert "did you mean 'epochs'?" in found[1].hint
    assert "nothing fills the argument 'lr'" in found[2].message


@pytest.mark.parametrize(
    "head", ["lr", "*, lr", "lr, /", "**anything", "lr=1, *more", "lr, epochs=3", "lr, *, trial_idx"]
)
def test_heads_that_can_be_filled_have_no_problem(sweep: Make, head: str) -> None:
    assert problems(sweep(FUNCTION), head) == []


def test_an_argument_of_a_conditional_parameter_needs_a_default(sweep: Make) -> None:
    text = """
        function: train.py:train
        parameters:
          opt: {type: choice, values: [adam, sgd]}
          momentum: {type: float, min: 0, max: 1, when: {opt: sgd}}
    """

    [found] = problems(sweep(text), "opt, momentum")

    assert found.hint == "give it one: momentum=None"
    assert problems(sweep(text), "opt, momentum=None") == []


@pytest.mark.parametrize(
    ("parameter", "annotation", "fits"),
    [
        ("{type: float, min: 0, max: 1}", "float", True),
        ("{type: float, min: 0, max: 1}", "int", False),
        ("{type: float, min: 0, max: 1}", "str", False),
        ("{type: float, min: 0, max: 1}", "Optional[float]", True),
        ("{type: int, min: 0, max: 9}", "float", True),
        ("{type: int, min: 0, max: 9}", "'int | None'", True),
        ("{type: int, min: 0, max: 9}", "list[int]", False),
        ("{type: bool}", "bool", True),
        ("{type: bool}", "int", False),
        ("{type: choice, values: [a, b]}", "str", True),
        ("{type: choice, values: [a, b]}", "typing.Literal['a', 'b', 'c']", True),
        ("{type: choice, values: [a, b]}", "Literal['a']", False),
        ("{type: choice, values: [a, b]}", "MyEnum", True),
        ("{type: choice, values: [a, b]}", "Any", True),
        ("{type: choice, values: [1, 2]}", "str | int", True),
        ("{type: choice, values: [1, 2]}", "str", False),
    ],
)
def test_annotations_are_held_against_what_a_parameter_can_be(
    sweep: Make,
    parameter: str,
    annotation: str,
    fits: bool,
) -> None:
    spec = sweep(f"{FUNCTION}parameters:\n  x: {parameter}\n")

    assert (problems(spec, f"x: {annotation}") == []) is fits


def test_a_constant_of_another_type_is_refused(sweep: Make) -> None:
    [found] = problems(sweep(FUNCTION + "arguments: {epochs: many}"), "lr, epochs: int")

    assert (found.key, "'many'" in found.message) == ("arguments.epochs", True)


def test_a_loaded_function_is_read_like_its_source() -> None:
    def train(a: int, /, b: float | None, *rest: str, c: bool = True, **more: object) -> None: ...

    assert signature.of_callable(train) == shape(
        "a: int, /, b: float | None, *rest: str, c: bool = True, **more: object"
    )
