"""The sweep file's JSON schema, for editors, and the reference tables, for readers: both from the model itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from axk8s.spec.model import Part
from axk8s.spec.parameters import KINDS
from axk8s.spec.quantity import DURATION_PATTERN, MEMORY_PATTERN, RANGE_PATTERN
from axk8s.spec.relations import PROGRAMS
from axk8s.spec.settings import Budget, Objective, OptimizerSpec, Resources
from axk8s.spec.stopping import STOPPING_KINDS, AshaStopping, PercentileStopping, ThresholdStopping
from axk8s.spec.sweep import SweepSpec

Schema: TypeAlias = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NULL: Final = {"type": "null"}
_TABLES: Final[tuple[tuple[str, type[Part]], ...]] = (
    ("The sweep", SweepSpec),
    *((f"`parameters`: type `{name}`", part) for name, part in KINDS.items()),
    ("`objectives`", Objective),
    ("`early_stopping`: kind `asha`", AshaStopping),
    ("`early_stopping`: kinds `median` and `percentile`", PercentileStopping),
    ("`early_stopping`: kind `threshold`", ThresholdStopping),
    ("`optimizer`", OptimizerSpec),
    ("`resources`", Resources),
    ("`budget`", Budget),
)
_PATTERNS: Final = {
    DURATION_PATTERN: "duration",
    MEMORY_PATTERN: "amount of memory",
    RANGE_PATTERN: "range of durations",
}
_WORDS: Final = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
    "null": "nothing",
}


def json_schema() -> dict[str, object]:
    """The schema of a sweep file, draft 2020-12; it knows every key, and refuses unknown ones.

    What spans several keys (conditions, constraints, min below max) only `SweepSpec.load` can tell.
    """
    schema: Schema = SweepSpec.model_json_schema()
    for name, part in _parts():
        _finish(schema if part is SweepSpec else schema["$defs"][name], part)
    schema["oneOf"] = [_exactly(key) for key in PROGRAMS]
    optimizer = schema["properties"]["optimizer"]
    kinds = schema["$defs"]["OptimizerSpec"]["properties"]["kind"]["anyOf"][0]["enum"]
    optimizer["anyOf"].insert(0, {"enum": kinds})
    short = [name for name in STOPPING_KINDS if name in ("asha", "median")]
    schema["properties"]["early_stopping"]["anyOf"].insert(0, {"enum": short})
    return {"$schema": _DIALECT, "title": "axk8s sweep", **{k: v for k, v in schema.items() if k != "title"}}


def _parts() -> Iterator[tuple[str, type[Part]]]:
    yield from ((part.__name__, part) for _, part in _TABLES)


def _exactly(key: str) -> Schema:
    others = [other for other in PROGRAMS if other != key]
    said = {"not": dict(_NULL)}
    return {
        "required": [key],
        "properties": {key: said, **{other: dict(_NULL) for other in others}},
    }


def _finish(schema: Schema, part: type[Part]) -> None:
    """Make one mapping's schema say what the reader does: null means the default, and a parameter needs its type."""
    properties: Schema = schema["properties"]
    if "const" in properties.get("type", {}):
        schema["required"] = ["type", *schema.get("required", [])]
        properties["type"].pop("default", None)
    for name, value in properties.items():
        value.pop("title", None)
        value["description"] = " ".join((part.model_fields[name].description or "").split())
        if name not in schema.get("required", []):
            properties[name] = _or_null(value)
    when = properties.get("when")
    if when is not None:
        _one_or_several(when)
    # `discriminator` is a word of OpenAPI; editors warn about it, and the constants of `type` say the same.
    entries = properties.get("parameters", {}).get("additionalProperties", {})
    entries.pop("discriminator", None)


def _or_null(value: Schema) -> Schema:
    kept: Schema = {key: value[key] for key in ("description", "default") if key in value}
    # A default of null is what leaving the key out means, not a value to show.
    if kept.get("default", ...) is None:
        del kept["default"]
    rule = {key: inner for key, inner in value.items() if key not in ("description", "default")}
    choices = rule["anyOf"] if set(rule) == {"anyOf"} else [rule]
    return {**kept, "anyOf": [*(each for each in choices if each != _NULL), dict(_NULL)]}


def _one_or_several(when: Schema) -> None:
    mapping = next(each for each in when["anyOf"] if each.get("type") == "object")
    several = mapping["additionalProperties"]
    mapping["additionalProperties"] = {"anyOf": [several["items"], several]}
    mapping["minProperties"] = 1


def reference() -> str:
    """The reference of all keys as Markdown tables: key, type, default, meaning."""
    schema = json_schema()
    definitions: Schema = schema["$defs"]  # type: ignore[assignment]  # a JSON schema is nested mappings
    sections = []
    for title, part in _TABLES:
        properties = schema["properties"] if part is SweepSpec else definitions[part.__name__]["properties"]
        assert isinstance(properties, dict)
        sections.append("\n".join([f"### {title}", "", *_introduction(part), table(part, properties)]))
    return "\n\n".join(sections) + "\n"


def table(part: type[Part], properties: Schema | None = None) -> str:
    """The keys of one mapping as a Markdown table; `properties` are those of its JSON schema unless given."""
    known_as = part.model_json_schema()["properties"] if properties is None else properties
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name in sorted(part.model_fields, key=_place):
        known = part.model_fields[name]
        default = "required" if _needed(part, name) else _default(known.get_default(call_default_factory=True))
        meaning = " ".join((known.description or "").split())
        rows.append(_row(f"`{name}`", _kind(known_as[name]), default, meaning))
    return "\n".join(rows)


def _place(name: str) -> int:
    """The kind of a parameter comes first and its condition last; the rest is in the order of the model."""
    return {"type": -1, "kind": -1, "when": 1}.get(name, 0)


def _introduction(part: type[Part]) -> list[str]:
    return [" ".join((part.__doc__ or "").split()), ""]


def _needed(part: type[Part], name: str) -> bool:
    return part.model_fields[name].is_required() or (name == "type" and part in KINDS.values())


def _default(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, Part):
        said = value.model_dump(exclude_none=True)
        return ", ".join(f"{key}: {inner}" for key, inner in said.items()) or "–"
    if value in ((), {}):
        return "none"
    if isinstance(value, tuple):
        return f"`{'..'.join(f'{each:g}' for each in value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _kind(schema: Schema) -> str:
    """The type that a property's schema describes, in a person's words."""
    kinds = list(dict.fromkeys(_kinds(schema)))
    if len(kinds) > 1:
        kinds.remove("nothing") if "nothing" in kinds else None
    return "not in this version" if kinds == ["nothing"] else " or ".join(kinds)


def _kinds(schema: Schema) -> Iterator[str]:
    if "enum" in schema:
        yield from (f"`{word}`" for word in schema["enum"])
    elif "const" in schema:
        yield f"`{schema['const']}`"
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _kinds(each)
    elif schema.get("pattern") in _PATTERNS:
        yield _PATTERNS[schema["pattern"]]
    elif schema.get("maxItems") == 0:
        yield "nothing"
    elif schema.get("type") == "array":
        inner = _kind(schema["items"])
        yield f"list of {re.sub(' or .*', '', inner)}s" if inner == "mapping" else "list"
    elif schema.get("type") == "object" or "$ref" in schema or "oneOf" in schema:
        yield "mapping"
    else:
        yield _WORDS.get(str(schema.get("type")), "anything")
