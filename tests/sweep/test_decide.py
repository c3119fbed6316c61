"""`decide` and `apply` as a machine: a random world may fail in any way, the numbers are always right."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axk8s.sweep.decide import (
    Action,
    Cancel,
    ConcludeTrial,
    Effect,
    Finish,
    Halt,
    OpenAttempt,
    OpenTrials,
    decide,
)
from axk8s.sweep.encoding import from_line, to_line
from axk8s.sweep.limits import Settings
from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Outcome, Phase
from axk8s.sweep.records import (
    AttemptDiagnosed,
    Began,
    CancelDecided,
    ControllerStarted,
    Finished,
    JobDeleted,
    PhaseChanged,
    Record,
    RequestApplied,
    SubmittedJob,
    Submitting,
    Suggested,
    TrialConcluded,
)
from axk8s.sweep.state import State, apply, fold

SPEC = {"objectives": [{"metric": "loss", "direction": "minimize"}]}


@dataclass
class World:
    """Journal, jobs and a controller's habits, without threads or time: each step does one thing the data chooses."""

    options: Settings
    draw: st.DataObject
    records: list[Record] = field(default_factory=list)
    state: State = field(default_factory=State)
    jobs: dict[tuple[int, int], str] = field(default_factory=dict)
    """Jobs that exist on the scheduler: `alive`, `ended`."""
    deleted: set[tuple[int, int]] = field(default_factory=set)
    clock: float = 0.0
    most_ahead: int = 0

    def write(self, record: Record) -> None:
        self.records.append(record)
        apply(self.state, record)

    def restart(self) -> None:
        self.state = fold([from_line(to_line(record)) for record in self.records])
        self.write(ControllerStarted(time=self.clock, pid=1))

    def choose(self, *options: str) -> str:
        return self.draw.draw(st.sampled_from(options))

    def step(self) -> bool:
        """One round of the controller, killed and restarted at any point; returns whether it is over."""
        self.clock += 1.0
        if self.draw.draw(st.integers(0, 9)) == 0:
            self.restart()
        self.most_ahead = max(self.options.max_queued or 2, self.state.ahead())
        actions = decide(self.state, self.options, self.clock)
        assert actions == decide(self.state, self.options, self.clock)
        if not actions:
            return self.state.finished is not None and not self.state.undeleted
        for action in actions:
            if self.draw.draw(st.integers(0, 19)) == 0:
                self.restart()
                return False
            self.perform(action)
        alive = [key for key, word in self.jobs.items() if word == "alive"]
        assert len(alive) <= self.options.parallelism
        attempts = [trial.last for trial in self.state.active.values() if trial.last is not None]
        assert self.state.live == sum(attempt.alive for attempt in attempts) <= self.options.parallelism
        assert self.state.waiting == sum(attempt.waiting for attempt in attempts)
        if self.options.queued:
            # An eviction may put those that ran back into the queue, and none is sent then.
            assert self.state.ahead() <= self.most_ahead
        return False

    def perform(self, action: Action) -> None:
        match action:
            case OpenTrials(count):
                for _ in range(self.draw.draw(st.integers(0, count))):
                    number = len(self.state.trials)
                    self.write(Suggested(time=self.clock, trial=number, parameters={"x": number}, generator="g"))
            case OpenAttempt(trial, attempt):
                self.write(Submitting(time=self.clock, trial=trial, attempt=attempt, job=f"t{trial}-a{attempt}"))
            case Cancel(trial, attempt, outcome, reason):
                self.write(CancelDecided(time=self.clock, trial=trial, attempt=attempt, outcome=outcome, reason=reason))
            case ConcludeTrial(trial, outcome, reason):
                self.write(TrialConcluded(time=self.clock, trial=trial, outcome=outcome, reason=reason))
            case Halt(halted):
                self.write(halted)
            case Finish(reason):
                self.write(Finished(time=self.clock, reason=reason))
            case Effect(do, trial, attempt):
                self.effect(do, trial, attempt)

    def effect(self, do: str, trial: int, attempt: int) -> None:
        key = (trial, attempt)
        match do:
            case "submit":
                assert self.state.attempt(*key).phase is Phase.SUBMITTING
                adopted = key in self.jobs
                self.jobs.setdefault(key, "alive")
                if self.choose("answer", "answer", "killed before the answer") == "answer":
                    self.write(SubmittedJob(time=self.clock, trial=trial, attempt=attempt, handle="h", adopted=adopted))
            case "follow":
                assert key in self.jobs
                self.follow(key)
            case "stop":
                self.jobs[key] = "ended"
            case "harvest":
                self.write(
                    AttemptDiagnosed(
                        time=self.clock,
                        trial=trial,
                        attempt=attempt,
                        diagnosis=Diagnosis(Category(self.choose(*[c.value for c in Category])), "why"),
                        values={"loss": 1.0},
                    )
                )
            case "delete":
                assert self.state.attempt(*key).diagnosis is not None
                self.deleted.add(key)
                self.write(JobDeleted(time=self.clock, trial=trial, attempt=attempt))

    def follow(self, key: tuple[int, int]) -> None:
        seen = self.choose("waits", "is placed", "runs", "ends", "nothing")
        if self.jobs[key] == "alive" and seen == "runs":
            self.write(PhaseChanged(time=self.clock, trial=key[0], attempt=key[1], phase=Phase.RUNNING, pid=7))
        elif self.jobs[key] == "alive" and seen == "is placed":
            placed = self.draw.draw(st.sampled_from([None, False, True]))
            self.write(PhaseChanged(time=self.clock, trial=key[0], attempt=key[1], phase=Phase.PENDING, placed=placed))
            self.most_ahead = max(self.most_ahead, self.state.ahead())
        elif self.jobs[key] == "alive" and seen == "waits":
            self.write(PhaseChanged(time=self.clock, trial=key[0], attempt=key[1], phase=Phase.QUEUED, reason="quota"))
            self.most_ahead = max(self.most_ahead, self.state.ahead())
        elif self.jobs[key] == "ended" or seen == "ends":
            self.jobs[key] = "ended"
            exit_facts = ExitFacts("exited", 1)
            self.write(PhaseChanged(time=self.clock, trial=key[0], attempt=key[1], phase=Phase.ENDED, exit=exit_facts))

    def ask(self) -> None:
        verb = self.choose("stop", "stop one", "pause", "resume")
        request = f"r{len(self.records)}"
        if verb == "stop one" and self.state.trials:
            trial = self.draw.draw(st.integers(0, len(self.state.trials) - 1))
            self.write(RequestApplied(time=self.clock, id=request, verb="stop", trial=trial))
        elif verb == "pause":
            self.write(RequestApplied(time=self.clock, id=request, verb="pause"))
        elif verb == "resume":
            self.write(RequestApplied(time=self.clock, id=request, verb="resume"))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    data=st.data(),
    trials=st.integers(1, 8),
    parallelism=st.integers(1, 4),
    retries=st.integers(0, 2),
    queued=st.booleans(),
)
def test_exactly_the_trials_asked_for_end_whatever_happens(
    data: st.DataObject, trials: int, parallelism: int, retries: int, queued: bool
) -> None:
    options = Settings(
        trials=trials, parallelism=parallelism, retries=retries, max_queued=2, queued=queued, shared=queued
    )
    world = World(options, data)
    world.write(Began(time=0.0, uid="a" * 32, name="s", spec=SPEC, base="/"))
    world.write(ControllerStarted(time=0.0, pid=1))

    for _ in range(150):
        if world.step():
            break
        if data.draw(st.integers(0, 29)) == 0:
            world.ask()
    state = world.state

    assert len(state.trials) <= trials
    assert fold(world.records).counts == state.counts
    assert sum(state.counts.values()) == state.ended
    if state.finished and not state.halted:
        assert state.ended == trials
    if state.finished and not state.undeleted:
        assert not any(word == "alive" for word in world.jobs.values()), "an orphan"
        assert {(t.number, a.number) for t in state.trials for a in t.attempts} == world.deleted
    for trial in state.trials:
        assert [attempt.number for attempt in trial.attempts] == list(range(len(trial.attempts)))


