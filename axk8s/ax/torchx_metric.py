"""`TorchXMetric`: the values that a trial's job left, in TorchX's result tracker or by `report()`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ax.core.base_trial import BaseTrial
from ax.core.data import Data, DataRow
from ax.core.experiment import Experiment
from ax.core.map_metric import MapMetric
from ax.core.metric import Metric, MetricFetchE, MetricFetchResult
from ax.core.trial import Trial
from ax.utils.common.result import Err, Ok

from axk8s.ax.torchx_runner import TORCHX_APP_HANDLE, TORCHX_TRACKER_BASE, TRACKER_STAMP, TorchXRunner
from axk8s.errors import Axk8sError, UsageError, suggestion
from axk8s.launch import tracker
from axk8s.launch.tracker import UnreadableError
from axk8s.metrics.curve import Curves

_GRACE_STEP = 0.25


class MissingMetricError(Axk8sError):
    """A trial ended without this metric; the message says where it was looked for."""


@dataclass(slots=True)
class _Found:
    """What one trial's sources hold."""

    results: dict[str, Any] = field(default_factory=dict)
    curves: Curves = field(default_factory=Curves)
    searched: list[str] = field(default_factory=list)
    unreadable: UnreadableError | None = None

    @property
    def names(self) -> list[str]:
        parts = [name.removesuffix("/mean").removesuffix("/sem") for name in self.results]
        return sorted({*parts, *self.curves.metrics})

    def has(self, name: str) -> bool:
        return name in self.results or f"{name}/mean" in self.results or name in self.curves.metrics


class TorchXMetric(MapMetric):
    """The values of one metric: `tracker[trial] = {name: value}` or `{"name/mean": …, "name/sem": …}`, or `report()`.

    Read are TorchX's `FsspecResultTracker` under `tracker_base`, and what the job of a `TorchXRunner` of this package
    reported with `axk8s.report(step=…, name=…)` or by printed lines `axk8s: {…}`: curves, while it runs. Of a value
    that both have the tracker's counts.

    Ax's `Orchestrator` asks for curves when it has an `early_stopping_strategy`, and stops trials by them.
    `Client.run_trials` never stops one.
    """

    grace: float = 10.0
    """Seconds to wait in all for late or half-written results of trials that have succeeded, at each fetch. A subclass
    may choose another time; it costs nothing where results are there."""
    recoverable_exceptions = {UnreadableError}  # noqa: RUF012 (declared by Ax)

    def __init__(
        self,
        tracker_base: str | os.PathLike[str] | None = None,
        name: str | None = None,
        lower_is_better: bool | None = None,
        properties: dict[str, Any] | None = None,
        signature_override: str | None = None,
    ) -> None:
        """Make a metric.

        Args:
            tracker_base: where the trials' results are; None for that of the trial's runner.
            name: the metric. `TorchXMetric("loss")`, as in Ax, names it too.
            lower_is_better: early stopping and summaries need to know.
            properties: as in Ax.
            signature_override: as in Ax.

        Raises:
            UsageError: no name was given.
        """
        if name is None and isinstance(tracker_base, str):
            tracker_base, name = None, tracker_base
        if not isinstance(name, str) or not name:
            raise UsageError("TorchXMetric has no name", hint="TorchXMetric(name='loss', lower_is_better=True)")
        super().__init__(
            name=name,
            lower_is_better=lower_is_better,
            properties=properties,
            signature_override=signature_override,
        )
        self.tracker_base = None if tracker_base is None else tracker.base_of(tracker_base, "TorchXMetric")
        self._waited_for: set[object] = set()

    @classmethod
    def is_available_while_running(cls) -> bool:
        """True: curves are there while a trial runs."""
        return True

    @classmethod
    def period_of_new_data_after_trial_completion(cls) -> timedelta:
        """A minute: so long Ax asks again for values that a storage outage kept from being read."""
        return timedelta(minutes=1)

    def fetch_trial_data(self, trial: BaseTrial, **kwargs: Any) -> MetricFetchResult:
        """The values of one trial; none, and no error, of a running trial that has not reported yet."""
        return self.bulk_fetch_trial_data(trial, [self], **kwargs).get(self.signature, Ok(Data()))

    def bulk_fetch_trial_data(
        self,
        trial: BaseTrial,
        metrics: list[Metric],
        **kwargs: Any,  # noqa: ARG002 (Ax's signature)
    ) -> dict[str, MetricFetchResult]:
        """The values of several metrics of one trial, read once; left out what a running trial has not reported yet."""
        return self._fetched([trial], metrics)[trial.index]

    def bulk_fetch_experiment_data(
        self,
        experiment: Experiment,
        metrics: list[Metric],
        trials: list[BaseTrial] | None = None,
        **kwargs: Any,  # noqa: ARG002 (Ax's signature)
    ) -> dict[int, dict[str, MetricFetchResult]]:
        """The values of several metrics of several trials, each trial read once.

        What a running trial has not reported yet is left out: Ax would log an error for each poll.
        """
        chosen = list(experiment.trials.values()) if trials is None else trials
        experiment.validate_trials(trials=chosen)
        return self._fetched([trial for trial in chosen if trial.status.expecting_data], metrics)

    def _fetched(self, trials: list[BaseTrial], metrics: Iterable[Metric]) -> dict[int, dict[str, MetricFetchResult]]:
        wanted = list(metrics)
        sources: dict[tuple[int, str | None], _Found] = {}
        give_up_at = time.monotonic() + self.grace
        fetched: dict[int, dict[str, MetricFetchResult]] = {trial.index: {} for trial in trials}
        for trial in trials:
            for metric in wanted:
                base = getattr(metric, "tracker_base", None) or trial.run_metadata.get(TORCHX_TRACKER_BASE)
                key = (trial.index, base)
                if key not in sources:
                    sources[key] = _read(trial, base)
                # Complete, and yet not all there: a file system that lags behind, or a file that is being written.
                while trial.status.is_completed and not sources[key].has(metric.name):
                    left = give_up_at - time.monotonic()
                    # Once for each trial: Ax asks again for a minute.
                    if left <= 0 or _identity(trial) in self._waited_for:
                        break
                    time.sleep(min(left, _GRACE_STEP))
                    sources[key] = _read(trial, base)
                if trial.status.is_terminal or sources[key].has(metric.name):
                    fetched[trial.index][metric.signature] = _result(trial, metric, sources[key])
        self._waited_for.update(_identity(trial) for trial in trials if trial.status.is_completed)
        return fetched


