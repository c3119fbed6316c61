"""The documented classes under Ax's two loops, on this machine, with real processes."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from ax.api.client import Client
from ax.core.base_trial import BaseTrial
from ax.core.runner import Runner
from ax.orchestration.orchestrator import FailureRateExceededError, Orchestrator
from torchx.specs import AppDef, AppState, Role

from axk8s.ax import (
    BackendSimulator,
    BackendSimulatorOptions,
    SimulatedBackendRunner,
    SingleRunningTrialMixin,
    SyntheticRunner,
    TorchXMetric,
    TorchXRunner,
    load,
    save,
)
from axk8s.errors import Axk8sError, ComponentError, SchedulerConfigError, UsageError
from tests.ax import loop
from tests.ax.stage import ApiError

if TYPE_CHECKING:
    from tests.ax.stage import Stage


def trainer_component(x: float, trial_idx: int, tracker_base: str, x3: float, x4: str) -> AppDef:
    """The documented component; its job writes what `FsspecResultTracker` would, without importing it."""
    script = 'mkdir -p "$0" && echo "{\\"loss\\": $2, \\"note/mean\\": $3, \\"note/sem\\": 0.1}" > "$0/$1"'
    args = ["-c", script, tracker_base, str(trial_idx), str(x), str(x3)]
    return AppDef(name=f"trainer-{x4}", roles=[Role("main", "", entrypoint="sh", args=args)])


def torchx_runner(base: Path, **arguments: Any) -> TorchXRunner:
    return TorchXRunner(
        tracker_base=str(base),
        component=trainer_component,
        # trial_idx and tracker_base are passed because the signature declares them
        component_const_params={"x3": 1.2, "x4": "barbaz"},
        **arguments,
    )


def metrics(base: Path) -> list[TorchXMetric]:
    return [TorchXMetric(str(base), "loss", lower_is_better=True), TorchXMetric(str(base), "note")]


def test_the_documented_torchx_example_runs_in_the_client(tmp_path: Path) -> None:
    made = loop.client(torchx_runner(tmp_path), metrics(tmp_path))

    made.run_trials(max_trials=2, parallelism=2, initial_seconds_between_polls=0)

    assert loop.statuses(made) == {0: "COMPLETED", 1: "COMPLETED"}
    best, values, _, _ = made.get_best_parameterization(use_model_predictions=False)
    assert values["loss"][0] == pytest.approx(best["x"])
    assert values["note"][0] == pytest.approx(1.2)


@pytest.mark.parametrize("scheduler", ["local", "orchestrator=local"])
def test_the_documented_torchx_example_runs_in_the_orchestrator(tmp_path: Path, scheduler: str) -> None:
    name, _, value = scheduler.rpartition("=")
    made = loop.client(torchx_runner(tmp_path, **{name or "scheduler": value}), metrics(tmp_path))

    loop.orchestrator(made, run_trials_in_batches=True).run_n_trials(5)

    assert loop.statuses(made) == dict.fromkeys(range(5), "COMPLETED")


def test_torchx_own_local_scheduler_serves_as_well(tmp_path: Path) -> None:
    def component(x: float) -> AppDef:
        from torchx.specs import Resource

        line = f'echo "axk8s: {{\\"loss\\": {x}}}"'
        role = Role("main", str(tmp_path), entrypoint="sh", args=["-c", line], resource=Resource(1, 0, 1))
        return AppDef("trainer", roles=[role])

    base = tmp_path / "results"
    runner = TorchXRunner(str(base), component, scheduler="local_cwd", cfg={"log_dir": str(tmp_path / "logs")})
    made = loop.client(runner, [TorchXMetric(str(base), "loss", lower_is_better=True)])

    loop.orchestrator(made).run_n_trials(3)

    assert loop.statuses(made) == dict.fromkeys(range(3), "COMPLETED")
    for job in runner._jobs._session.scheduler._apps.values():
        job.close()


def test_a_folder_that_cannot_be_made_fails_the_trial_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = loop.client(torchx_runner(tmp_path, cfg={"log_dir": str(tmp_path / "file")}), metrics(tmp_path))

    with pytest.raises(FailureRateExceededError):
        loop.orchestrator(made).run_n_trials(1)

    reason = loop.experiment(made).trials[0].status_reason
    assert f"its folder {tmp_path}/file/" in reason
    assert "cannot be made: Not a directory" in reason
    assert "AXK8S_STATE_DIR" in reason


def test_an_outage_of_half_a_minute_ends_no_trial(tmp_path: Path, stage: Stage) -> None:
    """Every status call fails for 30 (virtual) seconds while three trials run; one poll is one second."""
    second = 0

    def component(x: float) -> AppDef:
        return AppDef("trainer", roles=[Role("main", "", entrypoint="true")])

    def tick(running: Orchestrator) -> None:
        nonlocal second
        second += 1
        during.append(set(loop.statuses(running).values()))
        if second == 2:
            stage.all(AppState.RUNNING)
        if second == 36:
            stage.log = ['axk8s: {"loss": 0.5}']
            stage.all(AppState.SUCCEEDED)

    during: list[set[str]] = []
    stage.fault = lambda what: ApiError(503) if 3 <= second < 33 and what in ("describe", "list") else None
    made = loop.client(TorchXRunner(str(tmp_path), component, scheduler="stage"), [TorchXMetric(None, "loss", True)])

    loop.orchestrator(made, init_seconds_between_polls=0.001).run_n_trials(3, idle_callback=tick)

    assert stage.count("submit") == 3
    assert during[3:33] == [{"RUNNING"}] * 30
    assert loop.statuses(made) == dict.fromkeys(range(3), "COMPLETED")


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from axk8s.ax import TorchXMetric, TorchXRunner, save
from tests.ax import loop

base = Path(sys.argv[1])
runner = TorchXRunner(str(base / "results"), f"{{base}}/component.py:trainer")
made = loop.client(runner, [TorchXMetric(str(base / "results"), "loss", lower_is_better=True)])

def idle(running):
    save(running, base / "saved.json")
    print("saved", flush=True)

loop.orchestrator(made).run_n_trials(3, idle_callback=idle)
"""

