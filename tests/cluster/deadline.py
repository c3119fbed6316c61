"""Waiting for what another process does: asked again and again, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def until(what: str, ask: Callable[[], Answer | None], seconds: float = 120.0) -> Answer:
    """The first answer of `ask` that is something (not None, not False, not empty).

    The deadline is for what will never come: a machine that is busy with other tests may take long for all that does.
    """
    give_up_at = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < give_up_at, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return answer
