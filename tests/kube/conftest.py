from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from axk8s.kube.access import open_access
from axk8s.kube.client import Kube
from axk8s.kube.rate import Patience, TokenBucket
from tests.kube.server import Answer, Request, Server

Serve = Callable[[Callable[[Request], Answer]], tuple[Server, Kube]]


@pytest.fixture(autouse=True)
def _no_cluster_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pauses() -> list[float]:
    """How long the client would have slept."""
    return []


@pytest.fixture
def serve(tmp_path: Path, pauses: list[float]) -> Iterator[Serve]:
    """Starts a server with a script, and a client of it that does not sleep."""
    servers: list[Server] = []

    def start(script: Callable[[Request], Answer]) -> tuple[Server, Kube]:
        server = Server(script)
        servers.append(server)
        access = open_access(kubeconfig=server.kubeconfig(tmp_path / "config"))
        return server, Kube(access, bucket=TokenBucket(0), patience=Patience(sleep=pauses.append))

    yield start
    for server in servers:
        server.close()
