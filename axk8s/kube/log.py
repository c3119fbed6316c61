"""The output of a container line by line, followed through whatever the connection does."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from axk8s.kube.client import Kube
from axk8s.kube.errors import InvalidError, KubeError, NotFoundError, UnreachableError
from axk8s.kube.resource import PODS

_PAUSE = 1.0
"""Seconds between tries while a container has not started, or the connection is gone."""
_LOOKS = 5
"""How often in a row a container that is watched may be found running after its output has ended, before the output is
asked for again: the kubelet of a busy machine tells of an end some seconds late."""
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\S+")


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
    for line, _ in _split(pieces):
        yield line


def follow(
    kube: Kube,
    pod: str,
    container: str,
    *,
    namespace: str | None = None,
    since: datetime | None = None,
    tail: int | None = None,
    over: Callable[[], bool] | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[str]:
    """The container's lines as they come, until it has ended; a cut connection is taken up where it broke.

    Args:
        kube: the cluster.
        pod: its name.
        container: the container's name.
        namespace: where the pod is.
        since: leave out what is older.
        tail: the last so many lines that are there already.
        over: whether the container has ended or gone, where somebody watches it; else the pod is read to know.
        wait: how to let seconds pass.

    Raises:
        KubeError: the pod went away before it started, or the API gave up.
    """
    at, same = "", 0
    rest = ""
    ended = False
    while True:
        # With its own times the server can say what comes after a line that was already seen.
        query = {"sinceTime": at or _rfc3339(since), "tailLines": tail if not at else None}
        # It goes by whole seconds, so what has been seen of the last one comes again.
        seen, skip = at, same
        looks = _LOOKS if over is not None else 1
        try:
            pieces = kube.stream(
                PODS, pod, "log", namespace=namespace, container=container, follow=True, timestamps=True, **query
            )
            for line, whole in _split(pieces):
                stamp, _, text = line.partition(" ")
                if seen and (stamp < seen or (stamp == seen and skip > 0)):
                    skip -= stamp == seen
                    continue
                # A connection may end in the middle of a line, which comes again then.
                rest = "" if whole or ended else text
                if not whole and not ended:
                    continue
                if not _STAMP.fullmatch(stamp):
                    yield line  # words of the kubelet's own
                    continue
                # From here on everything is new, whatever its time: two streams, or a clock that was set back.
                seen = ""
                at, same = (stamp, 1) if stamp > at else (at, same + (stamp == at))
                yield text
        except UnreachableError:
            if kube.closed:
                return
            wait(_PAUSE)
            continue
        except InvalidError:
            looks = 1  # it has not started
        except NotFoundError:
            if not at and not ended and not rest:
                raise
            if rest:
                yield rest
            return  # deleted, and its output with it
        if ended:
            return
        # A connection may end before the container has: only one that began after that has brought everything.
        for _ in range(looks):
            ended = over() if over is not None else _ended(kube, pod, container, namespace)
            if ended:
                break
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


def _split(pieces: Iterator[bytes]) -> Iterator[tuple[str, bool]]:
    """Lines, and whether each had its end."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace"), True
    if rest:
        yield rest.decode("utf-8", "replace"), False


def _rfc3339(time_: datetime | None) -> str | None:
    """As the API reads it; a time without a zone is a local one."""
    return None if time_ is None else time_.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
