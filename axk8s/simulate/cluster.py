"""A cluster with slots on nodes, a queue in front of them, and jobs to which things happen. No API, no sweeps.

`plan --simulate` and the Ax face's `BackendSimulator` both run on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from axk8s.simulate.clock import VirtualClock
from axk8s.simulate.faults import Fate
from axk8s.sweep.model import ExitFacts, Phase


@dataclass(slots=True)
class SimulatedJob:
    """One job; times are the clock's."""

    name: str
    fate: Fate
    queued_at: float
    node: int | None = None
    placed_at: float | None = None
    """When it got a slot."""
    started_at: float | None = None
    ended_at: float | None = None
    exit: ExitFacts | None = None

    @property
    def phase(self) -> Phase:
        if self.exit is not None:
            return Phase.LOST if self.exit.cause == "lost" else Phase.ENDED
        if self.started_at is not None:
            return Phase.RUNNING
        return Phase.PENDING if self.placed_at is not None else Phase.QUEUED

    @property
    def seconds(self) -> float:
        """How long it ran; 0 before its end, and when it never started."""
        if self.started_at is None or self.ended_at is None:
            return 0.0
        return self.ended_at - self.started_at


@dataclass(slots=True)
class _Node:
    slots: int
    jobs: dict[str, SimulatedJob] = field(default_factory=dict)
    away: bool = False

    @property
    def free(self) -> int:
        return 0 if self.away else self.slots - len(self.jobs)


class Cluster:
    """Places waiting jobs in the order of their coming, and lets each meet its fate."""

    def __init__(
        self,
        clock: VirtualClock,
        *,
        slots: int,
        nodes: int = 1,
        eager: bool = True,
        changed: Callable[[SimulatedJob], None] = lambda _: None,
    ) -> None:
        """An empty cluster.

        Args:
            clock: whose agenda it uses.
            slots: how many jobs run at once.
            nodes: over how many nodes these are spread, as evenly as can be.
            eager: whether a slot is given away as soon as it is free; otherwise only `fill` does.
            changed: told of each job that is in another phase than before.
        """
        self._clock = clock
        self._eager = eager
        self._changed = changed
        nodes = min(nodes, slots)
        self._nodes = [_Node(slots // nodes + (index < slots % nodes)) for index in range(nodes)]
        self._waiting: deque[SimulatedJob] = deque()
        self.jobs: dict[str, SimulatedJob] = {}
        """All that are known, also those that have ended, until they are removed."""

    @property
    def nodes(self) -> int:
        return len(self._nodes)

    @property
    def free(self) -> int:
        """How many more jobs would get a slot at once."""
        waiting = sum(1 for job in self._waiting if job.exit is None)
        return max(0, sum(node.free for node in self._nodes) - waiting)

    def submit(self, name: str, fate: Fate) -> bool:
        """Take a job in; False when there is one of this name, which stays as it is."""
        if name in self.jobs:
            return False
        job = SimulatedJob(name, fate, self._clock.now())
        self.jobs[name] = job
        self._waiting.append(job)
        self._changed(job)
        self.fill()
        return True

    def add(self, job: SimulatedJob) -> None:
        """Take a job in where it is: one of a saved state."""
        self.jobs[job.name] = job
        if job.exit is not None:
            return
        if job.placed_at is None:
            self._waiting.append(job)
            return
        job.node = 0 if job.node is None else job.node
        self._nodes[job.node].jobs[job.name] = job
        self._await(job)

    def stop(self, name: str, exit: ExitFacts | None = None) -> None:  # noqa: A002 (it is one)
        """End a job now, waiting or running; nothing happens when it has ended, or is not known."""
        job = self.jobs.get(name)
        if job is not None:
            self._end(job, exit or ExitFacts("cancelled"))

    def remove(self, name: str) -> None:
        """Forget a job; one that has not ended ends first."""
        self.stop(name)
        self.jobs.pop(name, None)

    def lose(self, node: int, *, lasts: float) -> None:
        """A node is gone for a while, and all that ran on it has ended."""
        lost = self._nodes[node]
        lost.away = True
        for job in list(lost.jobs.values()):
            self._end(job, ExitFacts("terminated", message=f"node {node} was lost (simulated)"))
        self._clock.call_at(self._clock.now() + lasts, partial(self._repaired, lost))

    def fill(self) -> None:
        """Give free slots to those that wait longest."""
        while self._waiting:
            if self._waiting[0].exit is not None:
                self._waiting.popleft()  # stopped while it waited
                continue
            index = max(range(len(self._nodes)), key=lambda number: self._nodes[number].free)
            if not self._nodes[index].free:
                return
            job = self._waiting.popleft()
            job.node, job.placed_at = index, self._clock.now()
            self._nodes[index].jobs[job.name] = job
            if job.fate.start_delay:
                self._changed(job)
            self._await(job)

    def _await(self, job: SimulatedJob) -> None:
        """Put what comes next for a placed job on the agenda."""
        assert job.placed_at is not None
        if job.started_at is None:
            self._clock.call_at(job.placed_at + job.fate.start_delay, partial(self._start, job))
        else:
            self._clock.call_at(job.started_at + job.fate.run_time, partial(self._finish, job))

    def _start(self, job: SimulatedJob) -> None:
        if job.exit is not None:
            return
        if job.fate.exit.cause == "spawn_failed":
            self._end(job, job.fate.exit)
            return
        assert job.placed_at is not None
        job.started_at = job.placed_at + job.fate.start_delay
        self._changed(job)
        self._await(job)

    def _finish(self, job: SimulatedJob) -> None:
        self._end(job, job.fate.exit)

    def _end(self, job: SimulatedJob, exit: ExitFacts) -> None:  # noqa: A002
        if job.exit is not None:
            return
        job.exit, job.ended_at = exit, self._clock.now()
        if job.node is not None:
            self._nodes[job.node].jobs.pop(job.name, None)
        self._changed(job)
        if self._eager:
            self.fill()

    def _repaired(self, node: _Node) -> None:
        node.away = False
        self.fill()
