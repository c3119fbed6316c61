"""A sweep of real processes, small enough to be run by each test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.api import Sweep

SWEEP = """\
name: small
function: train.py:train
parameters: {x: {type: float, min: 0, max: 1}}
objectives: [{metric: loss, direction: minimize}]
optimizer: random
trials: 3
parallelism: 2
"""
TRAIN = """\
def train(x):
    return {"loss": x}
"""


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXK8S_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Sweep]:
    """Write the files (lines of the sweep file may be replaced or added) and open the sweep."""

    def make(train: str = TRAIN, *, name: str | None = None, **keys: str) -> Sweep:
        lines = [line for line in SWEEP.splitlines() if line.split(":")[0] not in keys]
        lines += [f"{key}: {value}" for key, value in keys.items() if value]
        (tmp_path / "sweep.yaml").write_text("\n".join(lines) + "\n")
        (tmp_path / "train.py").write_text(train)
        return Sweep.from_yaml(tmp_path / "sweep.yaml", directory=tmp_path / "sweeps", name=name)

    return make
