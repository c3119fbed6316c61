"""A plan before spending: what `run` would submit, and on what terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from axk8s.errors import SpecError
from axk8s.launch.preview import Preview, preview
from axk8s.spec.middle import completed
from axk8s.sweep.model import Scalar

if TYPE_CHECKING:
    from axk8s.api.sweep import Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would happen."""

    sweep: str
    trials: int
    parallelism: int
    retries: int
    optimizer: str
    scheduler: str
    folder: str
    begun: bool
    """Whether the sweep has begun, so that `run` would go on with it instead."""
    checks: tuple[str, ...]
    """What was found to be right."""
    warnings: tuple[str, ...]
    first: Preview
    """The first attempt of the first trial, with a middle point in place of the optimizer's first proposal."""
    hours_at_most: float | None
    """Hours that all trials run in total, if each runs up to `trial_timeout` once; None without a time-out."""

    @property
    def gpus(self) -> int:
        """GPUs of one trial."""
        return sum(role.gpu * role.replicas for role in self.first.roles)

    @property
    def cpus(self) -> float:
        """CPU cores of one trial."""
        return sum(role.cpu * role.replicas for role in self.first.roles)

    def to_json(self) -> dict[str, object]:
        """As plain JSON values."""
        return {**asdict(self), "gpus": self.gpus, "cpus": self.cpus}


def plan(sweep: Sweep, parameters: Mapping[str, Scalar]) -> Plan:
    """The plan of a sweep, its first trial with these parameters, completed by middle values.

    Raises:
        UsageError: what is wrong with the sweep or the parameters.
    """
    spec = sweep.spec
    warnings = sweep.validate()
    complete = completed(spec, parameters)
    problems = spec.check_parameters(complete)
    if problems:
        raise SpecError(problems)
    kind = next(key for key in ("component", "function", "command") if getattr(spec, key) is not None)
    timeout = spec.trial_timeout
    return Plan(
        sweep=spec.name,
        trials=spec.trials,
        parallelism=spec.parallelism,
        retries=spec.retries,
        optimizer=spec.optimizer.kind,
        scheduler=spec.scheduler,
        folder=str(sweep.folder.path),
        begun=sweep.folder.exists(),
        checks=(
            "the sweep file",
            f"the {kind} takes these parameters",
            f"{spec.optimizer.kind} can search this space",
            f"the scheduler {spec.scheduler} takes the job and its options",
        ),
        warnings=tuple(warnings),
        first=preview(spec, sweep.folder, complete),
        hours_at_most=None if timeout is None else spec.trials * timeout / 3600,
    )
