"""An optimizer that is consulted synchronously: virtual time stands still while it thinks, then passes as modelled."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Protocol

from axk8s.simulate.world import World
from axk8s.sweep.model import OptimizerReply, TrialFact


class Consultable(Protocol):
    """The controller's port `Optimizer`."""

    def start(self, reply: Callable[[OptimizerReply], None]) -> None: ...

    def tell(self, fact: TrialFact) -> None: ...

    def ask(self, count: int, *, replace: bool = False) -> None: ...

    def close(self) -> None: ...


class ConsultedOptimizer:
    """Makes any optimizer fit for a simulation; the answers' order no longer depends on how fast it thinks."""

    def __init__(self, inner: Consultable, world: World) -> None:
        """Wrap an optimizer.

        Args:
            inner: the optimizer; it may answer at once, or from another thread or process.
            world: whose clock the answers wait for, and whose conditions say how long.
        """
        self._inner, self._world = inner, world
        self._answers: queue.SimpleQueue[OptimizerReply] = queue.SimpleQueue()
        self._reply: Callable[[OptimizerReply], None] = lambda _: None
        self._asked = 0

    def start(self, reply: Callable[[OptimizerReply], None]) -> None:
        """Answers go to `reply`, as things on the clock's agenda."""
        self._reply = reply
        self._inner.start(self._answers.put)

    def tell(self, fact: TrialFact) -> None:
        """As the optimizer does."""
        self._inner.tell(fact)

    def ask(self, count: int, *, replace: bool = False) -> None:
        """Wait for the answer, and hand it over when its time has passed."""
        self._inner.ask(count, replace=replace)
        notices: list[str] = []
        while True:
            answer = self._answers.get()
            if answer.proposals or answer.exhausted or answer.error:
                break
            notices.append(answer.notice)
        models = sum(1 for each in answer.proposals if each.from_model)
        taken = 0.0
        if any(each.generator not in _INSTANT for each in answer.proposals):
            taken = self._world.faults.thought(self._asked, models=models)
            self._asked += 1
        for notice in filter(None, notices):
            self._reply(OptimizerReply(notice=notice))
        self._world.clock.call_at(self._world.clock.now() + taken, lambda: self._reply(answer))

    def close(self) -> None:
        """End the optimizer."""
        self._inner.close()


_INSTANT = {"random", "grid"}
"""Generators that draw in the controller's own process."""
