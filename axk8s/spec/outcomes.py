"""Constraints on metrics, read from text such as `latency_ms <= 20` or `accuracy >= 0.98 * baseline`. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from axk8s.spec import constraints

BASELINE: Final = "baseline"
"""The word for what the baseline trial reported of the same metric."""
_NAME: Final = re.compile(
    r"""(?P<quote>['"])(?P<quoted>[^'"]+)(?P=quote)
    |   (?<![\w.])(?P<plain>[A-Za-z_]\w*(?:/[A-Za-z_][\w.]*)*)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class OutcomeConstraint:
    """`coefficients · metrics + share * baseline <= bound`; several metrics only without a baseline."""

    text: str
    coefficients: Mapping[str, float]
    """Metric to factor; none is zero."""
    bound: float
    share: float = 0.0
    """How often the baseline's own value is added; 0: the constraint is absolute."""

    @property
    def relative(self) -> bool:
        """Whether it can be told only once the baseline trial has reported."""
        return self.share != 0.0

    def excess(self, values: Mapping[str, float], baseline: Mapping[str, float] | None) -> float | None:
        """By how much the values go over the bound, in the units of the constraint; at most 0 where they keep it.

        None where it cannot be told: a metric is missing, or the baseline is needed and not known.
        """
        total = -self.bound
        for metric, factor in self.coefficients.items():
            value = values.get(metric)
            if value is None:
                return None
            total += factor * value
        if self.relative:
            (metric,) = self.coefficients
            known = (baseline or {}).get(metric)
            if known is None:
                return None
            total += self.share * known
        return total


def parse(text: str) -> OutcomeConstraint:
    """Read a constraint on metrics; a name that is no plain word, such as `top-1`, stands in quotes.

    Raises:
        ValueError: it is none; the text says why.
    """
    names: list[str] = []

    def placed(match: re.Match[str]) -> str:
        name = match["quoted"] or match["plain"]
        if name not in names:
            names.append(name)
        return f"m{names.index(name)}_"

    rewritten = _NAME.sub(placed, text)
    try:
        linear = constraints.parse(rewritten)
    except ValueError as error:
        # The sentence may show a piece of the rewritten text.
        shown = re.sub(r"\bm(\d+)_", lambda match: names[int(match[1])], str(error))
        raise ValueError(shown.replace("no parameter stands", "no metric stands")) from error
    if linear.equality:
        raise ValueError("no trial meets an equality of measured values exactly: write <= or >=")
    found = {names[int(name[1:-1])]: factor for name, factor in linear.coefficients.items()}
    share = found.pop(BASELINE, 0.0)
    if not found:
        raise ValueError("no metric stands in it")
    if share and len(found) > 1:
        raise ValueError("`baseline` is the baseline trial's value of the one metric beside it, and here are several")
    return OutcomeConstraint(text, found, linear.bound, share)


def contradiction(one: OutcomeConstraint, other: OutcomeConstraint) -> bool:
    """Whether no values can keep both; found where they bound the same sum of metrics from two sides."""
    if one.relative or other.relative or one.coefficients.keys() != other.coefficients.keys():
        return False
    name = next(iter(one.coefficients))
    factor = -other.coefficients[name] / one.coefficients[name]
    if factor <= 0:
        return False
    opposite = all(
        math.isclose(other.coefficients[metric], -factor * value, rel_tol=1e-9)
        for metric, value in one.coefficients.items()
    )
    # one: s <= b.  other: -factor * s <= c, which is s >= -c / factor.
    return opposite and -other.bound / factor > one.bound + 1e-12 * abs(one.bound)
