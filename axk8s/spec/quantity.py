"""Durations and amounts of memory as people write them: `1h30m`, `90s`, `4Gi`."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Final

DURATION_PATTERN: Final = r"^\s*(\d+(\.\d+)?\s*[dhms]\s*)+$"
RANGE_PATTERN: Final = r"^[^.]+(\.\d+)?[^.]*(\.\.[^.]+(\.\d+)?[^.]*)?$"
"""A duration, or two with `..` between them; roughly, for editors."""
MEMORY_PATTERN: Final = r"^\d+(\.\d+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)$"

_SECONDS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_BYTES: Final = {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
}


def seconds(text: str) -> float:
    """The seconds in `1h30m`, `90s`, `1.5h` or `2d`; each unit at most once, the largest first.

    Raises:
        ValueError: not a duration.
    """
    if not re.fullmatch(DURATION_PATTERN, text, re.ASCII):
        raise ValueError(f"{text!r} is not a duration")
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([dhms])", text)
    order = ["dhms".index(unit) for _, unit in parts]
    if order != sorted(set(order)):
        raise ValueError(f"{text!r} is not a duration: each unit once, the largest first")
    return math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)


def mebibytes(text: str) -> int:
    """The MiB in a Kubernetes quantity such as `4Gi`, `512Mi` or `2G`, rounded up.

    Raises:
        ValueError: no such quantity, or zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGTP]i|[kMGTP])", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not an amount of memory")
    # Fractions, because 0.1Gi as a float would round up to one MiB more than it is.
    amount = math.ceil(Fraction(match[1]) * _BYTES[match[2]] / 2**20)
    if amount == 0:
        raise ValueError(f"{text!r} is no memory at all")
    return amount
