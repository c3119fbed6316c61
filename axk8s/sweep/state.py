"""The state of a sweep: a fold over its records. `apply` changes its own State in place and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from axk8s.errors import JournalError
from axk8s.sweep.goal import Goal
from axk8s.sweep.model import Category, Diagnosis, Outcome, Parameters, Phase, TrialFact, Values
from axk8s.sweep.records import (
    Attached,
    AttemptDiagnosed,
    Began,
    CancelDecided,
    ControllerStarted,
    Finished,
    Halted,
    JobDeleted,
    Noticed,
    PhaseChanged,
    Placed,
    Reached,
    Record,
    RequestApplied,
    Spared,
    SpecChanged,
    SubmittedJob,
    Submitting,
    Suggested,
    TrialConcluded,
)
from axk8s.sweep.stopping import Ladder, Rule, follow_rule
from axk8s.sweep.trial import Attempt, Trial

ENQUEUED = "enqueued"
"""Who proposed a trial that a person has asked for."""
ATTACHED = "attached"
"""Who proposed what was not tried here at all."""
BASELINE = "baseline"
"""Who proposed the trial that the sweep file has others compared with."""
HOUR = 3600.0
_MOST_AVOIDED = 50
"""Machines; a cluster with more broken ones needs another remedy, and a manifest should stay readable."""


@dataclass(slots=True)
class State:
    """Everything that is known of a sweep; only `apply` may change it."""

    uid: str = ""
    name: str = ""
    spec: Mapping[str, object] = field(default_factory=dict)
    base: str = ""
    file: str = ""
    workspace: str = ""
    simulated: bool = False
    began_at: float = 0.0
    place: Placed | None = None
    goal: Goal = field(default_factory=Goal)
    ladder: Ladder | None = None
    """How trials stand that may be stopped early; None where none is."""
    baseline: int | None = None
    """Number of the trial that others are compared with."""
    attached: list[TrialFact] = field(default_factory=list)
    """Results from elsewhere, which only the optimizer learns from; numbered from -1 downwards."""
    sources: dict[str, int] = field(default_factory=dict)
    """Where they come from, and how many from each."""
    trials: list[Trial] = field(default_factory=list)
    active: dict[int, Trial] = field(default_factory=dict)
    """Trials without an outcome, by number, in order."""
    undeleted: dict[tuple[int, int], Attempt] = field(default_factory=dict)
    """Attempts that may have left something on the scheduler."""
    counts: Counter[Outcome] = field(default_factory=Counter)
    causes: Counter[Category] = field(default_factory=Counter)
    """Why attempts ended that did not succeed; replicas that were replaced within one count as disrupted."""
    from_model: int = 0
    """How many trials a model proposed."""
    crowded: bool = False
    """Whether an attempt ever waited for room: from then on few are sent ahead."""
    live: int = 0
    """How many attempts hold a slot."""
    waiting: int = 0
    """How many of them are known to wait for room."""
    waiting_since: float | None = None
    """Since when all of them do; None while one does not, or there is none."""
    waited: float = 0.0
    """Seconds of the present controller's run in which all that was alive waited."""
    started: int = 0
    """How many attempts were ever seen running or ended by themselves after having started."""
    busy: float = 0.0
    """Seconds that concluded trials took from their first start to their end, in total."""
    best: int | None = None
    """Number of the best succeeded trial that keeps the constraints; None where there is a front."""
    front: list[int] = field(default_factory=list)
    """Of several objectives: the succeeded trials that keep constraints and thresholds, and that no other dominates."""
    unfit: int = 0
    """How many succeeded trials break an outcome constraint, or cannot be compared with a baseline yet."""
    since_best: int = 0
    """How many trials have ended since, by themselves, and brought nothing better."""
    used: dict[str, float] = field(default_factory=dict)
    """Hours of each resource that was held by attempts which run no longer."""
    signatures: list[str] = field(default_factory=list)
    """Failure signatures of the first trials to end under this controller, up to the first success of all."""
    enqueued: list[Parameters] = field(default_factory=list)
    """Parameters that a person wants tried next, before any proposal."""
    paused: bool = False
    halted: Halted | None = None
    finished: Finished | None = None
    controller: ControllerStarted | None = None
    run_time: float = 0.0
    """Seconds that earlier controllers drove the sweep, for the wall-time budget."""
    avoided: list[str] = field(default_factory=list)
    """Machines that a log rule has excluded, in their order."""
    requests: set[str] = field(default_factory=set)
    notices: list[Noticed] = field(default_factory=list)
    last_time: float = 0.0

    @property
    def objective(self) -> str:
        """What trials are compared by; see `Goal.name`."""
        return self.goal.name

    @property
    def maximize(self) -> bool:
        """Which way is better."""
        return self.goal.maximize

    @property
    def baseline_values(self) -> Values | None:
        """What the baseline trial reported, once it has succeeded."""
        trial = self.trials[self.baseline] if self.baseline is not None else None
        return trial.values if trial is not None and trial.outcome is Outcome.SUCCEEDED else None

    @property
    def ended(self) -> int:
        return len(self.trials) - len(self.active)

    def ahead(self) -> int:
        """Attempts that are not known to have got a machine."""
        return sum(1 for trial in self.active.values() if (last := trial.last) is not None and last.ahead)

    def trial(self, number: int) -> Trial:
        try:
            return self.trials[number]
        except IndexError:
            raise JournalError(f"the journal speaks of trial {number}, which was never suggested") from None

    def attempt(self, trial: int, attempt: int) -> Attempt:
        attempts = self.trial(trial).attempts
        if not 0 <= attempt < len(attempts):
            raise JournalError(f"the journal speaks of attempt {attempt} of trial {trial}, which was never submitted")
        return attempts[attempt]


