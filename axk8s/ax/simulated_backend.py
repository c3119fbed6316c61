"""`SimulatedBackendRunner`: trials run on a simulator, and only time passes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ax.core.base_trial import BaseTrial, TrialStatus
from ax.core.runner import Runner
from ax.utils.testing import backend_simulator as original

from axk8s.ax.backend_simulator import BackendSimulator, BackendSimulatorOptions
from axk8s.ax.program import Program
from axk8s.errors import UsageError

RunTime = Callable[[BaseTrial], float]
"""The run time of a trial, in seconds."""


def sample_runtime_unif(trial: BaseTrial, low: float = 1.0, high: float = 5.0, *, seed: int = 0) -> float:
    """A run time between `low` and `high` seconds, uniform over trials and always the same for one seed and trial.

    Raises:
        UsageError: `low` is greater than `high`, or negative.
    """
    if not 0 <= low <= high:
        raise UsageError(f"sample_runtime_unif(low={low}, high={high}): there is no run time between these")
    return random.Random(f"{seed}/{trial.index}/runtime").uniform(low, high)


class SimulatedBackendRunner(Runner):
    """Runs trials on a `BackendSimulator`: in slots, after a queue, with failures, and no job.

        simulator = BackendSimulator(BackendSimulatorOptions(max_concurrency=4, internal_clock=0.0, seed=1))
        runner = SimulatedBackendRunner(simulator)

    Ax's own `BackendSimulator` is accepted as well, with what it does: its stopped trials keep their slots until their
    natural end, its queued ones cannot be stopped, and its failures are drawn without a seed.
    """

    def __init__(
        self, simulator: original.BackendSimulator | dict[str, Any], sample_runtime_func: RunTime | str | None = None
    ) -> None:
        """Make a runner.

        Args:
            simulator: what the trials run on; or its saved state.
            sample_runtime_func: the run time of a trial in seconds; `sample_runtime_unif` with the simulator's seed by
                default. A reference such as `module:function` is accepted too; so it is saved.
        """
        self.simulator = BackendSimulator.from_dict(simulator) if isinstance(simulator, dict) else simulator
        self.sample_runtime_func = sample_runtime_func
        self._program = None if sample_runtime_func is None else Program(sample_runtime_func, {}, Path.cwd())

    @property
    def run_metadata_report_keys(self) -> list[str]:
        """The run time."""
        return ["runtime"]

    def run(self, trial: BaseTrial) -> dict[str, Any]:
        """Start a trial on the simulator; of a trial that it knows, what was said then.

        Returns:
            `{"runtime": seconds}`.
        """
        runtime = self._runtime(trial)
        if self.simulator.get_sim_trial_by_index(trial.index) is None:
            self.simulator.run_trial(trial_index=trial.index, runtime=runtime)
        return {"runtime": runtime}

    def poll_trial_status(self, trials: Iterable[BaseTrial]) -> dict[TrialStatus, set[int]]:
        """Where the trials are, after letting time pass; queued ones are running to Ax, whose loop waits for those.

        A trial that the simulator does not know has failed, and no other one suffers for it.
        """
        self.simulator.update()
        now = self.simulator.status()
        places = {
            TrialStatus.RUNNING: {*now.queued, *now.running},
            TrialStatus.COMPLETED: set(now.completed),
            TrialStatus.FAILED: set(now.failed),
        }
        found: dict[TrialStatus, set[int]] = {}
        for trial in trials:
            status = next((one for one, indices in places.items() if trial.index in indices), TrialStatus.FAILED)
            found.setdefault(status, set()).add(trial.index)
        return found

    def poll_exception(self, trial: BaseTrial) -> str:
        """Why a trial failed; never raises."""
        now = self.simulator.status()
        if trial.index in now.failed:
            return f"simulated failure (failure_rate={self.simulator.failure_rate:g})"
        if trial.index in {*now.queued, *now.running, *now.completed}:
            return f"trial {trial.index} has not failed"
        return f"the simulator does not know trial {trial.index}: it was run by another runner"

    def poll_available_capacity(self) -> int:
        """How many more trials would start at once."""
        busy = self.simulator.num_running + self.simulator.num_queued
        return max(0, int(self.simulator.max_concurrency - busy))

    def stop(self, trial: BaseTrial, reason: str | None = None) -> dict[str, Any]:
        """End a trial now; nothing happens when it has ended, or is not known.

        Returns:
            `{"reason": reason}`, empty when none was given. The same is kept in the trial's `stop_metadata`.
        """
        now = self.simulator.status()
        if trial.index in {*now.queued, *now.running}:
            self.simulator.stop_trial(trial.index)
        metadata: dict[str, Any] = {"reason": reason} if reason else {}
        # Ax's loop drops what is returned.
        trial.update_stop_metadata(metadata)
        return metadata

    @classmethod
    def serialize_init_args(cls, obj: Any) -> dict[str, Any]:
        """The simulator's state and the run-time function's reference, as plain JSON.

        Raises:
            ComponentError: the function has no reference; it is a lambda, say.
        """
        simulator = obj.simulator
        if not isinstance(simulator, BackendSimulator):
            simulator = _ours(simulator)
        program = obj._program  # noqa: SLF001 (its own)
        return {
            "simulator": simulator.to_dict(),
            "sample_runtime_func": None if program is None else program.text,
        }

    def _runtime(self, trial: BaseTrial) -> float:
        if self._program is None:
            return sample_runtime_unif(trial, seed=int(getattr(self.simulator.options, "seed", 0)))
        return float(self._program.function(trial))  # type: ignore[arg-type]  # the user's function, declared above


def _ours(simulator: original.BackendSimulator) -> BackendSimulator:
    """The same state in a simulator that can be saved."""
    state = simulator.state()
    plain = {"options": asdict(state.options), "verbose_logging": state.verbose_logging}
    lists = {name: getattr(state, name) for name in ("queued", "running", "failed", "completed")}
    return BackendSimulator.from_dict({**plain, **lists})


__all__ = ["BackendSimulator", "BackendSimulatorOptions", "SimulatedBackendRunner", "sample_runtime_unif"]
