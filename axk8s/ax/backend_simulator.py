"""Ax's simulator of a machine with slots and a queue, seeded, and with stops and failures that take their time."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any

from ax.core.trial_status import TrialStatus
from ax.utils.testing import backend_simulator as original
from ax.utils.testing.backend_simulator import SimTrial

from axk8s.errors import UsageError


@dataclass
class BackendSimulatorOptions(original.BackendSimulatorOptions):  # type: ignore[misc,unused-ignore]  # Any when skipped
    """Ax's options and a seed.

    `max_concurrency` trials run at once; run times are divided by `time_scaling`; a share `failure_rate` of the trials
    fails; `internal_clock` is the start of a clock that goes on by 1 with each poll (None: the wall clock);
    `use_update_as_start_time` lets a queued trial start when a free slot is noticed, not when it became free.
    """

    seed: int = 0
    """What failures, and run times that are drawn by default, follow from: the same seed, the same experiment."""


class BackendSimulator(original.BackendSimulator):
    """A backend with slots and a queue. Ax's own, but for these:

    a stopped trial frees its slot at once; a queued trial can be stopped; a failure happens at some point of the
    trial's run, in a slot; whether and when follows from the seed and the trial's number; its state can be saved.
    """

    def __init__(
        self,
        options: original.BackendSimulatorOptions | None = None,
        queued: list[SimTrial] | None = None,
        running: list[SimTrial] | None = None,
        failed: list[SimTrial] | None = None,
        completed: list[SimTrial] | None = None,
        verbose_logging: bool = True,
    ) -> None:
        """Make a simulator; the lists are its first state.

        Raises:
            UsageError: an option cannot be.
        """
        options = options if options is not None else BackendSimulatorOptions()
        if options.max_concurrency < 1 or options.time_scaling <= 0 or not 0 <= options.failure_rate <= 1:
            raise UsageError(
                f"BackendSimulator: impossible options: {options}",
                hint="max_concurrency is at least 1, time_scaling above 0, failure_rate from 0 to 1",
            )
        super().__init__(options, queued, running, failed, completed, verbose_logging)

    @property
    def seed(self) -> int:
        """0 for options of Ax's, which have none."""
        return int(getattr(self.options, "seed", 0))

    @property
    def free_slots(self) -> int:
        """How many more trials would start at once."""
        return max(0, int(self.max_concurrency - self.num_running - self.num_queued))

    def run_trial(self, trial_index: int, runtime: float) -> None:
        """Start a trial of this run time in seconds, or queue it; nothing happens when it is known."""
        if self.get_sim_trial_by_index(trial_index) is not None:
            return
        self._update(self.time)
        fails_after = self._fails_after(trial_index)
        share = 1.0 if fails_after is None else fails_after
        trial = SimTrial(trial_index, sim_runtime=runtime * share / self.time_scaling, sim_queued_time=self.time)
        free = self.num_running < self.max_concurrency
        if free:
            trial.sim_start_time = self.time
        self.new_trial(trial, TrialStatus.RUNNING if free else TrialStatus.STAGED)

    def stop_trial(self, trial_index: int) -> None:
        """End a running or queued trial now; its slot is free from now on. Nothing happens when it has ended."""
        self._update(self.time)
        trial = self.get_sim_trial_by_index(trial_index)
        for waiting in (self._queued, self._running):
            if trial is not None and trial in waiting:
                waiting.remove(trial)
                trial.sim_completed_time = self.time
                self._completed.append(trial)
                self._fill(self.time)

    def to_dict(self) -> dict[str, Any]:
        """The whole state as plain JSON; `from_dict` reads it."""
        return {
            "options": asdict(self.options),
            "verbose_logging": self._verbose_logging,
            **{
                name: [asdict(trial) for trial in trials]
                for name, trials in (
                    ("queued", self._queued),
                    ("running", self._running),
                    ("failed", self._failed),
                    ("completed", self._completed),
                )
            },
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> BackendSimulator:
        """The simulator whose `to_dict` wrote this."""
        lists = {
            name: [SimTrial(**trial) for trial in state[name]] for name in ("queued", "running", "failed", "completed")
        }
        options = BackendSimulatorOptions(**state["options"])
        return cls(options, verbose_logging=bool(state["verbose_logging"]), **lists)

    def _fails_after(self, trial_index: int) -> float | None:
        """The share of its run time after which a trial fails; None when it succeeds."""
        draw = random.Random(f"{self.seed}/{trial_index}/failure")
        return draw.random() if draw.random() < self.failure_rate else None

    def _update(self, timestamp: float) -> None:
        """Let everything happen that was due until now, in the order in which it was."""
        while self._running:
            first = min(self._running, key=_end)
            if _end(first) > timestamp:
                return
            self._running.remove(first)
            first.sim_completed_time = _end(first)
            failed = self._fails_after(first.trial_index) is not None
            (self._failed if failed else self._completed).append(first)
            self._fill(timestamp if self.options.use_update_as_start_time else _end(first))

    def _fill(self, time: float) -> None:
        while self._queued and self.num_running < self.max_concurrency:
            trial = self._queued.pop(0)
            trial.sim_start_time = time
            self._running.append(trial)


def _end(trial: SimTrial) -> float:
    return float(trial.sim_start_time or 0.0) + float(trial.sim_runtime)