def signature(diagnosis: Diagnosis) -> str:
    """What makes two failures alike: the category and the summary without its numbers."""
    return f"{diagnosis.category.value}: {re.sub(r'[0-9]+', '#', diagnosis.summary)}"


def fold(records: Iterable[Record]) -> State:
    """The state after all records."""
    state = State()
    for record in records:
        apply(state, record)
    return state


def apply(state: State, record: Record) -> None:
    """Bring `state` up to `record`.

    Raises:
        JournalError: the record cannot follow what came before (a damaged or hand-edited journal).
    """
    if not state.uid and not isinstance(record, Began):
        raise JournalError(f"the journal does not start with a 'began' record but with {record.kind!r}")
    before, state.last_time = state.last_time, max(state.last_time, record.time)
    match record:
        case PhaseChanged():
            _phase(state, record)
        case Suggested():
            _suggested(state, record)
        case Submitting():
            _submitting(state, record)
        case SubmittedJob():
            attempt = state.attempt(record.trial, record.attempt)
            attempt.handle, attempt.adopted = record.handle, record.adopted
            if attempt.phase is Phase.SUBMITTING:
                attempt.phase = Phase.PENDING
                _count(state, record.time)
        case AttemptDiagnosed():
            attempt = state.attempt(record.trial, record.attempt)
            attempt.diagnosis, attempt.values, attempt.steps = record.diagnosis, record.values, record.steps
            attempt.sems = record.sems
            if record.diagnosis.category is not Category.SUCCEEDED and not attempt.stopped_early:
                state.causes[record.diagnosis.category] += 1
            node = attempt.exit.node if attempt.exit is not None else ""
            if record.diagnosis.advice == "exclude_node" and node and node not in state.avoided:
                state.avoided.append(node)
                del state.avoided[:-_MOST_AVOIDED]
        case Reached():
            if state.ladder is not None:
                state.ladder.climb(state.trial(record.trial), {record.step: record.value})
        case Spared():
            state.trial(record.trial).spared = True
        case TrialConcluded():
            _concluded(state, record)
        case JobDeleted():
            state.attempt(record.trial, record.attempt).deleted = True
            state.undeleted.pop((record.trial, record.attempt), None)
        case CancelDecided():
            state.attempt(record.trial, record.attempt).cancel = record
        case RequestApplied():
            _request(state, record)
        case ControllerStarted():
            if state.controller is not None:
                stood = state.waited + (0.0 if state.waiting_since is None else before - state.waiting_since)
                state.run_time += max(0.0, before - state.controller.time - stood)
            state.controller, state.waited = record, 0.0
            state.waiting_since = None if state.waiting_since is None else record.time
            state.paused, state.halted, state.finished = False, None, None
            state.signatures.clear()  # whoever starts it again may have mended the cause
        case Began():
            _began(state, record)
        case Placed():
            state.place = record
        case Attached():
            _attached(state, record)
        case SpecChanged():
            _spec(state, record.spec)
        case Halted():
            state.halted = record
        case Finished():
            state.finished = record
        case Noticed():
            state.notices.append(record)


