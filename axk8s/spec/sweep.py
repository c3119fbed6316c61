"""`SweepSpec`: everything that a person says about a sweep, checked as a whole."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, model_validator

from axk8s.errors import Problem, SpecError, UsageError, suggestion
from axk8s.spec import document, outcomes, relations
from axk8s.spec.constraints import LinearConstraint, parse
from axk8s.spec.document import Route, Source
from axk8s.spec.draft import draft, shorthand
from axk8s.spec.model import Listed, Part, Plain, Scalar, Value, kind
from axk8s.spec.outcomes import OutcomeConstraint
from axk8s.spec.parameters import KINDS, FixedParameter, same, word
from axk8s.spec.problems import translate
from axk8s.spec.settings import (
    Budget,
    Duration,
    EnvironmentName,
    EnvironmentValue,
    ExitCode,
    Identifier,
    LogRuleSpec,
    Objective,
    OptimizerSpec,
    Resources,
    SearchParameter,
    Storage,
    SweepName,
    Text,
)
from axk8s.spec.stopping import STOPPING_KINDS, EarlyStopping

_MOST_TRIALS: Final = 100_000
"""Job names have room for five digits."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Origin:
    """Where a spec came from; travels through validation as its context."""

    source: Source
    base: Path
    file: Path | None = None


