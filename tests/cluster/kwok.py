"""Nodes that are not there, on which kwok plays the kubelet: pods by the thousand, with the ends that they ask for."""

from __future__ import annotations

import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axk8s.kube.client import Object
from tests.cluster.cluster import NODES, Cluster
from tests.cluster.deadline import until
from tests.cluster.undertaker import Undertaker

STAGES = Path(__file__).with_name("kwok-stages.yaml")
ANNOTATION = "kwok.x-k8s.io/node"
_LEASE = 40


@dataclass(frozen=True)
class FakeNodes:
    """Fake nodes, and what a pod needs to get there: to these, and not to those of other tests, which go with them."""

    run: str
    names: tuple[str, ...]

    @property
    def selector(self) -> Mapping[str, str]:
        """A pod's `nodeSelector`."""
        return {ANNOTATION: self.run}

    @property
    def toleration(self) -> Mapping[str, str]:
        """One of a pod's `tolerations`."""
        return {"key": ANNOTATION, "operator": "Equal", "value": self.run, "effect": "NoSchedule"}

    def placed(self, spec: Mapping[str, Any]) -> Object:
        """A pod's spec, made to run here."""
        selector = {**spec.get("nodeSelector", {}), **self.selector}
        return {**spec, "nodeSelector": selector, "tolerations": [*spec.get("tolerations", ()), dict(self.toleration)]}


def missing() -> str:
    """Why there can be no fake nodes here; empty when there can."""
    return "" if shutil.which("kwok") else "there is no kwok on PATH"


@contextmanager
def played(cluster: Cluster, count: int) -> Iterator[FakeNodes]:
    """So many fake nodes that are Ready; gone at the end, with whatever is on them."""
    run = secrets.token_hex(3)
    names = tuple(f"fake-{run}-{index}" for index in range(count))
    admin = cluster.kube()
    command = [
        *("kwok", "--kubeconfig", str(cluster.kubeconfig), "--config", str(STAGES)),
        *("--manage-all-nodes=false", f"--manage-nodes-with-annotation-selector={ANNOTATION}={run}"),
        *("--node-lease-duration-seconds", str(_LEASE)),
    ]
    try:
        for name in names:
            admin.create(NODES, _node(run, name))
        undertaker = Undertaker(f"{shlex.join(command)} >&2 & read -r _; kill $!; wait $! || true")
        try:

            def ready() -> bool:
                return all(_ready(admin.get(NODES, name)) for name in names)

            try:
                until("the fake nodes are Ready", ready)
            except AssertionError as error:
                raise AssertionError(f"{error}; kwok says:\n{undertaker.said()}") from None
            yield FakeNodes(run, names)
        finally:
            undertaker.end()
    finally:
        # Pods that are still on them are collected as orphans.
        for name in names:
            admin.delete(NODES, name)


def _node(run: str, name: str) -> Object:
    return {
        "metadata": {
            "name": name,
            "annotations": {ANNOTATION: run},
            "labels": {ANNOTATION: run, "kubernetes.io/hostname": name},
        },
        "spec": {"taints": [{"key": ANNOTATION, "value": run, "effect": "NoSchedule"}]},
    }


def _ready(node: Object) -> bool:
    found = node.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in found)
