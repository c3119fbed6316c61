from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.errors import ComponentError
from axk8s.launch import component, workspace
from axk8s.launch.component import ComponentProgram
from axk8s.spec.sweep import SweepSpec

Make = Callable[..., SweepSpec]
Write = Callable[[str, str], Path]

APP = """
    from torchx.specs import AppDef, Role

    def trainer(lr: float, trial_idx: int = -1) -> AppDef:
        return AppDef("t", roles=[Role("main", image="", entrypoint="echo", args=[str(lr), str(trial_idx)])])
"""


def load(spec: SweepSpec) -> ComponentProgram:
    return component.load(spec, workspace.in_place(spec))


def args(program: ComponentProgram, **parameters: float | str) -> list[str]:
    found: list[str] = program.appdef(parameters, {"trial_idx": 7}).roles[0].args
    return found


def test_a_file_beside_the_sweep_file_is_loaded_and_its_declared_arguments_filled_in(
    sweep: Make,
    write: Write,
) -> None:
    write("train.py", APP)

    program = load(sweep("component: train.py:trainer"))

    assert args(program, lr=0.5) == ["0.5", "7"]
    assert program.problems() == []


def test_keyword_only_arguments_are_filled_in_too(sweep: Make, write: Write) -> None:
    write("train.py", APP.replace("lr: float, ", "*, lr: float, "))

    assert args(load(sweep("component: train.py:trainer")), lr=0.5) == ["0.5", "7"]


def test_positional_only_arguments_are_given_by_place(sweep: Make, write: Write) -> None:
    write("train.py", APP.replace("lr: float, ", "lr: float, /, "))

    assert args(load(sweep("component: train.py:trainer")), lr=0.5) == ["0.5", "7"]


def test_a_module_beside_the_component_can_be_imported_and_nothing_of_it_stays(sweep: Make, write: Write) -> None:
    write("neighbour_of_trainer.py", "NAME = 'side'")
    write(
        "train.py",
        APP.replace('AppDef("t"', "AppDef(neighbour_of_trainer.NAME").replace(
            "from torchx", "import neighbour_of_trainer\n    from torchx"
        ),
    )
    before = list(sys.path)

    program = load(sweep("component: train.py:trainer"))

    assert program.appdef({"lr": 0.1}, {}).name == "side"
    assert sys.path == before
    assert "neighbour_of_trainer" not in sys.modules


def test_a_module_path_is_found_beside_the_sweep_file(sweep: Make, write: Write) -> None:
    write("launch_test_package/__init__.py", "")
    write("launch_test_package/inner.py", APP)

    assert args(load(sweep("component: launch_test_package.inner:trainer")), lr=0.5) == ["0.5", "7"]


def test_a_torchx_builtin_takes_placeholders_in_its_remaining_arguments(sweep: Make) -> None:
    program = load(sweep("component: utils.sh\narguments: {args: [echo, '--lr={lr}', '{trial_idx}'], image: ''}"))

    assert program.problems() == []
    assert args(program, lr=0.5) == ["-c", "echo --lr=0.5 7"]


def test_a_parameter_that_a_builtin_does_not_take_comes_with_the_way_to_pass_it(sweep: Make) -> None:
    [problem] = load(sweep("component: utils.sh\narguments: {args: [echo]}")).problems()

    assert problem.key == "parameters.lr"
    assert "--lr={lr}" in problem.hint


def test_dist_ddp_keeps_its_own_shell_variable(sweep: Make) -> None:
    program = load(sweep("component: dist.ddp\narguments: {script: train.py, script_args: ['--lr={lr}'], j: 1x1}"))

    assert program.problems() == []
    assert any("--lr=0.5" in one for one in args(program, lr=0.5))


@pytest.mark.parametrize("value", ["a$$b", "$app_id", "${replica_id}x", "$HOME", "cost$"])
def test_a_value_with_a_dollar_survives_the_macros(sweep: Make, write: Write, value: str) -> None:
    from torchx.specs import macros

    write("train.py", APP.replace("lr: float", "lr: str"))
    text = f"parameters:\n  lr: {{type: choice, values: ['{value}', other]}}\ncomponent: train.py:trainer"
    app = load(sweep(text)).appdef({"lr": value}, {})

    role = macros.Values(img_root="R", app_id="A", replica_id="3", rank0_env="Z").apply(app.roles[0])
    assert role.args[0] == value


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("tran.py:trainer", "did you mean train.py:trainer?"),
        ("train.py:trainr", "did you mean 'trainer'?"),
        ("train.py", "write train.py:<function>"),
        ("no_such_package_here.x:trainer", "there is no module 'no_such_package_here'"),
        ("utils.shh", "did you mean 'utils.sh'?"),
        ("train.py:NUMBER", "is a int, not a function"),
    ],
)
def test_a_wrong_reference_names_the_line_and_the_nearest_right_one(
    sweep: Make,
    write: Write,
    reference: str,
    says: str,
) -> None:
    write("train.py", APP + "\n    NUMBER = 3\n")

    with pytest.raises(ComponentError) as caught:
        load(sweep(f"component: {reference}"))

    assert says in str(caught.value)
    assert str(caught.value).partition(": ")[0].endswith("sweep.yaml:6")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("import torhc", "ModuleNotFoundError: No module named 'torhc'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def (", "SyntaxError: "),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_an_import_error_shows_its_own_last_line_and_place(sweep: Make, write: Write, line: str, says: str) -> None:
    path = write("train.py", f"\n{line}\n")

    with pytest.raises(ComponentError) as caught:
        load(sweep("component: train.py:trainer"))

    assert says in str(caught.value)
    assert f"{path}:2" in str(caught.value)


def test_a_component_that_raises_says_for_which_parameters_and_where(sweep: Make, write: Write) -> None:
    path = write("train.py", "def trainer(lr):\n    raise ValueError('too small')\n")

    with pytest.raises(ComponentError, match=r"failed for lr=0\.1: ValueError: too small") as caught:
        load(sweep("component: train.py:trainer")).appdef({"lr": 0.1}, {})

    assert f"{path}:2" in str(caught.value)


def test_a_component_that_returns_something_else_is_pointed_to_function(sweep: Make, write: Write) -> None:
    write("train.py", "def trainer(lr):\n    return lr\n")

    with pytest.raises(ComponentError, match="returned float, not an AppDef") as caught:
        load(sweep("component: train.py:trainer")).appdef({"lr": 0.1}, {})

    assert "`function:`" in caught.value.hint


def test_two_sweeps_may_have_different_modules_of_one_name(sweep: Make, write: Write, tmp_path: Path) -> None:
    names = []
    for name in ("one", "two"):
        write(f"{name}/neighbour_of_both.py", f"NAME = {name!r}")
        write(
            f"{name}/train.py",
            APP.replace('"t"', "neighbour_of_both.NAME").replace(
                "from torchx", "import neighbour_of_both\n    from torchx"
            ),
        )
        names.append(load(sweep(f"component: {name}/train.py:trainer")).appdef({"lr": 0.1}, {}).name)

    assert names == ["one", "two"]