COMPONENT = """
from torchx.specs import AppDef, Role

def trainer(x: float, tracker_base: str) -> AppDef:
    script = 'while [ ! -e "$0/../go" ]; do sleep 0.05; done; echo "axk8s: {\\\\"loss\\\\": $1}"'
    return AppDef("trainer", roles=[Role("main", "", entrypoint="sh", args=["-c", script, tracker_base, str(x)])])
"""


def test_a_killed_experiment_is_loaded_and_finished_with_the_same_jobs(tmp_path: Path) -> None:
    (tmp_path / "component.py").write_text(dedent(COMPONENT))
    (tmp_path / "results").mkdir()
    (tmp_path / "program.py").write_text(PROGRAM.format(root=str(Path(__file__).parents[2])))
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "saved\n"
        os.kill(first.pid, signal.SIGKILL)

    made = load(tmp_path / "saved.json")
    handles = {index: trial.run_metadata["torchx_app_handle"] for index, trial in loop.experiment(made).trials.items()}
    assert set(loop.statuses(made).values()) == {"RUNNING"}
    (tmp_path / "go").touch()
    loop.orchestrator(made).run_n_trials(3 - len(handles))

    trials = loop.experiment(made).trials
    assert loop.statuses(made) == dict.fromkeys(range(3), "COMPLETED")
    assert {index: trials[index].run_metadata["torchx_app_handle"] for index in handles} == handles
    assert len(loop.experiment(made).lookup_data().df) == 3


def test_a_saved_component_is_found_from_any_folder_and_not_needed_to_look_at_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, elsewhere = tmp_path / "code", tmp_path / "elsewhere"
    code.mkdir()
    elsewhere.mkdir()
    source = "from torchx.specs import AppDef, Role\n\n\ndef trainer(x: float) -> AppDef:\n"
    (code / "beside_the_script.py").write_text(
        source + '    line = f\'echo "axk8s: {{\\\\"loss\\\\": {x}}}"\'\n'
        "    return AppDef('a', roles=[Role('main', '', entrypoint='sh', args=['-c', line])])\n"
    )

    def forget() -> None:
        sys.modules.pop("beside_the_script", None)

    with monkeypatch.context() as patch:
        patch.syspath_prepend(code)
        component = importlib.import_module("beside_the_script").trainer
        made = loop.client(TorchXRunner(str(tmp_path), component), [TorchXMetric(None, "loss", True)])
        loop.orchestrator(made).run_n_trials(1)
        save(made, tmp_path / "saved.json")
    forget()
    monkeypatch.chdir(elsewhere)

    again = load(tmp_path / "saved.json")
    loop.orchestrator(again).run_n_trials(1)
    assert loop.statuses(again) == {0: "COMPLETED", 1: "COMPLETED"}
    save(again, tmp_path / "again.json")

    forget()
    (code / "beside_the_script.py").unlink()
    gone = load(tmp_path / "again.json")
    assert list(gone.summarize()["loss"]) == pytest.approx(list(again.summarize()["loss"]))
    with pytest.raises(ComponentError, match="no module 'beside_the_script'"):
        loop.orchestrator(gone).run_n_trials(1)


