"""The controller's `Inbox` and `Workers` under virtual time: one thread, and waiting is a jump of the clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

from axk8s.simulate.clock import VirtualClock
from axk8s.simulate.world import World

Event = TypeVar("Event")


class VirtualInbox(Generic[Event]):
    """Events in the order of their coming."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._events: list[Event] = []

    def put(self, event: Event) -> None:
        self._events.append(event)

    def take(self, seconds: float) -> list[Event]:
        """All waiting events; without any, time passes until one comes, at most so many seconds."""
        until = self._clock.now() + max(seconds, 0.0)
        while not self._events and self._clock.step(until):
            pass
        if not self._events and math.isinf(until):
            raise RuntimeError("the simulation stands still: the controller waits, and nothing is to come")
        events, self._events = self._events, []
        return events


class VirtualWorkers:
    """Each piece of work is a call to the world's API, which takes its time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._closed = False

    def run(self, work: Callable[[], None]) -> None:
        """Let the work be done when the call has taken its time."""
        self._world.call(lambda: None if self._closed else work())

    def close(self) -> None:
        """Drop what has not been done: the next controller decides on it again."""
        self._closed = True