class SweepSpec(Part):
    """One sweep, as its file describes it. Paths are relative to the file's folder."""

    name: SweepName
    """The sweep's name: its folder, and the beginning of its jobs' names."""
    component: Text | None = None
    """A TorchX component: `path.py:function`, `package.module:function`, or a built-in such as `dist.ddp`."""
    function: Text | None = None
    """A plain Python function, `path.py:function` or `package.module:function`; what it returns is the result."""
    command: Text | None = None
    """A command line with placeholders such as `{lr}`; `{params}` is all parameters as JSON, `{{` a literal brace."""
    arguments: dict[Identifier, Plain] = Field(default_factory=dict)
    """Constants for the component or function."""
    workspace: Text | None = None
    """The folder of code that travels with the jobs, copied once when the sweep begins."""
    image: Text = "python:3.11-slim"
    """The container image for `function` and `command` where jobs run in containers."""
    resources: Resources = Field(default_factory=Resources)
    """What one replica of the job needs, for `function` and `command`."""
    env: dict[EnvironmentName, EnvironmentValue] = Field(default_factory=dict)
    """Environment variables of the jobs, for `function` and `command`; numbers are written in quotes."""
    parameters: Annotated[dict[Identifier, SearchParameter], Field(min_length=1)]
    """What is searched: each parameter by the name of the argument that it becomes."""
    parameter_constraints: Annotated[tuple[Text, ...], Listed] = ()
    """Linear constraints on numeric parameters, such as `x + 2*y <= 1`, with <=, >= or ==."""
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1), Listed]
    """What to optimize; several make a front of trials that are not beaten in all of them, or one sum by `weight`."""
    outcome_constraints: Annotated[tuple[Text, ...], Listed] = ()
    """Limits on metrics, such as `latency_ms <= 20`, or `accuracy >= 0.98 * baseline`; a trial beyond is never best."""
    baseline: dict[Identifier, Value] | None = None
    """The parameters of the first trial: the one that others are compared with."""
    warm_start: Annotated[tuple[Text, ...], Listed] = ()
    """Where results that are known already stand: CSV files, or sweeps by name or folder; the optimizer learns them."""
    optimizer: Annotated[OptimizerSpec, BeforeValidator(shorthand)] = Field(default_factory=OptimizerSpec)
    """Who proposes the trials; `optimizer: random` is short for `optimizer: {kind: random}`."""
    trials: Annotated[int, Field(ge=1, le=_MOST_TRIALS)]
    """How many trials to run; a grid that is smaller ends earlier."""
    parallelism: Annotated[int, Field(ge=1)] = 1
    """How many trials run at the same time."""
    max_queued: Annotated[int, Field(ge=1)] | None = None
    """How many trials may wait in the cluster for room at a time; left out: a quarter of `parallelism`, at least 2."""
    retries: Annotated[int, Field(ge=0)] = 1
    """How often one trial is tried again after an error that another try may not meet; 1 because most are rare."""
    retry_exit_codes: Annotated[tuple[ExitCode, ...], Listed] = (75,)
    """Exit codes that ask for another try; 75 is EX_TEMPFAIL of sysexits.h."""
    infeasible_exit_codes: Annotated[tuple[ExitCode, ...], Listed] = (64,)
    """Exit codes of parameters that can never work; 64 is EX_USAGE, and what `report_infeasible()` ends with."""
    log_rules: Annotated[tuple[LogRuleSpec, ...], Listed] = ()
    """What follows from a line in the last output of a failed job: the first rule that fits, then the built-in ones."""
    max_disruptions: Annotated[int, Field(ge=0)] = 20
    """How often one trial may be pre-empted, evicted or lose its machine; each costs nothing but time."""
    abort_after_same_failures: Annotated[int, Field(ge=0)] = 3
    """End the sweep when so many first trials fail alike and none has succeeded; 0: never."""
    max_failures: Annotated[int, Field(ge=1)] | None = None
    """End the sweep after this many failed trials; left out: never."""
    trial_timeout: Duration | None = None
    """How long one attempt may run, such as `90s`, `1h30m`, or a number of seconds; left out: as long as it likes."""
    start_timeout: Duration = 600.0
    """How long a job on a cluster may take from a node to a running container (images are pulled, volumes attached)."""
    early_stopping: Annotated[EarlyStopping | None, BeforeValidator(shorthand)] = None
    """Ending hopeless trials early, by what they report while they run; `early_stopping: asha` names a kind alone."""
    budget: Budget = Field(default_factory=Budget)
    """When to end the sweep before its last trial."""
    storage: Storage | None = None
    """What attempts and machines share: `s3://bucket/path`, `pvc://claim/path`, or an absolute path."""
    scheduler: Text = "local"
    """The TorchX scheduler that runs the jobs; `local` is this machine."""
    scheduler_config: dict[str, Plain] = Field(default_factory=dict)
    """Options of the scheduler, as in TorchX."""

    _source: Source = PrivateAttr(default_factory=Source)
    _base: Path = PrivateAttr(default_factory=Path.cwd)
    _file: Path | None = PrivateAttr(default=None)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a sweep file.

        Raises:
            UsageError: the file cannot be read.
            SpecError: it is wrong; holds every problem that was found, by line.
        """
        file = Path(path)
        read = document.read(file, label=os.fspath(path))
        origin = _Origin(read.source, file.absolute().parent, file.absolute())
        return cls._read(read.content, origin, read.problems)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], *, base: Path) -> Self:
        """Check a mapping of the same shape as the file; `base` is the folder that its paths are relative to.

        Raises:
            SpecError: it is wrong; `where` of each problem is `sweep`.
        """
        return cls._read(mapping, _Origin(Source(), base.absolute()), ())

    @classmethod
    def _read(cls, content: Mapping[str, object], origin: _Origin, earlier: tuple[Problem, ...]) -> Self:
        found: list[Problem] = []
        spec = None
        try:
            spec = cls.model_validate(content, context=origin)
        except ValidationError as error:
            # Pydantic stops before what spans several keys; the person wants to hear of that too.
            found += [*translate(error, part_at), *relations.check(draft(content, cls.model_fields))]
        except SpecError as error:
            found += error.problems
        located = [dataclasses.replace(each, where=origin.source.where(each.key)) for each in found]
        # What YAML could not give a value to is wrong once, not once more for having none.
        known = {(each.where, each.key) for each in earlier}
        problems = [*earlier, *(each for each in located if (each.where, each.key) not in known)]
        if spec is None or problems:
            raise SpecError(sorted(problems, key=lambda each: _line(each.where)))
        return spec

    def model_post_init(self, context: object, /) -> None:
        """Remember where the spec came from."""
        if isinstance(context, _Origin):
            self._source, self._base, self._file = context.source, context.base, context.file

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = relations.check(draft(self.__dict__, SweepSpec.model_fields))
        if self.baseline is not None and not problems:
            problems = [_of_baseline(each) for each in self.check_parameters(self.baseline)]
        if problems:
            raise SpecError([dataclasses.replace(each, where=self.where(each.key)) for each in problems])
        return self

    def to_json(self) -> dict[str, object]:
        """Plain JSON that `from_mapping` reads back to an equal spec.

        Defaults are written out, so that a sweep in progress keeps its meaning when a later version has other ones.
        """
        dump = self.model_dump(mode="json")
        free = ("arguments", "scheduler_config")
        return {key: value if key in free else _pruned(value) for key, value in dump.items() if value is not None}

    def where(self, key: str) -> str:
        """`sweep.yaml:12`, where the dotted key or the nearest one above it stands; `sweep` if not from a file."""
        return self._source.where(key)

    @property
    def base(self) -> Path:
        """The absolute folder that paths are relative to."""
        return self._base

    @property
    def file(self) -> Path | None:
        """The absolute path of the file, or None."""
        return self._file

    @cached_property
    def linear_constraints(self) -> tuple[LinearConstraint, ...]:
        """`parameter_constraints` as numbers."""
        return tuple(map(parse, self.parameter_constraints))

    @cached_property
    def limits(self) -> tuple[OutcomeConstraint, ...]:
        """`outcome_constraints` as numbers."""
        return tuple(map(outcomes.parse, self.outcome_constraints))

    @property
    def metrics(self) -> tuple[str, ...]:
        """What a trial must report: the objectives' metrics, then those of the outcome constraints."""
        names = [objective.metric for objective in self.objectives]
        return tuple(dict.fromkeys([*names, *(metric for limit in self.limits for metric in limit.coefficients)]))

    def active_parameters(self, values: Mapping[str, Scalar]) -> tuple[str, ...]:
        """The names of the parameters that exist in a trial with these values: all whose conditions hold."""
        active: dict[str, bool] = {}
        return tuple(name for name in self.parameters if self._active(name, values, active))

    def _active(self, name: str, values: Mapping[str, Scalar], known: dict[str, bool]) -> bool:
        if name not in known:
            known[name] = all(
                self._active(parent, values, known) and _among(self._value(parent, values), allowed)
                for parent, allowed in (self.parameters[name].when or {}).items()
            )
        return known[name]

    def _value(self, name: str, values: Mapping[str, Scalar]) -> Scalar | None:
        parameter = self.parameters[name]
        return values.get(name, parameter.value if isinstance(parameter, FixedParameter) else None)

    def complete_parameters(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The values in the order of the file, with the fixed parameters that are active and were not given."""
        complete: dict[str, Scalar] = {}
        for name in self.active_parameters(values):
            value = self._value(name, values)
            if value is not None:
                complete[name] = value
        return {**complete, **{name: value for name, value in values.items() if name not in complete}}

    def check_parameters(self, values: Mapping[str, object]) -> list[Problem]:
        """Everything that keeps these values from being a trial; fixed parameters may be left out."""
        problems = []
        known: dict[str, Scalar] = {}
        for name, value in values.items():
            parameter = self.parameters.get(name)
            if parameter is None:
                hint = suggestion(name, self.parameters)
                problems.append(Problem(self.where("parameters"), name, "there is no such parameter", hint))
            elif not parameter.contains(value):
                message = f"{_written(value)} is not {parameter.describe()}"
                problems.append(Problem(self.where(f"parameters.{name}"), name, message))
            elif isinstance(value, (str, int, float)):
                known[name] = value
        if not problems:
            problems = [*self._presence(known), *self._constraints_kept(known)]
        return problems

    def _presence(self, values: Mapping[str, Scalar]) -> Iterable[Problem]:
        active = self.active_parameters(values)
        for name, parameter in self.parameters.items():
            where = self.where(f"parameters.{name}")
            if name in active and self._value(name, values) is None:
                yield Problem(where, name, "has no value", f"give {parameter.describe()}")
            elif name in values and name not in active:
                conditions = " and ".join(
                    f"{parent} is {' or '.join(map(word, allowed))}"
                    for parent, allowed in (parameter.when or {}).items()
                )
                yield Problem(where, name, f"exists only when {conditions}", "leave it out")

    def _constraints_kept(self, values: Mapping[str, Scalar]) -> Iterable[Problem]:
        complete = self.complete_parameters(values)
        for index, constraint in enumerate(self.linear_constraints):
            if not constraint.satisfied(complete):
                key = f"parameter_constraints[{index}]"
                yield Problem(self.where(key), "", f"these values break the constraint {constraint.text!r}")

    def parse_assignment(self, text: str) -> tuple[str, Scalar]:
        """`lr=0.01` as a name and a value of the parameter's type.

        Raises:
            UsageError: no such parameter, or no value of it.
        """
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals:
            raise UsageError(f"{text!r} gives no value", hint=f"write {name or 'name'}=VALUE")
        parameter = self.parameters.get(name)
        if parameter is None:
            raise UsageError(f"there is no parameter {name!r}", hint=suggestion(name, self.parameters))
        try:
            return name, parameter.parse(value.strip())
        except ValueError as error:
            message = f"{name}: {error}"
            raise UsageError(message, hint=f"see {self.where(f'parameters.{name}')}") from error

    def __eq__(self, other: object) -> bool:
        """Equal when they say the same, wherever it was written."""
        if not isinstance(other, SweepSpec):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in SweepSpec.model_fields)

    __hash__ = None  # type: ignore[assignment]  # equal by value, and its mappings cannot be hashed


def _of_baseline(problem: Problem) -> Problem:
    key = f"baseline.{problem.key}" if problem.key else "baseline"
    return dataclasses.replace(problem, key=key)


def _among(value: Scalar | None, allowed: Iterable[Scalar]) -> bool:
    return value is not None and any(same(value, each) for each in allowed)


_PARTS: Final[dict[str, type[Part]]] = {"resources": Resources, "optimizer": OptimizerSpec, "budget": Budget}


def part_at(route: Route) -> type[Part] | None:
    """Which mapping of keys stands at a place, as pydantic names places: parameters carry their type."""
    match route:
        case ():
            return SweepSpec
        case ("parameters", _, str(tag)):
            return KINDS.get(tag)
        case ("objectives", int()):
            return Objective
        case ("early_stopping", str(tag)):
            return STOPPING_KINDS.get(tag)
        case (str(key),):
            return _PARTS.get(key)
    return None


def _line(where: str) -> int:
    line = where.rpartition(":")[2]
    return int(line) if line.isdigit() else 0


def _pruned(value: object) -> object:
    if isinstance(value, dict):
        return {key: _pruned(inner) for key, inner in value.items() if inner is not None}
    return [_pruned(inner) for inner in value] if isinstance(value, list) else value


def _written(value: object) -> str:
    return repr(value) if isinstance(value, str) else kind(value)
