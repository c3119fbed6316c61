from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from axk8s.simulate.clock import VirtualClock


def test_time_passes_only_when_it_is_let_and_jumps_to_what_comes_next() -> None:
    clock = VirtualClock(10.0)
    seen: list[tuple[str, float]] = []
    clock.call_at(12.0, lambda: seen.append(("a", clock.now())))
    clock.call_at(11.0, lambda: seen.append(("b", clock.now())))

    assert (clock.now(), clock.next()) == (10.0, 11.0)
    assert clock.step(math.inf)
    assert seen == [("b", 11.0)]
    clock.advance(20.0)

    assert seen == [("b", 11.0), ("a", 12.0)]
    assert (clock.now(), clock.next()) == (20.0, math.inf)


def test_with_nothing_due_the_clock_stands_at_the_end_of_the_wait() -> None:
    clock = VirtualClock()

    assert not clock.step(5.0)
    assert clock.now() == 5.0
    assert not clock.step(math.inf)
    assert clock.now() == 5.0


def test_what_lies_in_the_past_happens_next_and_not_before_now() -> None:
    clock = VirtualClock(10.0)
    seen: list[float] = []
    clock.call_at(3.0, lambda: seen.append(clock.now()))
    clock.advance(10.0)

    assert seen == [10.0]


@given(st.lists(st.floats(0, 100), max_size=30))
def test_things_happen_in_the_order_of_their_times_and_of_their_entry(times: list[float]) -> None:
    clock = VirtualClock()
    seen: list[tuple[float, int]] = []
    for number, time in enumerate(times):
        clock.call_at(time, lambda number=number, time=time: seen.append((time, number)))  # type: ignore[misc]  # bound in the loop
    clock.advance(100.0)

    assert seen == sorted((time, number) for number, time in enumerate(times))


def test_what_one_thing_brings_about_at_the_same_moment_belongs_to_the_step() -> None:
    clock = VirtualClock()
    seen: list[str] = []
    clock.call_at(1.0, lambda: clock.call_at(1.0, lambda: seen.append("second")))

    clock.step(math.inf)

    assert seen == ["second"]
