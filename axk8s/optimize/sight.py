"""How many results the model is shown, so that proposals are made as fast as slots need them.

A proposal costs the model more the more results it sees: with all of a thousand it takes longer than many trials do,
and then slots wait for it. So where proposals take longer than results do to come, fewer are shown, and more where
there is time to spare. Of too many results the best and a share of the rest are shown.

What is given up: up to the smallest bound, `LEAST_SHOWN` results, the same seed and the same results give the same
proposals, whatever the machine; beyond, how many are shown depends on how long proposals and trials took. A sweep
begins in the middle of the ladder, and stays there while the times say nothing else.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from axk8s.sweep.model import TrialFact

LADDER: Final = (200, 300, 500, 1000)
"""Numbers of results. On one core, with four parameters and one objective, the first proposal after new results takes
0.9 s at 200, 2.5 s at 500 and 11 s at 1,000, and each further one 0.7 s, 1.3 s and 3 s (`bench/proposals.py`)."""
LEAST_SHOWN: Final = LADDER[0]
MIDDLE: Final = 2
"""The step of the ladder that a sweep begins at: 500 results."""
_BUSY: Final = 0.8
"""A proposal may take so much of the time between two results; the rest is for what else takes time."""
_SPARE: Final = 0.5
"""More are shown only if a proposal is then expected to take no more than this."""
_GROWTH: Final = 2.5
"""By which power of their number the time grows at most: a little more than was measured between 500 and 1,000."""
_WINDOW: Final = 64
"""Results whose pace counts: long enough to see past those that come at once, as of trials that began at once."""
_KNOWN: Final = 8
"""Intervals without which the pace is not known."""


class Sight:
    """How far the model sees."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._step = MIDDLE
        self._running: set[int] = set()
        self._arrivals: deque[float] = deque(maxlen=_WINDOW)
        self._results = 0
        self._asked_at = 0.0

    @property
    def most(self) -> int:
        """How many results the model is shown at most."""
        return LADDER[self._step]

    @property
    def pace(self) -> float | None:
        """Mean seconds between results; None while hardly any came."""
        if len(self._arrivals) <= _KNOWN:
            return None
        return (self._arrivals[-1] - self._arrivals[0]) / (len(self._arrivals) - 1)

    def told(self, fact: TrialFact) -> None:
        """A trial was suggested or has ended. What ended before this process knew of it says nothing about the pace."""
        if fact.outcome is None:
            self._running.add(fact.trial)
            return
        self._results += 1
        if fact.trial in self._running:
            self._running.discard(fact.trial)
            self._arrivals.append(self._clock())

    def asked(self) -> None:
        """A question was put."""
        self._asked_at = self._clock()

    def answered(self, count: int) -> None:
        """It was answered by so many proposals."""
        pace = self.pace
        if pace is None or not count or self._results <= LEAST_SHOWN:
            return
        seconds = (self._clock() - self._asked_at) / count
        if seconds > _BUSY * pace:
            self._step = max(0, self._step - 1)
        elif self._step + 1 < len(LADDER) and self._results > self.most:
            more = LADDER[self._step + 1] / self.most
            if seconds * more**_GROWTH <= _SPARE * pace:
                self._step += 1
