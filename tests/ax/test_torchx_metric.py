from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from ax.core.base_trial import BaseTrial
from ax.early_stopping.strategies import PercentileEarlyStoppingStrategy
from ax.metrics.torchx import TorchXMetric as AxMetric
from fsspec.implementations.memory import MemoryFileSystem
from torchx.runtime.tracking import FsspecResultTracker
from torchx.specs import AppDef, AppState, Role

from axk8s.ax import TorchXMetric, TorchXRunner
from axk8s.ax.rehearsal import Rehearsal
from axk8s.errors import UsageError
from tests.ax import loop

if TYPE_CHECKING:
    from tests.ax.stage import Stage

Component = Callable[..., AppDef]

# Of Ax's own metric, which is run beside ours.
pytestmark = pytest.mark.filterwarnings("ignore:from fsspec 2023.5 onward:DeprecationWarning")


class Impatient(TorchXMetric):
    grace = 0.0


def completed(stage: Stage, component: Component, base: object, points: int = 1) -> Rehearsal:
    """Trials that have run on the stage, and left nothing so far."""
    runner = TorchXRunner(str(base), component, scheduler="stage")
    made = Rehearsal(runner, [{"x": 0.1 * number} for number in range(points)])
    made.deploy()
    stage.all(AppState.SUCCEEDED)
    for trial in made.trials:
        trial.mark_completed()
    return made


def rows(metric: TorchXMetric, trial: BaseTrial) -> list[tuple[Any, float]]:
    frame = metric.fetch_trial_data(trial).unwrap().full_df
    steps = frame["step"] if "step" in frame else [None] * len(frame)
    return list(zip(steps, frame["mean"], strict=True))


def error(metric: TorchXMetric, trial: BaseTrial) -> str:
    return str(metric.fetch_trial_data(trial).unwrap_err().message)


@pytest.mark.parametrize(("base", "name"), [("base", "loss"), (None, "loss"), ("loss", None)])
def test_the_name_may_come_first_as_in_ax(base: str | None, name: str | None) -> None:
    metric = TorchXMetric(base, name, lower_is_better=True)

    assert (metric.name, metric.tracker_base) == ("loss", "base" if base == "base" else None)


def test_a_metric_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match="has no name"):
        TorchXMetric()


def test_both_layouts_of_the_result_tracker_are_read(stage: Stage, component: Component, tmp_path: Path) -> None:
    made = completed(stage, component, tmp_path)
    FsspecResultTracker(str(tmp_path))["0"] = {"loss": 2, "acc/mean": 0.5, "acc/sem": 0.1}

    assert rows(Impatient(name="loss"), made.trials[0]) == [(None, 2.0)]
    frame = Impatient(str(tmp_path), "acc").fetch_trial_data(made.trials[0]).unwrap().df
    assert (frame["mean"].item(), frame["sem"].item()) == (0.5, 0.1)


def test_a_result_of_an_earlier_trial_of_this_number_does_not_count(
    stage: Stage, component: Component, tmp_path: Path
) -> None:
    FsspecResultTracker(str(tmp_path))["0"] = {"loss": 9.0}
    made = completed(stage, component, tmp_path)

    assert "was written before this trial began" in error(Impatient(name="loss"), made.trials[0])


def test_printed_lines_are_a_curve_and_the_final_value_its_newest_point(
    stage: Stage, component: Component, tmp_path: Path
) -> None:
    made = completed(stage, component, tmp_path)
    stage.log = ['axk8s: {"step": 1, "loss": 0.5}', "noise", 'axk8s: {"step": 2, "loss": 0.4}', 'axk8s: {"loss": 0.3}']

    assert rows(Impatient(name="loss"), made.trials[0]) == [(1.0, 0.5), (2.0, 0.4), (3.0, 0.3)]


