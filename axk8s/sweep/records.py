"""The journal's records: what can happen to a sweep, one frozen class each, and their JSON.

A record is written before the side effect that it announces, or after the fact that it states; `state.apply` folds
them. Field names are a stable contract: a stored sweep stays readable. Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from axk8s.sweep.model import Diagnosis, ExitFacts, Outcome, Parameters, Phase, Values

FORMAT_VERSION = 1
"""Raised when an older program could misread the journal; the reader refuses newer ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """The first record: which sweep this is."""

    kind: ClassVar[str] = "began"
    time: float
    format: int = FORMAT_VERSION
    uid: str
    """32 hex digits; the first six are part of every job's name."""
    name: str
    spec: Mapping[str, object]
    base: str
    """Absolute folder that relative paths of the spec start from."""
    file: str = ""
    workspace: str = ""
    """Digest of the pinned workspace; empty without one."""
    version: str = ""
    """Version of axk8s."""
    simulated: bool = False
    """A dry run: no job was ever started, and times are virtual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where the jobs are: in another place, or another of the same name, they would all seem lost."""

    kind: ClassVar[str] = "placed"
    time: float
    uid: str
    """Of the namespace."""
    name: str
    """For a person: namespace and server."""


@dataclass(frozen=True, slots=True)
class KnownResult:
    """What is known from elsewhere: parameters of this sweep's space, and what they gave."""

    parameters: Parameters
    values: Values
    sems: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """Results from elsewhere, for the optimizer to learn from."""

    kind: ClassVar[str] = "attached"
    time: float
    source: str
    """For a person: a file, or a sweep."""
    trials: tuple[KnownResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerStarted:
    """A controller took the lock; it re-opens a sweep that had been stopped, paused or aborted."""

    kind: ClassVar[str] = "controller"
    time: float
    pid: int
    host: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecChanged:
    """The sweep file changed in a way that is safe for a sweep under way."""

    kind: ClassVar[str] = "spec_changed"
    time: float
    spec: Mapping[str, object]
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggested:
    """A proposal became a trial."""

    kind: ClassVar[str] = "suggested"
    time: float
    trial: int
    parameters: Parameters
    generator: str
    from_model: bool = False
    results_seen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitting:
    """The intent to submit an attempt; whether the job exists is unknown until `submitted`."""

    kind: ClassVar[str] = "submitting"
    time: float
    trial: int
    attempt: int
    job: str
    resources: Mapping[str, float] = field(default_factory=dict)
    """What the job holds while it runs: `cpu` (cores), `memory` (GiB), `gpu`, devices by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedJob:
    """The scheduler has the job."""

    kind: ClassVar[str] = "submitted"
    time: float
    trial: int
    attempt: int
    handle: str
    adopted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChanged:
    """An attempt was seen in another phase."""

    kind: ClassVar[str] = "phase"
    time: float
    trial: int
    attempt: int
    phase: Phase
    reason: str = ""
    pid: int | None = None
    started_at: float | None = None
    ended_at: float | None = None
    exit: ExitFacts | None = None
    restarts: int = 0
    placed: bool | None = None
    """While pending: whether a machine has taken it; None where that is not known, or made no difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDiagnosed:
    """An ended attempt's results were collected and its end explained."""

    kind: ClassVar[str] = "diagnosed"
    time: float
    trial: int
    attempt: int
    diagnosis: Diagnosis
    values: Values = field(default_factory=dict)
    sems: Values = field(default_factory=dict)
    steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A running attempt brought its trial to a mark at which curves are compared; see `axk8s.sweep.stopping`."""

    kind: ClassVar[str] = "reached"
    time: float
    trial: int
    attempt: int
    step: int
    value: float
    """Of the metric that decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared:
    """Early stopping would have ended the attempt, if it were not dry."""

    kind: ClassVar[str] = "spared"
    time: float
    trial: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelDecided:
    """The attempt is to end, and what its trial's outcome will be."""

    kind: ClassVar[str] = "cancel"
    time: float
    trial: int
    attempt: int
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialConcluded:
    """The trial's one outcome."""

    kind: ClassVar[str] = "outcome"
    time: float
    trial: int
    outcome: Outcome
    reason: str = ""
    values: Values = field(default_factory=dict)
    sems: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDeleted:
    """What the attempt left on the scheduler was removed."""

    kind: ClassVar[str] = "deleted"
    time: float
    trial: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestApplied:
    """What another shell asked for."""

    kind: ClassVar[str] = "request"
    time: float
    id: str
    verb: Literal["stop", "pause", "resume", "enqueue"]
    trial: int | None = None
    """The one trial to stop; None is the whole sweep."""
    parameters: Parameters = field(default_factory=dict)
    """Of the trial to come next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """Nothing further is launched; `cause` says whether running attempts are ended too."""

    kind: ClassVar[str] = "halted"
    time: float
    cause: Literal["stopped", "aborted", "budget", "exhausted", "reached", "converged"]
    reason: str
    hint: str = ""
    drain: bool = False
    """Running attempts are let end, whatever the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """No attempt is alive and none will be launched."""

    kind: ClassVar[str] = "finished"
    time: float
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """A sentence worth keeping: the optimizer was restarted, training code changed, …"""

    kind: ClassVar[str] = "notice"
    time: float
    text: str


Record: TypeAlias = (
    Began
    | Placed
    | Attached
    | ControllerStarted
    | SpecChanged
    | Suggested
    | Submitting
    | SubmittedJob
    | PhaseChanged
    | AttemptDiagnosed
    | Reached
    | Spared
    | CancelDecided
    | TrialConcluded
    | JobDeleted
    | RequestApplied
    | Halted
    | Finished
    | Noticed
)

KINDS: dict[str, type[Record]] = {
    cls.kind: cls
    for cls in (
        Began,
        Placed,
        Attached,
        ControllerStarted,
        SpecChanged,
        Suggested,
        Submitting,
        SubmittedJob,
        PhaseChanged,
        AttemptDiagnosed,
        Reached,
        Spared,
        CancelDecided,
        TrialConcluded,
        JobDeleted,
        RequestApplied,
        Halted,
        Finished,
        Noticed,
    )
}
