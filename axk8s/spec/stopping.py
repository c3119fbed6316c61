"""When a trial is ended early: the kinds of `early_stopping`."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, model_validator

from axk8s.spec.model import Fault, Part, refuse
from axk8s.spec.settings import MetricName


class _EarlyStopping(Part):
    metric: MetricName | None = None
    """The metric whose steps decide; left out: the objective, where there is one."""
    direction: Literal["minimize", "maximize"] | None = None
    """Which way is better; needed for a metric that is no objective."""
    min_step: Annotated[int, Field(ge=0)] = 1
    """No trial is stopped before it has reported this step."""
    dry: bool = False
    """Only say what would have been stopped, and stop nothing."""


class AshaStopping(_EarlyStopping):
    """Asynchronous successive halving: at each rung go on only with the best share of what has reached it so far."""

    kind: Literal["asha"]
    """Asynchronous successive halving."""
    reduction_factor: Annotated[float, Field(gt=1)] = 3.0
    """At a rung the best 1/reduction_factor go on, and the next rung is so many times as far; 3 as in its paper."""
    max_step: Annotated[int, Field(ge=1)] | None = None
    """The last step of a whole trial: no rung lies there or beyond; left out: rungs go on as far as trials do."""

    @model_validator(mode="after")
    def _has_rungs(self) -> AshaStopping:
        if self.min_step < 1:
            message = "rungs are multiples of the first one, which cannot be 0"
            refuse([Fault(message, "write 1 or more", key="min_step")])
        if self.max_step is not None and self.max_step <= self.min_step:
            message = f"no rung fits between min_step {self.min_step} and max_step {self.max_step}"
            refuse([Fault(message, "lower min_step, or raise max_step", key="max_step")])
        return self


class PercentileStopping(_EarlyStopping):
    """Stop a trial that is worse at a step than the median, or another percentile, of the others at the same step."""

    kind: Literal["percentile", "median"]
    """`median` is the percentile 50."""
    percentile: Annotated[float, Field(gt=0, lt=100)] | None = None
    """How much of the field is stopped, in per cent: 25 stops what is among the worst quarter (as in Ax)."""
    min_trials: Annotated[int, Field(ge=1)] = 5
    """How many others must have reached the step; 5 as in Ax, fewer say little."""

    @model_validator(mode="after")
    def _has_a_percentile(self) -> PercentileStopping:
        if self.kind == "median" and self.percentile is not None:
            refuse([Fault("a median is the percentile 50", "remove it, or write `kind: percentile`", key="percentile")])
        if self.kind == "percentile" and self.percentile is None:
            hint = "25 stops a trial that is worse than three quarters of the others; `kind: median` is 50"
            refuse([Fault("this key is missing", hint, key="percentile")])
        return self


class ThresholdStopping(_EarlyStopping):
    """Stop a trial that has not become as good as a value by a step."""

    kind: Literal["threshold"]
    """A value to have reached."""
    threshold: Annotated[float, Field(allow_inf_nan=False)]
    """The value that a trial must have reached at `min_step` and from then on."""


EarlyStopping: TypeAlias = Annotated[AshaStopping | PercentileStopping | ThresholdStopping, Field(discriminator="kind")]
STOPPING_KINDS: Final[dict[str, type[Part]]] = {
    "asha": AshaStopping,
    "median": PercentileStopping,
    "percentile": PercentileStopping,
    "threshold": ThresholdStopping,
}