def test_standard_errors_that_were_reported_reach_ax(stage: Stage, component: Component, tmp_path: Path) -> None:
    made = completed(stage, component, tmp_path)
    stage.log = [
        'axk8s: {"step": 1, "loss": [0.5, 0.1]}',
        'axk8s: {"step": 2, "loss": 0.4}',
        'axk8s: {"loss": [0.3, 0.2]}',
    ]

    frame = Impatient(name="loss").fetch_trial_data(made.trials[0]).unwrap().full_df
    assert [str(sem) for sem in frame["sem"]] == ["0.1", "nan", "0.2"]


def test_a_missing_metric_says_where_it_looked_and_what_was_meant(
    stage: Stage, component: Component, tmp_path: Path
) -> None:
    made = completed(stage, component, tmp_path)
    stage.log = ['axk8s: {"losss": 0.5}']

    said = error(Impatient(name="loss"), made.trials[0])

    assert f"{tmp_path}/0: does not exist" in said
    assert "the scheduler's log: 1 record" in said
    assert "did you mean 'losss'?" in said


def test_a_running_trial_without_a_value_is_no_error(
    stage: Stage, component: Component, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Rehearsal(TorchXRunner(str(tmp_path), component, scheduler="stage"), [{"x": 0.1}])
    made.deploy()
    made.experiment.add_metric(metric := Impatient(name="loss"))

    with caplog.at_level("INFO"):
        results = made.experiment.fetch_trials_data_results()

    assert results == {0: {}}
    assert metric.fetch_trial_data(made.trials[0]).unwrap().full_df.empty
    assert made.experiment.fetch_data().df.empty
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("base", "words"), [("s4://bucket", "Protocol not known: s4"), ("dropbox://folder", "dropboxdrivefs")]
)
def test_a_storage_that_nothing_here_can_read_is_named_and_not_asked_again(
    stage: Stage, component: Component, base: str, words: str
) -> None:
    made = completed(stage, component, base)
    metric = Impatient(name="loss")

    fetched = metric.fetch_trial_data(made.trials[0]).unwrap_err()

    assert f"{base}/0 cannot be read on this machine" in fetched.message
    assert words in fetched.message
    assert not metric.is_recoverable_fetch_e(fetched)


