"""What travels to a cluster with the jobs: a workspace, a function's file alone, or nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.errors import SpecError
from axk8s.folder import SweepFolder
from axk8s.launch import shipment, workspace
from axk8s.launch.shipment import Shipment
from axk8s.schedulers.kubernetes_job import code
from axk8s.spec.sweep import SweepSpec

UID = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
IN_CLUSTER = "scheduler: kubernetes_job\n"
CLUSTER = f"{IN_CLUSTER}image: reg/a:1\n"
SUPPORT = {f"support/axk8s/{name}" for name in ("__init__.py", "training.py", "function_runner.py")}
Write = Callable[[str, str], Path]
Make = Callable[..., SweepSpec]


def pack(spec: SweepSpec) -> Shipment | None:
    return shipment.pack(spec, workspace.in_place(spec), UID)


def packed(spec: SweepSpec) -> Shipment:
    found = pack(spec)
    assert found is not None
    return found


def test_a_workspace_travels_whole_and_with_our_part(sweep: Make, write: Write) -> None:
    write("src/train.py", "print('a')\n")
    write("src/pkg/model.py", "x = 1\n")
    write("src/.gitignore", "data/\n")
    write("src/data/large.csv", "1,2\n")
    write("other.py", "")

    found = packed(sweep(f"{CLUSTER}command: python train.py {{lr}}\nworkspace: src"))

    own = {"code/train.py": b"print('a')\n", "code/pkg/model.py": b"x = 1\n", "code/.gitignore": b"data/\n"}
    assert set(found.files) == {*own, *SUPPORT}
    assert own.items() <= found.files.items()
    assert found.paths == sorted(found.files)
    assert re.fullmatch("tuning-0a1b2c-code-[0-9a-f]{8}", found.name)


def test_its_name_is_that_of_exactly_this_code(sweep: Make, write: Write) -> None:
    write("src/train.py", "1")
    spec = sweep(f"{CLUSTER}command: python train.py {{lr}}\nworkspace: src")
    first = packed(spec)
    assert packed(spec) == first

    write("src/train.py", "2")
    assert packed(spec).name != first.name


def test_the_pinned_copy_travels_not_what_was_saved_since(sweep: Make, write: Write, tmp_path: Path) -> None:
    write("src/train.py", "before")
    spec = sweep(f"{CLUSTER}command: python train.py {{lr}}\nworkspace: src")
    pinned = workspace.prepare(spec, SweepFolder(tmp_path / "sweeps" / "tuning"))
    write("src/train.py", "after")
    write("src/new.py", "")

    found = shipment.pack(spec, pinned, UID)

    assert found is not None
    assert found.files["code/train.py"] == b"before"
    assert "code/new.py" not in found.files


def test_a_link_to_a_file_travels_as_the_file_and_one_to_a_folder_stays(
    sweep: Make, write: Write, tmp_path: Path
) -> None:
    write("src/train.py", "")
    (tmp_path / "data").mkdir()
    source = write("shared.py", "y = 2\n").parent / "src"
    (source / "shared.py").symlink_to("../shared.py")
    (source / "data").symlink_to(tmp_path / "data")

    found = packed(sweep(f"{CLUSTER}command: python train.py {{lr}}\nworkspace: src"))

    assert found.files["code/shared.py"] == b"y = 2\n"
    assert found.left_out == ("data",)


def test_a_function_travels_alone_with_our_part(sweep: Make, write: Write) -> None:
    write("deep/train.py", "def train(lr): ...\n")
    write("deep/other.py", "")

    found = packed(sweep(f"{CLUSTER}function: deep/train.py:train"))

    assert set(found.files) == {"code/train.py", *SUPPORT}
    assert found.files["code/train.py"] == b"def train(lr): ...\n"


def test_a_function_in_a_workspace_travels_with_it(sweep: Make, write: Write) -> None:
    write("src/train.py", "def train(lr): ...\n")
    write("src/other.py", "")

    found = packed(sweep(f"{CLUSTER}function: src/train.py:train\nworkspace: src"))

    assert set(found.files) == {"code/train.py", "code/other.py", *SUPPORT}


@pytest.mark.parametrize(
    "what", ["component: component.py:trainer", "component: dist.ddp", "command: prog {lr}\nimage: reg/a:1"]
)
def test_without_a_workspace_the_image_has_it_all(sweep: Make, write: Write, what: str) -> None:
    write("component.py", "def trainer(lr: float): ...\n")

    assert pack(sweep(f"{IN_CLUSTER}{what}")) is None


def test_a_component_takes_a_workspace_along(sweep: Make, write: Write) -> None:
    write("src/train.py", "")
    write("component.py", "def trainer(lr: float): ...\n")

    assert "code/train.py" in packed(sweep(f"{IN_CLUSTER}component: component.py:trainer\nworkspace: src")).files


def test_an_empty_workspace_needs_no_travelling(sweep: Make, project: Path) -> None:
    (project / "src").mkdir()

    assert pack(sweep(f"{CLUSTER}command: prog {{lr}}\nworkspace: src")) is None


def test_more_than_a_config_map_holds_is_refused_with_the_largest_files(sweep: Make, write: Write) -> None:
    for name, size in (("a.bin", 100), ("b.csv", 500), ("c.txt", 400), ("d/e.npy", 300)):
        write(f"src/{name}", "x" * size * 1000)
    spec = sweep(f"{CLUSTER}command: python train.py {{lr}}\nworkspace: src")

    with pytest.raises(SpecError) as caught:
        pack(spec)

    problem = caught.value.problems[0]
    assert (problem.key, problem.where) == ("workspace", spec.where("workspace"))
    assert problem.message == (
        "1,300 kB of code cannot travel as a ConfigMap (at most 900 kB); "
        "most in b.csv (500 kB), c.txt (400 kB), d/e.npy (300 kB)"
    )
    assert ".gitignore" in problem.hint


def test_a_function_of_that_size_is_refused_by_its_own_key(sweep: Make, write: Write) -> None:
    write("train.py", f"def train(lr): ...\nDATA = '{'x' * 1_000_000}'\n")

    with pytest.raises(SpecError, match=r"function: 1,000 kB of code cannot travel.*train\.py \(1,000 kB\)"):
        pack(sweep(f"{CLUSTER}function: train.py:train"))


def test_our_part_runs_alone_where_nothing_else_is_installed(sweep: Make, write: Write, tmp_path: Path) -> None:
    write("train.py", "def train(lr): return lr * 2\n")
    found = packed(sweep(f"{CLUSTER}function: train.py:train"))
    made = code.config_map(found.name, found.files, {})
    for item in code.volume(found.name, found.paths)["configMap"]["items"]:
        path = tmp_path / "mounted" / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made["data"][item["key"]], "utf-8")

    ran = subprocess.run(
        [sys.executable, "-S", "-m", "axk8s.function_runner", "train.py:train"],
        cwd=tmp_path / "mounted" / "code",
        env={
            "PYTHONPATH": f"{tmp_path}/mounted/support:{tmp_path}/mounted/code",
            "AXK8S_PARAMS": '{"lr": 0.25}',
            "AXK8S_ARGUMENTS": "{}",
            "AXK8S_OBJECTIVE": "loss",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout == 'axk8s: {"loss": 0.5}\n'
