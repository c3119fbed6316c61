"""One simulated world: its clock, its cluster, its faults and its jobs' results. It outlives controllers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

from axk8s import names
from axk8s.simulate.clock import VirtualClock
from axk8s.simulate.cluster import Cluster, SimulatedJob
from axk8s.simulate.conditions import Conditions
from axk8s.simulate.curves import Shape, approach
from axk8s.simulate.faults import Faults
from axk8s.simulate.objective import Results
from axk8s.sweep.model import Parameters, Values


class World:
    """All that exists beside the controller."""

    def __init__(
        self,
        conditions: Conditions,
        *,
        seed: int,
        slots: int,
        results: Results,
        start: float = 0.0,
        shape: Shape = approach,
    ) -> None:
        """Make a world.

        Args:
            conditions: what the cluster is like; its own `slots` win.
            seed: of every draw.
            slots: how many jobs run at once unless the conditions say so.
            results: what trials report.
            start: the clock's first reading.
            shape: of the learning curves.
        """
        self.conditions = conditions
        self.results = results
        self.shape = shape
        self.clock = VirtualClock(start)
        self.faults = Faults(conditions, seed)
        self.watcher: Callable[[SimulatedJob], None] = lambda _: None
        """Told of each job in a new phase; whoever watches sets it."""
        self.cluster = Cluster(
            self.clock, slots=conditions.slots or slots, nodes=conditions.nodes, changed=self._changed
        )
        self.progress: dict[int, float] = {}
        """Seconds of its run that a trial need not repeat: those before its last checkpoint."""
        self.repeated_seconds = 0.0
        """How long disrupted jobs ran in vain: since their last checkpoint, or from the start."""
        self.answers_at = start
        """When the API answers (again)."""
        self.answer_lost = False
        """Whether the call that ends now had its effect before, and was made again for want of an answer."""
        self._began = start
        self._calls = 0
        for node in range(self.cluster.nodes):
            self._strike(self.faults.losses(node), partial(self._lose, node))
        self._strike(self.faults.outages(), self._silence)

    def call(self, work: Callable[[], None]) -> None:
        """Carry out a call to the API: later, as long as it takes."""
        taken, unheard = self.faults.call(self._calls)
        self._calls += 1

        def carry_out() -> None:
            self.answer_lost = unheard
            work()

        self.clock.call_at(max(self.clock.now(), self.answers_at) + taken, carry_out)

    def values(self, trial: int, attempt: int, finals: Values) -> Values:
        """These values with the noise of the conditions."""
        deviation = self.conditions.noise
        if not deviation:
            return finals
        return {
            name: value + self.faults.noise(trial, attempt, name).gauss(0, deviation) for name, value in finals.items()
        }

    def planned(self, trial: int, parameters: Parameters) -> float:
        """How long a trial runs in all when nothing happens to it."""
        known = self.results.seconds(parameters)
        return self.faults.run_time(trial) if known is None else known

    def _strike(self, strikes: Iterator[tuple[float, float]], happen: Callable[[float], None]) -> None:
        """Put the next of these on the agenda, one at a time: there is no end to them."""
        time, lasts = next(strikes, (math.inf, 0.0))
        if not math.isfinite(time):
            return

        def strike() -> None:
            happen(lasts)
            self._strike(strikes, happen)

        self.clock.call_at(self._began + time, strike)

    def _changed(self, job: SimulatedJob) -> None:
        if job.exit is not None and job.exit.cause == "terminated":
            every = self.conditions.checkpoint_every
            trial, _ = names.job_numbers(job.name)
            done = self.progress.get(trial, 0.0) + job.seconds
            kept = math.floor(done / every) * every if every is not None else 0.0
            self.repeated_seconds += done - kept
            self.progress[trial] = kept
        self.watcher(job)

    def _lose(self, node: int, lasts: float) -> None:
        self.cluster.lose(node, lasts=lasts)

    def _silence(self, lasts: float) -> None:
        self.answers_at = self.clock.now() + lasts
