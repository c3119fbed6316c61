from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.errors import ComponentError
from axk8s.launch import function, workspace
from axk8s.launch.function import FunctionProgram
from axk8s.spec.sweep import SweepSpec

Make = Callable[..., SweepSpec]
Write = Callable[[str, str], Path]


def load(spec: SweepSpec) -> FunctionProgram:
    return function.load(spec, workspace.in_place(spec))


def test_the_training_code_is_read_but_never_imported(sweep: Make, write: Write) -> None:
    write("train.py", "raise SystemExit('imported')\ndef train(lr): ...\n")

    program = load(sweep("function: train.py:train"))

    assert program.problems() == []
    assert program.signature is not None
    assert list(program.signature.arguments) == ["lr"]


def test_a_module_is_found_without_importing_its_packages(sweep: Make, write: Write) -> None:
    write("launch_test_heavy/__init__.py", "raise SystemExit('imported')")
    write("launch_test_heavy/train.py", "def train(lr, missing): ...")

    program = load(sweep("function: launch_test_heavy.train:train"))

    assert [one.key for one in program.problems()] == ["function"]
    assert "launch_test_heavy" not in sys.modules


def test_a_function_under_if_or_try_is_found_and_the_last_definition_counts(sweep: Make, write: Write) -> None:
    write("train.py", "def train(old): ...\ntry:\n    import x\nexcept ImportError:\n    def train(lr): ...\n")

    assert load(sweep("function: train.py:train")).problems() == []


def test_an_imported_function_is_not_checked_and_the_user_is_told(sweep: Make, write: Write) -> None:
    write("train.py", "from elsewhere import train\n")

    program = load(sweep("function: train.py:train"))

    assert program.problems() == []
    assert "unchecked" in program.warnings()[0]


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("trian.py:train", "did you mean train.py:train?"),
        ("train.py:trian", "did you mean 'train'?"),
        ("train.py:later", "later is asynchronous"),
        ("broken.py:train", "broken.py:2: "),
        ("launch_no_such:train", "there is no module 'launch_no_such'"),
        ("train", "does not say which function"),
    ],
)
def test_a_wrong_reference_gives_one_clear_sentence(sweep: Make, write: Write, reference: str, says: str) -> None:
    write("train.py", "def train(lr): ...\nasync def later(lr): ...\n")
    write("broken.py", "\ndef train(:\n")

    with pytest.raises(ComponentError) as caught:
        load(sweep(f"function: {reference}"))

    assert says in str(caught.value)


def test_the_job_runs_this_python_with_constants_and_the_objective_in_its_environment(
    sweep: Make,
    write: Write,
    project: Path,
) -> None:
    write("train.py", "def train(lr, note): ...")

    [role] = load(sweep("function: train.py:train\narguments: {note: 'a$b'}")).appdef({"lr": 0.1}, {}).roles

    assert [role.entrypoint, *role.args] == [sys.executable, "-m", "axk8s.function_runner", f"{project}/train.py:train"]
    assert role.env == {"AXK8S_ARGUMENTS": '{"note": "a$$b"}', "AXK8S_OBJECTIVE": "loss"}
