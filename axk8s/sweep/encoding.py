"""Records as lines of JSON, and back: what the journal's file holds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Outcome, Phase, Scalar, Values
from axk8s.sweep.records import FORMAT_VERSION, KINDS, Began, KnownResult, Record

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode_value(value: float) -> float | str:
    """JSON has no NaN: non-finite numbers become the strings `nan`, `inf`, `-inf`."""
    return value if math.isfinite(value) else str(float(value))


def encode_values(values: Values) -> dict[str, float | str]:
    """Each value as `encode_value` does."""
    return {name: encode_value(value) for name, value in values.items()}


def decode_values(values: Mapping[str, float | str]) -> dict[str, float]:
    """Undo `encode_values`."""
    return {name: _decode_value(value) for name, value in values.items()}


def _decode_value(value: float | str) -> float:
    return _NON_FINITE[value] if isinstance(value, str) else value


def encode_diagnosis(diagnosis: Diagnosis) -> dict[str, object]:
    """A diagnosis as plain JSON, empty parts left out."""
    full: dict[str, object] = {
        "category": diagnosis.category.value,
        "summary": diagnosis.summary,
        "evidence": dict(diagnosis.evidence),
        "hint": diagnosis.hint,
        "log_tail": list(diagnosis.log_tail),
        "advice": diagnosis.advice,
    }
    return {name: value for name, value in full.items() if value}


def _decode_diagnosis(data: Mapping[str, Any]) -> Diagnosis:
    return Diagnosis(
        category=Category(data["category"]),
        summary=data.get("summary", ""),
        evidence=data.get("evidence", {}),
        hint=data.get("hint", ""),
        log_tail=tuple(data.get("log_tail", ())),
        advice=data.get("advice"),
    )


def _encode_exit(exit_facts: ExitFacts) -> dict[str, Scalar]:
    full: dict[str, Scalar | None] = {
        "cause": exit_facts.cause,
        "code": exit_facts.code,
        "message": exit_facts.message,
        "replica": exit_facts.replica,
        "node": exit_facts.node,
    }
    return {name: value for name, value in full.items() if value is not None and value != ""}


def _encode_known(trials: tuple[KnownResult, ...]) -> list[dict[str, object]]:
    return [
        {
            "parameters": dict(each.parameters),
            "values": encode_values(each.values),
            **({"sems": encode_values(each.sems)} if each.sems else {}),
        }
        for each in trials
    ]


def _decode_known(data: list[Mapping[str, Any]]) -> tuple[KnownResult, ...]:
    return tuple(
        KnownResult(each["parameters"], decode_values(each["values"]), decode_values(each.get("sems", {})))
        for each in data
    )


_ENCODERS: dict[str, Callable[[Any], object]] = {
    "value": encode_value,
    "values": encode_values,
    "sems": encode_values,
    "trials": _encode_known,
    "diagnosis": encode_diagnosis,
    "exit": _encode_exit,
    "parameters": dict,
    "resources": dict,
    "spec": dict,
    "changes": list,
    "time": lambda seconds: round(seconds, 3),
}
_DECODERS: dict[str, Callable[[Any], object]] = {
    "value": _decode_value,
    "values": decode_values,
    "sems": decode_values,
    "trials": _decode_known,
    "diagnosis": _decode_diagnosis,
    "exit": lambda data: ExitFacts(**data),
    "phase": Phase,
    "outcome": Outcome,
    "changes": tuple,
}


@cache
def _plan(kind: str) -> tuple[tuple[str, object, Callable[[Any], object] | None], ...]:
    """Name, default and encoder of each field."""
    return tuple(
        (f.name, f.default_factory() if f.default_factory is not MISSING else f.default, _ENCODERS.get(f.name))
        for f in fields(KINDS[kind])
    )


def to_line(record: Record) -> str:
    """One line of strict JSON, without the newline; fields at their default are left out."""
    data: dict[str, object] = {"type": record.kind}
    for name, default, encode in _plan(record.kind):
        value = getattr(record, name)
        if value == default and name != "format":
            continue
        data[name] = encode(value) if encode else value
    return json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def from_line(line: str) -> Record:
    """The record of one journal line.

    Raises:
        ValueError: not JSON, not a record, or of a kind or version that this program does not know.
    """
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    kind = data.pop("type", None)
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValueError(f"unknown record type {kind!r} (written by a newer axk8s?)")
    for name in data.keys() & _DECODERS.keys():
        try:
            data[name] = _DECODERS[name](data[name])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{kind}: {name}: {error!r}") from error
    try:
        record = cls(**data)
    except TypeError as error:
        raise ValueError(f"{kind}: {error}") from error
    if isinstance(record, Began) and record.format > FORMAT_VERSION:
        raise ValueError(f"journal format {record.format}; this axk8s reads up to {FORMAT_VERSION}")
    return record
