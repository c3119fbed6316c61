"""Kubeconfig files: what one says about its cluster, and new ones that lead there as somebody else."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def cluster_of(kubeconfig: Path, context: str) -> dict[str, Any]:
    """The server of a context and how to trust it, without references to other files."""
    content = YAML(typ="safe").load(kubeconfig.read_text("utf-8"))
    (name,) = [each["context"]["cluster"] for each in content["contexts"] if each["name"] == context]
    (found,) = [dict(each["cluster"]) for each in content["clusters"] if each["name"] == name]
    if authority := found.pop("certificate-authority", None):
        found["certificate-authority-data"] = base64.b64encode((kubeconfig.parent / authority).read_bytes()).decode()
    return found


def write(path: Path, cluster: dict[str, Any], *, token: str, namespace: str) -> Path:
    """A file with one context, `test`: that cluster, the owner of that token, that namespace."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
    }
    path.touch(mode=0o600)  # a token is in it
    path.write_text(json.dumps(content), "utf-8")
    return path
