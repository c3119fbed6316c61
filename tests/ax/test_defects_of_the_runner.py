"""Twenty-five defects of Ax's own runner and metric, each by its number: where the original shows it, it is run too."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ax.core.base_trial import TrialStatus
from ax.core.data import Data, DataRow
from ax.core.metric import Metric
from ax.core.runner import Runner
from ax.exceptions.storage import JSONEncodeError
from ax.metrics.torchx import TorchXMetric as AxMetric
from ax.orchestration.orchestrator import Orchestrator
from ax.runners.torchx import TorchXRunner as AxRunner
from ax.storage.json_store.encoder import object_to_json
from torchx.specs import AppDef, AppState, Resource, Role

from axk8s.ax import TorchXMetric, TorchXRunner
from axk8s.ax.rehearsal import Rehearsal
from axk8s.errors import ComponentError, SchedulerConfigError, UsageError
from tests.ax import loop
from tests.ax.stage import ApiError

if TYPE_CHECKING:
    from tests.ax.stage import Stage

Component = Callable[..., AppDef]
POINTS = [{"x": 0.1}, {"x": 0.2}, {"x": 0.3}]


def echo(x: float, trial_idx: int, tracker_base: str) -> AppDef:
    """At the top level, so that it can be saved."""
    script = f'echo "axk8s: {{\\"loss\\": {x}}}"'
    return AppDef("echo", roles=[Role("main", "", entrypoint="sh", args=["-c", script])])


def failing(x: float) -> AppDef:
    return AppDef("bad", roles=[Role("main", "", entrypoint="sh", args=["-c", "echo no data for 7 >&2; exit 3"])])


def original(component: Component, **arguments: Any) -> Rehearsal:
    return Rehearsal(AxRunner("/tmp/unused", component, orchestrator="stage", **arguments), POINTS)


def ours(component: Component, **arguments: Any) -> Rehearsal:
    return Rehearsal(TorchXRunner("/tmp/unused", component, scheduler="stage", **arguments), POINTS)


def test_d01_the_default_scheduler_exists(component: Component, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="local"):
        Rehearsal(AxRunner(str(tmp_path), component), POINTS).deploy()

    mine = Rehearsal(TorchXRunner(str(tmp_path), component), POINTS)
    mine.deploy()

    assert set(mine.until_ended().values()) == {"COMPLETED"}


def test_d02_the_old_and_the_new_name_of_the_argument_are_taken(component: Component) -> None:
    with pytest.raises(TypeError, match="scheduler"):
        AxRunner("base", component, scheduler="local_cwd")

    assert TorchXRunner("base", component, None, "local_cwd").scheduler == "local_cwd"
    assert TorchXRunner("base", component, scheduler="local_cwd").orchestrator == "local_cwd"
    assert TorchXRunner("base", component, orchestrator="local_cwd").scheduler == "local_cwd"
    with pytest.raises(UsageError, match="the same thing"):
        TorchXRunner("base", component, scheduler="local_cwd", orchestrator="local")


def test_d03_run_metadata_is_plain_json(stage: Stage, component: Component) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(original(component).deploy())

    metadata = ours(component).deploy()[0]

    assert json.loads(json.dumps(metadata)) == metadata
    assert {"torchx_app_handle", "torchx_tracker_base", "scheduler", "job", "attempt", "submitted_at"} <= set(metadata)


def test_d04_the_runner_can_be_cloned_and_saved(stage: Stage, component: Component) -> None:
    with pytest.raises(AttributeError, match="tracker_base"):
        original(component).runner.clone()

    runner = TorchXRunner("base", echo, {}, "stage", {"queue": "fast"})

    assert runner.clone() == runner
    assert runner.clone().cfg == {"queue": "fast"}
    assert TorchXRunner(Path("base"), echo).tracker_base == "base"


def test_d05_runner_and_metric_go_through_the_storage(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(JSONEncodeError):
        object_to_json(AxMetric("booth"))
    made = loop.client(TorchXRunner("base", echo, scheduler="stage"), [TorchXMetric("base", "loss", True)])

    from axk8s.ax import load, save

    save(made, tmp_path / "client.json")
    again = loop.experiment(load(tmp_path / "client.json"))

    assert isinstance(again.runner, TorchXRunner)
    assert again.metrics["loss"] == TorchXMetric("base", "loss", True)


def test_d06_an_unknown_state_ends_no_trial(stage: Stage, component: Component) -> None:
    both = [original(component), ours(component)]
    for one in both:
        one.deploy()
    stage.all(AppState.UNKNOWN)

    assert set(both[0].statuses().values()) == {"FAILED"}
    assert both[1].statuses() == {}

    stage.all(AppState.RUNNING)
    assert set(both[1].statuses().values()) == {"RUNNING"}


def test_d07_a_job_that_is_not_found_once_ends_no_trial(stage: Stage, component: Component) -> None:
    both = [original(component), ours(component)]
    for one in both:
        one.deploy()
    stage.all(None)

    with pytest.raises(AttributeError, match="state"):
        both[0].statuses()
    assert both[1].statuses() == {}


def test_d08_an_error_about_one_trial_is_no_news_of_the_others(stage: Stage, component: Component) -> None:
    """That Ax abandons trials whose poll raises is its loop's doing: worked around by never raising."""
    stage.lists = False
    both = [original(component), ours(component)]
    for one in both:
        one.deploy()
    stage.all(AppState.RUNNING)
    answers = iter([None, ApiError(503), None])
    stage.fault = lambda what: next(answers, None) if what == "describe" else None

    with pytest.raises(ApiError):
        both[0].statuses()
    answers = iter([None, ApiError(503), None])
    assert both[1].statuses() == {0: "RUNNING", 2: "RUNNING"}


