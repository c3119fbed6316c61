"""Pydantic's errors as problems in a person's words: the key, what is wrong, and what would be valid."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from axk8s.errors import Problem, suggestion
from axk8s.spec.document import Route, dotted
from axk8s.spec.model import FAULT, Part, kind
from axk8s.spec.parameters import KINDS
from axk8s.spec.stopping import STOPPING_KINDS

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

PartAt: TypeAlias = Callable[[Route], type[Part] | None]
"""Which mapping stands at a place of the file."""

_OTHER_WORDS: Final = {
    "uniform": "float",
    "range": "float",
    "real": "float",
    "double": "float",
    "number": "float",
    "loguniform": "float, with `log: true`",
    "log_uniform": "float, with `log: true`",
    "integer": "int",
    "categorical": "choice",
    "category": "choice",
    "discrete": "choice",
    "enum": "choice",
    "boolean": "bool",
    "constant": "fixed",
    "const": "fixed",
    "min": "minimize",
    "max": "maximize",
    "minimise": "minimize",
    "maximise": "maximize",
    "sobol": "random",
    "bayesian": "ax",
    "botorch": "ax",
}
"""What other programs call our words."""


def translate(error: ValidationError, part_at: PartAt) -> list[Problem]:
    """One problem or more for each error; `where` is left empty for who knows the lines."""
    problems: list[Problem] = []
    for details in error.errors(include_url=False):
        problems.extend(_problems(details, part_at))
    return problems


def _problems(details: ErrorDetails, part_at: PartAt) -> list[Problem]:
    route = details["loc"]
    key = dotted(readable(route))
    if details["type"] == FAULT:
        return [
            Problem("", f"{key}.{fault.key}" if key and fault.key else key or fault.key, fault.message, fault.hint)
            for fault in details.get("ctx", {})["faults"]
        ]
    if details["type"] == "too_short" and details["input"]:
        return []  # pydantic counts only the entries that are right; the wrong ones are reported themselves
    if details["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return [_untyped(details, key)]
    if len(route) == 2 and route[0] == "parameters" and details["type"].startswith(("model", "dict")):
        return [_untyped(details, key)]
    message, hint = _sentence(details, route, part_at)
    return [Problem("", key, message, hint)]


def readable(route: Route) -> Route:
    """A pydantic location as a place in the file: without the kind of parameter and the mark of a key."""
    parts = [part for part in route if part != "[key]"]
    if len(parts) > 2 and parts[0] == "parameters" and parts[2] in KINDS:
        del parts[2]
    if len(parts) > 1 and parts[0] == "early_stopping" and parts[1] in STOPPING_KINDS:
        del parts[1]
    return tuple(parts)


def _sentence(details: ErrorDetails, route: Route, part_at: PartAt) -> tuple[str, str]:
    value, context = details["input"], details.get("ctx", {})
    match details["type"]:
        case "missing":
            return "this key is missing", _meaning(route, part_at)
        case "extra_forbidden":
            return f"there is no key {str(route[-1])!r} here", _meant(route, part_at)
        case "literal_error":
            valid = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            return f"{_shown(value)} is not one of the words that are possible", _word(value, valid)
        case "int_type" | "int_from_float" | "int_parsing":
            return f"a whole number is needed, not {kind(value)}", _as_whole(value)
        case "float_type" | "float_parsing":
            return f"a number is needed, not {kind(value)}", _unquoted(value)
        case "bool_type" | "bool_parsing":
            return f"true or false is needed, not {kind(value)}", "in YAML 1.2 only true and false are meant so"
        case "string_type":
            return f"text is needed, not {kind(value)}", _quoted(value)
        case "finite_number":
            return f"a finite number is needed, not {value}", "name the bound that you mean"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {_shown(value)}", ""
        case "greater_than":
            return f"must be greater than {context['gt']:g}, not {_shown(value)}", ""
        case "less_than_equal":
            return f"must be at most {context['le']}, not {_shown(value)}", ""
        case "too_short":
            return "at least one is needed here", _meaning(route, part_at)
        case "dict_type" | "model_type" | "model_attributes_type" | "mapping_type":
            return f"a mapping of keys to values is needed, not {kind(value)}", _meaning(route, part_at)
        case _:
            return details["msg"], ""


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else kind(value)


def _meaning(route: Route, part_at: PartAt) -> str:
    """The first sentence of what a key means."""
    part = part_at(route[:-1]) if route else None
    known = part.model_fields.get(str(route[-1])) if part else None
    text = " ".join((known.description or "").split()) if known else ""
    return re.split(r"(?<=[.;])\s", text)[0].rstrip(".;")


def _meant(route: Route, part_at: PartAt) -> str:
    name, part = str(route[-1]), part_at(route[:-1])
    if part is None:
        return ""
    others = [other for other, one in KINDS.items() if part in KINDS.values() and name in one.model_fields]
    if others:
        return f"`{name}` belongs to a parameter of type {' or '.join(others)}"
    others = [other for other, one in STOPPING_KINDS.items() if name in one.model_fields]
    if others and part in STOPPING_KINDS.values():
        return f"`{name}` belongs to early stopping of kind {' or '.join(others)}"
    return suggestion(name, part.model_fields)


def _word(value: object, valid: list[str]) -> str:
    text = value.lower() if isinstance(value, str) else ""
    if text in _OTHER_WORDS and _OTHER_WORDS[text].partition(",")[0] in valid:
        return f"here that is called {_OTHER_WORDS[text]} (valid: {', '.join(sorted(valid))})"
    return suggestion(text, valid)


def _untyped(details: ErrorDetails, key: str) -> Problem:
    value = details["input"]
    if key.partition(".")[0] == "early_stopping":
        return _unkind(value, key)
    if not isinstance(value, Mapping):
        return Problem("", key, f"a parameter is a mapping, not {kind(value)}", _as_parameter(value))
    if value.get("type") is None:
        likely = next((name for name, word in _TELLING if name in value), None)
        guess = dict(_TELLING)[likely] if likely else ""
        hint = f"perhaps `type: {guess}`? (valid: {', '.join(KINDS)})" if guess else f"valid: {', '.join(KINDS)}"
        return Problem("", key, "the parameter has no `type`", hint)
    message = f"{_shown(value['type'])} is not a type of parameter"
    return Problem("", f"{key}.type", message, _word(value["type"], list(KINDS)))


def _unkind(value: object, key: str) -> Problem:
    valid = list(STOPPING_KINDS)
    if not isinstance(value, Mapping):
        return Problem("", key, f"a mapping or a word is needed, not {kind(value)}", f"one of {', '.join(valid)}")
    if value.get("kind") is None:
        return Problem("", key, "nothing says what `kind` it is", f"valid: {', '.join(valid)}")
    message = f"{_shown(value['kind'])} is no kind of early stopping"
    return Problem("", f"{key}.kind", message, _word(value["kind"], valid))


_TELLING: Final = (("values", "choice"), ("value", "fixed"), ("min", "float"), ("max", "float"))


def _as_parameter(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "write {type: choice, values: [ … ]}"
    if value is None:
        return "write {type: float, min: …, max: …}, or another type"
    shown = f'"{value}"' if isinstance(value, str) else kind(value)
    return f"write {{type: fixed, value: {shown}}}, or put the constant under `arguments`"


def _as_whole(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    return _unquoted(value)


def _unquoted(value: object) -> str:
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    return f"remove the quotes: {value}"


def _quoted(value: object) -> str:
    if isinstance(value, (bool, int, float)):
        return f'put it in quotes: "{kind(value)}"'
    if isinstance(value, Mapping) and value and all(inner is None for inner in value.values()):
        return "put quotes around text that contains braces"
    return ""
