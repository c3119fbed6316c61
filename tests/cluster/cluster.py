"""The cluster that tests run on: made for them, or somebody's own that they are guests of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axk8s.kube.access import open_access
from axk8s.kube.client import Kube, Object
from axk8s.kube.rate import Patience, TokenBucket
from axk8s.kube.resource import Resource
from tests.cluster import kind, kubeconfig
from tests.cluster.deadline import until
from tests.cluster.lack import lack

NODES = Resource("", "v1", "nodes", namespaced=False)
DEPLOYMENTS = Resource("apps", "v1", "deployments")

IMAGE = "python:3.11-slim"
"""In each cluster from the beginning."""


@dataclass(frozen=True)
class Cluster:
    """A cluster, seen by its administrator."""

    name: str
    kubeconfig: Path
    context: str
    is_kind: bool
    nodes: tuple[str, ...]
    """The real ones."""
    containers: tuple[str, ...] = ()
    """The nodes as names of Docker containers, to be paused or entered; none on somebody's own cluster."""
    audit_log: Path | None = None

    def kube(self, namespace: str | None = None, *, patience: Patience | None = None) -> Kube:
        """A client of the administrator's, as fast as it can."""
        access = open_access(kubeconfig=self.kubeconfig, context=self.context, namespace=namespace)
        return Kube(access, bucket=TokenBucket(0), patience=patience)

    def entry(self) -> dict[str, Any]:
        """The server and how to trust it, as a kubeconfig says it."""
        return kubeconfig.cluster_of(self.kubeconfig, self.context)

    def load_image(self, tag: str) -> None:
        """Put an image of this machine's Docker into all nodes; it must not be `latest`, which is always pulled."""
        if not self.is_kind:
            lack("images cannot be loaded into the cluster of AXK8S_TEST_KUBECONFIG")
        kind.load(self.name, tag)


def foreign(file: Path) -> Cluster:
    """Somebody's own cluster, by its file's current context; it is left as it was found."""
    access = open_access(kubeconfig=file)
    found = Cluster(access.context, file.absolute(), access.context, is_kind=False, nodes=())
    nodes, _ = found.kube(patience=Patience(deadline=10)).list_all(NODES)
    return Cluster(found.name, found.kubeconfig, found.context, is_kind=False, nodes=_names(nodes))


@contextmanager
def own(folder: Path, workers: int = 0) -> Iterator[Cluster]:
    """A new cluster that is ready for use; gone at the end."""
    with kind.created(folder, workers) as (name, file, log):
        nodes = kind.containers(name)
        made = Cluster(name, file, f"kind-{name}", True, nodes, nodes, log)
        kube = made.kube("kube-system")
        until("all nodes are Ready", lambda: all(map(_ready, kube.list_all(NODES)[0])))
        kind.load(name, IMAGE)
        if workers:  # whose pods may not reach each other; who wants several nodes breaks them, and needs no names
            yield made
            return
        # Nodes are Ready before names are resolved.
        until("CoreDNS runs", lambda: _rolled_out(kube.get(DEPLOYMENTS, "coredns")), 120)
        yield made


def _names(objects: list[Object]) -> tuple[str, ...]:
    return tuple(str(each["metadata"]["name"]) for each in objects)


def _ready(node: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"].get("conditions", ()))


def _rolled_out(deployment: Object) -> bool:
    return bool(deployment["status"].get("availableReplicas", 0) >= deployment["spec"]["replicas"])
