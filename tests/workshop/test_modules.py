"""The rules of the house that import-linter cannot see."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import axk8s

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "axk8s"
LONGEST = 400

LONGER = {"axk8s/training.py": "a copy of this one file beside a script does all that report() does"}
"""Module to the reason why it may be longer than the others; empty at best."""

DRAWERS = {"util", "utils", "helper", "helpers", "common", "type", "types", "constant", "constants", "misc"}
"""Names under which anything could lie."""

HEAVY = {"ax", "botorch", "kubernetes", "pandas", "plotly", "pydantic", "rich", "torch", "torchx", "typer"}


def modules() -> Iterator[Path]:
    return (path for path in sorted(PACKAGE.rglob("*.py")) if "template" not in path.parts)


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_a_module_fits_into_one_reading() -> None:
    long = {
        name: count
        for path in modules()
        if (count := lines(path)) > LONGEST and (name := path.relative_to(ROOT).as_posix()) not in LONGER
    }
    assert not long, f"split by concept what is over {LONGEST} lines, or give the reason in LONGER"


def test_no_exception_from_the_length_outlives_its_need() -> None:
    assert [name for name in LONGER if not (ROOT / name).exists() or lines(ROOT / name) <= LONGEST] == []


def test_no_module_is_a_drawer() -> None:
    assert [path for path in modules() if DRAWERS & {path.stem.strip("_"), path.parent.name}] == []


@pytest.mark.parametrize("room", ["sweep", "diagnose"])
def test_a_pure_room_opens_and_prints_nothing(room: str) -> None:
    calls = [
        f"{path.name}:{node.lineno} {node.func.id}"
        for path in (PACKAGE / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"input", "open", "print"}
    ]
    assert calls == []


def loaded_by(statement: str) -> set[str]:
    """Top-level packages that `statement` loads in a fresh interpreter, beyond those that start-up itself loads."""
    program = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AXK8S_", "PYTHON"))}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


@pytest.mark.parametrize("module", ["axk8s", "axk8s.training", "axk8s.function_runner"])
def test_what_runs_inside_a_job_needs_the_standard_library_only(module: str) -> None:
    assert loaded_by(f"import {module}") - sys.stdlib_module_names == {"axk8s"}


def test_the_supervisor_of_local_jobs_needs_the_standard_library_only() -> None:
    assert loaded_by("import axk8s.schedulers.local.supervisor") - sys.stdlib_module_names == {"axk8s"}


def test_the_entry_point_of_the_command_loads_nothing_heavy() -> None:
    assert loaded_by("from axk8s.cli import main").isdisjoint(HEAVY)


def test_the_controller_never_loads_ax_torch_or_kubernetes() -> None:
    loaded = loaded_by("from axk8s.api import Sweep")
    assert "pydantic" in loaded
    assert loaded.isdisjoint({"ax", "botorch", "torch", "kubernetes", "typer", "rich"})


def test_a_glance_at_sweeps_loads_nothing_heavy() -> None:
    assert loaded_by("from axk8s.api import sweeps; sweeps('.')").isdisjoint(HEAVY)


def test_the_public_names_are_a_sorted_list_and_all_exist() -> None:
    assert sorted(axk8s.__all__) == axk8s.__all__
    assert sorted(dir(axk8s)) == axk8s.__all__
    for name in axk8s.__all__:
        assert getattr(axk8s, name).__module__.startswith("axk8s.")


def test_a_public_name_that_does_not_exist_is_answered_with_those_that_do() -> None:
    misspelt = "Sweeep"
    with pytest.raises(AttributeError, match=r"'Sweeep'.*\bSweep\b"):
        getattr(axk8s, misspelt)
