"""The imperative shell: one thread that owns the state, takes events and carries out what `decide` says.

Each round: events become records, `decide` turns the state into actions, records are committed, and only then side
effects begin. Whatever kills this process, the next controller folds the journal and decides the same.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
from collections.abc import Callable, Mapping, Sequence

from axk8s.controller.curves import LiveCurves
from axk8s.controller.effects import Effects
from axk8s.controller.ending import Ending
from axk8s.controller.evidence import TEXT_LENGTH, bounded_values, diagnosed, is_news, phase_changed, trial_fact
from axk8s.controller.inbox import (
    Crashed,
    EffectDone,
    Event,
    Inbox,
    Progressed,
    QueueInbox,
    Replied,
    ThreadWorkers,
    Viewed,
    Woken,
    Workers,
)
from axk8s.controller.ledger import Ledger
from axk8s.controller.lookout import Lookout
from axk8s.controller.ports import Clock, Curves, Jobs, Optimizer
from axk8s.controller.proposals import Proposals
from axk8s.controller.requests import pending_requests, remove_request
from axk8s.errors import Axk8sError, ComponentError, PostponedError, SubmitError
from axk8s.folder import SweepFolder
from axk8s.journal import Journal
from axk8s.names import job_name
from axk8s.results.summary import Summary, summarize, write_summary
from axk8s.sweep import records
from axk8s.sweep.decide import (
    Action,
    Cancel,
    ConcludeTrial,
    Effect,
    Finish,
    Halt,
    OpenAttempt,
    OpenTrials,
    Spare,
    decide,
)
from axk8s.sweep.limits import Settings, budget_ends, room_matters
from axk8s.sweep.model import (
    ExitFacts,
    Harvest,
    JobOrder,
    JobView,
    OptimizerReply,
    Phase,
    Submitted,
)
from axk8s.sweep.state import State

REQUEST_INTERVAL = 0.5
"""Seconds between looks into the requests folder, and between writes of `status.json`."""


class Controller:
    """Drives one sweep until it is finished, paused or interrupted. The caller holds the sweep's lock."""

    def __init__(
        self,
        *,
        state: State,
        settings: Settings,
        journal: Journal,
        folder: SweepFolder,
        jobs: Jobs,
        optimizer: Optimizer,
        clock: Clock,
        curves: Curves | None = None,
        inbox: Inbox | None = None,
        workers: Workers | None = None,
        listen: Callable[[Sequence[records.Record], Summary], None] | None = None,
        until: Callable[[State], bool] | None = None,
        version: str = "",
        interval: float = REQUEST_INTERVAL,
        seat: tuple[int, str] | None = None,
    ) -> None:
        """Wire a controller to its ports.

        `state` is the fold of `journal`, which this controller goes on to write; `folder` has the requests and the
        cached summary. `listen` is told of committed records, in the controller's thread: it must be quick. With
        `until` nothing is launched, and `run` returns as soon as it holds and its effects are done, leaving other
        jobs running. `curves`, `inbox` and `workers` are threads and a queue unless given. `interval` is the time in
        seconds between looks at requests. `seat` are the process id and host that the journal names: this process's
        unless given.
        """
        self.state = state
        self._settings = settings
        self._ledger = Ledger(state, journal, clock)
        self._lookout = Lookout(self._ledger)
        self._folder = folder
        self._jobs = jobs
        self._optimizer = optimizer
        self._clock = clock
        self._inbox = inbox or QueueInbox()
        self._workers = workers or ThreadWorkers(settings.parallelism + 2)
        self._listen = listen
        self._until = until
        self._version = version
        self._interval = interval
        self._seat = seat or (os.getpid(), socket.gethostname())
        self._interrupted = False
        if curves is None and state.ladder is not None:
            curves = LiveCurves(jobs, state.ladder.rule.metric)
        self._curves = curves if state.ladder is not None else None
        self._effects = Effects(jobs, self._curves, folder, self._workers, self._inbox)
        self._proposals = Proposals(optimizer, settings)
        self._attempts: dict[str, tuple[int, int]] = {}
        self._summary_at = -math.inf

    def interrupt(self) -> None:
        """Launch nothing further and return soon, leaving jobs running; may be called from a signal handler."""
        self._interrupted = True
        self._inbox.put(Woken())

    def run(self) -> Ending:
        """Drive the sweep.

        Raises:
            JournalError: the journal cannot be written (running jobs go on and are found again by the next run).
        """
        pid, host = self._seat
        self._record(records.ControllerStarted(time=self._clock.now(), pid=pid, host=host, version=self._version))
        self._commit()
        try:
            self._optimizer.start(lambda reply: self._inbox.put(Replied(reply)))
            self._jobs.watch(lambda view: self._inbox.put(Viewed(view)))
            if self._curves is not None:
                self._curves.begin(lambda job, progress: self._inbox.put(Progressed(job, progress)))
            for fact in (*self.state.attached, *map(trial_fact, self.state.trials)):
                self._optimizer.tell(fact)
            while True:
                self._apply_requests()
                self._advance()
                if self._over():
                    break
                for event in self._inbox.take(self._patience()):
                    self._handle(event)
        except OSError as error:
            raise Axk8sError(
                f"the sweep's folder {self._folder.path} cannot be used: {error.strerror or error}",
                hint="mend that (room on the disk, permissions), then run the same command: nothing is lost",
            ) from error
        finally:
            self._workers.close()
            self._optimizer.close()
            if self._curves is not None:
                self._curves.close()
            self._jobs.close()
        # Results that workers brought while they were closed; what is left now the next controller sees again.
        for event in self._inbox.take(0):
            self._handle(event)
        self._commit()
        return Ending(self._write_summary())

    def _advance(self) -> None:
        while True:
            actions = decide(self.state, self._settings, self._clock.now())
            if not sum([self._write_action(action) for action in actions]):
                break
        self._commit()
        for action in actions:
            if isinstance(action, Effect) and not self._effects.begun(action):
                self._begin(action)
        if self._launching and not self.state.halted and not self.state.paused:
            self._proposals.refill(self.state)
        if self._clock.now() - self._summary_at >= self._interval:
            self._write_summary()

    def _write_action(self, action: Action) -> bool:
        """Turn an action into records; returns whether the state changed."""
        now = self._clock.now()
        match action:
            case OpenTrials(count):
                return self._launching and self._open_trials(count)
            case OpenAttempt(trial, attempt):
                return self._launching and self._open_attempt(trial, attempt)
            case Cancel(trial, attempt, outcome, reason):
                self._record(
                    records.CancelDecided(time=now, trial=trial, attempt=attempt, outcome=outcome, reason=reason)
                )
            case Spare(trial, attempt, reason):
                self._record(records.Spared(time=now, trial=trial, attempt=attempt, reason=reason))
            case ConcludeTrial(number, outcome, reason):
                trial_state = self.state.trials[number]
                last = trial_state.last
                values, sems = (last.values, last.sems) if last is not None else ({}, {})
                said = reason[:TEXT_LENGTH]
                self._record(
                    records.TrialConcluded(
                        time=now, trial=number, outcome=outcome, reason=said, values=values, sems=sems
                    )
                )
                self._optimizer.tell(trial_fact(trial_state))
                self._lookout.concluded()
            case Halt(halted):
                self._record(halted)
            case Finish(reason):
                self._record(records.Finished(time=now, reason=reason))
            case Effect():
                return False
        return True

    @property
    def _launching(self) -> bool:
        return not self._interrupted and self._until is None

    def _open_trials(self, count: int) -> bool:
        opened = 0
        while opened < count and (proposal := self._proposals.take(self.state)) is not None:
            number = len(self.state.trials)
            self._record(
                records.Suggested(
                    time=self._clock.now(),
                    trial=number,
                    parameters=proposal.parameters,
                    generator=proposal.generator,
                    from_model=proposal.from_model,
                    results_seen=proposal.results_seen,
                )
            )
            self._optimizer.tell(trial_fact(self.state.trials[number]))
            opened += 1
        if not opened and self._proposals.dry and not self.state.active:
            reason = f"there is nothing left to propose after {len(self.state.trials)} trials"
            self._record(records.Halted(time=self._clock.now(), cause="exhausted", reason=reason))
            return True
        return opened > 0

    def _open_attempt(self, trial: int, attempt: int) -> bool:
        order = self._order(trial, attempt)
        failure: ComponentError | None = None
        resources: Mapping[str, float] = {}
        try:
            resources = self._jobs.render(order)
        except ComponentError as error:
            failure = error
        now = self._clock.now()
        self._record(records.Submitting(time=now, trial=trial, attempt=attempt, job=order.job, resources=resources))
        if failure is not None:
            self._cannot_start(trial, attempt, failure)
        return True

    def _cannot_start(self, trial: int, attempt: int, error: Axk8sError) -> None:
        self._record(
            records.PhaseChanged(
                time=self._clock.now(),
                trial=trial,
                attempt=attempt,
                phase=Phase.ENDED,
                exit=ExitFacts(cause="spawn_failed", message=str(error)[:TEXT_LENGTH]),
            )
        )

    def _record(self, record: records.Record) -> None:
        self._ledger.record(record)

    def _commit(self) -> None:
        self._ledger.commit(lambda fresh: self._listen(fresh, self._summary()) if self._listen is not None else None)

    def _begin(self, effect: Effect) -> None:
        attempt = self.state.attempt(effect.trial, effect.attempt)
        if effect.do == "submit" and not self._launching and attempt.cancel is None:
            return  # the next controller sends it; one that is being cancelled must be found first, then ended
        order = self._order(effect.trial, effect.attempt)
        self._attempts[order.job] = (effect.trial, effect.attempt)
        self._effects.begin(effect, order, attempt.handle)

    def _handle(self, event: Event) -> None:
        match event:
            case Viewed(view):
                self._seen(view)
            case Progressed(job, progress):
                if job in self._attempts:
                    self._lookout.saw(*self._attempts[job], progress)
            case EffectDone():
                postponed = isinstance(event.error, PostponedError)
                self._effects.ended(event.effect, again=postponed)
                if postponed:
                    self._ledger.notice(str(event.error))
                else:
                    self._effect_done(event)
            case Replied(reply):
                self._replied(reply)
            case Crashed(error):
                raise error

    def _seen(self, view: JobView) -> None:
        if view.job not in self._attempts:
            return
        trial, number = self._attempts[view.job]
        attempt = self.state.attempt(trial, number)
        if not is_news(view, attempt, room_matters=room_matters(self.state, self._settings)):
            return
        self._record(phase_changed(view, trial, number, self._clock.now()))

    def _effect_done(self, event: EffectDone) -> None:
        effect = event.effect
        trial, attempt = effect.trial, effect.attempt
        if event.error is not None:
            if effect.do != "submit" or not isinstance(event.error, SubmitError):
                raise event.error
            self._cannot_start(trial, attempt, event.error)
            return
        now = self._clock.now()
        if isinstance(event.result, Submitted):
            handle, adopted = event.result.handle, event.result.adopted
            self._record(records.SubmittedJob(time=now, trial=trial, attempt=attempt, handle=handle, adopted=adopted))
        elif isinstance(event.result, Harvest):
            self._lookout.saw(trial, attempt, event.progress)
            self._harvested(trial, attempt, event.result)
        elif effect.do == "delete":
            self._record(records.JobDeleted(time=now, trial=trial, attempt=attempt))

    def _harvested(self, trial: int, number: int, harvest: Harvest) -> None:
        attempt, goal = self.state.attempt(trial, number), self.state.goal
        facts = attempt.exit or ExitFacts(cause="lost")
        why = diagnosed(facts, harvest, self._settings, goal=goal, cancelled=attempt.cancel is not None)
        self._record(
            records.AttemptDiagnosed(
                time=self._clock.now(),
                trial=trial,
                attempt=number,
                diagnosis=why,
                values=self._lookout.completed(trial, bounded_values(harvest, goal)),
                sems={name: harvest.sems[name] for name in goal.metrics if name in harvest.sems},
                steps=harvest.steps,
            )
        )

    def _apply_requests(self) -> None:
        for request in pending_requests(self._folder.requests):
            known = request.trial is None or request.trial < len(self.state.trials)
            if request.id not in self.state.requests and known:
                now, asked = self._clock.now(), request.parameters
                self._record(
                    records.RequestApplied(
                        time=now, id=request.id, verb=request.verb, trial=request.trial, parameters=asked
                    )
                )
                self._commit()
            remove_request(self._folder.requests, request)

    def _replied(self, reply: OptimizerReply) -> None:
        now = self._clock.now()
        self._ledger.notice(reply.notice)
        if reply.error:
            self._record(records.Halted(time=now, cause="aborted", reason=f"the optimizer gave up: {reply.error}"))
        self._proposals.replied(reply)

    def _over(self) -> bool:
        if self._interrupted:
            return True
        if self._effects.busy:
            return False
        if self._until is not None and self._until(self.state):
            return True
        if self.state.finished is not None:
            return not self.state.undeleted
        if self.state.paused:
            return not any(t.last is not None and t.last.diagnosis is None for t in self.state.active.values())
        return False

    def _patience(self) -> float:
        deadline = budget_ends(self.state, self._settings, self._clock.now()) if self.state.halted is None else None
        return self._interval if deadline is None else min(self._interval, max(0.0, deadline - self._clock.now()))

    def _summary(self) -> Summary:
        return summarize(self.state, self._settings, self._clock.now(), interrupted=self._interrupted)

    def _write_summary(self) -> Summary:
        self._summary_at = self._clock.now()
        summary = self._summary()
        with contextlib.suppress(OSError):  # a cache: on a full disk the journal's error is the one that matters
            write_summary(self._folder.status, summary)
        return summary

    def _order(self, trial: int, attempt: int) -> JobOrder:
        job = job_name(self.state.name, self.state.uid, trial, attempt)
        return JobOrder(trial, attempt, job, self.state.trial(trial).parameters, tuple(self.state.avoided))
