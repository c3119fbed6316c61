"""Pods that are pushed away: by an eviction, or by one that matters more and needs the room."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from axk8s.kube.client import Kube
from axk8s.kube.resource import PODS, Resource
from axk8s.schedulers.kubernetes_job.quantity import number
from tests.cluster import kwok
from tests.cluster.cluster import IMAGE, NODES
from tests.cluster.namespace import Namespace

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


def free_cpu(admin: Kube) -> float:
    """Cores of the only real node that nothing asks for."""
    nodes = [
        node for node in admin.list_all(NODES)[0] if kwok.ANNOTATION not in node["metadata"].get("annotations", {})
    ]
    names = {node["metadata"]["name"] for node in nodes}
    free = sum(number(node["status"]["allocatable"]["cpu"]) for node in nodes)
    every = Resource("", "v1", "pods", namespaced=False)  # of all namespaces
    for pod in admin.list_all(every)[0]:
        if pod["spec"].get("nodeName") in names and pod["status"].get("phase") in ("Running", "Pending"):
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


def push(namespace: Namespace, name: str, *, priority_class: str, cpu: float) -> None:
    """A short pod that gets its room at the expense of others."""
    asked = {"requests": {"cpu": f"{cpu:.2f}"}}
    container = {"name": "main", "image": IMAGE, "command": ["python", "-c", "pass"], "resources": asked}
    spec = {"restartPolicy": "Never", "priorityClassName": priority_class, "containers": [container]}
    namespace.admin.create(PODS, {"metadata": {"name": name}, "spec": spec})
