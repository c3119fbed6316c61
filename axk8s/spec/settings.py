"""The smaller mappings of a sweep file, and the kinds of text that its keys take."""

from __future__ import annotations

import math
import re
from keyword import iskeyword
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from axk8s import names
from axk8s.spec.model import Fault, Part, kind, refuse
from axk8s.spec.parameters import Parameter
from axk8s.spec.quantity import DURATION_PATTERN, MEMORY_PATTERN, mebibytes, seconds


def _sweep_name(value: str) -> str:
    if not names.SWEEP_NAME.fullmatch(value):
        hint = "at most 63 of a-z, 0-9, '-', '_' and '.', beginning and ending with a letter or digit"
        refuse([Fault(f"{value!r} cannot be a sweep's name: it becomes a folder and a label", hint)])
    return value


def _identifier(value: str) -> str:
    if not value.isidentifier() or iskeyword(value):
        reason = "is a word of the Python language" if iskeyword(value) else "is not a Python name"
        hint = f"for example {_nearest_identifier(value)!r}"
        refuse([Fault(f"{value!r} {reason}, and becomes the name of an argument", hint)])
    return value


def _nearest_identifier(value: str) -> str:
    text = "".join(letter if letter.isalnum() else "_" for letter in value).strip("_") or "x"
    text = text if text.isidentifier() else f"x{text}"
    return f"{text}_" if iskeyword(text) else text


def _filled(value: str) -> str:
    if not value.strip():
        refuse([Fault("there is no text here", "write it, or remove the key")])
    return value


def _metric(value: str) -> str:
    if not value or value != value.strip() or not value.isprintable():
        refuse([Fault(f"{value!r} cannot be the name of a metric", "a name as training code reports it")])
    return value


def _variable(value: str) -> str:
    if not value or "=" in value or not value.isprintable() or value != value.strip():
        refuse([Fault(f"{value!r} cannot be the name of an environment variable", "letters, digits and _")])
    return value


def _variable_value(value: str) -> str:
    if "\0" in value:
        refuse([Fault("an environment variable cannot hold the character NUL", "remove it")])
    return value


def _storage(value: str) -> str:
    claim = value.removeprefix("pvc://")
    hint = "write s3://bucket/path, gs://…, pvc://claim/path for a PersistentVolumeClaim, or an absolute path"
    if value.startswith("pvc://") and not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[^\0]*)?", claim):
        refuse([Fault(f"{value!r} names no PersistentVolumeClaim", hint)])
    if "://" not in value and not value.startswith("/"):
        refuse([Fault(f"{value!r} is no URL, and no path that means the same on every machine", hint)])
    if ".." in value.split("/"):
        refuse([Fault(f"{value!r} leads out of itself", hint)])
    return value.rstrip("/")


def _duration(value: object) -> object:
    examples = 'write "90s", "30m", "1h30m" or "2d", or a number of seconds'
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        refuse([Fault(f"a duration is needed, not {kind(value)}", examples)])
    if isinstance(value, str):
        try:
            value = seconds(value)
        except ValueError as error:
            refuse([Fault(str(error), examples)])
    if isinstance(value, (int, float)) and not (0 < value < math.inf):
        refuse([Fault(f"a duration is longer than nothing and finite, not {kind(value)}", examples)])
    return value


def _memory(value: object) -> object:
    hint = "write 512Mi, 4Gi or 16G"
    if not isinstance(value, str):
        refuse([Fault(f"an amount of memory has a unit; this is {kind(value)}", hint)])
    assert isinstance(value, str)
    try:
        mebibytes(value)
    except ValueError as error:
        refuse([Fault(str(error), hint)])
    return value


