"""What the controller writes: each record into the journal and the state, and told to who listens once it is safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from axk8s.controller.evidence import TEXT_LENGTH
from axk8s.controller.ports import Clock
from axk8s.journal import Journal
from axk8s.sweep.records import Noticed, Record
from axk8s.sweep.state import State, apply


class Ledger:
    """A journal and the state that is its fold."""

    def __init__(self, state: State, journal: Journal, clock: Clock) -> None:
        self.state = state
        self._journal, self._clock = journal, clock
        self._fresh: list[Record] = []

    def now(self) -> float:
        """The time of a record that is made now."""
        return self._clock.now()

    def record(self, record: Record) -> None:
        """Write a record; it is safe after the next `commit`."""
        self._journal.append(record)
        apply(self.state, record)
        self._fresh.append(record)

    def notice(self, text: str) -> None:
        """Tell the user, unless it is what was told last."""
        text = text[:TEXT_LENGTH]
        if text and [notice.text for notice in self.state.notices[-1:]] != [text]:
            self.record(Noticed(time=self.now(), text=text))

    def commit(self, told: Callable[[Sequence[Record]], None]) -> None:
        """Make safe what was written, and tell of it."""
        if self._fresh:
            self._journal.commit()
            fresh, self._fresh = self._fresh, []
            told(fresh)
