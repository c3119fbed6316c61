"""The events of one watch as they come, in a connection that another thread may end."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any, Self

import urllib3

from axk8s.kube.errors import UnreachableError, from_status


class EventStream:
    """Iterates over `(type, object)`: `ADDED`, `MODIFIED`, `DELETED` and `BOOKMARK`; ends when the server ends it."""

    def __init__(self, answer: Any, what: str) -> None:
        """Read from an answer of the client that was not read yet; `what` begins each error."""
        self._answer, self._what = answer, what
        self._closed = False

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events.

        Raises:
            GoneError: the server forgot what lies between the version and now.
            KubeError: the connection was cut off, or the server gave up.
        """
        rest = b""
        try:
            for chunk in self._answer.stream(1 << 16, decode_content=False):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise from_status(self._what, event["object"])
                    yield event["type"], event["object"]
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # `ValueError` and `AttributeError` are what reading from a connection raises that was just closed.
            if not self._closed:
                raise UnreachableError(f"{self._what}: cut off: {error}") from error
        finally:
            self._answer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it now, from any thread; whoever iterates sees its end."""
        self._closed = True
        # Closing a socket wakes nobody who reads from it; shutting it down does.
        if hasattr(self._answer, "shutdown"):  # urllib3 2.3
            with contextlib.suppress(ValueError, RuntimeError, OSError):
                self._answer.shutdown()
            return
        sock = _socket(self._answer)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _socket(answer: Any) -> socket.socket | None:
    """What an answer of urllib3 1.26 reads from: the connection's, or its own where the server will close it."""
    own = getattr(getattr(getattr(getattr(answer, "_fp", None), "fp", None), "raw", None), "_sock", None)
    found: socket.socket | None = own or getattr(getattr(answer, "_connection", None), "sock", None)
    return found
