"""The example of Ax's documentation on Volcano: its component, tracker and queue, under both of Ax's loops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from ax.api.client import Client
from kubernetes.config import new_client_from_config
from torchx.runner import Runner
from torchx.schedulers import get_scheduler_factories
from torchx.specs import AppDef, AppState, Resource, Role

from axk8s.ax import TorchXMetric, TorchXRunner
from axk8s.schedulers import factories
from tests.ax import loop
from tests.cluster import volcano
from tests.cluster.cluster import IMAGE, Cluster
from tests.cluster.namespace import Namespace

PROGRAM = """\
import json, sys
tracker, trial, x, x3 = sys.argv[1:]
print("trial", trial, "would write to", tracker)
print("axk8s:", json.dumps({"loss": float(x), "note": float(x3)}))
"""


def trainer_component(x: float, trial_idx: int, tracker_base: str, x3: float) -> AppDef:
    """Its job prints its results: what a pod writes to a folder of its own nobody else sees."""
    args = ["-c", PROGRAM, tracker_base, str(trial_idx), str(x), str(x3)]
    return AppDef(
        "trainer", [Role("main", image=IMAGE, entrypoint="python", args=args, resource=Resource(0.05, 0, 64))]
    )


@pytest.fixture(scope="module")
def is_played(cluster: Cluster) -> Iterator[bool]:
    with volcano.known(cluster.kube()) as missing:
        yield missing


@pytest.fixture
def training(namespace: Namespace, is_played: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A queue in a namespace in which Volcano works, and which is that of the user's kubeconfig."""
    monkeypatch.setenv("KUBECONFIG", str(namespace.kubeconfig))
    with (
        volcano.played(namespace.admin) if is_played else nullcontext(),
        volcano.queue(namespace.admin, cpu=1) as name,
    ):
        yield name


def documented(queue: str) -> Client:
    runner = TorchXRunner(
        tracker_base="/tmp/tuning",
        component=trainer_component,
        # trial_idx and tracker_base are passed because the signature declares them
        component_const_params={"x3": 1.2},
        scheduler="kubernetes",
        cfg={"queue": queue},
    )
    return loop.client(runner, [TorchXMetric("loss", lower_is_better=True), TorchXMetric("note")])


def test_it_runs_in_the_client(training: str) -> None:
    made = documented(training)

    made.run_trials(max_trials=2, parallelism=2, initial_seconds_between_polls=1)

    assert loop.statuses(made) == {0: "COMPLETED", 1: "COMPLETED"}
    best, values, _, _ = made.get_best_parameterization(use_model_predictions=False)
    assert values["loss"][0] == pytest.approx(best["x"])
    assert values["note"][0] == pytest.approx(1.2)


# The Kubernetes client that TorchX uses calls what urllib3 deprecates.
@pytest.mark.filterwarnings(r"ignore:HTTPResponse\.getheader:DeprecationWarning")
def test_it_runs_in_the_orchestrator_and_its_handles_are_plain_ones(training: str, namespace: Namespace) -> None:
    made = documented(training)

    loop.orchestrator(made, init_seconds_between_polls=0.5, run_trials_in_batches=True).run_n_trials(3)

    assert loop.statuses(made) == dict.fromkeys(range(3), "COMPLETED")
    handles = [trial.run_metadata["torchx_app_handle"] for trial in loop.experiment(made).trials.values()]
    assert all(handle.startswith(f"kubernetes://torchx/{namespace.name}:tuning-") for handle in handles)
    client = new_client_from_config(str(namespace.kubeconfig))
    for known in (factories(), get_scheduler_factories()):
        runner = Runner("torchx", scheduler_factories=known, scheduler_params={"client": client})
        for handle in handles:
            status = runner.status(handle)
            assert status is not None
            assert status.state is AppState.SUCCEEDED
            assert any("axk8s:" in line for line in runner.log_lines(handle, "main"))
