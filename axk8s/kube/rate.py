"""How fast and how often the API is asked: a token bucket before each call, and pauses between tries."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from axk8s.kube.errors import BusyError, KubeError, UnauthorizedError, UnreachableError

Answer = TypeVar("Answer")


class TokenBucket:
    """At most `rate` calls a second on average, and `burst` at once; safe to use from several threads."""

    def __init__(
        self,
        rate: float = 20.0,
        burst: int = 40,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """A full bucket. 20 a second is what a shared API server bears from each of many users; 0 is no limit."""
        self._rate, self._burst = rate, float(burst)
        self._now, self._sleep = now, sleep
        self._tokens, self._at = float(burst), now()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait for the next token."""
        if self._rate <= 0:
            return
        with self._lock:
            now = self._now()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            self._tokens -= 1
            # Those that come later wait longer: tokens are handed out ahead of their time, in order.
            wait = max(0.0, -self._tokens / self._rate)
        if wait:
            self._sleep(wait)


@dataclass(frozen=True, slots=True)
class Patience:
    """When a call is made again: no answer, 408, 429, 5xx, and 401 once (a token may just have been renewed)."""

    first: float = 0.2
    """Seconds before the second try at most; twice as many before each further one."""
    cap: float = 5.0
    """Seconds between two tries at most: what happened in an outage is known soon after its end."""
    deadline: float = 120.0
    """Seconds after which the last error is final."""
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    chance: random.Random = field(default_factory=random.Random)
    """Full jitter, so that clients that failed together do not come back together."""

    def call(self, work: Callable[[], Answer], *, given_up: Callable[[], bool] = lambda: False) -> Answer:
        """The answer of `work`, tried until it answers, the deadline has passed, or `given_up` says so.

        Raises:
            KubeError: the last answer, or one that another try would not change.
        """
        give_up_at = self.now() + self.deadline
        pause = self.first
        renewed = False
        while True:
            try:
                return work()
            except KubeError as error:
                again = isinstance(error, (BusyError, UnreachableError))
                if isinstance(error, UnauthorizedError) and not renewed:
                    renewed = again = True
                wait = error.retry_after if error.retry_after is not None else self.chance.uniform(0, pause)
                if not again or self.now() + wait > give_up_at:
                    raise
                if given_up():
                    raise
                self.sleep(wait)
            pause = min(pause * 2, self.cap)
