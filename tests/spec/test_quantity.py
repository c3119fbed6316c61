"""Durations and memory."""

from __future__ import annotations

import pytest

from axk8s.spec.quantity import mebibytes, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90s", 90.0),
        ("2h", 7200.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("1.5h", 5400.0),
        ("2d", 172800.0),
        ("0s", 0),
    ],
)
def test_durations_are_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "2", "h", "2x", "-2h", "30m1h", "1h1h", "2 hours", "1e3s", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"), [("4Gi", 4096), ("512Mi", 512), ("1Ti", 2**20), ("2G", 1908), ("1Ki", 1), ("0.5Gi", 512)]
)
def test_memory_is_mebibytes_rounded_up(text: str, value: int) -> None:
    assert mebibytes(text) == value


@pytest.mark.parametrize("text", ["4", "4GB", "4 Gi", "-4Gi", "Gi", "0Gi", "4gi"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="memory"):
        mebibytes(text)
