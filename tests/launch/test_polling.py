from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeAlias

from torchx.schedulers.api import DescribeAppResponse
from torchx.specs import AppState

from axk8s.launch.polling import PollingObserver
from axk8s.sweep.model import JobView, Phase

Answer: TypeAlias = AppState | DescribeAppResponse | Exception | None


class Script:
    """A scheduler that says the given things, one a question, and then the last for ever; time passes a second each."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.cancelled: list[str] = []
        self.repeats = 0

    def now(self) -> float:
        return float(self.asked)

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return DescribeAppResponse(app_id=app_id, state=answer) if isinstance(answer, AppState) else answer


Views: TypeAlias = queue.Queue[JobView]


@contextmanager
def observing(script: Script, **options: object) -> Iterator[tuple[PollingObserver, Views]]:
    views: Views = queue.Queue()
    settings: dict[str, object] = {"first": 0.001, "cap": 0.002, "now": script.now, "cancel": script.cancelled.append}
    make: Callable[..., PollingObserver] = PollingObserver
    with closing(make(views.put, script.describe, **{**settings, **options})) as observer:
        observer.follow("job", "app")
        yield observer, views


def until_ended(views: Views) -> list[JobView]:
    found: list[JobView] = []
    while not found or found[-1].exit is None:
        found.append(views.get(timeout=30))
    return found


def test_each_change_is_reported_once_and_nothing_after_the_end() -> None:
    script = Script(AppState.SUBMITTED, AppState.PENDING, AppState.RUNNING, AppState.RUNNING, AppState.SUCCEEDED)

    with observing(script) as (_, views):
        found = until_ended(views)

    assert [view.phase for view in found] == [Phase.QUEUED, Phase.PENDING, Phase.RUNNING, Phase.ENDED]
    assert found[-1].exit is not None
    assert (found[-1].exit.cause, found[-1].exit.code) == ("exited", 0)
    assert found[2].started_at is not None
    assert found[3].started_at == found[2].started_at
    assert views.empty()
    assert script.asked == 5


def test_unknown_states_errors_and_single_absences_end_nothing() -> None:
    trouble: list[Answer] = [AppState.UNKNOWN, None, ConnectionError("503"), KeyError("Completing"), None, None]
    script = Script(AppState.RUNNING, *trouble, AppState.RUNNING, AppState.SUCCEEDED)

    with observing(script, absent_for=60.0) as (_, views):
        found = until_ended(views)

    assert {view.phase for view in found[:-1]} == {Phase.RUNNING}
    assert found[-1].phase is Phase.ENDED


def test_a_scheduler_that_does_not_answer_for_long_is_named_as_the_reason() -> None:
    down: list[Answer] = [ConnectionError("refused")] * 3
    script = Script(AppState.RUNNING, *down, AppState.SUCCEEDED)

    with observing(script) as (_, views):
        found = until_ended(views)

    assert "ConnectionError: refused" in found[1].reason


def test_a_job_that_stays_absent_is_lost_only_after_a_minute() -> None:
    script = Script(AppState.RUNNING, None)

    with observing(script, absent_for=60.0) as (_, views):
        found = until_ended(views)

    assert found[-1].phase is Phase.LOST
    assert script.asked >= 60


def test_what_a_forgetful_scheduler_does_not_know_is_lost_at_once() -> None:
    script = Script(None)

    with observing(script, forgetful=True) as (_, views):
        [view] = until_ended(views)

    assert view.phase is Phase.LOST
    assert "memory" in view.reason
    assert script.asked == 1


def test_an_end_that_we_asked_for_is_a_cancel_whatever_the_scheduler_calls_it() -> None:
    script = Script(AppState.RUNNING)

    with observing(script) as (observer, views):
        assert views.get(timeout=30).phase is Phase.RUNNING
        observer.cancelling("app")
        script.answers = [AppState.FAILED]
        [view] = until_ended(views)

    assert view.exit is not None
    assert view.exit.cause == "cancelled"


def test_a_job_that_runs_too_long_is_cancelled_and_ends_by_its_deadline() -> None:
    script = Script(*[AppState.RUNNING] * 20, AppState.CANCELLED)

    with observing(script, deadline=5.0) as (_, views):
        found = until_ended(views)

    assert script.cancelled == ["app"]
    assert found[-1].exit is not None
    assert found[-1].exit.cause == "deadline"


def test_the_words_of_torchelastic_are_the_message() -> None:
    structured = '{"message": {"message": "RuntimeError: boom", "extraInfo": {}}}'
    script = Script(DescribeAppResponse(app_id="app", state=AppState.FAILED, structured_error_msg=structured))

    with observing(script) as (_, views):
        [view] = until_ended(views)

    assert view.exit is not None
    assert view.exit.message == "RuntimeError: boom"


def test_asking_slows_down_while_nothing_changes_and_a_new_job_makes_it_prompt() -> None:
    script = Script(AppState.RUNNING)

    with observing(script, first=0.001, cap=3600.0) as (observer, views):
        assert views.get(timeout=30).job == "job"
        asked = script.asked
        observer.follow("other", "app2")
        assert views.get(timeout=30).job == "other"

    assert asked <= 23  # each pause is twice the last, from a millisecond to the hour


def test_closing_ends_the_asking_and_is_idempotent() -> None:
    script = Script(AppState.RUNNING)
    with observing(script, cap=3600.0) as (observer, views):
        views.get(timeout=30)
        observer.close()
        asked = script.asked
        observer.follow("late", "late")

    assert script.asked == asked
    assert views.empty()
