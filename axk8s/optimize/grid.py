"""Every combination, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from axk8s.optimize.space import Identity, identity, points, size
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import OptimizerReply, Proposal, Scalar, TrialFact

__all__ = ["GridOptimizer", "size"]


class GridOptimizer:
    """The optimizer `grid`: all points in the order of `space.points`, each once; answers in the thread that asks."""

    def __init__(self, spec: SweepSpec) -> None:
        self._points = points(spec)
        self._spec = spec
        self._told: set[Identity] = set()
        self._results: set[int] = set()
        self._outstanding: dict[Identity, dict[str, Scalar]] = {}
        self._next: dict[str, Scalar] | None = None
        self._reply: Callable[[OptimizerReply], None] | None = None

    def start(self, reply: Callable[[OptimizerReply], None]) -> None:
        """Answers go to `reply`."""
        self._reply = reply

    def tell(self, fact: TrialFact) -> None:
        """Remember a trial, so that its point is passed over; of results from elsewhere none is a reason to."""
        if fact.trial < 0:
            return
        which = identity(fact.parameters)
        self._told.add(which)
        self._outstanding.pop(which, None)
        if fact.outcome is not None:
            self._results.add(fact.trial)

    def ask(self, count: int, *, replace: bool = False) -> None:
        """Propose the next points; with `replace`, those first that are not trials yet."""
        if self._reply is None:
            return
        again = list(self._outstanding.values()) if replace else []
        found = [*again[:count], *islice(self._fresh(), max(0, count - len(again)))]
        for point in found:
            self._outstanding[identity(point)] = point
        proposals = tuple(Proposal(point, "grid", results_seen=len(self._results)) for point in found)
        if self._done() and len(again) <= count:
            total = len(self._told | self._outstanding.keys())
            text = f"the grid is complete: {total} points" if total else "no point of the grid keeps the constraints"
            self._reply(OptimizerReply(proposals, exhausted=True, notice=text))
        else:
            self._reply(OptimizerReply(proposals))

    def close(self) -> None:
        """Answer no more."""
        self._reply = None

    def _fresh(self) -> Iterator[dict[str, Scalar]]:
        while not self._done():
            point, self._next = self._next, None
            assert point is not None
            yield point

    def _done(self) -> bool:
        """Look one point ahead, past those that are trials already."""
        while self._next is None or identity(self._next) in self._told:
            self._next = next(self._points, None)
            if self._next is None:
                return True
        return False