def _identity(trial: BaseTrial) -> object:
    return trial.run_metadata.get(TORCHX_APP_HANDLE) or (trial.experiment.time_created, trial.index)


def _read(trial: BaseTrial, base: str | None) -> _Found:
    found = _Found()
    runner = trial.experiment.runner
    reading = runner.reading(trial) if isinstance(runner, TorchXRunner) else None
    if reading is not None:
        found.curves = reading.curves
        found.searched += [text for text in reading.searched if not text.startswith("reported:")]
    # The tracker's values are final ones: before the end they are those of an earlier trial, if any.
    if base is None or not trial.status.is_terminal:
        return found
    place = tracker.path(base, trial.index)
    try:
        found.results = tracker.results(base, trial.index) or {}
    except UnreadableError as error:
        found.unreadable = error
        found.searched.insert(0, error.message)
        return found
    except Axk8sError as error:
        found.searched.insert(0, error.message)
        return found
    before = trial.run_metadata.get(TRACKER_STAMP)
    if found.results and before and before == tracker.stamp(base, trial.index):
        found.results = {}
        found.searched.insert(0, f"{place}: was written before this trial began, by an earlier one of this number")
    elif found.results:
        found.searched.insert(0, f"{place}: has {', '.join(found.results)}")
    else:
        found.searched.insert(0, f"{place}: does not exist")
    return found


def _result(trial: BaseTrial, metric: Metric, found: _Found) -> MetricFetchResult:
    try:
        points = _points(metric.name, found)
    except Axk8sError as error:
        return Err(MetricFetchE(message=f"trial {trial.index}: {error}", exception=error))
    if points:
        arm = trial.arm if isinstance(trial, Trial) else None
        rows = [
            DataRow(
                trial_index=trial.index,
                arm_name=arm.name if arm is not None else "",
                metric_name=metric.name,
                metric_signature=metric.signature,
                mean=mean,
                se=sem,
                step=step,
            )
            for step, mean, sem in points
        ]
        return Ok(Data(data_rows=rows))
    if found.unreadable is not None:
        return Err(MetricFetchE(message=str(found.unreadable), exception=found.unreadable))
    near = suggestion(metric.name, found.names) if found.names else "it reported nothing"
    where = "".join(f"\n  {text}" for text in found.searched) or " nowhere: it has no tracker_base and no job"
    missing = MissingMetricError(
        f"trial {trial.index} left no metric {metric.name!r}. It was looked for in:{where}",
        hint=f"{near}; write it with report({metric.name}=…), or tracker[trial_idx] = {{{metric.name!r}: …}}",
    )
    # Ax logs the message and the exception, and this twice.
    return Err(MetricFetchE(message=str(missing), exception=MissingMetricError(f"no metric {metric.name!r}")))


def _points(name: str, found: _Found) -> list[tuple[float | None, float, float]]:
    """Step, mean and standard error of all that is known; the final value last."""
    curve = found.curves.metrics.get(name)
    points: list[tuple[float | None, float, float]] = []
    final: float | None = None
    sem = math.nan
    if curve is not None:
        finite = [(step, value) for step, value in sorted(curve.steps.items()) if math.isfinite(value)]
        points = [(float(step), value, curve.sems.get(step, math.nan)) for step, value in finite]
        final, sem = curve.final, curve.sems.get(None, math.nan)
        last = curve.last()
        if last is not None and not math.isfinite(last):
            raise MissingMetricError(f"the value of {name!r} is {last}", hint="bound what makes it diverge")
    if name in found.results or f"{name}/mean" in found.results:
        final = _number(name, found.results.get(name, found.results.get(f"{name}/mean")))
        given = None if name in found.results else found.results.get(f"{name}/sem")
        sem = math.nan if given is None else _number(f"{name}/sem", given)
    if final is not None:
        # One step further, so that it is the newest; without steps it is no curve.
        points.append(((points[-1][0] or 0.0) + 1.0 if points else None, final, sem))
    return points


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise MissingMetricError(f"the value of {name!r} is {value!r}", hint="a metric is one finite number")
    return float(value)
