"""Linear constraints from text."""

from __future__ import annotations

import pytest

from axk8s.spec.constraints import parse


@pytest.mark.parametrize(
    ("text", "coefficients", "bound"),
    [
        ("x + 2*y <= 1", {"x": 1, "y": 2}, 1),
        ("x >= 1", {"x": -1}, -1),
        ("x <= y", {"x": 1, "y": -1}, 0),
        ("2*(x - y)/4 + 1 <= 3 - -x", {"x": -0.5, "y": -0.5}, 2),
        ("1e-3*x <= 1e2", {"x": 1e-3}, 100),
        ("x + x <= 4", {"x": 2}, 4),
        ("3 >= x", {"x": 1}, 3),
    ],
)
def test_an_inequality_is_coefficients_and_a_bound(text: str, coefficients: dict[str, float], bound: float) -> None:
    constraint = parse(text)
    assert constraint.coefficients == coefficients
    assert constraint.bound == bound
    assert not constraint.equality


def test_an_equality_is_one() -> None:
    constraint = parse("x + y == 1")
    assert constraint.equality
    assert constraint.satisfied({"x": 0.25, "y": 0.75})
    assert not constraint.satisfied({"x": 0.25, "y": 0.5})


def test_an_inequality_includes_its_border_and_tolerates_rounding() -> None:
    constraint = parse("x + y <= 0.3")
    assert constraint.satisfied({"x": 0.1, "y": 0.2})
    assert not constraint.satisfied({"x": 0.1, "y": 0.21})


def test_it_holds_where_one_of_its_parameters_is_absent() -> None:
    assert parse("x + y <= 0").satisfied({"x": 5})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "compares two sides"),
        ("x <", "not an inequality"),
        ("2x <= 1", "not an inequality"),
        ("x < 1", "write <= or >="),
        ("x != 1", "must be <="),
        ("x = 1", "not an inequality"),
        ("0 <= x <= 1", "write two"),
        ("x*y <= 1", "`x * y` is not linear"),
        ("x**2 <= 1", "is not linear"),
        ("1/x <= 1", "is not linear"),
        ("x/0 <= 1", "divides by zero"),
        ("log(x) <= 1", "is not linear"),
        ("'a' <= x", "is not linear"),
        ("True <= x", "is not linear"),
        ("x - x <= 1", "no parameter"),
        ("1 <= 2", "no parameter"),
        ("1e999*x <= 1", "too large"),
        (f"{10**400}*x <= 1", "too large"),
        ("x <= 1\0", "not an inequality"),
        ("(" * 2000 + "x <= 1", "not an inequality"),
    ],
)
def test_what_is_not_linear_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert words in str(caught.value)
