from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ax.core.base_trial import BaseTrial, TrialStatus
from ax.core.runner import Runner

from axk8s.ax import BackendSimulator, BackendSimulatorOptions, SimulatedBackendRunner, SyntheticRunner, TorchXRunner
from axk8s.testing.ax_runner import AxRunnerContract

COMPONENT = """
from torchx.specs import AppDef, Role

def trainer(x: float) -> AppDef:
    return AppDef("trainer", roles=[Role("main", "", entrypoint="true", args=[str(x)])])
"""


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("AXK8S_STATE_DIR", str(state))
    monkeypatch.setenv("HOME", str(state))
    monkeypatch.delenv("TORCHXCONFIG", raising=False)


class TestTorchXRunner(AxRunnerContract):
    @pytest.fixture
    def runner(self, tmp_path: Path) -> Runner:
        (tmp_path / "trainer.py").write_text(COMPONENT)
        return TorchXRunner(str(tmp_path / "results"), f"{tmp_path}/trainer.py:trainer")


class TestSyntheticRunner(AxRunnerContract):
    @pytest.fixture
    def runner(self) -> Runner:
        return SyntheticRunner(dummy_metadata="dummy")


class TestSimulatedBackendRunner(AxRunnerContract):
    @pytest.fixture
    def runner(self) -> Runner:
        options = BackendSimulatorOptions(max_concurrency=2, internal_clock=0.0, seed=1)
        return SimulatedBackendRunner(BackendSimulator(options, verbose_logging=False))


class InlineRunner(Runner):
    """A user's own: the program is a call."""

    def run(self, trial: BaseTrial) -> dict[str, Any]:
        return {"value": trial.arms[0].parameters["x"]}

    def poll_trial_status(self, trials: Iterable[BaseTrial]) -> dict[TrialStatus, set[int]]:
        done = {trial.index for trial in trials if trial.run_metadata}
        return {TrialStatus.COMPLETED: done} if done else {}

    def poll_exception(self, trial: BaseTrial) -> str:
        return "nothing fails"

    def stop(self, trial: BaseTrial, reason: str | None = None) -> dict[str, Any]:
        metadata = {"reason": reason} if reason else {}
        trial.update_stop_metadata(metadata)
        return metadata


class TestARunnerOfAUser(AxRunnerContract):
    classes = (InlineRunner,)

    @pytest.fixture
    def runner(self) -> Runner:
        return InlineRunner()


class HalfARunner(InlineRunner):
    """As Ax's own TorchXRunner: a trial that it does not know makes the whole poll fail."""

    def poll_trial_status(self, trials: Iterable[BaseTrial]) -> dict[TrialStatus, set[int]]:
        return {TrialStatus.COMPLETED: {trial.index for trial in trials if trial.run_metadata["value"]}}


def test_the_suite_finds_a_runner_that_breaks_the_contract() -> None:
    class Suite(AxRunnerContract):
        pass

    from axk8s.ax.rehearsal import Rehearsal

    with pytest.raises(KeyError):
        Suite().test_a_trial_that_was_never_run_harms_no_other(Rehearsal(HalfARunner(), Suite.points))
