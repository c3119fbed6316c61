"""One trial and its attempts, as a fold over the records has made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Outcome, Parameters, Phase, Values
from axk8s.sweep.records import CancelDecided


@dataclass(slots=True)
class Attempt:
    """One job submitted for a trial."""

    number: int
    job: str
    submitting_at: float
    phase: Phase = Phase.SUBMITTING
    handle: str = ""
    adopted: bool = False
    reason: str = ""
    pid: int | None = None
    started_at: float | None = None
    ended_at: float | None = None
    exit: ExitFacts | None = None
    restarts: int = 0
    """How often the scheduler replaced a disrupted replica, or evicted and queued it again, within the attempt."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """What it holds while it runs, by resource."""
    running_since: float | None = None
    """Since when it runs; None while it does not."""
    placed: bool | None = None
    """While pending: whether a machine has taken it; None is not known."""
    cancel: CancelDecided | None = None
    diagnosis: Diagnosis | None = None
    values: Values = field(default_factory=dict)
    sems: Values = field(default_factory=dict)
    steps: int = 0
    deleted: bool = False

    @property
    def alive(self) -> bool:
        """Whether it holds a slot: the job exists, or may exist."""
        return self.phase not in (Phase.ENDED, Phase.LOST)

    @property
    def stopped_early(self) -> bool:
        """Whether it was told to end because its curve was hopeless."""
        return self.cancel is not None and self.cancel.outcome is Outcome.EARLY_STOPPED

    @property
    def waiting(self) -> bool:
        """Whether it is known to wait for room: in a queue, or because no machine has any."""
        return self.phase is Phase.QUEUED or (self.phase is Phase.PENDING and self.placed is False)

    @property
    def ahead(self) -> bool:
        """Whether it may be waiting: it is alive, and not known to have got a machine."""
        return self.phase in (Phase.SUBMITTING, Phase.QUEUED) or (self.phase is Phase.PENDING and not self.placed)


@dataclass(slots=True)
class Trial:
    """One set of parameters."""

    number: int
    parameters: Parameters
    generator: str
    from_model: bool
    suggested_at: float
    attempts: list[Attempt] = field(default_factory=list)
    outcome: Outcome | None = None
    reason: str = ""
    values: Values = field(default_factory=dict)
    sems: Values = field(default_factory=dict)
    """The standard errors of the values, of those metrics that were reported with one."""
    ended_at: float | None = None
    stop_requested: bool = False
    reached: dict[int, float] = field(default_factory=dict)
    """What it had at each mark at which curves are compared; see `axk8s.sweep.stopping`."""
    hopeless: str = ""
    """Why early stopping would end it; empty while it would not."""
    spared: bool = False
    """Whether that has been said, and is all that happens."""

    @property
    def last(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def diagnosis(self) -> Diagnosis | None:
        """Of the last attempt that has one."""
        for attempt in reversed(self.attempts):
            if attempt.diagnosis is not None:
                return attempt.diagnosis
        return None

    @property
    def phase(self) -> Phase | None:
        last = self.last
        return last.phase if last else None

    @property
    def disruptions(self) -> int:
        """How often it was interrupted from outside, by whatever: whole attempts, and replicas replaced within one."""
        return self.ended_by(Category.DISRUPTED) + sum(attempt.restarts for attempt in self.attempts)

    def ended_by(self, *categories: Category) -> int:
        """How many attempts ended for one of these reasons."""
        return sum(1 for attempt in self.attempts if attempt.diagnosis and attempt.diagnosis.category in categories)
