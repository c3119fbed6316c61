"""How many jobs may wait for room at a time, and that no clock runs while all of them do."""

import pytest

from axk8s.sweep.decide import Halt, OpenAttempt, OpenTrials, decide
from axk8s.sweep.limits import Settings, budget_ends, default_max_queued, room
from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Phase
from axk8s.sweep.records import (
    AttemptDiagnosed,
    Began,
    ControllerStarted,
    PhaseChanged,
    Record,
    SubmittedJob,
    Submitting,
    Suggested,
)
from axk8s.sweep.state import State, apply, fold


def begun(*records: Record) -> State:
    first: list[Record] = [
        Began(time=0.0, uid="a" * 32, name="s", spec={}, base="/"),
        ControllerStarted(time=0.0, pid=1),
    ]
    return fold([*first, *records])


def sent(trial: int, time: float = 1.0) -> list[Record]:
    return [
        Suggested(time=time, trial=trial, parameters={}, generator="g"),
        Submitting(time=time, trial=trial, attempt=0, job=f"j{trial}"),
        SubmittedJob(time=time, trial=trial, attempt=0, handle=f"h{trial}"),
    ]


def seen(trial: int, phase: Phase, time: float = 2.0, *, placed: bool | None = None, attempt: int = 0) -> Record:
    return PhaseChanged(time=time, trial=trial, attempt=attempt, phase=phase, placed=placed)


def opened(state: State, options: Settings) -> int:
    return sum(action.count for action in decide(state, options, 5.0) if isinstance(action, OpenTrials))


QUEUED = Settings(trials=100, parallelism=20, retries=1, max_queued=3, queued=True, shared=True)
SHARED = Settings(trials=100, parallelism=20, retries=1, max_queued=3, shared=True)
ALONE = Settings(trials=100, parallelism=20, retries=1, max_queued=3)


@pytest.mark.parametrize(("parallelism", "expected"), [(1, 2), (8, 2), (9, 3), (20, 5), (50, 13)])
def test_left_out_it_is_a_quarter_of_the_slots_and_at_least_two(parallelism: int, expected: int) -> None:
    assert default_max_queued(parallelism) == expected


def test_through_a_queue_no_more_are_sent_than_may_wait() -> None:
    assert opened(begun(), QUEUED) == 3
    assert opened(begun(*sent(0), *sent(1)), QUEUED) == 1
    assert opened(begun(*sent(0), *sent(1), *sent(2)), QUEUED) == 0
    assert opened(begun(*sent(0), seen(0, Phase.QUEUED), *sent(1), *sent(2)), QUEUED) == 0


def test_what_has_got_a_machine_does_not_wait() -> None:
    three = [*sent(0), *sent(1), *sent(2)]

    assert opened(begun(*three, seen(0, Phase.RUNNING)), QUEUED) == 1
    assert opened(begun(*three, seen(0, Phase.PENDING, placed=True)), QUEUED) == 1, "its image is being pulled"
    assert opened(begun(*three, seen(0, Phase.PENDING, placed=False)), QUEUED) == 0
    assert opened(begun(*three, seen(0, Phase.RUNNING), seen(0, Phase.QUEUED)), QUEUED) == 0, "evicted"


def test_where_it_is_not_known_whether_jobs_wait_more_are_sent_as_more_have_started() -> None:
    some = begun(*sent(0), seen(0, Phase.RUNNING), *sent(1), seen(1, Phase.RUNNING))

    assert opened(begun(), SHARED) == 3
    assert opened(some, SHARED) == 5
    assert opened(begun(), ALONE) == 20, "on a machine of one's own nothing waits"


@pytest.mark.parametrize("options", [SHARED, ALONE])
@pytest.mark.parametrize("wait", [seen(1, Phase.QUEUED), seen(1, Phase.PENDING, placed=False)])
def test_once_one_was_seen_to_wait_few_are_sent_ahead_for_good(options: Settings, wait: Record) -> None:
    state = begun(*sent(0), seen(0, Phase.RUNNING), *sent(1), wait)
    assert opened(state, options) == 2

    apply(state, seen(1, Phase.RUNNING, 3.0))
    assert opened(state, options) == 3


def test_attempts_that_are_due_wait_for_room_too_and_go_before_new_trials() -> None:
    disrupted: list[Record] = [
        seen(0, Phase.RUNNING),
        PhaseChanged(time=3.0, trial=0, attempt=0, phase=Phase.ENDED, exit=ExitFacts("terminated")),
        AttemptDiagnosed(time=3.0, trial=0, attempt=0, diagnosis=Diagnosis(Category.DISRUPTED, "evicted")),
    ]
    full = begun(*sent(0), *disrupted, *sent(1), *sent(2), *sent(3))
    assert not any(isinstance(action, OpenAttempt | OpenTrials) for action in decide(full, QUEUED, 5.0))

    apply(full, seen(1, Phase.RUNNING, 4.0))
    assert [a for a in decide(full, QUEUED, 5.0) if isinstance(a, OpenAttempt | OpenTrials)] == [OpenAttempt(0, 1)]


def test_the_clock_of_the_wall_time_stands_still_while_everything_waits() -> None:
    options = Settings(trials=9, parallelism=2, retries=0, budgets={"wall_time": 100.0})
    state = begun(*sent(0, 1.0), *sent(1, 1.0), seen(0, Phase.QUEUED, 10.0))
    assert budget_ends(state, options, 15.0) == 100.0, "one of them may be running"

    apply(state, seen(1, Phase.QUEUED, 20.0))
    assert budget_ends(state, options, 5000.0) is None
    assert not any(isinstance(action, Halt) for action in decide(state, options, 5000.0))

    apply(state, seen(0, Phase.RUNNING, 5020.0))
    assert budget_ends(state, options, 5021.0) == 5100.0
    assert any(isinstance(action, Halt) for action in decide(state, options, 5100.0))


def test_the_clock_stands_still_across_controllers() -> None:
    options = Settings(trials=9, parallelism=2, retries=0, budgets={"wall_time": 100.0})
    state = begun(
        *sent(0, 1.0),
        seen(0, Phase.QUEUED, 10.0),
        seen(0, Phase.QUEUED, 60.0),
        ControllerStarted(time=1000.0, pid=2),
        seen(0, Phase.RUNNING, 1030.0),
    )

    assert state.run_time == 10.0
    assert budget_ends(state, options, 1031.0) == 1000.0 + 90.0 + 30.0


def test_room_is_counted_as_it_is_when_all_is_counted_anew() -> None:
    state = begun(*sent(0), *sent(1), seen(0, Phase.QUEUED), seen(0, Phase.PENDING, placed=False))
    assert (state.live, state.waiting, state.ahead()) == (2, 1, 2)
    assert room(state, SHARED, ahead=state.ahead()) == 1

    apply(state, seen(0, Phase.PENDING, placed=True))
    assert (state.live, state.waiting, state.ahead()) == (2, 0, 1)