def begun(*records: Record) -> State:
    return fold(
        [
            Began(time=0.0, uid="a" * 32, name="s", spec=SPEC, base="/"),
            ControllerStarted(time=0.0, pid=1),
            *records,
        ]
    )


def running(trial: int) -> list[Record]:
    return [
        Suggested(time=1.0, trial=trial, parameters={}, generator="g"),
        Submitting(time=1.0, trial=trial, attempt=0, job=f"j{trial}"),
        SubmittedJob(time=1.0, trial=trial, attempt=0, handle=f"h{trial}"),
        PhaseChanged(time=1.0, trial=trial, attempt=0, phase=Phase.RUNNING, pid=9),
    ]


def failed(trial: int, summary: str = "exit code 1", category: Category = Category.USER_ERROR) -> list[Record]:
    return [
        *running(trial),
        PhaseChanged(time=2.0, trial=trial, attempt=0, phase=Phase.ENDED, exit=ExitFacts("exited", 1)),
        AttemptDiagnosed(time=2.0, trial=trial, attempt=0, diagnosis=Diagnosis(category, summary, hint="mend it")),
        TrialConcluded(time=2.0, trial=trial, outcome=Outcome.FAILED, reason=summary),
        JobDeleted(time=2.0, trial=trial, attempt=0),
    ]


