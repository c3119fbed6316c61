"""The output of a container line by line, followed through whatever the connection does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from axk8s.kube.client import Kube
from axk8s.kube.errors import InvalidError, KubeError, NotFoundError, UnreachableError
from axk8s.kube.resource import PODS

_PAUSE = 1.0
"""Seconds between tries while a container has not started, or the connection is gone."""


def lines(
    kube: Kube,
    pod: str,
    container: str,
    *,
    namespace: str | None = None,
    since: datetime | None = None,
    tail: int | None = None,
    previous: bool = False,
    limit: int | None = None,
) -> Iterator[str]:
    """What the container has printed so far, without line ends.

    Args:
        kube: the cluster.
        pod: its name.
        container: the container's name.
        namespace: where the pod is.
        since: leave out what is older.
        tail: the last so many lines only.
        previous: of the container before its last restart.
        limit: the first so many bytes only.

    Raises:
        NotFoundError: there is no such pod.
        InvalidError: the container has not started.
        KubeError: no answer.
    """
    query = {"container": container, "sinceTime": _rfc3339(since), "tailLines": tail, "limitBytes": limit}
    pieces = kube.stream(PODS, pod, "log", namespace=namespace, previous=previous or None, **query)
    yield from _split(pieces)


def follow(
    kube: Kube,
    pod: str,
    container: str,
    *,
    namespace: str | None = None,
    since: datetime | None = None,
    tail: int | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[str]:
    """The container's lines as they come, until it has ended; a cut connection is taken up where it broke.

    Raises:
        KubeError: the pod went away before it started, or the API gave up.
    """
    at, same = "", 0
    while True:
        # With its own times the server can say what comes after a line that was already seen.
        query = {"sinceTime": at or _rfc3339(since), "tailLines": tail if not at else None}
        try:
            pieces = kube.stream(
                PODS, pod, "log", namespace=namespace, container=container, follow=True, timestamps=True, **query
            )
            skip = same
            for line in _split(pieces):
                stamp, _, text = line.partition(" ")
                if at and (stamp < at or (stamp == at and skip > 0)):
                    skip -= stamp == at
                    continue
                at, same = stamp, same + 1 if stamp == at else 1
                yield text
        except UnreachableError:
            wait(_PAUSE)
            continue
        except InvalidError:
            pass  # it has not started
        except NotFoundError:
            if at:
                return  # deleted, and its output with it
            raise
        if _ended(kube, pod, container, namespace):
            return
        wait(_PAUSE)


def _ended(kube: Kube, pod: str, container: str, namespace: str | None) -> bool:
    try:
        status = kube.get(PODS, pod, namespace=namespace).get("status") or {}
    except NotFoundError:
        return True
    except KubeError:
        return False
    statuses = status.get("containerStatuses") or ()
    state = next((one.get("state") or {} for one in statuses if one.get("name") == container), {})
    return "terminated" in state or (status.get("phase") in ("Succeeded", "Failed"))


def _split(pieces: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def _rfc3339(time_: datetime | None) -> str | None:
    """As the API reads it; a time without a zone is a local one."""
    return None if time_ is None else time_.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