def _began(state: State, record: Began) -> None:
    if state.uid:
        raise JournalError("the journal has a second 'began' record: two sweeps in one file")
    state.uid, state.name, state.base, state.file = record.uid, record.name, record.base, record.file
    state.workspace, state.simulated, state.began_at = record.workspace, record.simulated, record.time
    _spec(state, record.spec)


def _spec(state: State, spec: Mapping[str, object]) -> None:
    state.spec, state.goal = spec, Goal.of(spec)
    state.ladder = follow_rule(state.ladder, Rule.of(spec, state.goal), state.trials)


def _attached(state: State, record: Attached) -> None:
    state.sources[record.source] = state.sources.get(record.source, 0) + len(record.trials)
    for known in record.trials:
        number = -1 - len(state.attached)
        state.attached.append(
            TrialFact(number, known.parameters, ATTACHED, Outcome.SUCCEEDED, known.values, known.sems)
        )


def _suggested(state: State, record: Suggested) -> None:
    if record.trial != len(state.trials):
        raise JournalError(f"the journal suggests trial {record.trial} where {len(state.trials)} is next")
    trial = Trial(record.trial, record.parameters, record.generator, record.from_model, record.time)
    state.trials.append(trial)
    state.active[record.trial] = trial
    state.from_model += record.from_model
    if record.generator == BASELINE and state.baseline is None:
        state.baseline = record.trial
    if record.generator == ENQUEUED and record.parameters in state.enqueued:
        state.enqueued.remove(record.parameters)


def _submitting(state: State, record: Submitting) -> None:
    trial = state.trial(record.trial)
    if record.attempt != len(trial.attempts):
        raise JournalError(
            f"the journal submits attempt {record.attempt} of trial {record.trial} where {len(trial.attempts)} is next"
        )
    attempt = Attempt(record.attempt, record.job, record.time, resources=record.resources)
    trial.attempts.append(attempt)
    state.undeleted[record.trial, record.attempt] = attempt
    state.live += 1
    _count(state, record.time)


def _phase(state: State, record: PhaseChanged) -> None:
    attempt = state.attempt(record.trial, record.attempt)
    first = attempt.started_at is None
    if first and (record.started_at is not None or record.phase is Phase.RUNNING):
        attempt.started_at = record.started_at if record.started_at is not None else record.time
        state.started += 1
    was_alive, was_waiting = attempt.alive, attempt.waiting
    attempt.phase, attempt.reason, attempt.placed = record.phase, record.reason, record.placed
    _spend(state, attempt, record, record.started_at if first else None)
    state.live += attempt.alive - was_alive
    state.waiting += attempt.waiting - was_waiting
    state.crowded |= attempt.waiting
    _count(state, record.time)
    attempt.pid = record.pid if record.pid is not None else attempt.pid
    attempt.exit = record.exit or attempt.exit
    if record.restarts > attempt.restarts:
        state.causes[Category.DISRUPTED] += record.restarts - attempt.restarts
        attempt.restarts = record.restarts
    if not attempt.alive:
        attempt.ended_at = record.ended_at if record.ended_at is not None else record.time


