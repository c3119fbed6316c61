"""What happens to whom and when: every draw of a simulated world, each from the seed and what it is about alone.

So a trial's fate does not depend on the order in which jobs are submitted, and a change of one condition leaves the
draws of all others as they were.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from axk8s.simulate.conditions import OF_ATTEMPTS, OF_TRIALS, Cause, Conditions, Span
from axk8s.sweep.model import ExitFacts

_HOUR = 3600.0
_DAY = 24 * _HOUR
PREEMPTED = "pre-empted (simulated)"


@dataclass(frozen=True, slots=True)
class Fate:
    """What a job will do if nobody interferes; times in seconds."""

    start_delay: float
    run_time: float
    """From its start to its end, whatever that is."""
    exit: ExitFacts = field(default_factory=lambda: ExitFacts("exited", 0))
    cause: Cause | None = None
    """Why it goes wrong; None when it does not, or is disrupted."""


class Faults:
    """The draws of one world."""

    def __init__(self, conditions: Conditions, seed: int) -> None:
        self._conditions = conditions
        self._seed = seed

    def run_time(self, trial: int) -> float:
        """How long a trial runs when nothing happens to it."""
        return self._span(self._conditions.run_time, f"{trial}/run_time")

    def fate(self, trial: int, attempt: int, *, run_time: float, timeout: float | None = None) -> Fate:
        """What an attempt meets, which would run this long and may run until `timeout`."""
        which = f"{trial}/{attempt}"
        delay = self._span(self._conditions.start_delay, f"{which}/start_delay")
        fate = Fate(delay, run_time)
        cause = self._cause(OF_TRIALS, f"{trial}/cause") or self._cause(OF_ATTEMPTS, f"{which}/cause")
        if cause is not None:
            share = 1.0 if cause in ("non_finite", "no_metric") else self._chance(f"{which}/share").random()
            fate = Fate(delay, run_time * share, _EXITS[cause], cause)
        if timeout is not None and fate.run_time > timeout:
            message = f"ran longer than trial_timeout, {timeout:g} s"
            fate = Fate(delay, timeout, ExitFacts("deadline", message=message))
        rate = self._conditions.preemptions_per_hour / _HOUR
        if rate and (at := self._chance(f"{which}/preempted").expovariate(rate)) < fate.run_time:
            fate = Fate(delay, at, ExitFacts("terminated", message=PREEMPTED))
        return fate

    def losses(self, node: int) -> Iterator[tuple[float, float]]:
        """When a node is lost, and how long it is away each time; without end, or without any."""
        rate, away = self._conditions.node_losses_per_day / _DAY, self._conditions.node_repair
        return self._strikes(rate, away, f"node/{node}")

    def outages(self) -> Iterator[tuple[float, float]]:
        """When the API begins not to answer, and how long."""
        return self._strikes(self._conditions.outages_per_day / _DAY, self._conditions.outage, "outage")

    def call(self, number: int) -> tuple[float, bool]:
        """How long the world's n-th call takes, and whether its first answer was lost after its effect."""
        chance = self._chance(f"call/{number}")
        taken = chance.uniform(*self._conditions.api_latency)
        unheard = False
        pause = 1.0
        while chance.random() < self._conditions.api_faults and pause < 64:
            unheard |= chance.random() < 0.5
            taken += pause + chance.uniform(*self._conditions.api_latency)
            pause *= 2
        return taken, unheard

    def thought(self, number: int, *, models: int) -> float:
        """How long the optimizer takes for its n-th answer, which has so many proposals of a model."""
        chance = self._chance(f"thought/{number}")
        begin = chance.uniform(*self._conditions.optimizer_start) if number == 0 else 0.0
        return begin + math.fsum(chance.uniform(*self._conditions.proposal_time) for _ in range(models))

    def noise(self, trial: int, attempt: int, name: str) -> Random:
        """Where a trial's noise comes from."""
        return self._chance(f"{trial}/{attempt}/noise/{name}")

    def _chance(self, about: str) -> Random:
        return Random(f"{self._seed}/{about}")

    def _span(self, span: Span, about: str) -> float:
        low, high = span
        return low if low == high else self._chance(about).uniform(low, high)

    def _cause(self, causes: tuple[Cause, ...], about: str) -> Cause | None:
        shares = self._conditions.failures
        if not shares:
            return None
        point = self._chance(about).random()
        for cause in causes:
            point -= shares.get(cause, 0.0)
            if point < 0:
                return cause
        return None

    def _strikes(self, rate: float, length: Span, about: str) -> Iterator[tuple[float, float]]:
        if not rate:
            return
        chance = self._chance(about)
        time = 0.0
        while True:
            time += chance.expovariate(rate)
            lasts = chance.uniform(*length)
            yield time, lasts
            time += lasts


_EXITS: dict[Cause, ExitFacts] = {
    "user_error": ExitFacts("exited", 1, replica="main-0"),
    "out_of_memory": ExitFacts("exited", 1, replica="main-0"),
    "bad_parameters": ExitFacts("exited", 64, replica="main-0"),
    "non_finite": ExitFacts("exited", 0),
    "no_metric": ExitFacts("exited", 0),
    "transient": ExitFacts("exited", 75, replica="main-0"),
    "cannot_start": ExitFacts("spawn_failed", message="the job cannot start (simulated)"),
    "lost": ExitFacts("lost", message="the job is gone (simulated)"),
}

LAST_WORDS: dict[Cause, tuple[str, ...]] = {
    "user_error": ("RuntimeError: simulated failure",),
    "out_of_memory": ("torch.OutOfMemoryError: CUDA out of memory (simulated)",),
    "bad_parameters": ("these parameters can never work (simulated)",),
    "transient": ("NCCL error: unhandled system error (simulated)",),
}
"""What a job prints before it ends like this; `diagnose` reads it as it reads a real job's output."""
