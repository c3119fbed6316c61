"""Numbers, durations and parameters as people read them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from axk8s.sweep.model import Scalar

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
NOTHING = "–"
"""Stands in a table where there is no value (yet)."""


def number(value: Scalar | None) -> str:
    """Four significant digits; whole numbers and words as they are."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(value)
    if 1e4 <= abs(value) < 1e7:
        return f"{value:.0f}"
    return f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """The two largest units: `4.2s`, `42s`, `3m 20s`, `2h 05m`, `3d 04h`."""
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02d}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02d}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR:02d}h"


def ago(seconds: float) -> str:
    """How long ago something was, in its largest unit."""
    for unit, size in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return "just now" if seconds < 2 else f"{int(seconds)}s ago"


def assignments(parameters: Mapping[str, Scalar]) -> str:
    """`lr=0.01 hidden=32`, in the order of the mapping."""
    return " ".join(f"{name}={number(value)}" for name, value in parameters.items())


def counts(numbers: Mapping[str, int]) -> str:
    """`4 succeeded, 1 failed`; what is zero is left out."""
    return ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in numbers.items() if count)


def plural(count: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def members(trials: Iterable[int], most: int = 6) -> str:
    """`trial 3`, `trials 3, 7`, `trials 3, 7, 8 and 12 more`."""
    all_of_them = list(trials)
    shown = ", ".join(map(str, all_of_them[:most]))
    rest = len(all_of_them) - most
    return f"trial{'' if len(all_of_them) == 1 else 's'} {shown}{f' and {rest} more' if rest > 0 else ''}"
