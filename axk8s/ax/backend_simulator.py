"""Ax's simulator of a machine with slots and a queue, on the simulated cluster that `axk8s plan --simulate` uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ax.core.trial_status import TrialStatus
from ax.utils.testing import backend_simulator as original
from ax.utils.testing.backend_simulator import SimTrial

from axk8s.errors import UsageError
from axk8s.simulate.clock import VirtualClock
from axk8s.simulate.cluster import Cluster, SimulatedJob
from axk8s.simulate.conditions import Conditions
from axk8s.simulate.faults import Fate, Faults
from axk8s.sweep.model import ExitFacts, Phase

_FAILS = ExitFacts("exited", 1)


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
        # Not Ax's constructor: its lists are views of the cluster here.
        self.options = options
        self._verbose_logging = verbose_logging
        conditions = Conditions(start_delay=(0.0, 0.0), failures={"user_error": options.failure_rate})
        self._faults = Faults(conditions, self.seed)
        runs = running or []
        # What ended while nobody looked ended then, not now.
        self._clock = VirtualClock(
            min([self.time, *((each.sim_start_time or 0.0) + each.sim_runtime for each in runs)])
        )
        self._cluster = Cluster(self._clock, slots=options.max_concurrency, eager=not options.use_update_as_start_time)
        for each in completed or []:
            self._add(each, ended=ExitFacts("exited", 0))
        for each in failed or []:
            self._add(each, ended=_FAILS)
        for each in (*runs, *(queued or [])):
            self._add(each)
        self._clock.step(self._clock.now())

    @property
    def seed(self) -> int:
        """0 for options of Ax's, which have none."""
        return int(getattr(self.options, "seed", 0))

    @property
    def free_slots(self) -> int:
        """How many more trials would start at once."""
        return self._cluster.free

    def run_trial(self, trial_index: int, runtime: float) -> None:
        """Start a trial of this run time in seconds, or queue it; nothing happens when it is known."""
        self._update(self.time)
        fate = self._faults.fate(trial_index, 0, run_time=runtime / self.time_scaling)
        self._cluster.submit(str(trial_index), fate)
        self._update(self.time)

    def new_trial(self, trial: SimTrial, status: TrialStatus) -> None:
        """Take a trial in: `STAGED` waits for a slot, `RUNNING` has one.

        Raises:
            ValueError: it is in another state.
        """
        if status not in (TrialStatus.STAGED, TrialStatus.RUNNING):
            raise ValueError(f"a new trial is staged or running, not {status.name}")
        self._add(trial)

    def stop_trial(self, trial_index: int) -> None:
        """End a running or queued trial now; its slot is free from now on. Nothing happens when it has ended."""
        self._update(self.time)
        self._cluster.stop(str(trial_index))
        self._cluster.fill()
        self._update(self.time)

    def get_sim_trial_by_index(self, trial_index: int) -> SimTrial | None:
        """What is known of a trial; None when it is not known."""
        job = self._cluster.jobs.get(str(trial_index))
        return None if job is None else _trial(job)

    def to_dict(self) -> dict[str, Any]:
        """The whole state as plain JSON; `from_dict` reads it."""
        return {
            "options": asdict(self.options),
            "verbose_logging": self._verbose_logging,
            "failing": sorted(
                int(job.name) for job in self._cluster.jobs.values() if job.exit is None and job.fate.exit.code
            ),
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
        made = cls(options, verbose_logging=bool(state["verbose_logging"]), **lists)
        for index in state.get("failing", ()):
            job = made._cluster.jobs[str(index)]
            job.fate = Fate(0.0, job.fate.run_time, _FAILS, "user_error")
        return made

    def _update(self, timestamp: float) -> None:
        """Let everything happen that was due until now, in the order in which it was."""
        self._clock.advance(timestamp)
        if self.options.use_update_as_start_time:
            self._cluster.fill()
            self._clock.advance(timestamp)

    def _add(self, trial: SimTrial, ended: ExitFacts | None = None) -> None:
        job = SimulatedJob(
            str(trial.trial_index),
            Fate(0.0, trial.sim_runtime),
            queued_at=trial.sim_queued_time if trial.sim_queued_time is not None else self._clock.now(),
            placed_at=trial.sim_start_time,
            started_at=trial.sim_start_time,
            ended_at=trial.sim_completed_time,
            exit=ended,
        )
        self._cluster.add(job)

    def _trials(self, wanted: Callable[[SimulatedJob], bool]) -> list[SimTrial]:
        return [_trial(job) for job in self._cluster.jobs.values() if wanted(job)]

    # What Ax keeps as lists.

    @property
    def _queued(self) -> list[SimTrial]:
        return self._trials(lambda job: job.phase is Phase.QUEUED)

    @property
    def _running(self) -> list[SimTrial]:
        return self._trials(lambda job: job.phase in (Phase.PENDING, Phase.RUNNING))

    @property
    def _failed(self) -> list[SimTrial]:
        return self._trials(lambda job: job.exit is not None and job.exit.code == 1)

    @property
    def _completed(self) -> list[SimTrial]:
        """Also those that were stopped."""
        return self._trials(lambda job: job.exit is not None and job.exit.code != 1)


def _trial(job: SimulatedJob) -> SimTrial:
    return SimTrial(
        trial_index=int(job.name),
        sim_runtime=job.fate.run_time,
        sim_start_time=job.started_at,
        sim_queued_time=job.queued_at,
        sim_completed_time=job.ended_at,
    )
