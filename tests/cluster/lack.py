"""What this machine lacks for a test: a reason to skip it, or to fail where everything has to be there."""

from __future__ import annotations

import os
from collections import Counter
from typing import NoReturn

import pytest

_REASONS: set[str] = set()
"""What was lacking in this run."""


def lack(reason: str) -> NoReturn:
    """Skip the test that asks for this; with AXK8S_REQUIRE_CLUSTER=1, as in CI, fail it."""
    if os.environ.get("AXK8S_REQUIRE_CLUSTER") == "1":
        pytest.fail(f"{reason}; AXK8S_REQUIRE_CLUSTER=1 makes this a failure", pytrace=False)
    _REASONS.add(reason)
    pytest.skip(reason)


PLACE = (__file__, lack.__code__.co_firstlineno)
"""File and line that summaries name for all that is lacking."""


def lacks(said: str) -> bool:
    """Whether a test was skipped with these words because something is lacking."""
    return said.removeprefix("Skipped: ") in _REASONS


def summary(said: list[str]) -> str:
    """One line on what is lacking, from the words with which tests were skipped; empty when nothing is."""
    counts = Counter(words.removeprefix("Skipped: ") for words in said if lacks(words))
    return "; ".join(f"{count} tests of tests/cluster skipped: {reason}" for reason, count in counts.items())
