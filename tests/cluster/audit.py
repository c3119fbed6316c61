"""What the API server was asked, and by whom: its own log, not ours."""

from __future__ import annotations

import contextlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from axk8s.kube.client import Kube
from axk8s.kube.errors import NotFoundError
from axk8s.kube.resource import CONFIG_MAPS
from tests.cluster.deadline import until


@dataclass(frozen=True)
class Call:
    """One request that was answered; a watch is one when it begins."""

    verb: str
    """The API's, not HTTP's: `list`, `watch`, `patch`."""
    resource: str
    """Plural; empty for paths such as `/version`."""
    subresource: str
    namespace: str
    name: str
    """Empty for collections, and for objects that are created."""
    code: int
    uri: str
    """With the query."""
    at: datetime
    user_agent: str

    def __str__(self) -> str:
        what = "/".join(filter(None, [self.resource, self.name, self.subresource])) or self.uri
        return f"{self.verb} {what} {self.code}"


class Audit:
    """The log of a cluster, read from marks on."""

    def __init__(self, log: Path, admin: Kube) -> None:
        self._log, self._admin = log, admin

    def mark(self) -> int:
        """Here and now: what was answered before is not counted from this mark."""
        # The log has every answer that was given before a call of ours that it has.
        marker = f"marker-{secrets.token_hex(8)}"
        before = self._log.stat().st_size
        with contextlib.suppress(NotFoundError):
            self._admin.get(CONFIG_MAPS, marker, namespace="default")
        return until("the audit log has our marker", lambda: self._after(marker.encode(), before))

    def calls(self, user: str, since: int) -> list[Call]:
        """All calls of a user between a mark and now, in the order of their ends; of watches, of their beginnings."""
        end = self.mark()
        with self._log.open("rb") as file:
            file.seek(since)
            events = [json.loads(line) for line in file.read(end - since).splitlines()]
        mine: dict[str, dict[str, Any]] = {}
        for event in events:
            if event["user"].get("username") == user:  # a call refused for its token has no name
                mine.setdefault(event["auditID"], event)  # the beginning and the end of a watch are one call
        return [_call(event) for event in mine.values()]

    def _after(self, marker: bytes, start: int) -> int | None:
        """The offset behind the line with this marker."""
        with self._log.open("rb") as file:
            file.seek(start)
            content = file.read()
        found = content.find(marker)
        end = content.find(b"\n", found) if found >= 0 else -1
        return start + end + 1 if end >= 0 else None


def _call(event: dict[str, Any]) -> Call:
    target = event.get("objectRef", {})
    return Call(
        verb=event["verb"],
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        uri=event["requestURI"],
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        user_agent=event.get("userAgent", ""),
    )
