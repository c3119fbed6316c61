"""What simulated jobs report while they run: the controller's port `Curves` in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from axk8s.folder import AttemptFolder
from axk8s.simulate.cluster import SimulatedJob
from axk8s.simulate.world import World
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import JobOrder
from axk8s.sweep.stopping import Progress


class SimulatedCurves:
    """Each step of a curve is told at its time; another controller after a crash is told all of them again."""

    def __init__(self, world: World, spec: SweepSpec, metric: str | None = None) -> None:
        """`metric` is the one whose steps decide; the first objective's unless said. Others are final values only."""
        self._world = world
        wanted = metric or (spec.early_stopping.metric if spec.early_stopping else None) or spec.objectives[0].metric
        self._objective = next((each for each in spec.objectives if each.metric == wanted), None)
        self._told: Callable[[str, Progress], None] = lambda _, __: None
        self._closed = False

    def begin(self, told: Callable[[str, Progress], None]) -> None:
        """Points go to `told`."""
        self._told = told

    def follow(self, order: JobOrder, handle: str) -> None:  # noqa: ARG002 (the port's signature)
        """What was reported so far comes at once, the rest step by step."""
        job = self._world.cluster.jobs.get(order.job)
        if job is not None and job.started_at is not None and self._world.conditions.steps and self._objective:
            self._tell(order, job, 0)

    def last(self, order: JobOrder, folder: AttemptFolder) -> Progress:  # noqa: ARG002 (the port's signature)
        """All that an attempt has reported."""
        job = self._world.cluster.jobs.get(order.job)
        if job is None or job.fate.cause in ("no_metric", "non_finite") or job.started_at is None:
            return Progress()
        return Progress(self._points(order, 0, self._steps(order, job)))

    def close(self) -> None:
        """Nothing is told from now on."""
        self._closed = True

    def _tell(self, order: JobOrder, job: SimulatedJob, told: int) -> None:
        if self._closed or job.exit is not None or job.fate.cause in ("no_metric", "non_finite"):
            return
        done = self._steps(order, job)
        if done > told:
            self._told(order.job, Progress(self._points(order, told, done)))
        total = self._world.conditions.steps
        if done < total:
            assert job.started_at is not None
            planned = self._world.planned(order.trial, order.parameters)
            at = job.started_at + planned * (done + 1) / total - self._world.progress.get(order.trial, 0.0)
            self._world.clock.call_at(at, partial(self._tell, order, job, done))

    def _steps(self, order: JobOrder, job: SimulatedJob) -> int:
        total = self._world.conditions.steps
        if job.exit is not None and job.exit.cause == "exited" and job.exit.code == 0:
            return total
        assert job.started_at is not None
        until = self._world.clock.now() if job.ended_at is None else job.ended_at
        # Of a job that was disrupted the world has counted anew what its trial need not repeat.
        disrupted = job.exit is not None and job.exit.cause == "terminated"
        before = 0.0 if disrupted else self._world.progress.get(order.trial, 0.0)
        share = (before + until - job.started_at) / self._world.planned(order.trial, order.parameters)
        # The time of a step is a product; its share must not fall just below it.
        return min(total, math.floor(share * total + 1e-6))

    def _points(self, order: JobOrder, told: int, done: int) -> tuple[tuple[int, float], ...]:
        world, total, objective = self._world, self._world.conditions.steps, self._objective
        if objective is None:
            return ()
        finals = world.values(order.trial, order.attempt, world.results.values(order.parameters))
        final = finals[objective.metric]
        return tuple(
            (step, world.shape(order.parameters, objective, final, step / total)) for step in range(told + 1, done + 1)
        )
