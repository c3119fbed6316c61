"""What a simulated cluster is like: how many run at once, how long, and what goes wrong how often."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator

from axk8s.errors import SpecError, UsageError, suggestion
from axk8s.spec import document
from axk8s.spec.document import Source
from axk8s.spec.model import Fault, Part, kind, refuse
from axk8s.spec.problems import translate
from axk8s.spec.quantity import RANGE_PATTERN, seconds
from axk8s.spec.settings import Duration

Cause: TypeAlias = Literal[
    "user_error",
    "out_of_memory",
    "bad_parameters",
    "non_finite",
    "no_metric",
    "transient",
    "cannot_start",
    "lost",
]
"""How an attempt goes wrong by itself; the words of `axk8s.sweep.model.Category`."""

OF_TRIALS: Final[tuple[Cause, ...]] = ("user_error", "out_of_memory", "bad_parameters", "non_finite", "no_metric")
"""Causes that lie in the parameters or the code: every attempt of the trial would end so."""
OF_ATTEMPTS: Final[tuple[Cause, ...]] = ("transient", "cannot_start", "lost")
"""Causes that strike one attempt."""

Span: TypeAlias = tuple[float, float]
"""Seconds from … to …, both included; a draw from it is uniform."""

_EXAMPLES: Final = 'write "90s", "2m..10m", or a number of seconds'


def _span(value: object) -> object:
    if isinstance(value, (tuple, list)) and len(value) == 2:
        value = f"{value[0]}..{value[1]}"  # as `to_json` writes it
    parts: list[object] = list(value.split("..")) if isinstance(value, str) else [value]
    if len(parts) > 2:
        refuse([Fault(f"{value!r} is more than a range", _EXAMPLES)])
    ends = [_seconds(part) for part in parts]
    low, high = ends[0], ends[-1]
    if low > high:
        refuse([Fault(f"the range {value!r} begins after its end", f"exchange them: {parts[-1]}..{parts[0]}")])
    return (low, high)


def _seconds(value: object) -> float:
    text = value.strip() if isinstance(value, str) else value
    try:
        number = float(text) if isinstance(text, (str, int, float)) and not isinstance(text, bool) else None
    except ValueError:
        number = None
    if number is None and isinstance(text, str):
        try:
            number = seconds(text)
        except ValueError as error:
            refuse([Fault(str(error), _EXAMPLES)])
    if number is None or not 0 <= number < float("inf"):
        refuse([Fault(f"a duration is needed, not {kind(value)}", _EXAMPLES)])
    assert number is not None
    return number


_SPAN_SCHEMA: Final = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": RANGE_PATTERN}]}
SpanOf = Annotated[Span, BeforeValidator(_span), WithJsonSchema(_SPAN_SCHEMA)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0)]


class Conditions(Part):
    """A cluster, and how jobs fare on it. By default all goes well, and quickly."""

    slots: Annotated[int, Field(ge=1)] | None = None
    """How many jobs run at once; the others wait. Left out: as many as the sweep's `parallelism`."""
    nodes: Annotated[int, Field(ge=1)] = 1
    """How many nodes these slots are spread over."""
    start_delay: SpanOf = (1.0, 5.0)
    """Between getting a slot and running: scheduling, pulling the image, starting the container."""
    run_time: SpanOf = (60.0, 600.0)
    """How long a trial runs, the same for each of its attempts."""
    checkpoint_every: Duration | None = None
    """A disrupted trial goes on from its last checkpoint, made this often; left out: it begins again."""
    preemptions_per_hour: Rate = 0.0
    """How often a running job is pre-empted or evicted, for each hour that it runs."""
    node_losses_per_day: Rate = 0.0
    """How often each node is lost, with all that runs on it."""
    node_repair: SpanOf = (600.0, 1800.0)
    """How long a lost node is away."""
    failures: dict[Cause, Share] = Field(default_factory=dict)
    """The share of trials (or, for `transient`, `cannot_start` and `lost`, of attempts) that end in this way."""
    api_latency: SpanOf = (0.05, 0.2)
    """How long a call to the scheduler takes."""
    api_faults: Share = 0.0
    """The share of calls that fail first and are made again; of half of them the effect had happened all the same."""
    outages_per_day: Rate = 0.0
    """How often the scheduler's API does not answer at all; jobs go on running meanwhile."""
    outage: SpanOf = (60.0, 300.0)
    """How long such an outage lasts."""
    optimizer_start: SpanOf = (6.0, 6.0)
    """Until Ax's process answers for the first time; random and grid answer at once."""
    proposal_time: SpanOf = (0.2, 1.0)
    """How long one proposal of Ax's model takes; points that need no model come at once."""
    noise: Rate = 0.0
    """Standard deviation of what is added to each simulated value of the objective."""
    steps: Annotated[int, Field(ge=0)] = 10
    """How many steps of a learning curve a whole run reports; 0: final values only."""

    @model_validator(mode="before")
    @classmethod
    def _one_share(cls, data: object) -> object:
        if isinstance(data, Mapping) and isinstance(data.get("failures"), (int, float)):
            return {**data, "failures": {"user_error": data["failures"]}}
        return data

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        for causes in (OF_TRIALS, OF_ATTEMPTS):
            total = sum(self.failures.get(cause, 0.0) for cause in causes)
            if total > 1:
                names = ", ".join(cause for cause in causes if cause in self.failures)
                refuse([Fault(f"the shares of {names} add up to {total:g}", "at most 1", key="failures")])
        return self

    @classmethod
    def of(cls, mapping: Mapping[str, object], *, source: Source | None = None) -> Conditions:
        """The conditions of a mapping of their keys.

        Raises:
            SpecError: some of it is wrong; all problems at once, each with its place.
        """
        origin = source or Source("conditions")
        try:
            return cls.model_validate(dict(mapping))
        except ValidationError as error:
            found = translate(error, lambda route: cls if route == () else None)
            raise SpecError([replace(each, where=origin.where(each.key)) for each in found]) from error

    @classmethod
    def read(cls, words: Iterable[str | os.PathLike[str]]) -> Conditions:
        """What a person gives: YAML files, and `key=value,key=value`; later words win.

        Raises:
            UsageError: a file cannot be read, or a word is neither.
            SpecError: a key or value is wrong.
        """
        content: dict[str, object] = {}
        source = Source("conditions")
        for given in words:
            text = os.fspath(given)
            if "=" not in text:
                if not Path(text).is_file():
                    hint = f"a YAML file, or settings such as run_time=2m..10m ({suggestion('', cls.model_fields)})"
                    raise UsageError(f"the conditions {text!r} are no file", hint=hint)
                found = document.read(Path(text), label=text)
                if found.problems:
                    raise SpecError(found.problems)
                content.update(found.content)
                source = found.source
                continue
            for part in text.split(","):
                name, equals, value = part.partition("=")
                if not equals:
                    raise UsageError(f"{part!r} in {text!r} gives no condition", hint="write key=value,key=value")
                _put(content, name.strip(), _value(value.strip()), text)
        return cls.of(content, source=source)


def _put(content: dict[str, object], name: str, value: object, text: str) -> None:
    head, dot, rest = name.partition(".")
    if not dot:
        content[head] = value
        return
    inner = content.get(head, {})
    if isinstance(inner, (int, float)):
        inner = {"user_error": inner}
    if not isinstance(inner, dict):
        raise UsageError(f"{name!r} in {text!r}: {head} has no parts", hint=f"{head}=VALUE")
    content[head] = {**inner, rest: value}


def _value(text: str) -> object:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