def test_a_place_is_named_in_full_and_a_path_is_taken(
    stage: Stage, component: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = completed(stage, component, "results")

    assert f"{tmp_path}/results/0: does not exist" in error(Impatient(name="loss"), made.trials[0])
    assert TorchXMetric(tmp_path, "loss").tracker_base == str(tmp_path)
    with pytest.raises(UsageError, match="has no name"):
        TorchXMetric(tmp_path)


@pytest.mark.parametrize("value", ["NaN", "true", '"good"'])
def test_a_value_that_is_no_finite_number_is_shown(
    stage: Stage, component: Component, tmp_path: Path, value: str
) -> None:
    made = completed(stage, component, tmp_path)
    (tmp_path / "0").write_text(f'{{"loss": {value}}}')

    assert "one finite number" in error(Impatient(name="loss"), made.trials[0])


def test_d21_a_late_result_is_waited_for(stage: Stage, component: Component, tmp_path: Path) -> None:
    made = completed(stage, component, tmp_path)
    assert AxMetric("loss").fetch_trial_data(made.trials[0]).is_err()

    late = threading.Timer(0.2, FsspecResultTracker(str(tmp_path)).put, ["0"], {"loss": 1.0})
    late.start()
    try:
        assert rows(TorchXMetric(name="loss"), made.trials[0]) == [(None, 1.0)]
    finally:
        late.join()


def test_d21_what_could_not_be_read_is_asked_again_and_ends_no_trial(
    stage: Stage, component: Component, tmp_path: Path
) -> None:
    """Ax abandons a trial whose metric could not be fetched: worked around, such errors are recoverable ones."""

    class Down(MemoryFileSystem):
        protocol = "down"

        def cat_file(self, *args: Any, **kwargs: Any) -> bytes:
            raise ConnectionError("503")

    fsspec.register_implementation("down", Down, clobber=True)
    made = completed(stage, component, "down://results")
    assert not AxMetric.recoverable_exceptions

    metric = Impatient(name="loss")
    fetched = metric.fetch_trial_data(made.trials[0]).unwrap_err()

    assert "down://results/0 cannot be read: ConnectionError: 503" in fetched.message
    assert metric.is_recoverable_fetch_e(fetched)
    assert metric.period_of_new_data_after_trial_completion() > timedelta(0)


def test_d22_a_half_written_result_is_waited_for_and_named(stage: Stage, component: Component, tmp_path: Path) -> None:
    made = completed(stage, component, tmp_path)
    (tmp_path / "0").write_text('{"loss": 1.')
    theirs = AxMetric("loss").fetch_trial_data(made.trials[0]).unwrap_err()

    assert isinstance(theirs.exception, json.JSONDecodeError)
    assert f"{tmp_path}/0 is not JSON, or only the beginning of it" in error(Impatient(name="loss"), made.trials[0])

    whole = threading.Timer(0.2, (tmp_path / "0").write_text, ['{"loss": 1.5}'])
    whole.start()
    try:
        assert rows(TorchXMetric(name="loss"), made.trials[0]) == [(None, 1.5)]
    finally:
        whole.join()


def test_d23_a_trial_is_read_once_for_all_its_metrics(stage: Stage, component: Component) -> None:
    reads: list[str] = []

    class Counted(MemoryFileSystem):
        protocol = "counted"

        def cat_file(self, path: str, *args: Any, **kwargs: Any) -> Any:
            reads.append(path)
            return super().cat_file(path, *args, **kwargs)

    fsspec.register_implementation("counted", Counted, clobber=True)
    made = completed(stage, component, "counted://d23", points=3)
    for index in range(3):
        FsspecResultTracker("counted://d23")[str(index)] = {"loss": 1.0, "acc": 0.5}

    theirs = [AxMetric("loss"), AxMetric("acc")]
    theirs[0].bulk_fetch_experiment_data(made.experiment, theirs)
    counts = [len(reads)]
    reads.clear()
    mine = [Impatient(name="loss"), Impatient(name="acc")]
    fetched = mine[0].bulk_fetch_experiment_data(made.experiment, mine)
    counts.append(len(reads))

    assert counts == [6, 3]
    assert all(result.is_ok() for one in fetched.values() for result in one.values())


def curve(x: float) -> AppDef:
    """Trials whose loss grows with their parameter; the bad ones would run for ever."""
    script = (
        'for s in 1 2 3 4; do echo "axk8s: {\\"step\\": $s, \\"loss\\": $0}"; done; [ "$1" = good ] || exec sleep 600'
    )
    kind = "good" if x < 0.5 else "bad"
    return AppDef("curve", roles=[Role("main", "", entrypoint="sh", args=["-c", script, str(x), kind])])


def test_d20_an_early_stopping_strategy_stops_jobs_by_their_curves(tmp_path: Path) -> None:
    base = str(tmp_path)
    with pytest.raises(ValueError, match="is_available_while_running"):
        loop.orchestrator(
            loop.client(TorchXRunner(base, curve), [AxMetric("loss", lower_is_better=True)]),
            early_stopping_strategy=PercentileEarlyStoppingStrategy(metric_signatures=["loss"]),
        )
    made = loop.client(TorchXRunner(base, curve), [TorchXMetric(base, "loss", lower_is_better=True)])
    strategy = PercentileEarlyStoppingStrategy(
        metric_signatures=["loss"], percentile_threshold=50, min_progression=2, min_curves=1
    )

    running = loop.orchestrator(made, early_stopping_strategy=strategy, max_pending_trials=2)
    running.run_n_trials(4)

    found = loop.statuses(running)
    assert set(found.values()) == {"COMPLETED", "EARLY_STOPPED"}
    for index, trial in running.experiment.trials.items():
        x = trial.arms[0].parameters["x"]
        assert found[index] == ("COMPLETED" if x < 0.5 else "EARLY_STOPPED")