def test_d09_a_phase_that_torchx_does_not_know_ends_no_trial(stage: Stage, component: Component) -> None:
    both = [original(component), ours(component)]
    for one in both:
        one.deploy()
    stage.fault = lambda what: KeyError("Completing") if what in ("describe", "list") else None

    with pytest.raises(KeyError):
        both[0].statuses()
    assert both[1].statuses() == {}


def test_d10_the_loop_does_not_return_while_jobs_are_queued(stage: Stage, component: Component) -> None:
    """Ax's loop waits for running trials only, not for staged ones: worked around, queued jobs are running trials."""
    both = [original(component), ours(component)]
    for one in both:
        one.deploy()

    assert set(both[0].statuses().values()) == {"STAGED"}
    assert set(both[1].statuses().values()) == {"RUNNING"}


def run_with_a_queue(runner: Runner, stage: Stage) -> set[AppState | None]:
    """What the jobs were when Ax's loop returned; the first leaves the queue at the third poll, the others later."""
    polls = itertools.count(1)
    stage.log = ['axk8s: {"loss": 0.5}']

    def tick(_: Orchestrator) -> None:
        poll = next(polls)
        if poll == 3:
            stage.jobs[next(iter(stage.jobs))] = AppState.SUCCEEDED
        if poll == 8:
            stage.all(AppState.SUCCEEDED)

    stage.jobs.clear()
    loop.orchestrator(loop.client(runner, [TorchXMetric(None, "loss", True)])).run_n_trials(3, idle_callback=tick)
    return set(stage.jobs.values())


def test_d10_in_the_orchestrator(stage: Stage, component: Component) -> None:
    theirs = run_with_a_queue(original(component).runner, stage)
    mine = run_with_a_queue(ours(component).runner, stage)

    assert theirs == {AppState.SUBMITTED, AppState.SUCCEEDED}
    assert mine == {AppState.SUCCEEDED}


def test_d11_all_trials_are_asked_about_in_one_call(stage: Stage, component: Component) -> None:
    both = [original(component), ours(component)]
    for one in both:
        one.deploy()
    stage.all(AppState.RUNNING)
    counts = []
    for one in both:
        stage.calls.clear()
        one.statuses()
        counts.append((stage.count("describe"), stage.count("list")))

    assert counts == [(3, 0), (0, 1)]


