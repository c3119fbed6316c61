"""What is asked of Kueue: nothing before a job is suspended, one watch then, and positions now and then."""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.schedulers.kubernetes_job.queueing import Queueing
from axk8s.sweep.model import JobView, Phase
from tests.kube.server import Answer, Request, refusal
from tests.schedulers.kubernetes_job.conftest import client
from tests.schedulers.kubernetes_job.objects import NAME, job
from tests.schedulers.kubernetes_job.routes import listing

if TYPE_CHECKING:
    from tests.schedulers.kubernetes_job.conftest import Serve

VISIBLE = "visibility.kueue.x-k8s.io"


def workload(uid: str, *, admitted: bool = False, message: str = "full") -> Object:
    conditions = [{"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message}]
    if admitted:
        conditions = [{"type": kind, "status": "True", "reason": kind} for kind in ("QuotaReserved", "Admitted")]
    return {
        "metadata": {
            "name": f"job-{uid}",
            "resourceVersion": "6",
            "ownerReferences": [{"uid": uid, "name": uid, "kind": "Job", "controller": True}],
        },
        "spec": {"queueName": "trials", "active": True},
        "status": {"conditions": conditions},
    }


class Cluster:
    """Workloads that are there, changes that a test hands over, and positions in queues where the version is served."""

    def __init__(self, *present: Object) -> None:
        self.present = present
        self.jobs: tuple[Object, ...] = ()
        self.events: queue.Queue[Any] = queue.Queue()
        self.positions: dict[str, Object] = {}
        self.refused: Answer | None = None

    def __call__(self, request: Request) -> Answer:
        kind = request.path.rpartition("/")[2]
        if kind == "pendingworkloads":
            found = self.positions.get(request.path.split("/")[3])
            return Answer(200, found) if found is not None else refusal(404, "NotFound", "not served")
        if kind == "workloads" and self.refused is not None:
            return self.refused
        if request.query.get("watch"):
            return Answer(events=iter(self.events.get, None) if kind == "workloads" else iter(()))
        return Answer(200, listing(*{"workloads": self.present, "jobs": self.jobs}.get(kind, ())))


class Said(logging.Handler):
    """Hands over what is logged."""

    def __init__(self, words: queue.Queue[str]) -> None:
        super().__init__(logging.WARNING)
        self._words = words

    def emit(self, record: logging.LogRecord) -> None:
        self._words.put(record.getMessage())


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster(workload("one"), workload("two", admitted=True))
    yield found
    found.events.put(None)


def test_workloads_are_known_by_their_jobs_and_each_change_is_told(serve: Serve, cluster: Cluster) -> None:
    server = serve(cluster)
    changed: queue.Queue[str] = queue.Queue()
    queueing = Queueing(client(), changed.put)
    queueing.need()
    assert server.requests == [], "not before it was started"

    queueing.start()
    queueing.need()
    queueing.need()
    assert {changed.get(timeout=30), changed.get(timeout=30)} == {"one", "two"}
    cluster.events.put({"type": "MODIFIED", "object": workload("one", message="still full")})
    assert changed.get(timeout=30) == "one"
    found = queueing.of("one")
    assert found is not None
    assert found.words == "queued: still full"

    cluster.events.put({"type": "MODIFIED", "object": workload("one", message="still full")})
    cluster.events.put({"type": "DELETED", "object": workload("two")})
    assert changed.get(timeout=30) == "two", "what stays as it was is not told"
    assert queueing.of("two") is None
    cluster.events.put(None)
    queueing.close()
    assert sum("watch" not in request.query for request in server.requests) == 1


@pytest.mark.parametrize("version", ["v1beta2", "v1beta1"])
def test_positions_are_asked_for_now_and_then_while_something_waits(
    serve: Serve, cluster: Cluster, version: str
) -> None:
    server, now = serve(cluster), [1000.0]
    changed: queue.Queue[str] = queue.Queue()
    queueing = Queueing(client(), changed.put, now=lambda: now[0])
    queueing.start()
    queueing.need()
    told = {changed.get(timeout=30), changed.get(timeout=30)}
    assert told == {"one", "two"}
    items = [{"metadata": {"name": "job-one"}, "positionInLocalQueue": 3}]
    cluster.positions = {version: {"items": items}}

    queueing.ask_positions(["one"])
    queueing.ask_positions(["one"])
    assert (changed.get(timeout=30), queueing.position("one"), queueing.position("two")) == ("one", 3, None)
    items[0]["positionInLocalQueue"] = 0
    now[0] += 31
    queueing.ask_positions(["one"])
    assert (changed.get(timeout=30), queueing.position("one")) == ("one", 0)

    cluster.positions = {}
    for _ in range(10):
        now[0] += 31
        queueing.ask_positions(["one"])
    queueing.ask_positions([])
    cluster.events.put(None)
    queueing.close()
    asked = [request.path.split("/")[3] for request in server.requests if VISIBLE in request.path]
    assert asked.count(version) == 3, "a cluster that tells nothing is not asked every half minute"


@pytest.mark.parametrize("status", [403, 404])
def test_who_may_not_read_workloads_is_told_once_and_the_jobs_wait_all_the_same(
    serve: Serve, cluster: Cluster, status: int
) -> None:
    words: queue.Queue[str] = queue.Queue()
    said = Said(words)
    logging.getLogger("axk8s").addHandler(said)
    cluster.jobs = (job(suspend=True),)
    cluster.refused = refusal(status, "Forbidden" if status == 403 else "NotFound", "no workloads for you")
    server = serve(cluster)
    told: queue.Queue[JobView] = queue.Queue()
    observer = KubernetesObserver(client(), "a=b", told.put)
    observer.follow(NAME)
    observer.start()
    assert told.get(timeout=30) == JobView(NAME, Phase.QUEUED, "suspended: it waits in a queue")
    assert words.get(timeout=30).startswith("jobs wait suspended, and why cannot be read from Kueue")
    observer.close()
    logging.getLogger("axk8s").removeHandler(said)

    assert sum(request.path.endswith("/workloads") for request in server.requests) == 1
    assert not any("Kueue" in words.get() for _ in range(words.qsize()))
