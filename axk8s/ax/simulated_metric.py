"""`SimulatedMetric`: learning curves of trials that only pass time, for dry runs of early stopping too."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ax.core.base_trial import BaseTrial
from ax.core.data import Data, DataRow
from ax.core.experiment import Experiment
from ax.core.map_metric import MapMetric
from ax.core.metric import Metric, MetricFetchE, MetricFetchResult
from ax.utils.common.result import Err, Ok
from ax.utils.testing.backend_simulator import SimTrial

from axk8s.ax.program import Program
from axk8s.ax.simulated_backend import SimulatedBackendRunner
from axk8s.errors import UsageError
from axk8s.simulate.curves import point

Value = Callable[[Mapping[str, Any]], float]
"""The final value of a trial with these parameters."""


class SimulatedMetric(MapMetric):
    """What a trial of a `SimulatedBackendRunner` would have reported by now: an approach to its final value.

        def loss(parameters):
            return (parameters["lr"] - 0.3) ** 2

        metric = SimulatedMetric("loss", loss, lower_is_better=True)

    The curve begins on the worse side, 1 away from its end, and is there after the whole run. A trial that was stopped
    keeps the steps that it came to.
    """

    def __init__(
        self,
        name: str,
        value: Value | str,
        lower_is_better: bool | None = None,
        steps: int = 10,
        properties: dict[str, Any] | None = None,
        signature_override: str | None = None,
    ) -> None:
        """Make a metric.

        Args:
            name: the metric.
            value: the final value of a trial, from its parameters. A reference such as `module:function` is accepted
                too; so it is saved.
            lower_is_better: from which side the curve comes; early stopping needs to know too.
            steps: how many steps a whole run reports; 0 for the final value alone.
            properties: as in Ax.
            signature_override: as in Ax.

        Raises:
            UsageError: `steps` is negative.
        """
        if steps < 0:
            raise UsageError(f"SimulatedMetric({name!r}, steps={steps}): a run has 0 steps or more")
        super().__init__(
            name=name, lower_is_better=lower_is_better, properties=properties, signature_override=signature_override
        )
        self.value = value
        self.steps = steps
        self._program = Program(value, {}, Path.cwd())

    @classmethod
    def is_available_while_running(cls) -> bool:
        """True: curves are there while a trial runs."""
        return True

    def fetch_trial_data(self, trial: BaseTrial, **kwargs: Any) -> MetricFetchResult:  # noqa: ARG002 (Ax's signature)
        """The steps that one trial has come to."""
        runner = trial.experiment.runner
        if not isinstance(runner, SimulatedBackendRunner):
            kind = type(runner).__name__
            message = f"{self.name!r} is a SimulatedMetric, and the experiment's runner is a {kind}"
            error = UsageError(message, hint="give it a SimulatedBackendRunner, or a metric that reads real results")
            return Err(MetricFetchE(message=str(error), exception=error))
        known = runner.simulator.get_sim_trial_by_index(trial.index)
        share = 0.0 if known is None else _share(known, runner.simulator.time)
        final = float(self._program.function(trial.arms[0].parameters))  # type: ignore[arg-type]  # the user's
        rows = [
            DataRow(trial.index, trial.arms[0].name, self.name, self.signature, mean, 0.0, step=step)
            for step, mean in self._points(final, share)
        ]
        return Ok(Data(data_rows=rows))

    def bulk_fetch_trial_data(
        self, trial: BaseTrial, metrics: list[Metric], **kwargs: Any
    ) -> dict[str, MetricFetchResult]:
        """The same of several metrics."""
        return {metric.signature: metric.fetch_trial_data(trial, **kwargs) for metric in metrics}

    def bulk_fetch_experiment_data(
        self, experiment: Experiment, metrics: list[Metric], trials: list[BaseTrial] | None = None, **kwargs: Any
    ) -> dict[int, dict[str, MetricFetchResult]]:
        """The same of several trials; those that have reported nothing yet are left out."""
        chosen: Iterable[BaseTrial] = experiment.trials.values() if trials is None else trials
        fetched = {
            trial.index: self.bulk_fetch_trial_data(trial, metrics, **kwargs)
            for trial in chosen
            if trial.status.expecting_data
        }
        return {
            index: {name: one for name, one in results.items() if one.is_err() or not one.ok.full_df.empty}
            for index, results in fetched.items()
        }

    def _points(self, final: float, share: float) -> Iterable[tuple[float | None, float]]:
        if not self.steps:
            if share >= 1:
                yield None, final
            return
        direction = "maximize" if self.lower_is_better is False else "minimize"
        for step in range(1, math.floor(share * self.steps + 1e-9) + 1):
            yield float(step), point(final, step / self.steps, direction=direction)

    @classmethod
    def serialize_init_args(cls, obj: Any) -> dict[str, Any]:
        """The constructor's arguments as plain JSON, the function by its reference.

        Raises:
            ComponentError: the function has none; it is a lambda, say.
        """
        args: dict[str, Any] = super().serialize_init_args(obj)
        return {**args, "value": obj._program.text}  # noqa: SLF001 (its own)


def _share(trial: SimTrial, now: float) -> float:
    """How much of its run a trial has done, from 0 to 1."""
    if trial.sim_start_time is None:
        return 0.0
    end = now if trial.sim_completed_time is None else trial.sim_completed_time
    return min(1.0, (end - trial.sim_start_time) / trial.sim_runtime) if trial.sim_runtime else 1.0
