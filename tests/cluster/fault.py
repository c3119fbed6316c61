"""What a proxy does to requests that a test names: the faults that a real API server does not make on demand."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from typing import TypeAlias

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True)
class Refuse:
    """The request is answered by this, and never reaches the server."""

    status: int
    retry_after: int | None = None
    message: str = "played by the fault proxy"

    def body(self) -> bytes:
        reason = _REASONS.get(self.status, "Unknown")
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {}}
        return json.dumps({**status, "code": self.status, "reason": reason, "message": self.message}).encode()


@dataclass(frozen=True)
class Lose:
    """The server does what was asked, and its answer never comes: the connection is cut."""

    silence: float | None = 0.0
    """Seconds until the cut; None: when the client has had enough."""


@dataclass(frozen=True)
class Cut:
    """A watch ends in the middle of its stream."""

    after: int
    """Events that come through before."""
    torn: bool = False
    """The next event comes too, half of it."""


@dataclass(frozen=True)
class Stall:
    """Nothing more comes through a watch, which stays open: half of the connection is gone, and nobody says so."""

    after: int
    """Events that come through before."""


@dataclass(frozen=True)
class Delay:
    """The server gets the request so many seconds later; also when the client has given up."""

    seconds: float


Fault: TypeAlias = Refuse | Lose | Cut | Stall | Delay


@dataclass
class Rule:
    """The next so many requests of this kind meet this fault."""

    fault: Fault
    method: str
    """A regular expression for the whole method."""
    path: str
    """A regular expression that is searched in path and query."""
    times: int | None
    """None: until `lift` is called."""
    met: int = 0
    """How many requests have met it."""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def claims(self, method: str, uri: str) -> bool:
        """Whether the fault is for this request, which then has met it."""
        with self._changed:
            if self.times is not None and self.met >= self.times:
                return False
            if not (re.fullmatch(self.method, method) and re.search(self.path, uri)):
                return False
            self.met += 1
            self._changed.notify_all()
            return True

    def until_met(self, times: int = 1) -> None:
        """Wait until so many requests have met it."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.met >= times, 60), f"{self.met} requests met {self.fault}"

    def lift(self) -> None:
        """From now on no request meets it."""
        with self._changed:
            self.times = 0
