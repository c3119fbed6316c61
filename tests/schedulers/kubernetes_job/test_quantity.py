"""Quantities as the API writes them, and what a Job asks of a quota."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.schedulers.kubernetes_job.quantity import demand, number, shown

POWERS = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
TENS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
FACTORS = {name: Fraction(2**power) for name, power in POWERS.items()}
FACTORS |= {name: Fraction(10) ** power for name, power in TENS.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("2", 2),
        (3, 3),
        (0.5, Fraction(1, 2)),
        ("500m", Fraction(1, 2)),
        (".5Gi", 2**29),
        ("1.5Gi", 3 * 2**29),
        ("5.", 5),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("12e-1", Fraction(6, 5)),
        ("+1k", 1000),
        ("-1k", -1000),
        ("100n", Fraction(1, 10**7)),
        (" 4Gi ", 2**32),
    ],
)
def test_a_quantity_is_a_number(text: str | float, value: Fraction) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "Gi", ".", "1.2.3", "1 Gi", "1gi", "1K", "1ki", "1mi", "1ni", "1e", "1e3Gi", "0x10", "nan", "inf", "1/2"],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity of Kubernetes"):
        number(text)


digits = st.integers(0, 10**9)


@given(
    whole=digits, part=digits | st.none(), suffix=st.sampled_from(sorted(FACTORS)), sign=st.sampled_from(["", "+", "-"])
)
def test_each_suffix_means_its_factor(whole: int, part: int | None, suffix: str, sign: str) -> None:
    written = f"{whole}" if part is None else f"{whole}.{part}"

    assert number(f"{sign}{written}{suffix}") == Fraction(f"{sign}{written}") * FACTORS[suffix]


@given(whole=digits, exponent=st.integers(-9, 18), letter=st.sampled_from("eE"))
def test_an_exponent_is_a_power_of_ten(whole: int, exponent: int, letter: str) -> None:
    assert number(f"{whole}{letter}{exponent}") == whole * Fraction(10) ** exponent


@given(amount=st.integers(0, 10**21), suffix=st.sampled_from(sorted(FACTORS)))
def test_what_is_shown_is_the_same_amount(amount: int, suffix: str) -> None:
    value = amount * FACTORS[suffix]

    assert number(shown(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(2**32), "4Gi"),
        (Fraction(3 * 2**29), "1536Mi"),
        (Fraction(1, 2), "500m"),
        (Fraction(2), "2"),
        (Fraction(0), "0"),
        (Fraction("1000.5"), "1000500m"),
        (Fraction(1, 10**6), "1u"),
    ],
)
def test_an_amount_is_shown_as_a_person_writes_it(value: Fraction, text: str) -> None:
    assert shown(value) == text


def job(*resources: dict[str, Any] | None, replicas: int = 1) -> dict[str, Any]:
    containers = [
        {"name": str(at), **({"resources": one} if one is not None else {})} for at, one in enumerate(resources)
    ]
    return {"parallelism": replicas, "template": {"spec": {"containers": containers}}}


def test_a_job_without_resources_still_counts() -> None:
    assert demand([job(None)]) == {"pods": 1, "count/pods": 1, "count/jobs.batch": 1}


def test_a_job_asks_for_all_of_its_pods_and_containers_at_once() -> None:
    first = {"requests": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}, "limits": {"memory": "1Gi"}}
    asked = demand([job(first, {"requests": {"cpu": "1"}}, replicas=4)])

    assert asked["pods"] == asked["count/pods"] == 4
    assert asked["count/jobs.batch"] == 1
    assert asked["cpu"] == asked["requests.cpu"] == 6
    assert asked["memory"] == asked["requests.memory"] == asked["limits.memory"] == 2**32
    assert asked["requests.nvidia.com/gpu"] == 4
    assert "limits.cpu" not in asked


def test_several_roles_ask_for_the_sum() -> None:
    asked = demand([job({"requests": {"cpu": "2"}}), job({"requests": {"cpu": "500m", "memory": "1Gi"}}, replicas=3)])

    assert asked["pods"] == 4
    assert asked["count/jobs.batch"] == 2
    assert asked["cpu"] == Fraction(7, 2)
    assert asked["memory"] == 3 * 2**30


def test_a_limit_without_a_request_is_requested_as_well() -> None:
    asked = demand([job({"limits": {"cpu": "2", "ephemeral-storage": "1Gi"}, "requests": {"cpu": "1"}})])

    assert asked["requests.cpu"] == 1
    assert asked["limits.cpu"] == 2
    assert asked["ephemeral-storage"] == asked["requests.ephemeral-storage"] == 2**30