def test_a_component_of_a_notebook_runs_and_is_refused_when_saving(tmp_path: Path) -> None:
    def typed_in(x: float) -> AppDef:
        script = 'while [ ! -e go ]; do sleep 0.05; done; echo "axk8s: {\\"loss\\": 1}"'
        return AppDef("a", roles=[Role("main", "", entrypoint="sh", args=["-c", f"cd {tmp_path}; {script}"])])

    made = loop.client(TorchXRunner(str(tmp_path), typed_in), [TorchXMetric(None, "loss", True)])
    with pytest.raises(KeyboardInterrupt):
        loop.orchestrator(made).run_n_trials(1, idle_callback=interrupt)

    with pytest.raises(ComponentError, match="cannot be saved"):
        save(made, tmp_path / "saved.json")
    assert not list(tmp_path.glob("*saved*"))

    # What the message says: it is written to a file, and what runs is found again.
    (tmp_path / "component.py").write_text(dedent(COMPONENT))
    made.configure_runner(TorchXRunner(str(tmp_path), f"{tmp_path}/component.py:trainer"))
    save(made, tmp_path / "saved.json")
    (tmp_path / "go").touch()
    again = load(tmp_path / "saved.json")
    loop.orchestrator(again).run_n_trials(0)
    assert loop.statuses(again) == {0: "COMPLETED"}


def interrupt(_: Orchestrator) -> None:
    """Ctrl-C between two polls."""
    raise KeyboardInterrupt


def test_an_interrupted_experiment_goes_on_with_the_same_jobs(tmp_path: Path) -> None:
    (tmp_path / "component.py").write_text(dedent(COMPONENT))
    runner = TorchXRunner(str(tmp_path / "results"), f"{tmp_path}/component.py:trainer")
    (tmp_path / "results").mkdir()
    made = loop.client(runner, [TorchXMetric(None, "loss", True)])

    with pytest.raises(KeyboardInterrupt):
        loop.orchestrator(made).run_n_trials(3, idle_callback=interrupt)
    handles = {index: trial.run_metadata["torchx_app_handle"] for index, trial in loop.experiment(made).trials.items()}
    assert set(loop.statuses(made).values()) == {"RUNNING"}
    (tmp_path / "go").touch()
    made.run_trials(max_trials=1, parallelism=3, initial_seconds_between_polls=0)

    trials = loop.experiment(made).trials
    assert loop.statuses(made) == dict.fromkeys(range(len(handles) + 1), "COMPLETED")
    assert {index: trials[index].run_metadata["torchx_app_handle"] for index in handles} == handles


def test_a_saved_scheduler_that_is_not_here_abandons_no_trial(
    tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "component.py").write_text(dedent(COMPONENT))
    runner = TorchXRunner(str(tmp_path), f"{tmp_path}/component.py:trainer", scheduler="stage")
    made = loop.client(runner, [TorchXMetric(None, "loss", True)])
    with pytest.raises(KeyboardInterrupt):
        loop.orchestrator(made).run_n_trials(1, idle_callback=interrupt)
    save(made, tmp_path / "saved.json")
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(tmp_path / "plugin")])

    again = load(tmp_path / "saved.json")
    with pytest.raises(SchedulerConfigError, match="there is no scheduler 'stage'"):
        loop.orchestrator(again).run_n_trials(1)

    experiment = loop.experiment(again)
    assert experiment.runner.poll_trial_status([experiment.trials[0]]) == {}
    assert loop.statuses(again)[0] == "RUNNING"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"experiment": ', "is not JSON"),
        ("[1]", "holds no experiment"),
        ('{"experiment": {"__type": "Unheard"}}', r"Unheard.*\n  → give runners and metrics"),
    ],
)
def test_a_file_that_is_no_saved_experiment_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "saved.json").write_text(text)

    with pytest.raises(Axk8sError, match=words):
        load(tmp_path / "saved.json")


