"""Volcano's side of a sweep's jobs: one watch of the namespace's PodGroups, which alone say why a Job waits."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from axk8s.kube.errors import ForbiddenError, KubeError, NotFoundError
from axk8s.kube.resource import POD_GROUPS
from axk8s.schedulers.kubernetes_job.queueing import Queueing
from axk8s.schedulers.volcano import phase

log = logging.getLogger(__name__)


class Groups(Queueing):
    """Knows the PodGroup of each job, by the job's uid."""

    resource = POD_GROUPS
    read = staticmethod(phase.group)

    def start(self) -> None:
        """Begin to watch: each Job has a PodGroup, and waits in it first."""
        super().start()
        self.need()

    def ask_positions(self, uids: Iterable[str]) -> None:
        """Nothing: Volcano tells no positions."""

    def troubled(self, error: KubeError | None) -> None:
        if isinstance(error, NotFoundError | ForbiddenError):
            log.warning("why jobs wait cannot be read from Volcano's PodGroups: %s", error)
            self.close()
