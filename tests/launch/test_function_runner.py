from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Write = Callable[[str, str], Path]
ROOT = Path(__file__).parents[2]


def run(
    reference: str,
    cwd: Path,
    *,
    params: Mapping[str, object] | None = None,
    **env: str,
) -> subprocess.CompletedProcess[str]:
    """The runner as a job starts it: its own process, its own environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "AXK8S_PARAMS": json.dumps(params or {"lr": 0.5}),
        "AXK8S_OBJECTIVE": "loss",
        **env,
    }
    command = [sys.executable, "-m", "axk8s.function_runner", reference]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


def reported(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line.removeprefix("axk8s: ")) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("result", "records"),
    [
        ("lr * 2", [{"loss": 1.0}]),
        ("{'loss': 1, 'val/acc': lr}", [{"loss": 1.0, "val/acc": 0.5}]),
        ("None", []),
        ("float('nan')", [{"loss": "nan"}]),
        ("{'loss': (lr, 0.25), 'size': 2}", [{"loss": [0.5, 0.25], "size": 2.0}]),
        ("__import__('fractions').Fraction(1, 4)", [{"loss": 0.25}]),
    ],
)
def test_what_a_function_returns_is_its_result(
    write: Write,
    project: Path,
    result: str,
    records: list[object],
) -> None:
    write("train.py", f"def train(lr):\n    return {result}\n")

    assert reported(run("train.py:train", project)) == records


@pytest.mark.parametrize("result", ["'text'", "[1]", "{'loss': 'x'}", "{1: 2}", "object()"])
def test_what_cannot_be_a_result_is_one_sentence_and_exit_code_2(write: Write, project: Path, result: str) -> None:
    write("train.py", f"def train(lr):\n    return {result}\n")

    done = run("train.py:train", project)

    assert done.returncode == 2
    assert "train.py:train returned what cannot be a result" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_numbers_are_no_value_with_its_standard_error_unless_a_mapping_says_so(write: Write, project: Path) -> None:
    write("train.py", "def train(lr):\n    return lr, 0.01\n")

    done = run("train.py:train", project)

    assert done.returncode == 2
    assert "{'loss': (value, standard error)}, or each metric by its name" in done.stderr


def test_a_number_needs_a_single_objective(write: Write, project: Path) -> None:
    write("train.py", "def train(lr):\n    return 1\n")

    done = run("train.py:train", project, AXK8S_OBJECTIVE="")

    assert (done.returncode, "return a mapping" in done.stderr) == (2, True)


def test_an_exception_is_shown_as_python_would_without_our_frames(write: Write, project: Path) -> None:
    write("train.py", "def train(lr):\n    raise RuntimeError('boom')\n")

    done = run("train.py:train", project)

    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("RuntimeError: boom\n")
    assert "function_runner" not in done.stderr


def test_an_exit_of_the_function_is_the_exit_of_the_job(write: Write, project: Path) -> None:
    write("train.py", "def train(lr):\n    raise SystemExit(75)\n")

    assert run("train.py:train", project).returncode == 75


def test_constants_filled_in_arguments_and_rest_reach_the_function(write: Write, project: Path) -> None:
    write(
        "train.py",
        "def train(a, /, lr, *more, trial_idx, output_dir='none', **rest):\n"
        "    return {'a': a, 'lr': lr, 'more': sum(more), 'trial': trial_idx, 'rest': rest['z'],\n"
        "            'dir': len(output_dir)}\n",
    )
    constants = {"a": 1, "more": [2, 3], "z": 4}

    done = run("train.py:train", project, AXK8S_ARGUMENTS=json.dumps(constants), AXK8S_TRIAL="7")

    assert reported(done) == [{"a": 1, "lr": 0.5, "more": 5, "trial": 7, "rest": 4, "dir": 4}]


def test_what_lies_beside_the_script_can_be_imported_and_so_can_the_script_itself(write: Write, project: Path) -> None:
    write("code/model.py", "K = 3")
    write(
        "code/train.py",
        "import sys, model\ndef train(lr):\n    return model.K + (sys.modules['train'].train is train)\n",
    )

    assert reported(run("code/train.py:train", project)) == [{"loss": 4.0}]


def test_a_script_with_the_name_of_a_known_module_is_still_itself(write: Write, project: Path) -> None:
    write("json.py", "def train(lr):\n    return 1\n")
    write("my-train.py", "def train(lr):\n    return 2\n")

    assert reported(run(str(project / "my-train.py") + ":train", ROOT)) == [{"loss": 2.0}]
    assert reported(run(str(project / "json.py") + ":train", ROOT)) == [{"loss": 1.0}]


def test_a_module_is_found_in_the_working_directory(write: Write, project: Path) -> None:
    write("pack/__init__.py", "")
    write("pack/inner.py", "def train(lr):\n    return lr\n")

    assert reported(run("pack.inner:train", project)) == [{"loss": 0.5}]


@pytest.mark.parametrize(
    "reference", ["gone.py:train", "gone.module:train", "train.py:gone", "train.py:NUMBER", "train"]
)
def test_a_function_that_is_not_there_is_one_sentence(write: Write, project: Path, reference: str) -> None:
    write("train.py", "NUMBER = 3\n")

    done = run(reference, project)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_an_import_that_the_training_code_lacks_is_its_own_error(write: Write, project: Path) -> None:
    write("train.py", "import no_such_module_here\n")

    done = run("train.py:train", project)

    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'no_such_module_here'" in done.stderr


def test_it_needs_nothing_but_the_standard_library(write: Write, project: Path) -> None:
    write("train.py", "def train(lr):\n    return lr\n")
    code = "import sys; from axk8s.function_runner import main; sys.exit(main(['train.py:train']))"
    environment = {"PYTHONPATH": str(ROOT), "AXK8S_PARAMS": '{"lr": 1}', "AXK8S_OBJECTIVE": "loss"}

    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=project, env=environment, capture_output=True, text=True, timeout=60
    )

    assert reported(done) == [{"loss": 1.0}]
