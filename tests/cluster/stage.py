"""A folder with a sweep in it, and the command line run there as a user of one namespace would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from axk8s.controller.opening import has_begun
from axk8s.folder import SweepFolder
from axk8s.journal import fold_file, read
from axk8s.kube.client import Object
from axk8s.kube.resource import CONFIG_MAPS, JOBS, PODS, SERVICES
from axk8s.sweep.records import TrialConcluded
from axk8s.sweep.state import State
from tests.cluster.deadline import until
from tests.cluster.namespace import Namespace

AXK8S = Path(sys.executable).with_name("axk8s")
SHARED = ("kube-root-ca.crt",)
"""What every namespace has."""

TRAIN = """\
import os, time
from axk8s import report
from model import loss

def train(x: float, y: float, steps: int = 3, first: int = 2) -> float:
    print("training with", x, y, flush=True)
    for step in range(steps if int(os.environ["AXK8S_TRIAL"]) < first else 3):
        report(step=step, loss=loss(x, y) + 1 / (step + 1))
        time.sleep(0.1)
    return loss(x, y)
"""
"""The first trials last as long as a test has something to do to them, the others are there to follow."""
MODEL = "def loss(x, y):\n    return (x - 0.2) ** 2 + (y + 0.4) ** 2\n"
SWEEP = """\
name: bowl
function: train.py:train
workspace: .
resources: {cpu: 0.1, memory: 128Mi}
parameters:
  x: {type: float, min: -1, max: 1}
  y: {type: float, min: -1, max: 1}
objectives: [{metric: loss, direction: minimize}]
optimizer: random
trials: 4
parallelism: 2
scheduler: kubernetes_job
"""


RECOVERY = 10.0
"""Seconds."""


class Stage:
    """One user's folder and namespace."""

    def __init__(self, folder: Path, namespace: Namespace, kubeconfig: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.namespace = folder, namespace
        self.environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig or namespace.kubeconfig),
            "AXK8S_STATE_DIR": str(folder / "state"),
            "NO_COLOR": "1",
        }
        self._started: list[subprocess.Popen[str]] = []

    def write(self, sweep: str = SWEEP, **files: str) -> None:
        """Write `sweep.yaml` and other files, `train_py="…"`."""
        for name, text in {"sweep_yaml": sweep, "train_py": TRAIN, "model_py": MODEL, **files}.items():
            (self.folder / name.replace("_", ".")).write_text(text, "utf-8")

    def run(self, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """The command, to its end."""
        return subprocess.run(
            [AXK8S, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def done(self, *words: str, timeout: float = 240) -> str:
        """What the command wrote as data; it must have succeeded."""
        ended = self.run(*words, timeout=timeout)
        assert ended.returncode == 0, f"{words}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The command, left running; what it says is in `controller.out`."""
        with (self.folder / "controller.out").open("a") as said:
            process = subprocess.Popen(
                [AXK8S, *words], cwd=self.folder, env=self.environment, stdout=said, stderr=said, text=True
            )
        self._started.append(process)
        return process

    def said(self) -> str:
        """What commands that were started have said so far."""
        return (self.folder / "controller.out").read_text()

    def sweep(self, name: str = "bowl") -> SweepFolder:
        return SweepFolder(self.folder / "sweeps" / name)

    def state(self, name: str = "bowl") -> State:
        """What the journal says now."""
        folder = self.sweep(name)
        return fold_file(folder.journal) if has_begun(folder) else State()

    def running(self, name: str = "bowl") -> list[int]:
        """The trials whose job runs now."""
        return [
            t.number for t in self.state(name).active.values() if t.phase is not None and t.phase.value == "running"
        ]

    def jobs(self) -> list[Object]:
        return self.namespace.admin.list_all(JOBS)[0]

    def pods(self) -> list[Object]:
        return self.namespace.admin.list_all(PODS)[0]

    def left(self) -> list[str]:
        """Everything in the namespace that a sweep could have left there."""
        found = [
            f"{resource}/{one['metadata']['name']}"
            for resource in (JOBS, PODS, CONFIG_MAPS, SERVICES)
            for one in self.namespace.admin.list_all(resource)[0]
        ]
        return [name for name in found if not name.endswith(SHARED)]

    def close(self) -> None:
        """End what was started and still runs."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)


@contextlib.contextmanager
def staged(folder: Path, namespace: Namespace, kubeconfig: Path | None = None) -> Iterator[Stage]:
    """A stage that is closed at the end."""
    stage = Stage(folder, namespace, kubeconfig)
    try:
        yield stage
    finally:
        stage.close()


def names(objects: Sequence[Object]) -> list[str]:
    return sorted(str(one["metadata"]["name"]) for one in objects)


def recovered(stage: Stage, *, over_at: float, ended: int) -> None:
    """What happened during a fault that was over at a time was known ten seconds later at the latest."""
    until(f"{ended} trials are known to have ended", lambda: stage.state().ended >= ended)
    records = read(stage.sweep().journal)
    known_at = sorted(one.time for one in records if isinstance(one, TrialConcluded))
    assert known_at[ended - 1] - over_at < RECOVERY
