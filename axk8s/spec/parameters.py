"""The kinds of parameters: what a trial may be given."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, model_validator

from axk8s.spec.model import LARGEST, Fault, Listed, Part, Scalar, Value, kind, refuse

PythonType: TypeAlias = type[Scalar]

_MOST_STEPS: Final = 1_000_000
_TOLERANCE: Final = 1e-9
"""Of a step: 0.3 is three steps of 0.1, whatever binary fractions say."""


def same(one: Scalar, other: Scalar) -> bool:
    """Whether two values are the same to a person: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other


def _number(value: object) -> bool:
    # The comparison is exact for whole numbers of any length, which math.isfinite() cannot take.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -math.inf < value < math.inf


class _Parameter(Part):
    when: dict[str, Annotated[tuple[Value, ...], Field(min_length=1)]] | None = None
    """Makes the parameter conditional: it exists only in trials where each named parameter has this value, or one of
    these values. The others must be of type `choice`, `bool` or `fixed`."""

    @model_validator(mode="before")
    @classmethod
    def _one_value_or_several(cls, data: object) -> object:
        when = data.get("when") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(when, dict):
            return data
        return {**data, "when": {k: tuple(v) if isinstance(v, (list, tuple)) else (v,) for k, v in when.items()}}

    @model_validator(mode="after")
    def _consistent(self) -> _Parameter:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        if self.when is not None and not self.when:
            yield Fault("names no parameter", "write `when: {other: value}`, or remove it", key="when")

    @property
    def numeric(self) -> bool:
        """Whether it may stand in a linear constraint."""
        return self.python_type in (int, float)

    @property
    def python_type(self) -> PythonType:
        """What its values are in Python."""
        raise NotImplementedError

    def contains(self, value: object) -> bool:
        """Whether a trial may have this value; `true` is never a number, and 3.0 is no whole number."""
        raise NotImplementedError

    def grid(self) -> Sequence[Scalar] | None:
        """All its values in order, or None where they are not countable."""
        raise NotImplementedError

    def parse(self, text: str) -> Scalar:
        """The value that a person means by a word on the command line.

        Raises:
            ValueError: the word is no value of this parameter; says which are.
        """
        raise NotImplementedError

    def describe(self) -> str:
        """The values that are possible, for messages."""
        raise NotImplementedError

    def _checked(self, text: str, value: Scalar | None) -> Scalar:
        if value is None or not self.contains(value):
            raise ValueError(f"{text!r} is not {self.describe()}")
        return value


class _Range(_Parameter):
    log: bool = False
    """Search on a logarithmic scale: for values that span orders of magnitude, such as learning rates."""

    def _bounds(self) -> tuple[float, float, float | None]:
        raise NotImplementedError

    def _faults(self) -> Iterator[Fault]:
        yield from super()._faults()
        low, high, step = self._bounds()
        if low > high:
            yield Fault(f"min ({low:g}) is greater than max ({high:g})", "exchange them", key="min")
        elif low == high:
            hint = f"write {{type: fixed, value: {low:g}}}, or put it under `arguments`"
            yield Fault(f"min and max are both {low:g}: there is nothing to search", hint, key="min")
        if self.log and low <= 0:
            hint = "give a small positive min, such as 1e-6 for a float or 1 for an int; or remove `log`"
            yield Fault(f"a logarithmic scale needs min > 0, and min is {low:g}", hint, key="min")
        if step is None:
            return
        if self.log:
            yield Fault(
                "`step` and `log` exclude each other: steps are equal on a linear scale", "remove one", key="step"
            )
        if step <= 0:
            yield Fault(f"must be greater than 0, not {step:g}", "or leave it out", key="step")
        elif low < high:
            yield from self._step_faults(low, high, step)

    def _step_faults(self, low: float, high: float, step: float) -> Iterator[Fault]:
        count = (high - low) / step
        if count > _MOST_STEPS:
            yield Fault(f"gives more than {_MOST_STEPS:,} values", "leave it out, or make it larger", key="step")
        elif abs(count - round(count)) > _TOLERANCE * max(1.0, count):
            below, above = (f"{_tidy(low + math.floor(count + n) * step):g}" for n in (0, 1))
            near = above if math.floor(count) == 0 else f"{below} or {above}"
            message = f"steps of {step:g} from min ({low:g}) do not meet max ({high:g})"
            yield Fault(message, f"max could be {near}", key="step")

    def _on_step(self, value: float) -> bool:
        low, _, step = self._bounds()
        if step is None:
            return True
        count = (value - low) / step
        return abs(count - round(count)) <= _TOLERANCE * max(1.0, count)


def _tidy(value: float) -> float:
    """Without the binary dust that repeated addition leaves: 0.30000000000000004 is 0.3."""
    return float(f"{value:.12g}")


class FloatParameter(_Range):
    """A real number between two bounds."""

    type: Literal["float"] = Field(default="float")
    """The kind of parameter."""
    min: float
    """Smallest value, included."""
    max: float
    """Largest value, included; must be greater than `min`."""
    step: float | None = None
    """Only `min`, `min + step`, … up to `max`, which must be one of them; not with `log`."""

    def _bounds(self) -> tuple[float, float, float | None]:
        return self.min, self.max, self.step

    @property
    def python_type(self) -> PythonType:
        return float

    def contains(self, value: object) -> bool:
        if not _number(value):
            return False
        assert isinstance(value, (int, float))
        return self.min <= value <= self.max and self._on_step(value)

    def grid(self) -> Sequence[Scalar] | None:
        if self.step is None:
            return None
        count = round((self.max - self.min) / self.step)
        inner = (_tidy(self.min + index * self.step) for index in range(1, count))
        return (self.min, *inner, self.max)

    def parse(self, text: str) -> Scalar:
        try:
            return self._checked(text, float(text))
        except OverflowError:
            return self._checked(text, None)
        except ValueError as error:
            raise ValueError(f"{text!r} is not {self.describe()}") from error

    def describe(self) -> str:
        steps = "" if self.step is None else f" in steps of {self.step:g}"
        return f"a number from {self.min:g} to {self.max:g}{steps}"


