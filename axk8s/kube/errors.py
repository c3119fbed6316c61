"""What the Kubernetes API says when it does not do what was asked: one class for each consequence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from axk8s.errors import Axk8sError, UsageError


class ClusterAccessError(UsageError):
    """The cluster cannot be spoken to as described: no kubeconfig, no such context, credentials that are refused."""


class KubeError(Axk8sError):
    """The API server refused a call, or did not answer it; `message` holds the server's own words."""

    def __init__(
        self, message: str, *, hint: str = "", status: int = 0, reason: str = "", retry_after: float | None = None
    ) -> None:
        """Note what was answered.

        Args:
            message: what was asked, and what the server said.
            hint: what to do about it.
            status: the HTTP status; 0 when there was no answer.
            reason: the machine-readable word of the server's `Status` object, such as `AlreadyExists`.
            retry_after: seconds after which the server wants to be asked again.
        """
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class UnreachableError(KubeError):
    """No answer: refused, reset, timed out, or a proxy in between failed."""


class UnauthorizedError(KubeError):
    """401: the credentials are unknown or have expired."""


class ForbiddenError(KubeError):
    """403: the permission is missing, or a quota or policy is in the way."""


class NotFoundError(KubeError):
    """404: no such object, namespace or kind."""


class AlreadyExistsError(KubeError):
    """409: an object of this name exists, perhaps one that is being deleted."""


class ConflictError(KubeError):
    """409: the object has changed since it was read."""


class GoneError(KubeError):
    """410: this resource version is too old to watch from, or to go on listing from."""


class InvalidError(KubeError):
    """400, 413, 422: the server understands the object and does not take it."""


class BusyError(KubeError):
    """408, 429, 5xx: not now."""


def from_response(what: str, status: int, body: bytes | str, headers: Mapping[str, str] | None = None) -> KubeError:
    """The error of an answer that is no success; `what` says what was asked, as in `create jobs/a in ns`."""
    said = _status(body)
    reason = str(said.get("reason") or "")
    text = str(said.get("message") or _text(body) or f"HTTP {status}")
    kind = _kind(status, reason)
    after = _seconds({name.lower(): value for name, value in (headers or {}).items()}.get("retry-after"))
    return kind(f"{what}: {text}", hint=_hint(kind, text), status=status, reason=reason, retry_after=after)


def from_status(what: str, status: Mapping[str, Any]) -> KubeError:
    """The error of a `Status` object, as a watch sends one."""
    return from_response(what, int(status.get("code") or 0), json.dumps(dict(status)))


def _kind(status: int, reason: str) -> type[KubeError]:
    if status == 409:
        return AlreadyExistsError if reason == "AlreadyExists" else ConflictError
    kinds: dict[int, type[KubeError]] = {
        400: InvalidError,
        401: UnauthorizedError,
        403: ForbiddenError,
        404: NotFoundError,
        408: BusyError,
        410: GoneError,
        413: InvalidError,
        422: InvalidError,
        429: BusyError,
    }
    return kinds.get(status, BusyError if status >= 500 else KubeError)


def _hint(kind: type[KubeError], text: str) -> str:
    if kind is UnauthorizedError:
        return "log in again (the token or certificate of the kubeconfig has expired), or choose another context"
    if kind is ForbiddenError and "exceeded quota" not in text and "cannot" in text:
        return "ask for the permission that the message names: a Role with it, bound to this user"
    return ""


def _status(body: bytes | str) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("kind") == "Status" else {}


def _text(body: bytes | str) -> str:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    return " ".join(text.split())[:300]


def _seconds(text: str | None) -> float | None:
    """`Retry-After` as seconds; a date, which API servers never send, is not understood."""
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None