def test_d12_one_failing_submit_neither_repeats_nor_loses_the_others(stage: Stage, component: Component) -> None:
    """Ax's loop calls again when submitting raised: worked around, the failure is told by the first poll instead."""
    stage.fault = lambda what: ApiError(500) if "-t2-" in what or ("trainer" in what and refused(stage)) else None

    def refused(stage: Stage) -> bool:
        return stage.count("submit trainer") % 3 == 0

    theirs = original(component)
    for _ in range(4):  # as often as Ax tries
        with pytest.raises(ApiError):
            theirs.deploy()
    assert len(stage.jobs) == 8

    stage.jobs.clear()
    mine = ours(component)
    mine.runner._jobs.patience = ()
    mine.deploy()
    mine.deploy()

    assert len(stage.jobs) == 2
    assert mine.statuses() == {0: "RUNNING", 1: "RUNNING", 2: "FAILED"}
    assert "could not be submitted" in mine.runner.poll_exception(mine.trials[2])


def test_d12_a_submit_that_the_api_missed_is_tried_again(stage: Stage, component: Component) -> None:
    answers = iter([ApiError(503), None, None, None])
    stage.fault = lambda what: next(answers) if what.startswith("submit") else None
    mine = ours(component)
    mine.runner._jobs.patience = (0.0,)

    mine.deploy()

    assert mine.statuses() == dict.fromkeys([0, 1, 2], "RUNNING")


def test_d13_a_failed_trial_says_why_with_its_last_lines(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError):
        original(failing).runner.poll_exception(original(failing).trials[0])
    mine = Rehearsal(TorchXRunner(str(tmp_path), failing), POINTS[:1])
    mine.deploy()

    assert mine.until_ended() == {0: "FAILED"}
    reason = mine.runner.poll_exception(mine.trials[0])
    assert "exit code 3" in reason
    assert "| no data for 7" in reason
    assert mine.trials[0].run_metadata["torchx_app_handle"] in reason


def test_d14_stopping_a_job_that_is_gone_raises_nothing(stage: Stage, component: Component) -> None:
    both = [original(component), ours(component)]
    for one in both:
        one.deploy()
    stage.fault = lambda what: ApiError(404) if what in ("describe", "cancel") else None

    with pytest.raises(ApiError):
        both[0].runner.stop(both[0].trials[0])
    assert both[1].runner.stop(both[1].trials[0], reason="bad") == {"reason": "bad", "stop": "gone"}


def test_d14_a_stop_that_the_api_missed_is_made_good_by_the_next_poll(stage: Stage, component: Component) -> None:
    mine = ours(component)
    mine.deploy()
    mine.runner._jobs.patience = ()
    stage.fault = lambda what: ApiError(503) if what in ("describe", "cancel") else None

    assert "503" in mine.runner.stop(mine.trials[0])["stop"]
    stage.fault = lambda _: None
    mine.statuses()

    assert list(stage.jobs.values()).count(AppState.CANCELLED) == 1


def test_d15_what_a_stop_returned_is_kept(stage: Stage, component: Component) -> None:
    """`Experiment.stop_trial_runs` drops what a runner returns: worked around, the runner keeps it in the trial."""
    both = [original(component), ours(component)]
    for one in both:
        one.deploy()
        # Ax early-stops only trials that have data.
        row = DataRow(0, "0_0", "loss", "loss", 1.0, 0.0)
        one.experiment.add_metric(Metric("loss"))
        one.experiment.attach_data(Data([row]))
        one.experiment.stop_trial_runs(one.trials[:1], reasons=["flat"])

    assert both[0].trials[0].stop_metadata == {}
    assert both[1].trials[0].stop_metadata == {"reason": "flat", "stop": "asked"}
    assert both[1].trials[0].status == TrialStatus.EARLY_STOPPED


def test_d16_keyword_only_arguments_are_passed(stage: Stage) -> None:
    seen: list[tuple[int, str, str]] = []

    def component(x: float, *, trial_idx: int, tracker_base: str, experiment_name: str) -> AppDef:
        seen.append((trial_idx, tracker_base, experiment_name))
        return AppDef("trainer", roles=[Role("main", "", entrypoint="true")])

    with pytest.raises(TypeError, match="keyword-only"):
        original(component).deploy()
    ours(component).deploy()

    assert seen == [(index, "/tmp/unused", "rehearsal") for index in range(3)]