def test_a_free_slot_asks_for_as_many_trials_as_fit() -> None:
    options = Settings(trials=5, parallelism=3, retries=0)

    assert decide(begun(), options, 2.0) == [OpenTrials(3)]
    assert OpenTrials(2) in decide(begun(*running(0)), options, 2.0)
    late = begun(*failed(0, "a"), *failed(1, "b"), *failed(2, "c"), *failed(3, "d"))
    assert decide(late, options, 2.0) == [OpenTrials(1)]


def test_a_pause_launches_nothing_and_ends_nothing() -> None:
    state = begun(*running(0), RequestApplied(time=2.0, id="r", verb="pause"))

    assert decide(state, Settings(trials=5, parallelism=3, retries=0), 2.0) == [Effect("follow", 0, 0)]


def test_three_first_trials_that_fail_alike_end_the_sweep_with_the_hint() -> None:
    state = begun(
        *failed(0, "line 12: no such file"), *failed(1, "line 13: no such file"), *failed(2, "line 9: no such file")
    )

    (action,) = [a for a in decide(state, Settings(trials=9, parallelism=1, retries=0), 3.0) if isinstance(a, Halt)]

    assert action.halted.cause == "aborted"
    assert "no such file" in action.halted.reason
    assert action.halted.hint == "mend it"


@pytest.mark.parametrize("summaries", [("a", "b", "a"), ("a", "a", "b")])
def test_failures_that_differ_do_not(summaries: tuple[str, str, str]) -> None:
    state = begun(*failed(0, summaries[0]), *failed(1, summaries[1]), *failed(2, summaries[2]))

    assert decide(state, Settings(trials=9, parallelism=1, retries=0), 3.0) == [OpenTrials(1)]


def test_too_many_failures_end_the_sweep() -> None:
    state = begun(*failed(0, "a"), *failed(1, "b"))

    actions = decide(state, Settings(trials=9, parallelism=1, retries=0, max_failures=2), 3.0)

    assert isinstance(actions[0], Halt)
    assert "max_failures: 2" in actions[0].halted.reason


def test_an_abort_lets_running_jobs_end_and_removes_those_that_wait() -> None:
    waiting: list[Record] = [
        Suggested(time=1.0, trial=4, parameters={}, generator="g"),
        Submitting(time=1.0, trial=4, attempt=0, job="j4"),
        SubmittedJob(time=1.0, trial=4, attempt=0, handle="h4"),
        PhaseChanged(time=1.0, trial=4, attempt=0, phase=Phase.QUEUED),
    ]
    state = begun(*failed(0), *failed(1), *failed(2), *running(3), *waiting)
    options = Settings(trials=9, parallelism=5, retries=0)
    (halt,) = [a for a in decide(state, options, 3.0) if isinstance(a, Halt)]
    apply(state, halt.halted)

    cancelled = [a.trial for a in decide(state, options, 3.0) if isinstance(a, Cancel)]

    assert cancelled == [4]


def test_a_used_up_wall_time_ends_what_runs() -> None:
    state = begun(*running(0))
    options = Settings(trials=9, parallelism=1, retries=0, budgets={"wall_time": 60.0})
    assert not any(isinstance(a, Halt) for a in decide(state, options, 59.0))
    (halt,) = [a for a in decide(state, options, 60.0) if isinstance(a, Halt)]
    apply(state, halt.halted)

    assert halt.halted.cause == "budget"
    assert any(isinstance(a, Cancel) for a in decide(state, options, 61.0))


def test_time_without_a_controller_does_not_count_against_the_budget() -> None:
    state = begun(*running(0), ControllerStarted(time=1000.0, pid=2))
    options = Settings(trials=9, parallelism=1, retries=0, budgets={"wall_time": 60.0})

    assert not any(isinstance(a, Halt) for a in decide(state, options, 1058.0))
    assert any(isinstance(a, Halt) for a in decide(state, options, 1059.5))