_DURATION_SCHEMA: Final = {
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": DURATION_PATTERN}]
}
SweepName = Annotated[
    str,
    AfterValidator(_sweep_name),
    WithJsonSchema({"type": "string", "pattern": f"^{names.SWEEP_NAME.pattern}$"}),
]
Identifier = Annotated[str, AfterValidator(_identifier)]
Text = Annotated[str, AfterValidator(_filled)]
Duration = Annotated[float, BeforeValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
Memory = Annotated[str, BeforeValidator(_memory), WithJsonSchema({"type": "string", "pattern": MEMORY_PATTERN})]
Storage = Annotated[str, AfterValidator(_storage)]
EnvironmentName = Annotated[str, AfterValidator(_variable)]
EnvironmentValue = Annotated[str, AfterValidator(_variable_value)]
SearchParameter = Annotated[Parameter, Field(discriminator="type")]


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        refuse([Fault(f"{value!r} is no regular expression: {error}", "a plain word will do; write \\\\. for a dot")])
    return value


_PRICED: Final = ("cpu", "memory", "gpu")


def _priced(value: str) -> str:
    if value not in _PRICED and "/" not in value:
        hint = f"one of {', '.join(_PRICED)}, or a device by its whole name, such as nvidia.com/gpu"
        refuse([Fault(f"{value!r} has no price", hint)])
    return value


Priced = Annotated[str, AfterValidator(_priced)]
ExitCode = Annotated[int, Field(ge=1, le=255)]
"""0 is success."""


class LogRuleSpec(Part):
    """A line in the last output of a failed job, and what follows from it."""

    pattern: Annotated[str, AfterValidator(_pattern)]
    """A regular expression, looked for in each of the last lines."""
    then: Literal["retry", "infeasible", "fail", "abort", "exclude_node"]
    """`retry` (counted), `infeasible`, `fail`, `abort` (the sweep), `exclude_node` (retry, never on that machine)."""


class Resources(Part):
    """What one replica of the job needs, for `function` and `command`; a component has its own."""

    cpu: Annotated[float, Field(gt=0)] | None = None
    """CPU cores, fractions allowed; left out: 1."""
    memory: Memory | None = None
    """Memory with its unit, such as `512Mi` or `4Gi`; left out: no request and no limit."""
    gpu: Annotated[int, Field(ge=0)] | None = None
    """Whole GPUs; left out: 0."""

    @property
    def memory_mib(self) -> int | None:
        """The memory in MiB, rounded up; None when unsaid."""
        return None if self.memory is None else mebibytes(self.memory)


MetricName = Annotated[str, AfterValidator(_metric)]


class Objective(Part):
    """A metric to make as small or as large as possible."""

    metric: MetricName
    """The name under which training code reports it; `/` is allowed."""
    direction: Literal["minimize", "maximize"]
    """Which way is better; it has no default because the wrong one wastes the whole sweep."""
    target: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """End the sweep as soon as a trial is as good as this (as good as all targets, where several objectives have one);
    `budget.running` says what becomes of the others."""
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Of several objectives: the worst value that is still of use; the hypervolume is measured from here."""
    weight: Annotated[float, Field(gt=0)] | None = None
    """Of several objectives: makes one of them all, the sum of weight times value; `minimize` counts as negative unless
    all are minimized. All objectives have a weight, or none."""
    aggregate: Literal["last", "best"] = "last"
    """The trial's value where it reports steps: that of its last step, or of its best one."""


class OptimizerSpec(Part):
    """Who proposes the trials."""

    kind: Literal["ax", "random", "grid"] = "ax"
    """`ax`: Bayesian optimization; `random`: independent draws; `grid`: every combination, ends by itself."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """The same seed makes the same proposals from the same results."""


class Budget(Part):
    """When to end the sweep before its last trial."""

    wall_time: Duration | None = None
    """End the sweep once it has run this long, such as `8h`; the time in which all its jobs wait is not counted."""
    gpu_hours: Annotated[float, Field(gt=0)] | None = None
    """End the sweep once its jobs have run so long, each hour counted as often as the job has GPUs."""
    cost: Annotated[float, Field(gt=0)] | None = None
    """End the sweep once its jobs have cost so much, by `prices`."""
    prices: dict[Priced, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """What an hour costs of a `cpu` (a core), of `memory` (a GiB), of a `gpu`, or of a device such as `amd.com/gpu`."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """End the sweep once so many trials in a row have brought nothing better; left out: never."""
    running: Literal["stop", "drain"] = "stop"
    """What becomes of the trials that run when the sweep ends early: ended as well (`stop`), or let end (`drain`)."""

    @model_validator(mode="after")
    def _costs_have_prices(self) -> Budget:
        if self.cost is not None and not any(self.prices.values()):
            hint = "add budget.prices, such as {gpu: 2.5, cpu: 0.04}: the price of one for an hour"
            refuse([Fault("a cost cannot be reckoned without prices", hint, key="cost")])
        return self
