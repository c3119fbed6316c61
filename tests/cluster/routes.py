"""Ways between the pods of several nodes, where a node image has a plain bridge and nothing else.

kind's own image has `kindnet`, which does this and more. One that was made without it gives all nodes the same range of
addresses: each then gets the range that Kubernetes has set apart for it, and a route to every other node's.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from axk8s.kube.client import Object
from tests.cluster import kind

BRIDGE = "/etc/cni/net.d/10-bridge.conflist"


@dataclass(frozen=True)
class Node:
    """A node, which is a container of the same name."""

    name: str
    address: str
    pods: str
    """The range of its pods' addresses."""

    @classmethod
    def read(cls, found: Object) -> Node:
        addresses = {each["type"]: each["address"] for each in found["status"]["addresses"]}
        return cls(found["metadata"]["name"], addresses["InternalIP"], found["spec"]["podCIDR"])


def connect(found: Sequence[Object]) -> bool:
    """Let the pods of these nodes reach each other; False where they do already, because there is no bare bridge.

    Pods that run by then lose their addresses, and have to be made again.
    """
    nodes = [Node.read(each) for each in found]
    bridges = {node: config for node in nodes if (config := _bridge(node)) is not None}
    for node, config in bridges.items():
        _inside(node, "tee", BRIDGE, text=json.dumps(_moved(config, node.pods)))
        # What the first pods were given; both are made again with the next one.
        _inside(node, "sh", "-c", "ip link delete cni0; rm -rf /var/lib/cni/networks/*", fails=True)
    lead(found)
    return bool(bridges)


def lead(found: Sequence[Object]) -> None:
    """Make the routes between these nodes; one that was switched off and on again has forgotten them."""
    nodes = [Node.read(each) for each in found]
    for node in nodes:
        for other in nodes:
            if other != node and _bridge(node) is not None:
                _inside(node, "ip", "route", "replace", other.pods, "via", other.address)


def _bridge(node: Node) -> dict[str, Any] | None:
    text = _inside(node, "cat", BRIDGE, fails=True)
    config: dict[str, Any] | None = json.loads(text) if text else None
    return config


def _moved(config: dict[str, Any], pods: str) -> dict[str, Any]:
    for plugin in config["plugins"]:
        if plugin["type"] == "bridge":
            plugin["ipam"]["ranges"] = [[{**plugin["ipam"]["ranges"][0][0], "subnet": pods}]]
    return config


def _inside(node: Node, *command: str, text: str | None = None, fails: bool = False) -> str:
    """What a program on the node prints."""
    words = ["docker", "exec", *(["--interactive"] if text is not None else []), node.name, *command]
    if fails:
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout
    return kind.run(*words, text=text)
