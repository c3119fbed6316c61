"""The output of several replicas as one stream, each line with the name of who wrote it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping

from axk8s.errors import Axk8sError

_BACKLOG = 1000
"""Lines kept for a slow reader before the writers' logs wait."""


def in_turn(streams: Mapping[str, Iterator[str]]) -> Iterator[str]:
    """All lines of the first, then all of the next."""
    for name, lines in streams.items():
        for line in lines:
            yield f"{name} {line}"


def concurrently(streams: Mapping[str, Iterator[str]]) -> Iterator[str]:
    """Lines of all as they come; ends when all have ended.

    Raises:
        Axk8sError: one of the streams failed.
    """
    waiting: queue.Queue[str | Axk8sError | None] = queue.Queue(_BACKLOG)

    def read(name: str, lines: Iterator[str]) -> None:
        try:
            for line in lines:
                waiting.put(f"{name} {line}")
        except Axk8sError as error:
            waiting.put(error)
        finally:
            waiting.put(None)

    for name, lines in streams.items():
        # A reader that is given up goes on until its job ends; it must not keep the program from ending.
        threading.Thread(target=read, args=(name, lines), name=f"log-{name}", daemon=True).start()
    left = len(streams)
    while left:
        line = waiting.get()
        if line is None:
            left -= 1
        elif isinstance(line, Axk8sError):
            raise line
        else:
            yield line
