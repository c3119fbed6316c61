"""The words of the domain as frozen values: what rooms hand each other. Pure data, no behaviour to speak of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

Scalar: TypeAlias = str | int | float | bool
Parameters: TypeAlias = Mapping[str, Scalar]
Values: TypeAlias = Mapping[str, float]
"""Metric name to value; may hold NaN and infinities (they are evidence)."""


Advice: TypeAlias = Literal["retry", "infeasible", "fail", "abort", "exclude_node"]
"""What a log rule says should follow from a line of a failed job's output."""


class Outcome(StrEnum):
    """How a trial ended; each trial ends once."""

    SUCCEEDED = "succeeded"
    EARLY_STOPPED = "early_stopped"
    FAILED = "failed"
    INFEASIBLE = "infeasible"
    STOPPED = "stopped"


class Phase(StrEnum):
    """Where an attempt is."""

    SUBMITTING = "submitting"
    """The intent is journaled; whether the job exists is not known yet."""
    QUEUED = "queued"
    """Exists, waits for admission, quota or a GPU slot."""
    PENDING = "pending"
    """Admitted, no container or process yet."""
    RUNNING = "running"
    ENDED = "ended"
    """Ended by itself or by us; the exit facts say how."""
    LOST = "lost"
    """Gone without a terminal state."""


class Category(StrEnum):
    """Why an attempt ended. A closed set and a stable contract: names are never reused or renamed."""

    SUCCEEDED = "succeeded"
    USER_ERROR = "user_error"
    """The training code ended with an exit code of its own."""
    OUT_OF_MEMORY = "out_of_memory"
    BAD_PARAMETERS = "bad_parameters"
    """Exit code 64, or `report_infeasible()`: these parameters can never work."""
    NON_FINITE = "non_finite"
    """The objective was NaN or infinite."""
    TRANSIENT = "transient"
    """Exit code 75 or an infrastructure error that another try may not meet."""
    DISRUPTED = "disrupted"
    """Pre-empted, evicted, drained, machine restarted."""
    DEADLINE = "deadline"
    """Ran longer than `trial_timeout`."""
    CANNOT_START = "cannot_start"
    """The job could not be submitted, or its program does not exist."""
    OVER_LIMIT = "over_limit"
    """Evicted for going over a limit of its own, such as its ephemeral storage."""
    NO_METRIC = "no_metric"
    """Succeeded without reporting the objective."""
    LOST = "lost"
    """Gone without a terminal state; nobody knows why."""
    STOPPED = "stopped"
    """Ended because the sweep or its user stopped it."""


@dataclass(frozen=True, slots=True)
class ExitFacts:
    """What is known of a job's end, from whichever scheduler: the input of `diagnose`.

    `code` is the first failed replica's exit code, negative for a signal (as in `subprocess`); None when unknown.
    `cause` is the scheduler's own word: `exited`, `cancelled`, `deadline`, `spawn_failed`, `terminated` (told to end
    from outside, without a cancel), `over_limit`, `lost`, `rebooted`.
    """

    cause: Literal["exited", "cancelled", "deadline", "spawn_failed", "terminated", "over_limit", "lost", "rebooted"]
    code: int | None = None
    message: str = ""
    replica: str = ""
    """`<role>-<index>` of the replica that decided it; empty when all succeeded."""
    node: str = ""
    """The machine that it ran on, where a scheduler has several."""


@dataclass(frozen=True, slots=True)
class JobView:
    """What a scheduler's observer sees of one job at one moment."""

    job: str
    """The job's name (not the handle): deterministic, so that it is known before the submit."""
    phase: Phase
    reason: str = ""
    """Why it waits or ended, in the scheduler's words."""
    pid: int | None = None
    """Process of replica 0 on `local`; None elsewhere."""
    exit: ExitFacts | None = None
    """Set exactly when `phase` is `ended` or `lost`."""
    started_at: float | None = None
    """When the first replica started (Unix seconds), None before."""
    ended_at: float | None = None
    placed: bool | None = None
    """While pending: whether a machine has taken it; False when the scheduler has said that none has room."""
    restarts: int = 0
    """How often the scheduler itself began it anew: disrupted, evicted by its queue, or (plain TorchX use) failed."""
    report: str = ""
    """What came of results with the end itself, as marked lines; on Kubernetes the termination message."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why an attempt ended."""

    category: Category
    summary: str
    """One sentence for a person."""
    evidence: Mapping[str, Scalar] = field(default_factory=dict)
    """Object, reason, exit code: what the sentence rests on."""
    hint: str = ""
    log_tail: tuple[str, ...] = ()
    """The last lines of the failed replica's output."""
    advice: Advice | None = None
    """What a log rule says should follow, beyond what the category does."""


@dataclass(frozen=True, slots=True)
class LogRule:
    """A line in a failed job's last output that decides what follows."""

    pattern: str
    """A regular expression, looked for in each line."""
    then: Advice
    says: str = ""
    """What the line means, for a person; empty: the line itself is shown."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Parameters that the optimizer would try next; not a trial yet."""

    parameters: Parameters
    generator: str
    """Who made it, as the journal names it: `Center`, `Sobol`, `BoTorch`, `random`, `grid`, `enqueued`, `baseline`."""
    from_model: bool = False
    """Whether new results would change it: a quasi-random point never grows stale."""
    results_seen: int = 0
    """How many trials with an outcome it was made from: tells how stale it is."""
    stale_at: int | None = None
    """With so many trials ended a model could make a better one in its place; None: it is initial, or a model's."""


@dataclass(frozen=True, slots=True)
class TrialFact:
    """One trial as an optimizer needs it; `outcome` is None while it runs."""

    trial: int
    parameters: Parameters
    generator: str
    outcome: Outcome | None = None
    values: Values = field(default_factory=dict)
    sems: Values = field(default_factory=dict)
    """The standard errors of the values, of those metrics that were reported with one."""
    reached: Mapping[int, float] = field(default_factory=dict)
    """What it had at each mark at which curves are compared; see `axk8s.sweep.stopping`."""


@dataclass(frozen=True, slots=True)
class JobOrder:
    """All that `launch` needs to make one attempt's job."""

    trial: int
    attempt: int
    job: str
    """The deterministic name that the scheduler must use."""
    parameters: Parameters
    avoid: tuple[str, ...] = ()
    """Machines that it must not run on."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A scheduler's answer: the TorchX handle of the job (new or adopted)."""

    handle: str
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class OptimizerReply:
    """What an optimizer answers to one `ask`, or says unasked (`notice` alone)."""

    proposals: tuple[Proposal, ...] = ()
    exhausted: bool = False
    """There is nothing left to propose (a grid that is done)."""
    notice: str = ""
    """A sentence for the user: restarted, went on quasi-randomly, …"""
    error: str = ""
    """Why it will never answer again; the sweep stops with this sentence."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """What one ended attempt left: the values, and where they were looked for."""

    values: Values
    """The value of every reported metric, by the rule of the sweep file (last, or best)."""
    sems: Values = field(default_factory=dict)
    """The standard errors of the values, of those metrics that were reported with one."""
    steps: int = 0
    """How many steps were reported (0: only final values, or none)."""
    infeasible: str = ""
    """The reason given to `report_infeasible()`, if it was called."""
    searched: tuple[str, ...] = ()
    """Where values were looked for, for the `no metric` message."""
    log_tail: tuple[str, ...] = ()
    """The last lines of the job's output."""
    lost: str = ""
    """Why what the job may have reported can be read no more; empty where everything could be looked at."""
