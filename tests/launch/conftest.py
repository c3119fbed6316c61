from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from axk8s.spec.sweep import SweepSpec

Write = Callable[[str, str], Path]
Make = Callable[..., SweepSpec]

HEAD = "name: tuning\nobjectives: [{metric: loss, direction: minimize}]\ntrials: 4\n"
LR = "parameters:\n  lr: {type: float, min: 0.001, max: 0.1}\n"


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this user's jobs or configuration."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("AXK8S_STATE_DIR", str(state))
    monkeypatch.setenv("HOME", str(state))
    monkeypatch.delenv("TORCHXCONFIG", raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of the sweep file."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def write(project: Path) -> Write:
    """Puts a file into the project."""

    def put(name: str, text: str) -> Path:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    return put


@pytest.fixture
def sweep(project: Path, write: Write) -> Make:
    """A spec from the text of its file; the parameter `lr` unless `parameters:` is in it."""

    def make(text: str) -> SweepSpec:
        text = dedent(text)
        write("sweep.yaml", HEAD + ("" if "parameters:" in text else LR) + text)
        return SweepSpec.load(project / "sweep.yaml")

    return make
