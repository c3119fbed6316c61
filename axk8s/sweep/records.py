"""The journal's records: what can happen to a sweep, one frozen class each, and their JSON.

A record is written before the side effect that it announces, or after the fact that it states; `state.apply` folds
them. Field names are a stable contract: a stored sweep stays readable. Times are Unix seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Literal, TypeAlias

from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Outcome, Parameters, Phase, Scalar, Values

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
    steps: int = 0


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
    | ControllerStarted
    | SpecChanged
    | Suggested
    | Submitting
    | SubmittedJob
    | PhaseChanged
    | AttemptDiagnosed
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
        ControllerStarted,
        SpecChanged,
        Suggested,
        Submitting,
        SubmittedJob,
        PhaseChanged,
        AttemptDiagnosed,
        CancelDecided,
        TrialConcluded,
        JobDeleted,
        RequestApplied,
        Halted,
        Finished,
        Noticed,
    )
}

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode_values(values: Values) -> dict[str, float | str]:
    """JSON has no NaN: non-finite numbers become the strings `nan`, `inf`, `-inf`."""
    return {name: value if math.isfinite(value) else str(float(value)) for name, value in values.items()}


def decode_values(values: Mapping[str, float | str]) -> dict[str, float]:
    """Undo `encode_values`."""
    return {name: _NON_FINITE[value] if isinstance(value, str) else value for name, value in values.items()}


def encode_diagnosis(diagnosis: Diagnosis) -> dict[str, object]:
    """A diagnosis as plain JSON, empty parts left out."""
    full: dict[str, object] = {
        "category": diagnosis.category.value,
        "summary": diagnosis.summary,
        "evidence": dict(diagnosis.evidence),
        "hint": diagnosis.hint,
        "log_tail": list(diagnosis.log_tail),
        "advice": diagnosis.advice,
    }
    return {name: value for name, value in full.items() if value}


def _decode_diagnosis(data: Mapping[str, Any]) -> Diagnosis:
    return Diagnosis(
        category=Category(data["category"]),
        summary=data.get("summary", ""),
        evidence=data.get("evidence", {}),
        hint=data.get("hint", ""),
        log_tail=tuple(data.get("log_tail", ())),
        advice=data.get("advice"),
    )


def _encode_exit(exit_facts: ExitFacts) -> dict[str, Scalar]:
    full: dict[str, Scalar | None] = {
        "cause": exit_facts.cause,
        "code": exit_facts.code,
        "message": exit_facts.message,
        "replica": exit_facts.replica,
        "node": exit_facts.node,
    }
    return {name: value for name, value in full.items() if value is not None and value != ""}


_ENCODERS: dict[str, Callable[[Any], object]] = {
    "values": encode_values,
    "diagnosis": encode_diagnosis,
    "exit": _encode_exit,
    "parameters": dict,
    "resources": dict,
    "spec": dict,
    "changes": list,
    "time": lambda seconds: round(seconds, 3),
}
_DECODERS: dict[str, Callable[[Any], object]] = {
    "values": decode_values,
    "diagnosis": _decode_diagnosis,
    "exit": lambda data: ExitFacts(**data),
    "phase": Phase,
    "outcome": Outcome,
    "changes": tuple,
}


@cache
def _plan(kind: str) -> tuple[tuple[str, object, Callable[[Any], object] | None], ...]:
    """Name, default and encoder of each field."""
    return tuple(
        (f.name, f.default_factory() if f.default_factory is not MISSING else f.default, _ENCODERS.get(f.name))
        for f in fields(KINDS[kind])
    )


def to_line(record: Record) -> str:
    """One line of strict JSON, without the newline; fields at their default are left out."""
    data: dict[str, object] = {"type": record.kind}
    for name, default, encode in _plan(record.kind):
        value = getattr(record, name)
        if value == default and name != "format":
            continue
        data[name] = encode(value) if encode else value
    return json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def from_line(line: str) -> Record:
    """The record of one journal line.

    Raises:
        ValueError: not JSON, not a record, or of a kind or version that this program does not know.
    """
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    kind = data.pop("type", None)
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValueError(f"unknown record type {kind!r} (written by a newer axk8s?)")
    for name in data.keys() & _DECODERS.keys():
        try:
            data[name] = _DECODERS[name](data[name])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{kind}: {name}: {error!r}") from error
    try:
        record = cls(**data)
    except TypeError as error:
        raise ValueError(f"{kind}: {error}") from error
    if isinstance(record, Began) and record.format > FORMAT_VERSION:
        raise ValueError(f"journal format {record.format}; this axk8s reads up to {FORMAT_VERSION}")
    return record