def _spend(state: State, attempt: Attempt, record: PhaseChanged, started_at: float | None) -> None:
    """Count what is held while an attempt runs, which it does not in a queue; `started_at` is news of its start."""
    since = attempt.running_since if attempt.running_since is not None else started_at
    if attempt.phase is Phase.RUNNING:
        attempt.running_since = since if since is not None else record.time
        return
    if since is None:
        return
    attempt.running_since = None
    until = record.ended_at if record.ended_at is not None else record.time
    for name, amount in attempt.resources.items():
        state.used[name] = state.used.get(name, 0.0) + amount * max(0.0, until - since) / HOUR


def _count(state: State, time: float) -> None:
    """Note when all that is alive begins to wait for room, and when that ends."""
    waits = state.live > 0 and state.waiting == state.live
    if waits and state.waiting_since is None:
        state.waiting_since = time
    elif not waits and state.waiting_since is not None:
        state.waited += max(0.0, time - state.waiting_since)
        state.waiting_since = None


def _concluded(state: State, record: TrialConcluded) -> None:
    trial = state.active.pop(record.trial, None)
    if trial is None:
        raise JournalError(f"the journal ends trial {record.trial} twice, or before it was suggested")
    trial.outcome, trial.reason, trial.ended_at = record.outcome, record.reason, record.time
    trial.values, trial.sems = record.values, record.sems
    if record.outcome is Outcome.EARLY_STOPPED and state.ladder is not None:
        state.ladder.leave(trial)
    state.counts[record.outcome] += 1
    if trial.attempts and trial.attempts[0].started_at is not None:
        state.busy += max(0.0, (trial.attempts[-1].ended_at or record.time) - trial.attempts[0].started_at)
    diagnosis = trial.diagnosis
    if record.outcome in (Outcome.FAILED, Outcome.INFEASIBLE) and not state.counts[Outcome.SUCCEEDED] and diagnosis:
        state.signatures.append(signature(diagnosis))
    if record.outcome in (Outcome.SUCCEEDED, Outcome.EARLY_STOPPED, Outcome.INFEASIBLE):
        state.since_best += 1
    if record.outcome is Outcome.SUCCEEDED:
        # With a baseline's result what could not be compared before can be.
        again = trial.number == state.baseline and state.goal.relative
        _consider(state, *(each for each in state.trials if each.outcome is Outcome.SUCCEEDED) if again else (trial,))


def _consider(state: State, *trials: Trial) -> None:
    """Whether these are the best, or on the front."""
    if len(trials) > 1:
        state.unfit = 0
    goal, baseline = state.goal, state.baseline_values
    for trial in trials:
        if not goal.measured(trial.values):
            continue
        if not goal.feasible(trial.values, baseline):
            state.unfit += 1
        elif goal.several:
            _consider_front(state, trial)
        elif state.best is None or _better(state, trial, state.trials[state.best]):
            state.best, state.since_best = trial.number, 0


def _better(state: State, trial: Trial, other: Trial) -> bool:
    one, two = state.goal.value(trial.values), state.goal.value(other.values)
    return one is not None and two is not None and (one > two if state.maximize else one < two)


def _consider_front(state: State, trial: Trial) -> None:
    if trial.number in state.front or not state.goal.within_thresholds(trial.values):
        return
    members = [*state.front, trial.number]
    front = state.goal.front((number, state.trials[number].values) for number in members)
    if trial.number in front:
        state.front, state.since_best = front, 0


def _request(state: State, record: RequestApplied) -> None:
    state.requests.add(record.id)
    if record.verb == "enqueue":
        state.enqueued.append(record.parameters)
    elif record.verb == "pause":
        state.paused = True
    elif record.verb == "resume":
        state.paused = False
    elif record.trial is not None:
        state.trial(record.trial).stop_requested = True
    else:
        state.halted = Halted(time=record.time, cause="stopped", reason="stopped by request")
