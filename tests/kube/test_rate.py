from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.kube.errors import (
    AlreadyExistsError,
    BusyError,
    ForbiddenError,
    KubeError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from axk8s.kube.rate import Patience, TokenBucket


class Time:
    """Passes when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


def test_a_burst_passes_at_once_and_the_rest_at_the_rate() -> None:
    time = Time()
    bucket = TokenBucket(10, 5, now=time.now, sleep=time.sleep)
    for _ in range(25):
        bucket.take()

    assert time.at == pytest.approx(2.0)
    time.at += 100
    before = len(time.slept)
    for _ in range(5):
        bucket.take()
    assert len(time.slept) == before


@given(st.floats(0.5, 100), st.integers(1, 20), st.lists(st.floats(0, 2), max_size=60))
def test_the_rate_is_kept_whenever_calls_come(rate: float, burst: int, idle: list[float]) -> None:
    time = Time()
    bucket = TokenBucket(rate, burst, now=time.now, sleep=time.sleep)
    for pause in idle:
        time.at += pause
        bucket.take()

    assert len(idle) <= burst + rate * time.at + 1e-6


def test_no_rate_is_no_limit() -> None:
    time = Time()
    bucket = TokenBucket(0, now=time.now, sleep=time.sleep)
    for _ in range(1000):
        bucket.take()
    assert time.slept == []


def tried(*errors: KubeError, deadline: float = 120.0) -> tuple[Time, int, object]:
    """Meets these errors, one a try, and then succeeds."""
    time = Time()
    left = list(errors)
    tries = 0

    def work() -> str:
        nonlocal tries
        tries += 1
        if left:
            raise left.pop(0)
        return "done"

    patience = Patience(now=time.now, sleep=time.sleep, chance=random.Random(1), deadline=deadline)
    try:
        return time, tries, patience.call(work)
    except KubeError as error:
        return time, tries, error
    finally:
        del work


def test_what_may_pass_is_tried_again_with_growing_pauses() -> None:
    time, _, found = tried(*[BusyError("full", status=503)] * 4, *[UnreachableError("reset")] * 4)

    assert found == "done"
    assert len(time.slept) == 8
    assert all(pause <= 0.2 * 2**index for index, pause in enumerate(time.slept))


def test_the_server_says_when_to_come_back() -> None:
    time, _, found = tried(BusyError("full", status=429, retry_after=7.0))

    assert (found, time.slept) == ("done", [7.0])


@pytest.mark.parametrize("error", [NotFoundError("no"), ForbiddenError("no"), AlreadyExistsError("no")])
def test_what_another_try_would_not_change_is_final(error: KubeError) -> None:
    time, _, found = tried(error)

    assert (found, time.slept) == (error, [])


def test_refused_credentials_are_tried_once_more_because_they_may_have_been_renewed() -> None:
    once, twice = UnauthorizedError("expired"), UnauthorizedError("still")

    assert tried(once)[2] == "done"
    assert tried(once, twice)[2] is twice


def test_the_last_error_is_raised_when_patience_ends() -> None:
    errors = [BusyError(str(number), status=503) for number in range(500)]
    time, _, found = tried(*errors, deadline=60)

    assert isinstance(found, BusyError)
    assert time.at <= 60
