from __future__ import annotations

import math

import pytest

from axk8s.cli import figures
from axk8s.sweep.model import Scalar


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.971234, "0.9712"),
        (0.97, "0.97"),
        (1e-05, "1e-05"),
        (12345.678, "12346"),
        (123456789.0, "1.235e+08"),
        (3, "3"),
        (123456, "123456"),
        (True, "true"),
        ("adam", "adam"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_have_four_significant_digits(value: Scalar | None, text: str) -> None:
    assert figures.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0.0s"),
        (4.21, "4.2s"),
        (9.97, "10s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (200, "3m 20s"),
        (3599.9, "1h 00m"),
        (7500, "2h 05m"),
        (90000, "1d 01h"),
    ],
)
def test_durations_are_two_units(seconds: float | None, text: str) -> None:
    assert figures.duration(seconds) == text


def test_ages_are_one_unit() -> None:
    ages = [figures.ago(seconds) for seconds in (0, 30, 61, 7200, 200000)]
    assert ages == ["just now", "30s ago", "1m ago", "2h ago", "2d ago"]


def test_long_lists_of_trials_are_cut() -> None:
    assert figures.members([3]) == "trial 3"
    assert figures.members(range(9)) == "trials 0, 1, 2, 3, 4, 5 and 3 more"


def test_counts_leave_out_zeros() -> None:
    assert figures.counts({"succeeded": 4, "failed": 0, "early_stopped": 1}) == "4 succeeded, 1 early stopped"
