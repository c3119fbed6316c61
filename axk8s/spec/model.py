"""What all parts of a spec have in common: frozen, closed, strict, and faults that carry their own remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

Scalar: TypeAlias = str | int | float | bool

LARGEST: Final = 2**63 - 1
"""The largest whole number that a parameter or constant may be: what 64 bits hold."""
FAULT: Final = "axk8s_fault"
"""The pydantic error type of faults found here; `problems` turns them into sentences with a place."""


class Fault:
    """One thing wrong: the key under the validated value ("" for itself), what is wrong, and what to do."""

    __slots__ = ("hint", "key", "message")

    def __init__(self, message: str, hint: str = "", *, key: str = "") -> None:
        self.message, self.hint, self.key = message, hint, key


def refuse(faults: Iterable[Fault]) -> None:
    """Raise all faults as one pydantic error; nothing when there are none."""
    found = tuple(faults)
    if found:
        text = "; ".join(fault.message for fault in found)
        raise PydanticCustomError(FAULT, "{text}", {"text": text, "faults": found})


class Part(BaseModel):
    """A mapping in the sweep file.

    Frozen, because a running sweep's spec is evidence; closed, because a misspelt key must not be ignored; strict,
    because "0.1" in quotes or `true` for a number is a slip more often than a wish.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_unsaid(cls, data: object) -> object:
        # `arguments:` with everything under it commented out is null in YAML, and means the default.
        if not isinstance(data, Mapping):
            return data
        fields = cls.model_fields
        return {
            key: value
            for key, value in data.items()
            if value is not None or key not in fields or fields[key].is_required()
        }


def kind(value: object) -> str:
    """What a value is, in a person's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a whole number of more than 64 bits"
    if isinstance(value, (int, float)):
        return f"{value!r}"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 60 else f"the text {value[:57]!r}…"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"a {type(value).__name__}"


def _scalar(value: object) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        refuse([Fault(f"{value!r} is not a value that a trial can have", "use a finite number")])
    if isinstance(value, int) and abs(value) > LARGEST:
        refuse([Fault("a whole number here has at most 64 bits", "use a smaller one, or a float such as 1e30")])
    if isinstance(value, (str, bool, int, float)):
        return value
    hint = "write the word in quotes" if value is None else ""
    refuse([Fault(f"a number, text, true or false is needed, not {kind(value)}", hint)])
    raise AssertionError


def _listed(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return tuple(value)
    refuse([Fault(f"a list is needed, not {kind(value)}", "write [ … ], or one line with '- ' for each")])
    return value


def _plain(value: object) -> object:
    """A constant as JSON has it, copied, so that the journal keeps exactly what ran."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            refuse([Fault(f"{value!r} cannot be kept in the journal", 'use a finite number, or the text ".inf"')])
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                refuse([Fault(f"the key {key!r} is not text", "use text for every key")])
        return {key: _plain(item) for key, item in value.items()}
    refuse([Fault(f"{kind(value)} cannot be written down", "use text, numbers, true, false, lists and mappings")])
    raise AssertionError


Value = Annotated[Scalar, PlainValidator(_scalar, json_schema_input_type=str | int | float | bool)]
"""One value of a parameter."""
Listed = BeforeValidator(_listed)
"""Takes a list and keeps a tuple; a single value is not quietly made a list of one."""
Plain = Annotated[object, PlainValidator(_plain, json_schema_input_type=Any)]
"""Any constant that JSON can hold."""
