from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from torchx.specs import AppDef, Role

from tests.ax.stage import Stage


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this user's jobs or configuration."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("AXK8S_STATE_DIR", str(state))
    monkeypatch.setenv("HOME", str(state))
    monkeypatch.delenv("TORCHXCONFIG", raising=False)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A TorchX scheduler called `stage`, installed the way that TorchX finds schedulers of others."""
    plugin = tmp_path / "plugin"
    info = plugin / "played-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: played\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[torchx.schedulers]\nstage = played:create_scheduler\n")
    (plugin / "played.py").write_text(
        "stage = None\n\n\ndef create_scheduler(session_name, **_):\n    return stage.scheduler(session_name)\n"
    )
    monkeypatch.syspath_prepend(plugin)
    module = importlib.import_module("played")
    played = Stage()
    monkeypatch.setattr(module, "stage", played)
    return played


@pytest.fixture
def component() -> Callable[..., AppDef]:
    """A component of one parameter, whose job does nothing."""

    def trainer(x: float) -> AppDef:
        return AppDef("trainer", roles=[Role("main", "", entrypoint="true", args=[str(x)])])

    return trainer
