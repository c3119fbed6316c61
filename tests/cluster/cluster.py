"""The cluster that tests run on: made for them, or somebody's own that they are guests of."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from axk8s.kube.access import open_access
from axk8s.kube.client import Kube, Object
from axk8s.kube.rate import Patience, TokenBucket
from axk8s.kube.resource import Resource
from tests.cluster import kind, kubeconfig, routes
from tests.cluster.deadline import until
from tests.cluster.lack import lack

NODES = Resource("", "v1", "nodes", namespaced=False)
DEPLOYMENTS = Resource("apps", "v1", "deployments")

IMAGE = "python:3.11-slim"
"""In each cluster from the beginning."""
TORCH_IMAGE = "axk8s-digits:test"
"""With PyTorch, where the fixture `torch_image` is asked for."""


@dataclass(frozen=True)
class Cluster:
    """A cluster, seen by its administrator."""

    name: str
    kubeconfig: Path
    context: str
    is_kind: bool
    nodes: tuple[str, ...]
    """The real ones on which pods of tests run."""
    containers: tuple[str, ...] = ()
    """The nodes as names of Docker containers, to be paused or entered; none on somebody's own cluster."""
    audit_log: Path | None = None

    def to_json(self) -> str:
        """For another process; `from_json` reads it back."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Cluster:
        """What `to_json` wrote."""
        data = json.loads(text)
        paths = {key: Path(data[key]) for key in ("kubeconfig", "audit_log") if data[key] is not None}
        return cls(**{**data, **paths, "nodes": tuple(data["nodes"]), "containers": tuple(data["containers"])})

    def kube(self, namespace: str | None = None, *, patience: Patience | None = None) -> Kube:
        """A client of the administrator's, as fast as it can."""
        access = open_access(kubeconfig=self.kubeconfig, context=self.context, namespace=namespace)
        return Kube(access, bucket=TokenBucket(0), patience=patience)

    def entry(self) -> dict[str, Any]:
        """The server and how to trust it, as a kubeconfig says it."""
        return kubeconfig.cluster_of(self.kubeconfig, self.context)

    def load_image(self, tag: str) -> None:
        """Put an image of this machine's Docker into the nodes; it must not be `latest`, which is always pulled."""
        if not self.is_kind:
            lack("images cannot be loaded into the cluster of AXK8S_TEST_KUBECONFIG")
        kind.load(self.name, tag, self.nodes)


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
        made = Cluster(name, file, f"kind-{name}", True, (), kind.containers(name), log)
        kube = made.kube("kube-system")
        nodes = until("all nodes are Ready", lambda: _all_ready(kube.list_all(NODES)[0], len(made.containers)))
        made = replace(made, nodes=_names([node for node in nodes if not node["spec"].get("taints")]))
        made.load_image(IMAGE)
        if routes.connect(nodes):
            _begin_anew(kube, "coredns")
        # Nodes are Ready before names are resolved.
        until("CoreDNS runs", lambda: _rolled_out(kube.get(DEPLOYMENTS, "coredns")), 120)
        yield made


def _names(objects: list[Object]) -> tuple[str, ...]:
    return tuple(str(each["metadata"]["name"]) for each in objects)


def _all_ready(nodes: list[Object], count: int) -> list[Object]:
    """The nodes, once there are so many that take pods: a node that has just become Ready has its first taint still."""
    return nodes if len(nodes) == count and all(map(_ready, nodes)) else []


def _ready(node: Object) -> bool:
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
    taints = [each["key"] for each in node["spec"].get("taints", ())]
    return (
        conditions.get("Ready") == "True" and "podCIDR" in node["spec"] and "node.kubernetes.io/not-ready" not in taints
    )


def _begin_anew(kube: Kube, deployment: str) -> None:
    """Let it make all its pods again."""
    annotations = {"axk8s.test/begun-anew": "true"}
    kube.patch(DEPLOYMENTS, deployment, {"spec": {"template": {"metadata": {"annotations": annotations}}}})


def _rolled_out(deployment: Object) -> bool:
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return bool(seen and counts == [wanted] * 3)
