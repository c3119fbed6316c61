"""Waiting for what another process does: asked again and again, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")
_PAUSE = 0.1


def until(what: str, ask: Callable[[], Answer | None], seconds: float = 120.0) -> Answer:
    """The first answer of `ask` that is something (not None, not False, not empty).

    The deadline is for what will never come: a machine that is busy with other tests may take long for all that does.
    """
    began = asked_at = time.monotonic()
    while not (answer := ask()):
        answered_at = time.monotonic()
        assert answered_at - began < seconds, f"not within {seconds:g} s: {what}"
        # What is waited for needs the machine more than the question does, which may be a command.
        time.sleep(max(_PAUSE, 2 * (answered_at - asked_at)))
        asked_at = time.monotonic()
    return answer
