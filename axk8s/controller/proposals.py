"""A few proposals made ahead of need, so that a free slot never waits for the optimizer."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from axk8s.controller.ports import Optimizer
from axk8s.sweep.limits import Settings, room
from axk8s.sweep.model import OptimizerReply, Proposal, TrialFact
from axk8s.sweep.state import BASELINE, ENQUEUED, State


class Proposals:
    """The buffer between an optimizer that thinks for seconds and slots that free up at any moment.

    A buffered proposal is not a trial: it is lost with the controller, and replaced when too many results came after
    it was made. Initial and random points do not depend on results, so as many are kept as there are slots, and those
    beyond the initial ones are dropped as soon as the model can make others; the model's are kept to a quarter of the
    slots, because each is made without the results that come while it waits.
    """

    def __init__(self, optimizer: Optimizer, settings: Settings) -> None:
        self._optimizer = optimizer
        self._settings = settings
        self._ready: deque[Proposal] = deque()
        self._asked = 0
        self._replacing = False
        self.exhausted = False
        """The optimizer has nothing more to propose."""

    def take(self, state: State) -> Proposal | None:
        """The next proposal, if one is ready; what a person wants tried goes before what the optimizer does."""
        if self._settings.baseline is not None and not state.trials:
            return Proposal(self._settings.baseline, BASELINE)
        if state.enqueued:
            return Proposal(state.enqueued[0], ENQUEUED)
        return self._ready.popleft() if self._ready else None

    @property
    def dry(self) -> bool:
        """Nothing is ready and nothing will come."""
        return self.exhausted and not self._ready and not self._asked

    def refill(self, state: State) -> None:
        """Ask for what is missing, or for newer ones in place of stale ones; one ask is under way at a time."""
        if self._asked or self.exhausted:
            return
        parallelism = self._settings.parallelism
        first = self._settings.baseline is not None and not state.trials
        remaining = self._settings.trials - len(state.trials) - len(state.enqueued) - first
        model = state.from_model > 0 or any(proposal.from_model for proposal in self._ready)
        few = max(1, math.ceil(parallelism / 4))
        ahead = few if model else parallelism
        free = max(0, min(parallelism - state.live, room(state, self._settings, ahead=state.ahead())))
        missing = min(remaining, free + ahead) - len(self._ready)
        surpassed = any(p.stale_at is not None and p.stale_at <= state.ended for p in self._ready)
        self._replacing = surpassed or (missing <= 0 and self._stale(state))
        if self._replacing:
            missing = min(len(self._ready), few + free) if surpassed else len(self._ready)
        if missing > 0:
            self._asked = missing
            # The optimizer counts what it proposed as running until it hears otherwise.
            self._optimizer.ask(missing, replace=self._replacing)

    def _stale(self, state: State) -> bool:
        oldest = min((p.results_seen for p in self._ready if p.from_model), default=None)
        return oldest is not None and state.ended - oldest >= max(2, math.ceil(self._settings.parallelism / 2))

    def replied(self, reply: OptimizerReply) -> None:
        """Take in an answer."""
        if reply.error:
            self._asked, self.exhausted = 0, True
        if reply.proposals or reply.exhausted:
            self._asked, self.exhausted = 0, reply.exhausted
            if self._replacing and reply.proposals:
                self._ready.clear()
            self._ready.extend(reply.proposals)


class NoProposals:
    """The optimizer of a controller that only ends things."""

    def start(self, reply: Callable[[OptimizerReply], None]) -> None:
        """Nothing to start."""

    def tell(self, fact: TrialFact) -> None:
        """Nobody to tell."""

    def ask(self, count: int, *, replace: bool = False) -> None:
        """Never answered."""

    def close(self) -> None:
        """Nothing to close."""
