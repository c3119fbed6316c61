"""Calls to the API: one method a verb, dicts in and out, each with a limit on its rate and time, and tried again."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlencode

import urllib3

from axk8s.kube.access import Access
from axk8s.kube.errors import ClusterAccessError, GoneError, KubeError, UnreachableError, from_response
from axk8s.kube.rate import Patience, TokenBucket
from axk8s.kube.resource import Resource
from axk8s.kube.stream import EventStream

Object: TypeAlias = dict[str, Any]
"""An object of the API, as its JSON."""

Answer = TypeVar("Answer")

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
"""Seconds; the server answers mutations within one, and long lists within thirty."""
SILENCE = 90.0
"""Seconds after which a watch is dead that says nothing: servers send a bookmark each minute."""
PAGE = 500
_JSON = "application/json"
_UNAUTHORIZED = 401


class Kube:
    """A cluster's API for one user; safe to use from several threads."""

    def __init__(self, access: Access, *, bucket: TokenBucket | None = None, patience: Patience | None = None) -> None:
        self.access = access
        self._bucket = bucket or TokenBucket()
        self._closing = threading.Event()
        self._patience = patience or Patience(sleep=self._closing.wait)

    def close(self) -> None:
        """Try nothing again from now on: calls under way end with their next answer, or without one."""
        self._closing.set()

    @property
    def closed(self) -> bool:
        """Whether nothing is to be tried again."""
        return self._closing.is_set()

    def pause(self, seconds: float) -> None:
        """Let time pass before another try; ends at once when it is closed."""
        self._patience.sleep(seconds)

    def impatient(self, seconds: float) -> Kube:
        """The same cluster for calls that nobody wants to wait for longer; close it with this one."""
        other = Kube(self.access, bucket=self._bucket, patience=replace(self._patience, deadline=seconds))
        other._closing = self._closing
        return other

    def create(
        self, resource: Resource, body: Object, *, namespace: str | None = None, dry_run: bool = False
    ) -> Object:
        """Create an object; fields that the server does not know are an error, not dropped.

        A try that was cut off may have succeeded, so that a further one meets its object: `AlreadyExistsError` does not
        say whose it is.

        Raises:
            AlreadyExistsError: there is one of this name.
            KubeError: refused, or no answer within the deadline.
        """
        query = [("fieldValidation", "Strict"), *([("dryRun", "All")] if dry_run else [])]
        name = str(body.get("metadata", {}).get("name", ""))
        return self._json("POST", resource, namespace, None, f"create {resource}/{name}", query=query, body=body)

    def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Object:
        """One object.

        Raises:
            NotFoundError: there is none.
            KubeError: as `create`.
        """
        return self._json("GET", resource, namespace, name, f"get {resource}/{name}")

    def replace(self, resource: Resource, body: Object, *, namespace: str | None = None) -> Object:
        """Put a changed object in place of the one that was read.

        Raises:
            ConflictError: it has changed since.
            KubeError: as `create`.
        """
        name = str(body["metadata"]["name"])
        return self._json("PUT", resource, namespace, name, f"replace {resource}/{name}", body=body)

    def patch(
        self, resource: Resource, name: str, body: Object, *, namespace: str | None = None, part: str = ""
    ) -> Object:
        """Merge changes into an object, or into a part of it such as `status`.

        Raises:
            KubeError: as `create`.
        """
        what = f"patch {resource}/{name}"
        kind = "application/merge-patch+json"
        return self._json("PATCH", resource, namespace, name, what, body=body, part=part, content_type=kind)

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        grace: int | None = None,
    ) -> bool:
        """Delete an object with all that it owns; False when there was none.

        Args:
            resource: its kind.
            name: its name.
            namespace: where it is.
            uid: only if it still is this one.
            grace: seconds that its pods get; theirs by default.

        Raises:
            ConflictError: it is another one of the same name.
            KubeError: as `create`.
        """
        # Without it the raw API orphans the pods of a Job.
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        try:
            self._json("DELETE", resource, namespace, name, f"delete {resource}/{name}", body=body)
        except KubeError as error:
            if error.status == 404:
                return False
            raise
        return True

    def list_all(
        self, resource: Resource, *, namespace: str | None = None, labels: str = "", fields: str = "", page: int = PAGE
    ) -> tuple[list[Object], str]:
        """All objects that two selectors choose, and the resource version from which to watch on.

        Raises:
            KubeError: as `create`.
        """
        while True:
            try:
                return self._pages(resource, namespace, labels, fields, page)
            except GoneError:
                # The list grew too old between two pages: it begins anew, from a later version.
                continue

    def watch(
        self,
        resource: Resource,
        version: str,
        *,
        namespace: str | None = None,
        labels: str = "",
        seconds: float = 240.0,
    ) -> EventStream:
        """What happens after a resource version, for so many seconds at most.

        A connection that says nothing for longer than `SILENCE` is dead, whatever TCP thinks.

        Raises:
            GoneError: the version is too old.
            KubeError: the watch could not begin.
        """
        what = f"watch {resource}"
        query = [
            ("watch", "true"),
            ("resourceVersion", version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(max(1, round(seconds)))),
            *([("labelSelector", labels)] if labels else []),
        ]
        path = resource.path(self._namespace(resource, namespace))
        silence = min(seconds + READ_TIMEOUT, SILENCE)
        return EventStream(self._send("GET", path, what, query=query, read_timeout=silence), what)

    def text(self, resource: Resource, name: str, part: str, *, namespace: str | None = None, **query: object) -> str:
        """A part of an object that is text, such as a pod's `log`.

        Raises:
            KubeError: as `create`.
        """
        path = resource.path(self._namespace(resource, namespace), name, part)
        what = f"get {resource}/{name} {part}"
        answer = self._tried(lambda: self._read(self._send("GET", path, what, query=_words(query)), what))
        return answer.decode("utf-8", "replace")

    def stream(
        self, resource: Resource, name: str, part: str, *, namespace: str | None = None, **query: object
    ) -> Iterator[bytes]:
        """The same, piece by piece as it comes; not tried again once it has begun.

        Raises:
            KubeError: it could not begin, or was cut off.
        """
        path = resource.path(self._namespace(resource, namespace), name, part)
        what = f"get {resource}/{name} {part}"
        # A program may be silent for as long as it likes.
        answer = self._tried(lambda: self._send("GET", path, what, query=_words(query), read_timeout=None))
        try:
            yield from answer.stream(1 << 16, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            raise UnreachableError(f"{what}: cut off: {error}") from error
        finally:
            answer.close()

    def version(self) -> str:
        """The server's version, such as `v1.35.4`.

        Raises:
            KubeError: as `create`.
        """
        answer = self._tried(lambda: self._read(self._send("GET", "/version", "get the version"), "version"))
        return str(json.loads(answer).get("gitVersion", ""))

    def _tried(self, work: Callable[[], Answer]) -> Answer:
        return self._patience.call(work, given_up=self._closing.is_set)

    def _namespace(self, resource: Resource, namespace: str | None) -> str | None:
        return (namespace or self.access.namespace) if resource.namespaced else None

    def _pages(
        self, resource: Resource, namespace: str | None, labels: str, fields: str, page: int
    ) -> tuple[list[Object], str]:
        found: list[Object] = []
        further = ""
        while True:
            query = [("limit", str(page))]
            query += [("labelSelector", labels)] if labels else []
            query += [("fieldSelector", fields)] if fields else []
            query += [("continue", further)] if further else []
            answer = self._json("GET", resource, namespace, None, f"list {resource}", query=query)
            found += answer["items"] or []
            further = answer["metadata"].get("continue") or ""
            if not further:
                return found, str(answer["metadata"]["resourceVersion"])

    def _json(
        self,
        method: str,
        resource: Resource,
        namespace: str | None,
        name: str | None,
        what: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Object | None = None,
        part: str = "",
        content_type: str = _JSON,
    ) -> Object:
        place = self._namespace(resource, namespace)
        path = resource.path(place, name, part)
        whole = f"{what} in {place}" if place else what

        def once() -> bytes:
            sent = self._send(method, path, whole, query=query or [], body=body, content_type=content_type)
            return self._read(sent, whole)

        answer: Object = json.loads(self._tried(once))
        return answer

    def _send(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Object | None = None,
        content_type: str = _JSON,
        read_timeout: float | None = READ_TIMEOUT,
    ) -> Any:
        self._bucket.take()
        headers = {"Accept": _JSON, **({"Content-Type": content_type} if body is not None else {})}
        whole = f"{path}?{urlencode(query)}" if query else path
        data = None if body is None else json.dumps(body).encode()
        try:
            answer = self.access.send(
                method, whole, headers=headers, body=data, connect=CONNECT_TIMEOUT, read=read_timeout
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(f"{what}: {self.access.server} does not answer: {_cause(error)}") from error
        if answer.status == _UNAUTHORIZED:
            with contextlib.suppress(ClusterAccessError):
                self.access.renew()
        if answer.status >= 300:
            raise from_response(what, answer.status, self._read(answer, what), dict(answer.headers))
        return answer

    def _read(self, answer: Any, what: str) -> bytes:
        try:
            found: bytes = answer.data
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(f"{what}: the answer was cut off: {error}") from error
        finally:
            answer.release_conn()
        return found


def _cause(error: Exception) -> object:
    """What was wrong in the end; urllib3 wraps it into the number of tries."""
    return getattr(error, "reason", None) or error


def _words(query: Mapping[str, object]) -> list[tuple[str, str]]:
    return [
        (key, str(value).lower() if isinstance(value, bool) else str(value))
        for key, value in query.items()
        if value is not None
    ]
