"""What is asked of Volcano: one watch of PodGroups, from the beginning, and what it says with the jobs' views."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from axk8s.kube.client import Object
from axk8s.kube.resource import VOLCANO_JOBS
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.sweep.model import JobView, Phase
from tests.kube.server import Answer, Request, Server, refusal
from tests.schedulers.kubernetes_job.conftest import client
from tests.schedulers.kubernetes_job.objects import NAME, running
from tests.schedulers.kubernetes_job.routes import listing
from tests.schedulers.volcano.objects import pod_group, replica, stuck, volcano

if TYPE_CHECKING:
    from tests.schedulers.kubernetes_job.conftest import Serve


class Cluster:
    """What is listed, and changes of each kind that a test hands over."""

    def __init__(self, **listed: Object) -> None:
        self.listed: dict[str, list[Object]] = {"podgroups": [], "jobs": [], "pods": []}
        self.listed |= {kind: [one] for kind, one in listed.items()}
        self.changes: dict[str, queue.Queue[Any]] = {kind: queue.Queue() for kind in self.listed}
        self.refused: Answer | None = None

    def __call__(self, request: Request) -> Answer:
        kind = request.path.rpartition("/")[2]
        if kind == "podgroups" and self.refused is not None:
            return self.refused
        if request.query.get("watch"):
            return Answer(events=iter(self.changes[kind].get, None) if kind in self.changes else iter(()))
        return Answer(200, listing(*self.listed.get(kind, ())))

    def change(self, kind: str, found: Object, how: str = "MODIFIED") -> None:
        self.changes[kind].put({"type": how, "object": found})


class Room:
    """An observer of Volcano Jobs, and what it tells."""

    def __init__(self, serve: Serve, cluster: Cluster) -> None:
        self.server: Server = serve(cluster)
        self.views: queue.SimpleQueue[JobView] = queue.SimpleQueue()
        self.observer = KubernetesObserver(client(), "sweep=x", self.views.put, resource=VOLCANO_JOBS)
        self.observer.start()
        self.observer.follow(NAME)

    def hear(self, phase: Phase, words: str) -> None:
        while True:
            found = self.views.get(timeout=30)
            if (found.phase, words in found.reason) == (phase, True):
                return


@pytest.fixture
def rooms(serve: Serve) -> Iterator[Any]:
    made: list[tuple[Room, Cluster]] = []

    def make(cluster: Cluster) -> Room:
        made.append((Room(serve, cluster), cluster))
        return made[-1][0]

    yield make
    for room, cluster in made:
        for changes in cluster.changes.values():
            changes.put(None)
        room.observer.close()


def test_a_job_waits_in_its_pod_groups_words_until_it_has_pods(rooms: Any) -> None:
    cluster = Cluster(jobs=volcano("Pending"), podgroups=pod_group("Pending", stuck("full")))
    room = rooms(cluster)
    room.hear(Phase.QUEUED, "waits in the queue training: NotEnoughResources: full")

    cluster.change("podgroups", pod_group("Inqueue"))
    room.hear(Phase.PENDING, "")
    cluster.change("podgroups", pod_group("Inqueue", stuck("no gang fits")))
    room.hear(Phase.PENDING, "no room for all of its pods: NotEnoughResources: no gang fits")
    cluster.change("pods", replica(running()), "ADDED")
    room.hear(Phase.RUNNING, "")
    cluster.change("podgroups", pod_group("Inqueue"), "DELETED")

    asked = [one.path for one in room.server.requests if "podgroups" in one.path]
    assert set(asked) == {"/apis/scheduling.volcano.sh/v1beta1/namespaces/team/podgroups"}


def test_who_may_not_read_pod_groups_is_told_and_jobs_go_on(rooms: Any) -> None:
    cluster = Cluster(jobs=volcano("Pending"))
    cluster.refused = refusal(403, "Forbidden", "podgroups is forbidden")
    room = rooms(cluster)

    room.hear(Phase.QUEUED, "waits in its queue")
    cluster.change("pods", replica(running()), "ADDED")
    room.hear(Phase.RUNNING, "")

    room.server.until(lambda requests: any("podgroups" in one.path for one in requests))
    assert sum("podgroups" in one.path for one in room.server.requests) == 1
