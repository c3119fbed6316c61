"""The controller killed with SIGKILL at every single point, the cluster left running: right numbers, right causes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from axk8s.folder import SweepFolder
from axk8s.journal import fold_file
from axk8s.kube.resource import JOBS
from axk8s.names import LABEL_SWEEP_UID
from axk8s.sweep.model import Category, Outcome
from tests.cluster.kwok import FakeNodes
from tests.cluster.namespace import Namespace

DRIVE = Path(__file__).parents[1] / "controller" / "drive.py"
COMPONENT = """\
import torchx.specs as specs

ENDS = {
    "good": {"AXK8S_TEST_MESSAGE": 'axk8s: {"loss": 1.5}'},
    "bad": {"AXK8S_TEST_EXIT_CODE": "3"},
    "large": {"AXK8S_TEST_EXIT_CODE": "137", "AXK8S_TEST_REASON": "OOMKilled"},
}


def played(end: str) -> specs.AppDef:
    env = {"AXK8S_TEST_SECONDS": "0.5", **ENDS[end]}
    role = specs.Role("main", image="played:1", entrypoint="played", env=env, resource=specs.Resource(1, 0, 64))
    return specs.AppDef("played", [role])
"""
_TOGETHER = 4
"""Mostly they wait."""
EXPECTED = {Category.SUCCEEDED: Outcome.SUCCEEDED, Category.USER_ERROR: Outcome.FAILED}
EXPECTED |= {Category.OUT_OF_MEMORY: Outcome.INFEASIBLE}


class Case:
    """One sweep of three trials in a folder of its own."""

    def __init__(self, folder: Path, namespace: Namespace, nodes: FakeNodes) -> None:
        folder.mkdir()
        self._folder, self._namespace = folder, namespace
        overlay = {"nodeSelector": dict(nodes.selector), "tolerations": [dict(nodes.toleration)]}
        sweep = {
            "name": "crash",
            "component": "played.py:played",
            "parameters": {"end": {"type": "choice", "values": ["good", "bad", "large"]}},
            "objectives": [{"metric": "loss", "direction": "minimize"}],
            "optimizer": "grid",
            "trials": 3,
            "parallelism": 2,
            "scheduler": "kubernetes_job",
            "scheduler_config": {"pod_overlay": overlay, "qps": 0, "keep_logs": "none"},
        }
        (folder / "sweep.yaml").write_text(json.dumps(sweep))  # which is YAML
        (folder / "played.py").write_text(COMPONENT)

    def drive(self, *bomb: str) -> int:
        """A controller, which may kill itself; its exit code."""
        command = [sys.executable, str(DRIVE), str(self._folder / "sweep.yaml"), str(self._folder / "sweeps"), *bomb]
        environment = {**os.environ, "KUBECONFIG": str(self._namespace.kubeconfig)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode in (0, 1, -signal.SIGKILL), done.stderr
        return done.returncode

    def check(self) -> None:
        """Everything that has to hold after the last controller has returned."""
        state = fold_file(SweepFolder(self._folder / "sweeps" / "crash").journal)
        attempts = [attempt for trial in state.trials for attempt in trial.attempts]
        ends = [attempt.diagnosis.category for attempt in attempts if attempt.diagnosis is not None]
        assert ends == list(EXPECTED), "one attempt each, with the right cause"
        assert [trial.outcome for trial in state.trials] == list(EXPECTED.values())
        assert state.trials[0].values == {"loss": 1.5}
        assert not state.undeleted
        left, _ = self._namespace.admin.list_all(JOBS, labels=f"{LABEL_SWEEP_UID}={state.uid}")
        assert left == [], "an orphan"


@pytest.mark.parametrize(("kind", "at_least"), [("journal", 20), ("effect", 12)])
def test_killed_after_each_record_and_after_each_side_effect(
    namespace: Namespace, fake_nodes: FakeNodes, tmp_path: Path, kind: str, at_least: int
) -> None:
    def died(number: int) -> bool:
        """Die at the numbered point, if there is one, and go on."""
        case = Case(tmp_path / f"{kind}-{number}", namespace, fake_nodes)
        killed = case.drive(kind, str(number)) == -signal.SIGKILL
        if killed:
            case.drive()
        case.check()
        return killed

    deaths = 0
    with ThreadPoolExecutor(_TOGETHER) as pool:
        for start in range(1, 100, _TOGETHER):
            answers = list(pool.map(died, range(start, start + _TOGETHER)))
            deaths += sum(answers)
            if not all(answers):
                break

    # Effects are render, submit, harvest and delete of three trials.
    assert deaths >= at_least
