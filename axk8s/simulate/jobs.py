"""The controller's port `Jobs` on a simulated world: nothing is rendered, and no job is started."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from axk8s.simulate import curves
from axk8s.simulate.cluster import SimulatedJob
from axk8s.simulate.faults import LAST_WORDS, Fate
from axk8s.simulate.world import World
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Harvest, JobOrder, JobView, Submitted, Values

_HANDLE = "simulated://axk8s/"


class SimulatedJobs:
    """One controller's view of the world; a new one after a crash finds the same jobs."""

    def __init__(self, world: World, spec: SweepSpec, holds: Mapping[str, float] | None = None) -> None:
        """`holds` is what each job has while it runs, by resource; nothing unless said."""
        self._world, self._spec, self._holds = world, spec, holds or {}
        self._seen: Callable[[JobView], None] = lambda _: None
        self._followed: set[str] = set()
        self._unheard: dict[str, None] = {}
        self._closed = False

    def render(self, order: JobOrder) -> Mapping[str, float]:  # noqa: ARG002 (the port's signature)
        """Nothing is written: a real sweep has a manifest for each attempt."""
        return self._holds

    def submit(self, order: JobOrder) -> Submitted:
        """Create the job, or adopt the one of this name."""
        cluster = self._world.cluster
        created = order.job not in cluster.jobs and cluster.submit(order.job, self._fate(order))
        return Submitted(_HANDLE + order.job, adopted=self._world.answer_lost or not created)

    def watch(self, seen: Callable[[JobView], None]) -> None:
        """Views go to `seen`, as long as the API answers; after an outage the latest of each job."""
        self._seen = seen
        self._world.watcher = self._noticed

    def follow(self, job: str, handle: str) -> None:  # noqa: ARG002 (the port's signature)
        """Its present view comes at once."""
        self._followed.add(job)
        found = self._world.cluster.jobs.get(job)
        if found is not None:
            self._noticed(found)

    def stop(self, handle: str) -> None:
        """The job ends now."""
        self._world.cluster.stop(_job(handle))

    def delete(self, handle: str) -> None:
        """The cluster forgets the job."""
        self._world.cluster.remove(_job(handle))

    def harvest(self, order: JobOrder, handle: str) -> Harvest:
        """What the job reported before its end, and its last words."""
        job = self._world.cluster.jobs.get(_job(handle))
        if job is None:
            return Harvest({}, searched=("the simulated cluster does not know the job any more",))
        words = LAST_WORDS.get(job.fate.cause, ()) if job.fate.cause else ()
        if job.fate.cause == "no_metric":
            return Harvest({}, searched=("simulated: the job reports nothing",), log_tail=words)
        values, steps = self._reported(order, job)
        return Harvest(values, steps=steps, log_tail=words)

    def growing(self, order: JobOrder) -> None:
        """No job has files; see `SimulatedCurves`."""

    def output(self, order: JobOrder, handle: str) -> Iterator[str]:  # noqa: ARG002 (the port's signature)
        """No job has an output."""
        return iter(())

    def close(self) -> None:
        """Nothing is told from now on."""
        self._closed = True

    def _fate(self, order: JobOrder) -> Fate:
        world = self._world
        planned = world.planned(order.trial, order.parameters) - world.progress.get(order.trial, 0.0)
        return world.faults.fate(order.trial, order.attempt, run_time=planned, timeout=self._spec.trial_timeout)

    def _reported(self, order: JobOrder, job: SimulatedJob) -> tuple[Values, int]:
        finals = self._world.values(order.trial, order.attempt, self._world.results.values(order.parameters))
        if job.fate.cause == "non_finite":
            return dict.fromkeys(finals, math.nan), self._world.conditions.steps
        good = job.exit is not None and job.exit.cause == "exited" and job.exit.code == 0
        done = self._world.progress.get(order.trial, 0.0) + job.seconds
        planned = self._world.planned(order.trial, order.parameters)
        share = 1.0 if good else min(done / planned, 0.999) if done else 0.0
        return curves.reported(
            finals,
            self._spec.objectives,
            share=share,
            steps=self._world.conditions.steps,
            parameters=order.parameters,
            shape=self._world.shape,
        )

    def _noticed(self, job: SimulatedJob) -> None:
        if self._closed or job.name not in self._followed:
            return
        world = self._world
        if world.clock.now() < world.answers_at:
            if not self._unheard:
                world.clock.call_at(world.answers_at, self._relist)
            self._unheard[job.name] = None
            return
        self._seen(_view(job))

    def _relist(self) -> None:
        waiting, self._unheard = self._unheard, {}
        for name in waiting:
            if (job := self._world.cluster.jobs.get(name)) is not None:
                self._noticed(job)


def _view(job: SimulatedJob) -> JobView:
    reasons = {"queued": "waits for a slot", "pending": "starts"}
    reason = job.exit.message if job.exit is not None else reasons.get(job.phase.value, "")
    return JobView(job.name, job.phase, reason, exit=job.exit, started_at=job.started_at, ended_at=job.ended_at)


def _job(handle: str) -> str:
    return handle.removeprefix(_HANDLE)
