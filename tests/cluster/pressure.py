"""Pods that are pushed away: by an eviction, or by one that matters more and needs the room."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axk8s.kube.client import Kube
from axk8s.kube.resource import PODS, Resource
from tests.cluster.cluster import IMAGE
from tests.cluster.namespace import Namespace

PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", namespaced=False)


def evict(namespace: Namespace, pod: str) -> None:
    """As `kubectl drain` does."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace.name}}
    answer = namespace.admin.access.send(
        "POST",
        PODS.path(namespace.name, pod, "eviction"),
        headers={"Content-Type": "application/json"},
        body=json.dumps(body).encode(),
        connect=5.0,
        read=30.0,
    )
    assert answer.status == 201, answer.data


def free_cpu(admin: Kube) -> float:
    """Cores of the only node that nothing asks for."""
    nodes, _ = admin.list_all(Resource("", "v1", "nodes", namespaced=False))
    whole = sum(float(node["status"]["allocatable"]["cpu"]) for node in nodes)
    every = Resource("", "v1", "pods", namespaced=False)  # of all namespaces
    asked = 0.0
    for pod in admin.list_all(every)[0]:
        if pod["status"].get("phase") in ("Running", "Pending"):
            asked += sum(_cores(one) for one in pod["spec"]["containers"])
    return whole - asked


def _cores(container: dict[str, Any]) -> float:
    text = ((container.get("resources") or {}).get("requests") or {}).get("cpu", "0")
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


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
