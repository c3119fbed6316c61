"""Virtual time: an agenda of things to come, and a clock that jumps to the next one."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable


class VirtualClock:
    """Seconds that pass only when somebody lets them; things due at one moment happen in the order of their entry."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._entries = itertools.count()

    def now(self) -> float:
        return self._now

    def call_at(self, time: float, action: Callable[[], None]) -> None:
        """Let something happen at a time; what would lie in the past happens next."""
        heapq.heappush(self._agenda, (max(time, self._now), next(self._entries), action))

    def next(self) -> float:
        """When the next thing happens; infinity when there is nothing to come."""
        return self._agenda[0][0] if self._agenda else math.inf

    def step(self, until: float) -> bool:
        """Jump to the next moment at which something happens and let all of it happen, also what it brings about then.

        With nothing due up to `until` the clock stands there afterwards (if that is finite), and False is returned.
        """
        moment = self.next()
        if moment > until or not self._agenda:
            if math.isfinite(until):
                self._now = max(self._now, until)
            return False
        self._now = moment
        while self._agenda and self._agenda[0][0] <= moment:
            heapq.heappop(self._agenda)[2]()
        return True

    def advance(self, until: float) -> None:
        """Let everything happen up to and at this time, which is then now."""
        while self.step(until):
            pass
