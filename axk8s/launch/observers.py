"""Who watches a sweep's jobs: one observer for all Jobs, one for all JobSets, each begun with the first of its kind."""

from __future__ import annotations

import threading
from collections.abc import Callable

from axk8s.kube.client import Kube
from axk8s.kube.resource import Resource
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.schedulers.kubernetes_job.patience import Patience
from axk8s.sweep.model import JobView


class Observers:
    """Most sweeps have jobs of one kind; a component may make either, as its parameters say."""

    def __init__(self, labels: str, patience: Patience) -> None:
        """`labels` select all of the sweep's jobs and pods, and no others."""
        self._labels, self._patience = labels, patience
        self._kube: Kube | None = None
        self._seen: Callable[[JobView], None] | None = None
        self._begun: dict[Resource, KubernetesObserver] = {}
        self._lock = threading.Lock()

    def begin(self, kube: Kube, seen: Callable[[JobView], None]) -> None:
        """From now on tell `seen` of each change."""
        self._kube, self._seen = kube, seen

    def of(self, resource: Resource) -> KubernetesObserver | None:
        """The observer of this kind; None where nothing is observed."""
        with self._lock:
            if self._kube is None or self._seen is None:
                return None
            if resource not in self._begun:
                made = KubernetesObserver(
                    self._kube, self._labels, self._seen, resource=resource, patience=self._patience
                )
                made.start()
                self._begun[resource] = made
            return self._begun[resource]

    def close(self) -> None:
        """Stop; nothing is told after it returns."""
        with self._lock:
            self._seen = None
            begun = list(self._begun.values())
        for observer in begun:
            observer.close()
