"""Our schedulers stand beside TorchX's own."""

from __future__ import annotations

from torchx.runner import Runner
from torchx.schedulers import get_scheduler_factories
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler

from axk8s.schedulers.catalog import factories


def test_torchx_own_schedulers_are_kept_and_ours_added() -> None:
    assert set(factories()) == {*get_scheduler_factories(), "local", "kubernetes_job"}


def test_torchx_own_scheduler_for_volcano_is_held_right_under_its_own_name() -> None:
    made = factories()["kubernetes"](session_name="torchx")

    assert isinstance(made, KubernetesScheduler)
    assert made.backend == "kubernetes"
    assert "kubeconfig" in {name for name, _ in made.run_opts()}
    assert {"image_repo", "quiet", "queue", "service_account"} <= {name for name, _ in made.run_opts()}


def test_a_runner_makes_ours_with_its_session_and_anybodys_parameters() -> None:
    runner = Runner("torchx", scheduler_factories=factories(), scheduler_params={"client": None})
    assert "grace" in {name for name, _ in runner.scheduler_run_opts("local")}
    assert all(option.help for _, option in runner.scheduler_run_opts("local"))
