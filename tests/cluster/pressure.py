"""Pods that are pushed away: by an eviction, or by one that matters more and needs the room."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from axk8s.kube.client import Kube
from axk8s.kube.resource import PODS, Resource
from axk8s.schedulers.kubernetes_job.quantity import number
from tests.cluster.cluster import IMAGE, NODES
from tests.cluster.namespace import Namespace

HOSTNAME = "kubernetes.io/hostname"
PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", namespaced=False)


def evict(namespace: Namespace, pod: str) -> bool:
    """As `kubectl drain` does; False where the pod has gone meanwhile."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace.name}}
    answer = namespace.admin.access.send(
        "POST",
        PODS.path(namespace.name, pod, "eviction"),
        headers={"Content-Type": "application/json"},
        body=json.dumps(body).encode(),
        connect=5.0,
        read=30.0,
    )
    assert answer.status in (201, 404), answer.data
    return bool(answer.status == 201)


def free_cpu(admin: Kube, node: str) -> float:
    """Cores of a node that nothing asks for."""
    free = number(admin.get(NODES, node)["status"]["allocatable"]["cpu"])
    every = Resource("", "v1", "pods", namespaced=False)  # of all namespaces
    for pod in admin.list_all(every)[0]:
        if pod["spec"].get("nodeName") == node and pod["status"].get("phase") in ("Running", "Pending"):
            for container in pod["spec"]["containers"]:
                free -= number(((container.get("resources") or {}).get("requests") or {}).get("cpu", "0"))
    return float(free)


@contextmanager
def priority(namespace: Namespace) -> Iterator[str]:
    """A PriorityClass above that of everybody else."""
    body = {"metadata": {"name": namespace.name}, "value": 1000, "globalDefault": False, "description": "of one test"}
    namespace.admin.create(PRIORITY_CLASSES, body)
    try:
        yield namespace.name
    finally:
        namespace.admin.delete(PRIORITY_CLASSES, namespace.name)


def push(namespace: Namespace, name: str, *, priority_class: str, cpu: float, node: str) -> None:
    """A short pod that gets its room on a node at the expense of others."""
    asked = {"requests": {"cpu": f"{cpu:.2f}"}}
    container = {"name": "main", "image": IMAGE, "command": ["python", "-c", "pass"], "resources": asked}
    where = {"priorityClassName": priority_class, "nodeSelector": {HOSTNAME: node}}
    spec = {"restartPolicy": "Never", **where, "containers": [container]}
    namespace.admin.create(PODS, {"metadata": {"name": name}, "spec": spec})
