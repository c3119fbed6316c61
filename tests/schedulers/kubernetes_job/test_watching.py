"""An observer with its own two watches, against a server."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.sweep.model import ExitFacts, JobView, Phase
from tests.kube.server import Answer, Request, refusal
from tests.schedulers.kubernetes_job.conftest import client
from tests.schedulers.kubernetes_job.objects import COMPLETE, NAME, exited, job, pod, running

if TYPE_CHECKING:
    from tests.schedulers.kubernetes_job.conftest import Serve


class Cluster:
    """Lists with one running Job; then watches that deliver what the test hands them."""

    def __init__(self) -> None:
        self.pods: queue.Queue[Any] = queue.Queue()
        self.jobs: queue.Queue[Any] = queue.Queue()
        self.down = threading.Event()

    def __call__(self, request: Request) -> Answer:
        if self.down.is_set() and request.query.get("watch"):
            return refusal(500, "InternalError", "etcd is away")
        line, present = (self.jobs, job()) if request.path.endswith("/jobs") else (self.pods, pod(running()))
        if request.query.get("watch"):
            return Answer(events=iter(line.get, None))
        return Answer(200, {"metadata": {"resourceVersion": "5"}, "items": [present]})

    def end(self) -> None:
        self.pods.put(None)
        self.jobs.put(None)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster()
    yield found
    found.end()


def test_it_is_told_by_two_watches_of_its_own(serve: Serve, cluster: Cluster) -> None:
    server = serve(cluster)
    told: queue.Queue[JobView] = queue.Queue()
    observer = KubernetesObserver(client(), "axk8s/sweep-uid=1", told.put)
    observer.follow(NAME)
    observer.start()
    while told.get(timeout=30).phase is not Phase.RUNNING:
        pass
    cluster.pods.put({"type": "MODIFIED", "object": pod(exited(0))})
    cluster.jobs.put({"type": "MODIFIED", "object": job(COMPLETE)})

    assert told.get(timeout=30).exit == ExitFacts("exited", 0)
    cluster.jobs.put({"type": "DELETED", "object": job(COMPLETE)})
    cluster.pods.put({"type": "DELETED", "object": pod(exited(0))})
    cluster.end()
    observer.close()
    assert told.empty()
    assert {request.query["labelSelector"] for request in server.requests} == {"axk8s/sweep-uid=1"}
    assert {request.path.rpartition("/")[2] for request in server.requests} == {"jobs", "pods"}
    assert not observer._ticker.is_alive()


def test_an_outage_is_warned_of_once_and_so_is_its_end(
    serve: Serve, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="axk8s")
    server = serve(cluster)
    cluster.down.set()
    told: queue.Queue[JobView] = queue.Queue()
    observer = KubernetesObserver(client(), "a=b", told.put)
    observer.follow(NAME)
    observer.start()
    server.until(lambda asked: sum(one.path.endswith("/jobs") and "watch" in one.query for one in asked) >= 2)
    cluster.down.clear()
    cluster.pods.put({"type": "MODIFIED", "object": pod(exited(0))})
    cluster.jobs.put({"type": "MODIFIED", "object": job(COMPLETE)})
    while told.get(timeout=30).exit is None:
        pass
    cluster.end()
    observer.close()

    words = [record.getMessage() for record in caplog.records]
    assert len(words) == 2
    assert words[0].startswith("the Jobs cannot be watched; they go on, and this is tried again: watch jobs.batch")
    assert words[1] == "the Jobs are watched again"
