"""Where things lie on disk: one named property for each path, so that nobody else joins strings.

<directory>/<sweep>/
  sweep.yaml  journal.jsonl  status.json  lock  controller.log  optimizer.log  requests/  workspace/
  trials/<trial>/<attempt>/{params.json, manifest.yaml, stdout.log, stderr.log, metrics.jsonl, output/}
  trials/<trial>/checkpoints/
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from axk8s.names import ENV_DIR


def sweeps_directory(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder of all sweeps: what was given, else `AXK8S_DIR`, else `./sweeps`; absolute."""
    return Path(given if given is not None else os.environ.get(ENV_DIR) or "sweeps").absolute()


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """Everything that one attempt leaves behind; the job itself may only write here and to checkpoints."""

    path: Path

    @property
    def params(self) -> Path:
        return self.path / "params.json"

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.yaml"

    @property
    def stdout(self) -> Path:
        return self.path / "stdout.log"

    @property
    def stderr(self) -> Path:
        return self.path / "stderr.log"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def output(self) -> Path:
        """`AXK8S_OUTPUT_DIR`: for the training code's own files."""
        return self.path / "output"

    @property
    def tracker(self) -> Path:
        """`AXK8S_TRACKER_BASE`: what a TorchX tracker writes."""
        return self.path / "tracker"

    @property
    def number(self) -> int:
        return int(self.path.name)

    @property
    def trial(self) -> int:
        return int(self.path.parent.name)


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """One sweep's folder."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def spec(self) -> Path:
        """A copy of the sweep file as it was when the sweep began."""
        return self.path / "sweep.yaml"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def status(self) -> Path:
        """A cache of the state for `status` and `list`; never read by the controller."""
        return self.path / "status.json"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def requests(self) -> Path:
        return self.path / "requests"

    @property
    def workspace(self) -> Path:
        """The pinned copy of the code that travels with the jobs."""
        return self.path / "workspace"

    @property
    def workspace_index(self) -> Path:
        """Digest of each pinned file, as JSON."""
        return self.path / "workspace.json"

    @property
    def support(self) -> Path:
        """What jobs on this machine find on their `PYTHONPATH`: this package and nothing else."""
        return self.path / "support"

    @property
    def controller_log(self) -> Path:
        """What a detached controller says."""
        return self.path / "controller.log"

    @property
    def optimizer_log(self) -> Path:
        """What the optimizer process (Ax, torch) prints and warns about."""
        return self.path / "optimizer.log"

    @property
    def trials(self) -> Path:
        return self.path / "trials"

    def checkpoints(self, trial: int) -> Path:
        """`AXK8S_CHECKPOINT_DIR`: shared by all attempts of a trial."""
        return self.trials / str(trial) / "checkpoints"

    def attempt(self, trial: int, attempt: int) -> AttemptFolder:
        return AttemptFolder(self.trials / str(trial) / str(attempt))

    def exists(self) -> bool:
        return self.journal.exists()


def sweep_folders(directory: Path) -> Iterator[SweepFolder]:
    """The sweeps under `directory`, by name; folders without a journal are not sweeps."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir(), key=lambda path: _natural(path.name)):
        folder = SweepFolder(path)
        if folder.exists():
            yield folder


def _natural(name: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name)]
