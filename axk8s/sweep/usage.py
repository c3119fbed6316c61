"""What jobs use up: hours of cores, memory and GPUs, and what they cost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from axk8s.sweep.state import HOUR, State

Amounts: TypeAlias = Mapping[str, float]
"""By resource: `cpu` (cores), `memory` (GiB), `gpu`, and devices by their names."""


def used(state: State, now: float) -> Amounts:
    """The hours that all attempts have used up to now; of those that have ended the sum is kept."""
    return _with_running(state, dict(state.used), lambda since: max(0.0, now - since) / HOUR)


def rate(state: State) -> Amounts:
    """What the running attempts use at this moment: as many hours in each hour."""
    return _with_running(state, {}, lambda _: 1.0)


def price(hours: Amounts, prices: Mapping[str, float]) -> float:
    """What these hours cost."""
    return sum(hours.get(name, 0.0) * each for name, each in prices.items())


def _with_running(state: State, total: dict[str, float], hours: Callable[[float], float]) -> Amounts:
    for trial in state.active.values():
        last = trial.last
        if last is not None and last.running_since is not None:
            for name, amount in last.resources.items():
                total[name] = total.get(name, 0.0) + amount * hours(last.running_since)
    return total
