"""The controller killed with SIGKILL at every single point, the cluster left running: right numbers, right causes."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
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
from tests.controller.drive import Drivers

COMPONENT = """\
import torchx.specs as specs

ENDS = {
    "good": {"AXK8S_TEST_MESSAGE": 'axk8s: {"loss": 1.5}'},
    "bad": {"AXK8S_TEST_EXIT_CODE": "3"},
    "large": {"AXK8S_TEST_EXIT_CODE": "137", "AXK8S_TEST_REASON": "OOMKilled"},
    "pushed": {"AXK8S_TEST_DISRUPTION": "PreemptionByScheduler"},
}


def played(end: str, attempt: int = 0) -> specs.AppDef:
    # Of several replicas none is replaced, so that the attempt ends with the first that is pre-empted.
    replicas = 2 if end == "pushed" else 1
    env = {"AXK8S_TEST_SECONDS": "0.5", **ENDS["good" if attempt else end]}
    role = specs.Role(
        "main", image="played:1", entrypoint="played", env=env, num_replicas=replicas, resource=specs.Resource(1, 0, 64)
    )
    return specs.AppDef("played", [role])
"""
_TOGETHER = 4
"""Mostly they wait."""
CAUSES = [
    [Category.SUCCEEDED],
    [Category.USER_ERROR],
    [Category.OUT_OF_MEMORY],
    [Category.DISRUPTED, Category.SUCCEEDED],
]
OUTCOMES = [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.INFEASIBLE, Outcome.SUCCEEDED]


@pytest.fixture(scope="module")
def drivers() -> Iterator[Drivers]:
    made = Drivers(_TOGETHER, "kubernetes.config")
    yield made
    made.close()


class Case:
    """One sweep of four trials in a folder of its own."""

    def __init__(self, folder: Path, drivers: Drivers, namespace: Namespace, nodes: FakeNodes) -> None:
        folder.mkdir()
        self._folder, self._drivers, self._namespace = folder, drivers, namespace
        overlay = {"nodeSelector": dict(nodes.selector), "tolerations": [dict(nodes.toleration)]}
        sweep = {
            "name": "crash",
            "component": "played.py:played",
            "parameters": {"end": {"type": "choice", "values": ["good", "bad", "large", "pushed"]}},
            "objectives": [{"metric": "loss", "direction": "minimize"}],
            "optimizer": "grid",
            "trials": 4,
            "parallelism": 2,
            "scheduler": "kubernetes_job",
            "scheduler_config": {"pod_overlay": overlay, "qps": 0, "keep_logs": "none"},
        }
        (folder / "sweep.yaml").write_text(json.dumps(sweep))  # which is YAML
        (folder / "played.py").write_text(COMPONENT)

    def drive(self, kind: str = "never", count: int = 0) -> int:
        """A controller, which may kill itself; its exit code."""
        return self._drivers.drive(self._folder, kind, count, KUBECONFIG=str(self._namespace.kubeconfig))

    def check(self) -> None:
        """Everything that has to hold after the last controller has returned."""
        state = fold_file(SweepFolder(self._folder / "sweeps" / "crash").journal)
        causes = [[a.diagnosis.category for a in trial.attempts if a.diagnosis is not None] for trial in state.trials]
        assert causes == CAUSES, "no attempt twice, and the right causes"
        assert [trial.outcome for trial in state.trials] == OUTCOMES
        assert state.trials[0].values == {"loss": 1.5}
        assert not state.undeleted
        left, _ = self._namespace.admin.list_all(JOBS, labels=f"{LABEL_SWEEP_UID}={state.uid}")
        assert left == [], "an orphan"


@pytest.mark.parametrize(("kind", "at_least"), [("journal", 35), ("effect", 20)])
def test_killed_after_each_record_and_after_each_side_effect(
    drivers: Drivers, namespace: Namespace, fake_nodes: FakeNodes, tmp_path: Path, kind: str, at_least: int
) -> None:
    def died(number: int) -> bool:
        """Die at the numbered point, if there is one, and go on."""
        case = Case(tmp_path / f"{kind}-{number}", drivers, namespace, fake_nodes)
        killed = case.drive(kind, number) == -signal.SIGKILL
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

    # Effects are render, submit, harvest and delete of five attempts.
    assert deaths >= at_least