def test_only_a_client_or_an_orchestrator_with_an_experiment_is_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no experiment"):
        save(Client(), tmp_path / "saved.json")
    with pytest.raises(UsageError, match="neither a Client nor an Orchestrator"):
        save(loop.experiment(loop.client(SyntheticRunner(), [])), tmp_path / "saved.json")
    with pytest.raises(UsageError, match="there is no file"):
        load(tmp_path / "saved.json")


def test_a_component_that_was_typed_in_is_refused_when_saving(tmp_path: Path) -> None:
    program = f"""
import sys
from ax.api.client import Client
from axk8s.ax import TorchXRunner, save
from axk8s.ax.rehearsal import Rehearsal
from torchx.specs import AppDef, Role

def typed_in(x: float) -> AppDef:
    return AppDef("a", roles=[Role("main", "", entrypoint="true")])

client = Client()
client.set_experiment(Rehearsal(TorchXRunner({str(tmp_path)!r}, typed_in), [dict(x=0.1)]).experiment)
try:
    save(client, {str(tmp_path / "saved.json")!r})
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, check=True)

    assert "it cannot be saved: typed_in" in done.stdout
    assert "→ move the component to the top level of a .py file" in done.stdout


class Final(TorchXMetric):
    """A value that needs no job."""

    def bulk_fetch_experiment_data(self, experiment: Any, metrics: Any, trials: Any = None, **kwargs: Any) -> Any:
        from ax.core.data import Data, DataRow
        from ax.utils.common.result import Ok

        return {
            trial.index: {
                metric.signature: Ok(
                    Data([DataRow(trial.index, trial.arms[0].name, metric.name, metric.signature, 1.0, 0.0)])
                )
                for metric in metrics
            }
            for trial in trials
        }


def simulated() -> SimulatedBackendRunner:
    options = BackendSimulatorOptions(max_concurrency=2, internal_clock=0.0, seed=3)
    return SimulatedBackendRunner(BackendSimulator(options, verbose_logging=False))


class Online(SingleRunningTrialMixin, Runner):
    def run(self, trial: BaseTrial) -> dict[str, Any]:
        return {"name": str(trial.index)}


class Exclusive(SingleRunningTrialMixin, SyntheticRunner):
    pass


RUNNERS = {"synthetic": SyntheticRunner, "simulated": simulated, "online": Online, "exclusive": Exclusive}


@pytest.mark.parametrize("kind", RUNNERS)
def test_the_other_runners_run_in_the_client(kind: str) -> None:
    made = loop.client(RUNNERS[kind](), [Final(name="loss", lower_is_better=True)])

    made.run_trials(max_trials=2, initial_seconds_between_polls=0)

    assert loop.statuses(made) == {0: "COMPLETED", 1: "COMPLETED"}


@pytest.mark.parametrize("pending", [1, 2])
@pytest.mark.parametrize("kind", RUNNERS)
def test_the_other_runners_run_in_the_orchestrator(kind: str, pending: int) -> None:
    made = loop.client(RUNNERS[kind](), [Final(name="loss", lower_is_better=True)])

    loop.orchestrator(made, max_pending_trials=pending, init_seconds_between_polls=0.001).run_n_trials(4)

    assert loop.statuses(made) == dict.fromkeys(range(4), "COMPLETED")


def test_the_classes_are_found_by_their_names_without_importing_ax() -> None:
    import axk8s.ax

    code = "import sys, axk8s.ax; print('ax' in sys.modules, len(dir(axk8s.ax)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert said == ["False", str(len(axk8s.ax.__all__))]
    assert all(callable(getattr(axk8s.ax, name)) for name in axk8s.ax.__all__)
    with pytest.raises(AttributeError, match="it has BackendSimulator"):
        axk8s.ax.TorchRunner  # noqa: B018  (the access is the test)
