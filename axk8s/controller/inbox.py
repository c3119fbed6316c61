"""How news reaches the controller's one thread: workers, observers and the optimizer only put events here."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from axk8s.errors import Axk8sError
from axk8s.sweep.decide import Effect
from axk8s.sweep.model import Harvest, JobView, OptimizerReply, Submitted
from axk8s.sweep.stopping import Progress


@dataclass(frozen=True, slots=True)
class Viewed:
    """The observer saw a job."""

    view: JobView


@dataclass(frozen=True, slots=True)
class Progressed:
    """A running job has reported something."""

    job: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class Replied:
    """The optimizer answered, or said something."""

    reply: OptimizerReply


@dataclass(frozen=True, slots=True)
class EffectDone:
    """A side effect came to its end: with a result, or with an error of ours."""

    effect: Effect
    result: Submitted | Harvest | None = None
    error: Axk8sError | None = None
    progress: Progress = field(default_factory=Progress)
    """What a harvested attempt has reported that was not told before."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """A worker met an exception that nobody foresaw; the controller raises it."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Woken:
    """Look again: a signal, or a request."""


Event: TypeAlias = Viewed | Progressed | Replied | EffectDone | Crashed | Woken


class Inbox(Protocol):
    """Where events arrive and time passes."""

    def put(self, event: Event) -> None: ...

    def take(self, seconds: float) -> list[Event]:
        """All waiting events; waits at most `seconds` for the first."""


class Workers(Protocol):
    """Runs side effects off the controller's thread."""

    def run(self, work: Callable[[], None]) -> None: ...

    def close(self) -> None: ...


class QueueInbox:
    """The inbox of a real controller: a thread-safe queue."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def put(self, event: Event) -> None:
        self._queue.put(event)

    def take(self, seconds: float) -> list[Event]:
        """All waiting events; waits at most `seconds` for the first."""
        events: list[Event] = []
        try:
            events.append(self._queue.get(timeout=max(seconds, 0.0)))
            while True:
                events.append(self._queue.get_nowait())
        except queue.Empty:
            return events


class ThreadWorkers:
    """A pool of threads; as many as jobs may be submitted at once, 32 at most."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=max(2, min(32, count)), thread_name_prefix="axk8s-worker")

    def run(self, work: Callable[[], None]) -> None:
        self._pool.submit(work)

    def close(self) -> None:
        """Wait for what is under way; drop what has not begun (the next controller decides on it again)."""
        self._pool.shutdown(wait=True, cancel_futures=True)
