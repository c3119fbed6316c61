from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from axk8s.kube.access import open_access
from axk8s.kube.client import Kube
from axk8s.kube.rate import Patience, TokenBucket
from tests.kube.server import Answer, Request, Server

Serve = Callable[[Callable[[Request], Answer]], Server]


@pytest.fixture(autouse=True)
def _no_cluster_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees a cluster or a configuration of whoever runs it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "TORCHXCONFIG", "LOGLEVEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server with a script; it is the cluster of `KUBECONFIG` then, with the namespace `team`."""
    servers: list[Server] = []

    def start(script: Callable[[Request], Answer]) -> Server:
        server = Server(script)
        servers.append(server)
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config", namespace="team")))
        return server

    yield start
    for server in servers:
        server.close()


def client() -> Kube:
    """A client of the cluster of `KUBECONFIG` that waits for nothing."""
    return Kube(open_access(), bucket=TokenBucket(0), patience=Patience(deadline=0.0))