WholeNumber = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""As far as a float counts without gaps: optimizers compute in floats."""


class IntParameter(_Range):
    """A whole number between two bounds."""

    type: Literal["int"] = Field(default="int")
    """The kind of parameter."""
    min: WholeNumber
    """Smallest value, included."""
    max: WholeNumber
    """Largest value, included; must be greater than `min`."""
    step: WholeNumber | None = None
    """Only `min`, `min + step`, … up to `max`, which must be one of them; not with `log`."""

    def _bounds(self) -> tuple[float, float, float | None]:
        return self.min, self.max, self.step

    @property
    def python_type(self) -> PythonType:
        return int

    def contains(self, value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.min <= value <= self.max and (value - self.min) % (self.step or 1) == 0

    def grid(self) -> Sequence[Scalar] | None:
        return range(self.min, self.max + 1, self.step or 1)

    def parse(self, text: str) -> Scalar:
        try:
            return self._checked(text, int(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is not {self.describe()}") from error

    def describe(self) -> str:
        steps = "" if self.step is None else f" in steps of {self.step}"
        return f"a whole number from {self.min} to {self.max}{steps}"


class ChoiceParameter(_Parameter):
    """One of several values."""

    type: Literal["choice"] = Field(default="choice")
    """The kind of parameter."""
    values: Annotated[tuple[Value, ...], Field(min_length=1), Listed]
    """The values, each once and all of one kind: text, whole numbers, numbers, or true and false."""
    ordered: bool | None = None
    """Whether neighbours in the list are alike, as sizes are; left out, numbers are ordered and words are not."""

    @model_validator(mode="before")
    @classmethod
    def _numbers_of_one_kind(cls, data: object) -> object:
        values = data.get("values") if isinstance(data, dict) else None
        # [1, 2.5] means numbers, not one whole number and one other.
        if not isinstance(data, dict) or not isinstance(values, (list, tuple)) or not all(map(_number, values)):
            return data
        if all(isinstance(value, int) for value in values) or any(abs(value) > LARGEST for value in values):
            return data
        return {**data, "values": [float(value) for value in values]}

    def _faults(self) -> Iterator[Fault]:
        yield from super()._faults()
        kinds = {type(value) for value in self.values}
        if len(kinds) > 1:
            example = next((value for value in self.values if isinstance(value, str)), self.values[0])
            other = next(value for value in self.values if type(value) is not type(example))
            message = f"mixes kinds: {kind(example)} and {kind(other)}"
            yield Fault(message, f"for text put the others in quotes: {str(other)!r}", key="values")
            return
        seen: list[Scalar] = []
        for value in self.values:
            if value in seen:
                yield Fault(f"{value!r} is given twice", "remove one", key="values")
                break
            seen.append(value)

    @property
    def is_ordered(self) -> bool:
        """`ordered`, or what it is when left out."""
        return self.numeric if self.ordered is None else self.ordered

    @property
    def python_type(self) -> PythonType:
        return type(self.values[0])

    def contains(self, value: object) -> bool:
        return isinstance(value, (str, int, float)) and any(same(value, each) for each in self.values)

    def grid(self) -> Sequence[Scalar] | None:
        return self.values

    def parse(self, text: str) -> Scalar:
        number = _as_number(text) if self.numeric else None
        meant = (value for value in self.values if word(value) == text or (number is not None and value == number))
        return self._checked(text, next(meant, None))

    def describe(self) -> str:
        return f"one of {', '.join(map(word, self.values))}"


class BoolParameter(_Parameter):
    """True or false."""

    type: Literal["bool"] = Field(default="bool")
    """The kind of parameter."""

    @property
    def python_type(self) -> PythonType:
        return bool

    def contains(self, value: object) -> bool:
        return isinstance(value, bool)

    def grid(self) -> Sequence[Scalar] | None:
        return (False, True)

    def parse(self, text: str) -> Scalar:
        return self._checked(text, {"true": True, "false": False}.get(text.lower()))

    def describe(self) -> str:
        return "true or false"


class FixedParameter(_Parameter):
    """The same value in every trial; for a constant that is no part of the search, `arguments` says so more plainly."""

    type: Literal["fixed"] = Field(default="fixed")
    """The kind of parameter."""
    value: Value
    """The value: text, a number, true or false."""

    @property
    def python_type(self) -> PythonType:
        return type(self.value)

    def contains(self, value: object) -> bool:
        return isinstance(value, (str, int, float)) and same(value, self.value)

    def grid(self) -> Sequence[Scalar] | None:
        return (self.value,)

    def parse(self, text: str) -> Scalar:
        meant = text == word(self.value) or (self.numeric and _as_number(text) == self.value)
        return self._checked(text, self.value if meant else None)

    def describe(self) -> str:
        return f"{word(self.value)}: it is fixed"


def word(value: Scalar) -> str:
    """A value as it is written in the sweep file and on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


Parameter: TypeAlias = FloatParameter | IntParameter | ChoiceParameter | BoolParameter | FixedParameter
KINDS: Final[dict[str, type[Part]]] = {
    "float": FloatParameter,
    "int": IntParameter,
    "choice": ChoiceParameter,
    "bool": BoolParameter,
    "fixed": FixedParameter,
}
