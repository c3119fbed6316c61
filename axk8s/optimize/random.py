"""Independent draws from the search space: repeatable, distinct, and without Ax. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from random import Random
from typing import Final

from axk8s.optimize.space import Identity, feasible, identity, points, searched, size, trial_parameters
from axk8s.spec.parameters import FloatParameter, IntParameter, Parameter
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import OptimizerReply, Proposal, Scalar, TrialFact

_MOST_TRIES: Final = 10_000
"""Draws for one proposal: enough where one point in a thousand keeps the constraints, and still some 0.1 s."""
_FEW: Final = 200_000
"""So many points are listed to find the last ones left; drawing would hardly ever meet them."""


class Exhausted(Exception):  # noqa: N818  # an answer, not an error
    """Every point of the space has been proposed."""


class Unreachable(Exception):  # noqa: N818  # as above
    """Hardly any point keeps the constraints; the text says so to the user."""


def draw(spec: SweepSpec, rng: Random, *, taken: Set[Identity]) -> dict[str, Scalar]:
    """A trial's parameters, drawn uniformly (on the logarithm where `log` says so) and not yet taken.

    Raises:
        Exhausted: all are taken.
        Unreachable: no draw kept the parameter constraints.
    """
    names = searched(spec)
    kept = False
    for _ in range(_MOST_TRIES):
        parameters = trial_parameters(spec, {name: _value(spec.parameters[name], rng) for name in names})
        if feasible(spec, parameters):
            if identity(parameters) not in taken:
                return parameters
            kept = True
    total = size(spec)
    if total is not None and total <= _FEW + len(taken):
        left = [point for point in points(spec) if identity(point) not in taken]
        if left:
            return rng.choice(left)
        raise Exhausted
    what = "was new" if kept else "kept the parameter constraints"
    raise Unreachable(
        f"of {_MOST_TRIES:,} random draws not one {what}: {', '.join(spec.parameter_constraints) or 'too many trials'}"
    )


def _value(parameter: Parameter, rng: Random) -> Scalar:
    if isinstance(parameter, IntParameter) and parameter.log:
        # Half a unit at both ends gives the first and the last value their full share.
        value = math.exp(rng.uniform(math.log(parameter.min - 0.5), math.log(parameter.max + 0.5)))
        return min(max(round(value), parameter.min), parameter.max)
    values = parameter.grid()
    if values is not None:
        return rng.choice(values)
    assert isinstance(parameter, FloatParameter)
    low, high = parameter.min, parameter.max
    # Each end in its own term: high - low may overflow where both are huge.
    share = rng.random()
    if parameter.log:
        value = math.exp(math.log(low) * (1 - share) + math.log(high) * share)
    else:
        value = low * (1 - share) + high * share
    return min(max(value, low), high)


class Drawer:
    """Draws proposals whose values depend only on the seed, the number of trials before them, and what is taken."""

    def __init__(self, spec: SweepSpec, *, generator: str) -> None:
        self._spec = spec
        self._generator = generator

    def propose(self, count: int, *, taken: set[Identity], before: int, results: int) -> OptimizerReply:
        """Up to `count` proposals, which are added to `taken`.

        `before` is the number of trials and proposals that there are already. `taken` is not copied: with 10,000 trials
        that would cost more than all the rest.
        """
        found: list[Proposal] = []
        for index in range(before, before + count):
            try:
                parameters = draw(self._spec, Random(f"{self._spec.optimizer.seed}-{index}"), taken=taken)
            except Exhausted:
                return OptimizerReply(tuple(found), exhausted=True, notice="every point of the search space was tried")
            except Unreachable as error:
                if found:
                    break
                return OptimizerReply(error=f"{error}; widen the constraints")
            taken.add(identity(parameters))
            found.append(Proposal(parameters, self._generator, results_seen=results))
        return OptimizerReply(tuple(found))


class RandomOptimizer:
    """The optimizer `random`: answers at once, in the thread that asks."""

    def __init__(self, spec: SweepSpec) -> None:
        self._drawer = Drawer(spec, generator="random")
        self._trials: set[int] = set()
        self._ended: set[int] = set()
        self._taken: set[Identity] = set()
        """Points of trials and of proposals."""
        self._outstanding: set[Identity] = set()
        """Those of proposals that are not trials yet."""
        self._reply: Callable[[OptimizerReply], None] | None = None

    def start(self, reply: Callable[[OptimizerReply], None]) -> None:
        """Answers go to `reply`."""
        self._reply = reply

    def tell(self, fact: TrialFact) -> None:
        """Remember a trial, so that it is not proposed again; nothing is learnt from results from elsewhere."""
        if fact.trial < 0:
            return
        which = identity(fact.parameters)
        self._trials.add(fact.trial)
        self._taken.add(which)
        self._outstanding.discard(which)
        if fact.outcome is not None:
            self._ended.add(fact.trial)

    def ask(self, count: int, *, replace: bool = False) -> None:
        """Propose; with `replace`, proposals that are not trials yet are forgotten."""
        if self._reply is None:
            return
        if replace:
            self._taken -= self._outstanding
            self._outstanding.clear()
        before = len(self._trials) + len(self._outstanding)
        answer = self._drawer.propose(count, taken=self._taken, before=before, results=len(self._ended))
        self._outstanding |= {identity(proposal.parameters) for proposal in answer.proposals}
        self._reply(answer)

    def close(self) -> None:
        """Answer no more."""
        self._reply = None
