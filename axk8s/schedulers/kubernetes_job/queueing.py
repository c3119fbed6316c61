"""Kueue's side of a sweep's jobs: one watch of the namespace's Workloads, begun when the first job is seen suspended.

Clusters without Kueue are asked nothing, and those whose Role does not allow it once: jobs then wait without a reason.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import ForbiddenError, KubeError, NotFoundError
from axk8s.kube.resource import WORKLOADS, Resource
from axk8s.kube.watch import Watcher
from axk8s.schedulers.kueue import WorkloadFacts

log = logging.getLogger(__name__)

VISIBLE_QUEUES = tuple(
    Resource("visibility.kueue.x-k8s.io", version, "localqueues") for version in ("v1beta2", "v1beta1")
)
"""Where positions are told, the newest version first; most clusters do not serve it to everybody."""
_POSITIONS_EVERY = 30.0
"""Seconds between two looks at the positions in the queues."""
_GLANCE = 5.0
"""Seconds that such a look may take: the observer's other limits wait for it."""
_POSITIONS_AGAIN = 600.0
"""Seconds after which a cluster that told none is asked again."""


class Queueing:
    """Knows the Workload of each job, by the job's uid."""

    resource: Resource = WORKLOADS
    read: Callable[[Mapping[str, Any]], WorkloadFacts | None] = staticmethod(WorkloadFacts.read)

    def __init__(
        self,
        kube: Kube,
        changed: Callable[[str], None],
        *,
        namespace: str | None = None,
        now: Callable[[], float] = time.monotonic,
        watching: Mapping[str, Any] | None = None,
    ) -> None:
        """Nothing is asked before `need`; `changed` is told the uid of each job whose Workload was seen to change."""
        self._kube, self._changed, self._namespace, self._now = kube, changed, namespace, now
        self._of: dict[str, WorkloadFacts] = {}
        self._positions: dict[str, int] = {}
        self._asked_at = -_POSITIONS_AGAIN
        self._pause = _POSITIONS_EVERY
        self._lock = threading.Lock()
        self._watching: bool | None = None
        more = {"namespace": namespace, "now": now, **(watching or {})}
        self._watcher = Watcher(kube, self.resource, self, **more)

    def start(self) -> None:
        """From now on it may watch."""
        self._watching = False

    def need(self) -> None:
        """A job is suspended: watch, if that was not begun before."""
        with self._lock:
            if self._watching is not False:
                return
            self._watching = True
        self._watcher.start()

    def of(self, uid: str) -> WorkloadFacts | None:
        """The Workload of a job, as it was last."""
        return self._of.get(uid)

    def position(self, uid: str) -> int | None:
        """How many workloads of its LocalQueue are before a job, where Kueue tells."""
        facts = self._of.get(uid)
        return None if facts is None or facts.admitted else self._positions.get(facts.name)

    def ask_positions(self, uids: Iterable[str]) -> None:
        """Look where these jobs stand in their queues, now and then.

        Raises:
            KubeError: no answer.
        """
        waiting = [facts for uid in uids if (facts := self._of.get(uid)) is not None and facts.queue]
        if not waiting or self._now() - self._asked_at < self._pause:
            return
        self._asked_at = self._now()
        before, self._positions = self._positions, {}
        for queue in {facts.queue for facts in waiting}:
            self._positions |= self._ask(queue)
        self._pause = _POSITIONS_EVERY if self._positions else _POSITIONS_AGAIN
        for facts in waiting:
            if self._positions.get(facts.name) != before.get(facts.name):
                self._changed(facts.owner)

    def _ask(self, queue: str) -> dict[str, int]:
        kube = self._kube.impatient(_GLANCE)
        for resource in VISIBLE_QUEUES:
            try:
                text = kube.text(resource, queue, "pendingworkloads", namespace=self._namespace)
            except (NotFoundError, ForbiddenError):
                continue
            items = json.loads(text).get("items") or ()
            return {one["metadata"]["name"]: int(one.get("positionInLocalQueue") or 0) for one in items}
        return {}

    def close(self) -> None:
        """Watch no longer."""
        self._watcher.close()

    # --- what the watcher tells -----------------------------------------------------------------------------------

    def listed(self, objects: Sequence[Object], began: float) -> None:
        del began
        found = {facts.owner: facts for facts in map(self.read, objects) if facts is not None}
        before, self._of = self._of, found
        for uid in before.keys() | found.keys():
            if before.get(uid) != found.get(uid):
                self._changed(uid)

    def changed(self, found: Object) -> None:
        facts = self.read(found)
        if facts is not None and self._of.get(facts.owner) != facts:
            self._of[facts.owner] = facts
            self._changed(facts.owner)

    def deleted(self, found: Object) -> None:
        facts = self.read(found)
        if facts is not None and self._of.pop(facts.owner, None) is not None:
            self._changed(facts.owner)

    def troubled(self, error: KubeError | None) -> None:
        # Of other trouble the watch of the jobs tells, which is with the same server.
        if isinstance(error, NotFoundError | ForbiddenError):
            log.warning("jobs wait suspended, and why cannot be read from Kueue: %s", error)
            self._watcher.close()
