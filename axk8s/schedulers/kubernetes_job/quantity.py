"""Kubernetes' quantities as numbers, and what one trial asks for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

_FACTORS = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12), "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40), "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i|))")


def number(text: str | int | float) -> Fraction:
    """The value of `500m`, `4Gi`, `1e3` or `2`.

    Raises:
        ValueError: not a quantity.
    """
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a quantity of Kubernetes")
    return Fraction(match[1]) * (Fraction(f"1{match[2]}") if match[2] else _FACTORS[match[3] or ""])


def demand(jobs: Sequence[Mapping[str, Any]]) -> dict[str, Fraction]:
    """What Jobs with these specs ask of a namespace's quota, by the quota's own names.

    A container that names only a limit requests as much.
    """
    found: dict[str, Fraction] = {}
    for job in jobs:
        for key, amount in _demand(job).items():
            found[key] = found.get(key, Fraction(0)) + amount
    return found


def _demand(job: Mapping[str, Any]) -> dict[str, Fraction]:
    pods = job["parallelism"]
    found: dict[str, Fraction] = {"pods": Fraction(pods), "count/pods": Fraction(pods), "count/jobs.batch": Fraction(1)}
    for container in job["template"]["spec"]["containers"]:
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        requests = {**limits, **(resources.get("requests") or {})}
        for kind, amounts in (("requests", requests), ("limits", limits)):
            for name, amount in amounts.items():
                key = f"{kind}.{name}"
                found[key] = found.get(key, Fraction(0)) + pods * number(amount)
                if kind == "requests" and name in ("cpu", "memory", "ephemeral-storage"):
                    found[name] = found[key]  # the older names of the same
    return found


def shown(amount: Fraction) -> str:
    """A number as a person writes it: `4Gi`, `500m`, `2`."""
    for suffix in ("Ti", "Gi", "Mi", "Ki"):
        factor = _FACTORS[suffix]
        if amount >= factor and (amount / factor).denominator == 1:
            return f"{amount / factor}{suffix}"
    for suffix in ("", "m", "u", "n"):
        if (amount / _FACTORS[suffix]).denominator == 1:
            return f"{amount / _FACTORS[suffix]}{suffix}"
    return f"{float(amount):g}"
