"""One list and one watch for all objects of a kind: what there is, then what changes, whatever the connection does.

A list is complete evidence: what is not in it does not exist. A watch goes on from where the last one ended; only when
the server has forgotten what lies between (410), and now and then for safety, everything is listed again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import GoneError, KubeError
from axk8s.kube.resource import Resource
from axk8s.kube.stream import EventStream

RELIST = 600.0
"""Seconds after which everything is listed again, in case an event was missed all the same."""
WATCH = 240.0
"""Seconds that one watch lasts at most; load balancers in between cut idle connections after five to ten minutes."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0
"""Seconds; the server tells by Retry-After when it wants more."""
_CLOSING = 5.0


class Reader(Protocol):
    """Who is told; always in the watcher's one thread."""

    def listed(self, objects: Sequence[Object], began: float) -> None:
        """All objects that there are, in a complete list that began at this time of the watcher's clock."""

    def changed(self, found: Object) -> None:
        """One object is new, or is now like this."""

    def deleted(self, found: Object) -> None:
        """One object is gone; this is how it was last."""

    def troubled(self, error: KubeError | None) -> None:
        """The API does not answer; None when it does again. What is known stays as it is meanwhile."""


class Watcher:
    """Watches one kind in one namespace, in a thread of its own."""

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        reader: Reader,
        *,
        namespace: str | None = None,
        labels: str = "",
        relist: float = RELIST,
        watch: float = WATCH,
        now: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        """Describe what to watch; `labels` is a selector: `axk8s/sweep-uid=…`. Nothing begins before `start`."""
        self._kube, self._resource, self._reader = kube, resource, reader
        self._namespace, self._labels = namespace, labels
        self._relist, self._watch = relist, watch
        self._now, self._chance = now, chance or random.Random()
        self._closing = threading.Event()
        self._stream: EventStream | None = None
        self._version = ""
        self._listed_at = 0.0
        self._stale = False
        self._pause = _FIRST_PAUSE
        self._troubled = False
        self._thread = threading.Thread(target=self._run, name=f"watch-{resource.plural}", daemon=True)

    def start(self) -> None:
        """Begin; the first thing that the reader hears is `listed`."""
        self._thread.start()

    def relist(self) -> None:
        """List everything again soon, because something is missed; from any thread, returns at once."""
        if self._stale:
            return
        self._stale = True
        if (stream := self._stream) is not None:
            stream.close()

    def close(self) -> None:
        """End; nothing is told any more, once what is being told has been."""
        self._closing.set()
        if (stream := self._stream) is not None:
            stream.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_CLOSING)  # a call that is being tried again ends by itself, and tells nobody

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self._stale or not self._version or self._now() - self._listed_at >= self._relist:
                    self._list()
                self._follow()
            except GoneError:
                self._version = ""
            except KubeError as error:
                if self._closing.is_set():
                    return
                self._troubled = True
                self._reader.troubled(error)
                self._closing.wait(self._chance.uniform(self._pause / 2, self._pause))
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _list(self) -> None:
        began = self._now()
        objects, version = self._kube.list_all(self._resource, namespace=self._namespace, labels=self._labels)
        if self._closing.is_set():
            return
        self._version, self._listed_at, self._stale = version, self._now(), False
        self._answered()
        self._reader.listed(objects, began)

    def _follow(self) -> None:
        left = self._relist - (self._now() - self._listed_at)
        # Not all watchers of all users at the same moment.
        seconds = max(1.0, min(self._watch * self._chance.uniform(0.9, 1.0), left))
        self._stream = self._kube.watch(
            self._resource, self._version, namespace=self._namespace, labels=self._labels, seconds=seconds
        )
        if self._closing.is_set() or self._stale:  # it was asked for before there was a stream to end
            self._stream.close()
        self._answered()
        for kind, found in self._stream:
            if self._closing.is_set():
                return
            self._version = _version(found) or self._version
            if kind == "DELETED":
                self._reader.deleted(found)
            elif kind != "BOOKMARK":
                self._reader.changed(found)

    def _answered(self) -> None:
        self._pause = _FIRST_PAUSE
        if self._troubled:
            self._troubled = False
            self._reader.troubled(None)


def _version(found: Object) -> str:
    metadata: Any = found.get("metadata") or {}
    return str(metadata.get("resourceVersion") or "")