def test_d17_what_does_not_fit_is_said_before_any_job(stage: Stage, component: Component) -> None:
    def other(learning_rate: float) -> AppDef:
        raise AssertionError("is not called")

    with pytest.raises(TypeError, match="unexpected keyword argument 'x'"):
        original(other).deploy()  # and says nothing before
    with pytest.raises(ComponentError, match="has no argument 'x'"):
        ours(other).deploy()
    with pytest.raises(ComponentError, match="nothing fills the argument y"):
        ours(lambda x, y: AppDef("a")).deploy()
    with pytest.raises(ComponentError, match="component_const_params"):
        ours(component, component_const_params={"z": 1})
    with pytest.raises(SchedulerConfigError, match="did you mean 'queue'"):
        ours(component, cfg={"queu": "fast"})
    with pytest.raises(SchedulerConfigError, match="did you mean 'stage'"):
        TorchXRunner("base", component, scheduler="stag")
    with pytest.raises(UsageError, match=r"cfg=.* str, not a dict"):
        ours(component, cfg="queue=fast")
    with pytest.raises(UsageError, match=r"component_const_params=.* list, not a dict"):
        ours(component, component_const_params=["y"])
    with pytest.raises(UsageError, match="neither a folder nor a URL"):
        TorchXRunner("", component)
    with pytest.raises(ComponentError, match="a reference to one"):
        TorchXRunner("base", 5)  # type: ignore[arg-type]  # is the test
    assert stage.jobs == {}


def test_d18_jobs_have_names_labels_and_an_environment(tmp_path: Path) -> None:
    assert AxRunner("base", echo).run_metadata_report_keys == []
    script = 'echo "$AXK8S_SWEEP/$AXK8S_TRIAL/$AXK8S_PARAMS"; exit 5'
    mine = Rehearsal(
        TorchXRunner(
            str(tmp_path), lambda x: AppDef("a", roles=[Role("main", "", entrypoint="sh", args=["-c", script])])
        ),
        POINTS[:1],
    )
    metadata = mine.deploy()[0]
    mine.until_ended()

    assert mine.runner.run_metadata_report_keys == ["torchx_app_handle"]
    assert metadata["job"].startswith("rehearsal-")
    assert metadata["job"].endswith("-t0-a0")
    assert 'rehearsal/0/{"x": 0.1}' in mine.runner.poll_exception(mine.trials[0])


def test_d18_capacity_counts_the_gpus_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    monkeypatch.setenv("AXK8S_GPU_SLOTS_DIR", str(tmp_path / "slots"))

    def component(x: float) -> AppDef:
        return AppDef("a", roles=[Role("main", "", entrypoint="true", resource=Resource(cpu=1, gpu=1, memMB=1))])

    mine = Rehearsal(TorchXRunner(str(tmp_path), component), POINTS[:2])

    assert mine.runner.poll_available_capacity() == -1
    mine.deploy()
    assert mine.runner.poll_available_capacity() == 1
    mine.until_ended()
    assert mine.runner.poll_available_capacity() == 3


def test_d19_a_batch_trial_is_refused_with_what_to_do(stage: Stage, component: Component) -> None:
    with pytest.raises(ValueError, match="not supported"):
        original(component).runner.run(original(component).batch())

    mine = ours(component)
    with pytest.raises(UsageError, match=r"experiment\.new_trial") as caught:
        mine.runner.run(mine.batch())
    assert "BatchTrial" in str(caught.value)


def test_d20_metrics_are_available_while_running() -> None:
    assert not AxMetric.is_available_while_running()
    assert TorchXMetric.is_available_while_running()
    assert TorchXMetric("base", "loss").has_map_data


def test_d24_the_loop_ends_without_a_failure(tmp_path: Path) -> None:
    """Ax's own test of its runner passes over `FailureRateExceededError`; this one would not."""
    made = loop.client(TorchXRunner(str(tmp_path), echo), [TorchXMetric(str(tmp_path), "loss", True)])

    loop.orchestrator(made).run_n_trials(3)

    assert loop.statuses(made) == dict.fromkeys(range(3), "COMPLETED")
    assert len(made._experiment.lookup_data().df) == 3


def test_d25_no_appdef_is_kept_after_the_submit(stage: Stage, component: Component) -> None:
    both = [original(component), ours(component)]
    for one in both:
        one.deploy()

    assert len(both[0].runner._torchx_runner._apps) == 3
    assert both[1].runner._jobs._session.runner._apps == {}
