"""Which cluster a scheduler speaks to: one connection for each way of naming it, opened when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from axk8s.errors import SchedulerConfigError
from axk8s.kube.access import open_access
from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import ClusterAccessError, ForbiddenError, KubeError, NotFoundError
from axk8s.kube.rate import TokenBucket
from axk8s.kube.resource import NAMESPACES
from axk8s.schedulers.kubernetes_job.options import Options

_GLANCE = 5.0
"""Seconds that a look at the namespace may take where it only matters for what is shown."""
_ENFORCED = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace as it is."""

    name: str
    uid: str
    """Tells it from one of the same name in another cluster."""
    level: str
    """What PodSecurity enforces: `restricted`, `baseline`, `privileged`, or empty where nothing is said."""


class Connection:
    """A cluster, by one kubeconfig and context."""

    def __init__(self, options: Options) -> None:
        """Open it; nothing is asked yet.

        Raises:
            ClusterAccessError: there are no credentials.
        """
        kubeconfig = str(options.below(options.kubeconfig)) if options.kubeconfig else None
        access = open_access(kubeconfig=kubeconfig, context=options.context, namespace=options.namespace)
        self.kube = Kube(access, bucket=TokenBucket(options.qps, max(1, round(2 * options.qps))))
        self.namespace = access.namespace
        self._place: Place | None = None
        self._in_vain = False
        self._reading = threading.Lock()

    def place(self) -> Place:
        """The namespace; asked for once.

        Raises:
            SchedulerConfigError: there is no such namespace.
            ForbiddenError: it may not be read.
            KubeError: no answer.
        """
        with self._reading:
            if self._place is None:
                self._place = self._read(self.kube)
            return self._place

    def _read(self, kube: Kube) -> Place:
        server = kube.access.server
        try:
            found = kube.get(NAMESPACES, self.namespace)
        except NotFoundError as error:
            raise SchedulerConfigError(
                f"there is no namespace {self.namespace!r} on {server}",
                hint="name another one with -cfg namespace=…; `axk8s manifests namespace` shows how one is made",
            ) from error
        except ForbiddenError as error:
            # Who may not read a namespace does not learn whether there is one.
            raise ForbiddenError(
                f"{error.message} (or there is no such namespace)", hint=RULE_HINT, status=error.status
            ) from error
        metadata: Object = found["metadata"]
        return Place(self.namespace, str(metadata["uid"]), str((metadata.get("labels") or {}).get(_ENFORCED, "")))

    def restricted(self, options: Options) -> bool:
        """Whether pods must be such as PodSecurity `restricted` demands; without an answer they need not.

        A sweep has had an answer before its first job: `place` insists on one. Who only looks at a manifest does not
        wait for long, and not twice.
        """
        if options.security != "auto":
            return options.security == "restricted"
        with self._reading:
            if self._place is None and not self._in_vain:
                try:
                    self._place = self._read(self.kube.impatient(_GLANCE))
                except (KubeError, SchedulerConfigError):
                    self._in_vain = True
            return self._place is not None and self._place.level == "restricted"


RULE_HINT = "bind the Role of `axk8s manifests rbac` to this user"


class Connections:
    """The connections of one scheduler, and the one that was used last."""

    def __init__(self, default: Mapping[str, Any] | None = None) -> None:
        """`default` are options that hold until others are given."""
        self._default = Options(**dict(default or {}))
        self._open: dict[tuple[object, ...], Connection] = {}
        self._last: Connection | None = None
        self._opening = threading.Lock()

    def of(self, options: Options) -> Connection:
        """The connection that these options mean; remembered for calls without options.

        Raises:
            ClusterAccessError: there are no credentials.
        """
        key = (options.kubeconfig, options.context, options.namespace, options.base, options.qps)
        with self._opening:
            if key not in self._open:
                self._open[key] = Connection(options)
            self._last = self._open[key]
            return self._last

    def known(self, options: Options) -> bool:
        """Whether there are credentials for what these options mean."""
        try:
            self.of(options)
        except ClusterAccessError:
            return False
        return True

    def last(self) -> Connection:
        """The one used last, or else the default one.

        Raises:
            ClusterAccessError: there are no credentials.
        """
        return self._last or self.of(self._default)

    def close(self) -> None:
        """Try nothing again on any of them."""
        for connection in self._open.values():
            connection.kube.close()

    def restricted(self, options: Options) -> bool:
        """As `Connection.restricted`; without credentials nothing says that pods must be so."""
        if options.security != "auto":
            return options.security == "restricted"
        try:
            return self.of(options).restricted(options)
        except ClusterAccessError:
            return False

    def namespace(self, options: Options) -> str | None:
        """The namespace that is meant, None where nothing says it: a manifest can be looked at without a cluster."""
        if options.namespace is not None:
            return options.namespace
        try:
            return self.of(options).namespace
        except ClusterAccessError:
            return None
