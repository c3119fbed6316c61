"""One trial in the foreground: the quickest way to learn whether a sweep file and its training code fit."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from axk8s.controller.evidence import diagnosed
from axk8s.controller.ports import Clock, Jobs
from axk8s.folder import AttemptFolder
from axk8s.sweep.goal import Goal
from axk8s.sweep.limits import Settings
from axk8s.sweep.model import Diagnosis, ExitFacts, JobOrder, JobView, Outcome, Parameters, Phase, Values
from axk8s.sweep.trial import Attempt, Trial
from axk8s.sweep.verdict import Conclude, verdict


@dataclass(frozen=True, slots=True)
class TriedTrial:
    """How one trial in the foreground went."""

    parameters: Parameters
    values: Values
    diagnosis: Diagnosis
    outcome: Outcome
    steps: int
    seconds: float
    folder: AttemptFolder
    """What it left; the folder is temporary but not removed."""


class JobsWithLogs(Jobs, Protocol):
    """A launcher that can also read a job's output."""

    def logs(self, order: JobOrder, handle: str, *, follow: bool) -> Iterator[str]: ...


def try_trial(
    jobs: JobsWithLogs,
    order: JobOrder,
    *,
    folder: AttemptFolder,
    goal: Goal,
    settings: Settings,
    clock: Clock,
    output: Callable[[str], None],
) -> TriedTrial:
    """Run one attempt to its end, its output going to `output` as it comes.

    Interrupted (KeyboardInterrupt), it ends the job before the exception goes on.
    """
    seen: queue.SimpleQueue[JobView] = queue.SimpleQueue()
    began = clock.now()
    handle = ""
    try:
        jobs.watch(seen.put)
        jobs.render(order)
        handle = jobs.submit(order).handle
        jobs.follow(order.job, handle)
        logs = threading.Thread(target=_copy, args=(jobs.logs(order, handle, follow=True), output), daemon=True)
        logs.start()
        view = _wait(seen)
        logs.join(timeout=10)
        harvest = jobs.harvest(order, handle)
    except BaseException:
        if handle:
            jobs.stop(handle)
            _wait(seen)
            jobs.delete(handle)
        raise
    jobs.delete(handle)
    facts = view.exit or ExitFacts(cause="lost")
    diagnosis = diagnosed(facts, harvest, settings, goal=goal, cancelled=False)
    seconds = (view.ended_at or clock.now()) - (view.started_at or began)
    return TriedTrial(
        parameters=order.parameters,
        values=harvest.values,
        diagnosis=diagnosis,
        outcome=_outcome(order, diagnosis),
        steps=harvest.steps,
        seconds=seconds,
        folder=folder,
    )


def _wait(seen: queue.SimpleQueue[JobView]) -> JobView:
    while True:
        view = seen.get()
        if view.phase in (Phase.ENDED, Phase.LOST):
            return view


def _copy(lines: Iterator[str], output: Callable[[str], None]) -> None:
    for line in lines:
        output(line)


def _outcome(order: JobOrder, diagnosis: Diagnosis) -> Outcome:
    attempt = Attempt(order.attempt, order.job, 0.0, diagnosis=diagnosis)
    trial = Trial(order.trial, order.parameters, "tried", False, 0.0, [attempt])
    result = verdict(trial, attempt, retries=0, anything_started=True)
    return result.outcome if isinstance(result, Conclude) else Outcome.FAILED
