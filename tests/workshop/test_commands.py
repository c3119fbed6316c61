"""The Makefile and what CI calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def environment() -> dict[str, str]:
    """As in a new shell: a make or a CI run above this one hands nothing down."""
    inherited = ("MAKE", "MFLAGS", "KIND_", "AXK8S_")
    return {name: value for name, value in os.environ.items() if not name.startswith(inherited)}


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=folder, env=environment(), capture_output=True, text=True)


def test_make_alone_lists_every_target_with_a_sentence() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    listed = dict(re.findall(r"^  make (\S+) +(\S.+)$", make().stdout, re.MULTILINE))
    assert set(phony.split()) == targets == set(listed)


def test_the_test_command_checks_style_types_and_layers_first() -> None:
    plan = make("--dry-run", "test").stdout
    positions = [
        plan.index(f"/{tool}") for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest")
    ]
    assert positions == sorted(positions)


def test_every_install_is_constrained() -> None:
    installs = [
        line for line in make("--dry-run", "--always-make", "test").stdout.splitlines() if "pip install" in line
    ]
    assert len(installs) == 2
    assert all("-c constraints.txt" in line for line in installs)


def test_an_old_python_is_refused_by_name(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    missing = make("lint", "PYTHON=python0.9", folder=tmp_path)
    assert missing.returncode == 2
    assert "Python 3.11 or newer; there is no python0.9 here" in missing.stderr

    old = tmp_path / "old-python"
    old.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "sys.version_info, sys.version = (3, 8, 18), '3.8.18 (main)'\n"
        "exec(sys.argv[2])\n"
    )
    old.chmod(0o755)
    refused = make("lint", f"PYTHON={old}", folder=tmp_path)
    assert refused.returncode == 2
    assert f"Python 3.11 or newer; {old} is 3.8.18" in refused.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_calls_the_test_command_and_nothing_of_its_own(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", project / ".ci" / "run")
    (project / "Makefile").write_text("test:\n\t@echo tested $$AXK8S_REQUIRE_CLUSTER $$KIND_NODE_IMAGE\n")

    def run() -> subprocess.CompletedProcess[str]:
        command = [project / ".ci" / "run"]
        return subprocess.run(command, cwd="/", env=environment(), capture_output=True, text=True)

    assert run().stdout == "tested 1\n"

    kind = tmp_path / "shared" / "kind" / "up"
    kind.parent.mkdir(parents=True)
    kind.write_text("#!/bin/sh\necho export KIND_NODE_IMAGE=node:1\n")
    kind.chmod(0o755)
    assert run().stdout == "tested 1 node:1\n"

    kind.write_text("#!/bin/sh\nexit 3\n")
    assert run().returncode == 3


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("@pytest.mark.unheard_of\ndef test_it() -> None: ...", "unheard_of"),
        ("def test_it() -> None:\n    import warnings\n    warnings.warn('stale')", "UserWarning: stale"),
        ("@pytest.mark.xfail\ndef test_it() -> None: ...", "XPASS"),
        ("@pytest.mark.timeout(0.05)\ndef test_it() -> None:\n    __import__('threading').Event().wait()", "Timeout"),
    ],
    ids=["unknown marker", "warning", "unexpected pass", "time-out"],
)
def test_the_suite_is_strict(tmp_path: Path, body: str, complaint: str) -> None:
    test = tmp_path / "test_sample.py"
    test.write_text(f"import pytest\n\n{body}\n")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider", str(test)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode in (1, 2)
    assert complaint in run.stdout + run.stderr
