"""An experiment to try a runner with: single-arm trials, deployed as Ax's `Orchestrator` deploys them, and no model."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ax.core.arm import Arm
from ax.core.base_trial import BaseTrial
from ax.core.experiment import Experiment
from ax.core.parameter import ParameterType, RangeParameter
from ax.core.runner import Runner
from ax.core.search_space import SearchSpace

from axk8s.ax import storage

Point = Mapping[str, float]


class Rehearsal:
    """Trials of one runner, one for each point, and what the runner says of them."""

    def __init__(self, runner: Runner, points: Iterable[Point], *, name: str = "rehearsal") -> None:
        """Make an experiment of which nothing has run yet; every point has the same parameters."""
        listed = [dict(point) for point in points]
        space = SearchSpace(
            [
                RangeParameter(
                    name=key,
                    parameter_type=ParameterType.FLOAT,
                    lower=min(point[key] for point in listed) - 1.0,
                    upper=max(point[key] for point in listed) + 1.0,
                )
                for key in listed[0]
            ]
        )
        self.runner = runner
        self.experiment = Experiment(name=name, search_space=space, runner=runner)
        self.trials: list[BaseTrial] = [
            self.experiment.new_trial().add_arm(Arm(parameters=dict(point))) for point in listed
        ]

    def batch(self) -> BaseTrial:
        """A trial with two arms more, of which nothing has run."""
        parameters = [trial.arms[0].parameters for trial in self.trials[:2]]
        batch: BaseTrial = self.experiment.new_batch_trial()
        for one in parameters:
            batch.add_arm(Arm(parameters=dict(one)))  # type: ignore[attr-defined,unused-ignore]  # of a BatchTrial
        return batch

    def deploy(self, *trials: BaseTrial) -> dict[int, dict[str, Any]]:
        """Run these trials, all by default, as one batch; what the runner returned."""
        chosen = list(trials) or self.trials
        metadata: dict[int, dict[str, Any]] = self.runner.run_multiple(chosen)
        for trial in chosen:
            if trial.index in metadata:
                trial.update_run_metadata(metadata[trial.index])
                if trial.status.is_candidate:
                    trial.mark_running(no_runner_required=True)
        return metadata

    def statuses(self, *trials: BaseTrial) -> dict[int, str]:
        """Name of the status of each trial, all by default, that one poll tells anything of."""
        polled = self.runner.poll_trial_status(list(trials) or self.trials)
        return {index: status.name for status, indices in polled.items() for index in sorted(indices)}

    def until_ended(self, *trials: BaseTrial, within: float = 60.0) -> dict[int, str]:
        """Poll until none of these trials runs or is unknown; their last statuses.

        Raises:
            TimeoutError: that took longer than `within` seconds.
        """
        chosen = list(trials) or self.trials
        give_up_at = time.monotonic() + within
        while time.monotonic() < give_up_at:
            found = self.statuses(*chosen)
            if all(found.get(trial.index, "RUNNING") != "RUNNING" for trial in chosen):
                return found
            time.sleep(0.02)
        raise TimeoutError(f"after {within:g} s: {found}")

    def saved(self, path: Path, *, classes: Iterable[type] = ()) -> Rehearsal:
        """The same experiment after a save and a load."""
        from ax.api.client import Client

        chosen = tuple(classes)
        client = Client()
        client.set_experiment(experiment=self.experiment)
        storage.save(client, path, classes=chosen)
        loaded = storage.load(path, classes=chosen)._experiment  # noqa: SLF001 (Ax 1.3 has no other way to it)
        again = Rehearsal.__new__(Rehearsal)
        again.experiment, again.runner = loaded, loaded.runner
        again.trials = list(loaded.trials.values())
        return again
