"""What is built and installed, built for real and without a network."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[0-9][0-9A-Za-z.]*)")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def build(target: str, into: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    matches = [PINNED.fullmatch(line) for line in (ROOT / "constraints.txt").read_text().splitlines()]
    return {canonical(match["name"]): match["version"] for match in matches if match}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_package(wheel: set[str]) -> None:
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "axk8s").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "axk8s/py.typed" in package
    assert package <= wheel


def test_the_wheel_holds_the_manifests(wheel: set[str]) -> None:
    manifests = {f"axk8s/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "manifests").rglob("*.*")}
    assert manifests
    assert manifests <= wheel


def test_the_wheel_holds_nothing_else(wheel: set[str]) -> None:
    assert {name.partition("/")[0] for name in wheel} == {"axk8s", "axk8s-0.1.0.dist-info"}
    assert "axk8s-0.1.0.dist-info/licenses/LICENSE" in wheel


def test_a_source_archive_is_enough_to_build_and_test(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        parts = {name.split("/")[1] for name in archive.getnames()}
    needed = {"LICENSE", "Makefile", "README.md", "axk8s", "constraints.txt", "manifests", "pyproject.toml", "tests"}
    assert needed <= parts
    assert parts.isdisjoint({".venv", "sweeps", ".git"})


def test_the_command_is_installed() -> None:
    (command,) = metadata.entry_points(group="console_scripts", name="axk8s")
    assert callable(command.load())


def test_no_entry_point_hides_the_schedulers_of_torchx() -> None:
    assert not metadata.entry_points(group="torchx.schedulers").select(module="axk8s")
    assert {point.group for point in metadata.distribution("axk8s").entry_points} == {"console_scripts"}


def test_constraints_are_exact_sorted_and_name_each_package_once() -> None:
    text = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in text if not PINNED.fullmatch(line)] == []
    names = [canonical(line.partition("==")[0]) for line in text]
    assert sorted(set(names)) == names


def test_every_dependency_is_pinned_at_the_version_that_the_tests_run_with(
    project: dict[str, Any], pins: dict[str, str]
) -> None:
    declared = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    names = [canonical(re.split(r"[<>=!~;\[ ]", one)[0]) for one in declared]
    assert {name: metadata.version(name) for name in names} == {name: pins.get(name) for name in names}


def test_the_version_is_the_installed_one(project: dict[str, Any]) -> None:
    assert project["project"]["version"] == metadata.version("axk8s")
