"""Constraints on metrics: what can be written, and when values keep them."""

from __future__ import annotations

import math

import pytest

from axk8s.spec.outcomes import contradiction, parse


@pytest.mark.parametrize(
    ("text", "coefficients", "bound", "share"),
    [
        ("latency_ms <= 20", {"latency_ms": 1.0}, 20.0, 0.0),
        ("accuracy >= 0.9", {"accuracy": -1.0}, -0.9, 0.0),
        ("val/loss.total <= 1e-2", {"val/loss.total": 1.0}, 0.01, 0.0),
        ("2*'top-1' + b/2 <= 3", {"top-1": 2.0, "b": 0.5}, 3.0, 0.0),
        ("0.98 * baseline <= accuracy", {"accuracy": -1.0}, 0.0, 0.98),
        ("latency <= baseline + 5", {"latency": 1.0}, 5.0, -1.0),
        ("a - 2*b >= 1", {"a": -1.0, "b": 2.0}, -1.0, 0.0),
    ],
)
def test_a_constraint_is_read(text: str, coefficients: dict[str, float], bound: float, share: float) -> None:
    found = parse(text)
    assert (found.coefficients, found.bound, found.share) == (coefficients, bound, share)
    assert found.text == text


def test_the_excess_is_how_far_values_are_over_the_bound() -> None:
    limit = parse("latency <= 20")
    assert limit.excess({"latency": 23.0}, None) == 3.0
    assert limit.excess({"latency": 19.0}, None) == -1.0
    assert limit.excess({"other": 19.0}, None) is None
    assert math.isnan(limit.excess({"latency": math.nan}, None) or 0.0)


def test_a_relative_one_needs_the_baseline() -> None:
    limit = parse("accuracy >= 0.5 * baseline")
    assert limit.relative
    assert limit.excess({"accuracy": 0.5}, None) is None
    assert limit.excess({"accuracy": 0.5}, {"loss": 1.0}) is None
    assert limit.excess({"accuracy": 0.5}, {"accuracy": 0.8}) == pytest.approx(-0.1)


def test_two_bounds_that_leave_nothing_between_them_contradict() -> None:
    assert contradiction(parse("a <= 1"), parse("a >= 2"))
    assert contradiction(parse("a - b <= 1"), parse("3*a - 3*b >= 4"))
    assert not contradiction(parse("a <= 2"), parse("a >= 2"))
    assert not contradiction(parse("a <= 1"), parse("a <= 2"))
    assert not contradiction(parse("a <= 1"), parse("b >= 2"))
    assert not contradiction(parse("a <= 0.5 * baseline"), parse("a >= 2"))
