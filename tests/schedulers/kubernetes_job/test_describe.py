"""A Job's state in TorchX's words, its replicas', and their logs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from torchx.schedulers.api import DescribeAppResponse, Stream

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job.scheduler import KubernetesJobScheduler
from tests.kube.server import Answer, refusal
from tests.schedulers.kubernetes_job import apps
from tests.schedulers.kubernetes_job.objects import (
    COMPLETE,
    EVICTED,
    FAILED,
    condition,
    exited,
    job,
    pod,
    running,
    waiting,
)
from tests.schedulers.kubernetes_job.routes import Routes, listing

if TYPE_CHECKING:
    from tests.schedulers.kubernetes_job.conftest import Serve

UNSCHEDULABLE = condition("PodScheduled", "Unschedulable", "0/3 nodes", status="False")


class Desk:
    def __init__(self, serve: Serve) -> None:
        self.routes = Routes()
        self.server = serve(self.routes)
        self.scheduler = KubernetesJobScheduler("session")

    def present(self, found: Object, *pods: Object, replicas: int = 1) -> None:
        """A Job with this status, as it was made of an app; and its pods."""
        made = apps.job(
            apps.app(num_replicas=replicas, resource=apps.resource(gpu=2), env={"A": "1"}),
            name="tune",
            namespace="team",
        )
        self.routes.on("GET jobs/tune", {**made, "status": found["status"]})
        self.routes.on("GET pods", listing(*pods))

    def described(self) -> DescribeAppResponse:
        found = self.scheduler.describe("team:tune")
        assert found is not None
        return found


@pytest.fixture
def desk(serve: Serve) -> Desk:
    return Desk(serve)


@pytest.mark.parametrize(
    ("found", "pods", "state", "message"),
    [
        (job(), [], "PENDING", "<NONE>"),
        (job(), [pod(None, UNSCHEDULABLE)], "PENDING", "no node takes it: 0/3 nodes"),
        (job(), [pod(waiting("ImagePullBackOff"))], "PENDING", "ImagePullBackOff"),
        (job(active=1, ready=1), [pod(running())], "RUNNING", "<NONE>"),
        (job(COMPLETE), [pod(exited(0))], "SUCCEEDED", "<NONE>"),
        (
            job(FAILED),
            [pod(exited(137, "OOMKilled"))],
            "FAILED",
            "out of memory: over the container's limit (OOMKilled)",
        ),
        (job(FAILED), [pod(exited(3))], "FAILED", "<NONE>"),
        (job(FAILED), [pod(exited(143), EVICTED)], "FAILED", "EvictionByEvictionAPI: Eviction API: evicting"),
    ],
    ids=["new", "unschedulable", "no image", "running", "succeeded", "out of memory", "failed", "evicted"],
)
def test_a_job_has_a_state_and_the_reason_for_it(
    desk: Desk, found: Object, pods: list[Object], state: str, message: str
) -> None:
    desk.present(found, *pods)

    said = desk.described()
    assert (str(said.state), said.msg, said.app_id) == (state, message, "team:tune")
    assert desk.server.requests[-1].query["labelSelector"] == "batch.kubernetes.io/job-name=tune"


def test_a_suspended_job_waits(desk: Desk) -> None:
    desk.present(job(suspend=True))
    suspended = desk.routes.answers["GET jobs/tune"][0].body
    suspended["spec"]["suspend"] = True

    assert (str(desk.described().state), desk.described().msg) == ("PENDING", "suspended: it waits in a queue")


def test_there_is_no_job_of_this_name(desk: Desk) -> None:
    assert desk.scheduler.describe("team:tune") is None


def test_the_role_and_its_replicas_are_told(desk: Desk) -> None:
    desk.present(job(active=2), pod(running(), index=0), pod(exited(3), index=1), pod(index=2), replicas=4)

    said = desk.described()
    role = said.roles[0]
    assert (role.name, role.image, role.num_replicas, role.resource.gpu) == ("main", apps.IMAGE, 4, 2)
    assert (role.entrypoint, role.args, role.env["A"]) == ("python", ["-m", "train"], "1")
    states = [(one.id, str(one.state), one.hostname) for one in said.roles_statuses[0].replicas]
    assert states == [(0, "RUNNING", "node-1"), (1, "FAILED", "node-1"), (2, "PENDING", ""), (3, "PENDING", "")]


def test_of_each_replica_the_newest_pod_counts_and_the_others_are_restarts(desk: Desk) -> None:
    desk.present(job(active=1), pod(running(), run=1), pod(exited(143), EVICTED))

    said = desk.described()
    assert said.num_restarts == 1
    assert str(said.roles_statuses[0].replicas[0].state) == "RUNNING"


@pytest.mark.parametrize("code", [0, 1])
def test_an_ended_replica_has_succeeded_or_failed(desk: Desk, code: int) -> None:
    desk.present(job(COMPLETE if code == 0 else FAILED), pod(exited(code)))

    assert str(desk.described().roles_statuses[0].replicas[0].state) == ("SUCCEEDED" if code == 0 else "FAILED")


def test_lines_of_the_newest_pod_of_a_replica_keep_their_ends(desk: Desk) -> None:
    old, new, other = pod(exited(1)), pod(running(), run=1), pod(running(), index=1)
    desk.present(job(), new, old, other, replicas=2)
    desk.routes.on(f"GET pods/{new['metadata']['name']}/log", Answer(200, "epoch 1\nloss 0.5\nepoch 2\n"))

    assert list(desk.scheduler.log_iter("team:tune", "main")) == ["epoch 1\n", "loss 0.5\n", "epoch 2\n"]
    assert list(desk.scheduler.log_iter("team:tune", "main", regex="^loss")) == ["loss 0.5\n"]
    query = desk.server.requests[-1].query
    assert query == {"container": "main"}


def test_lines_may_be_of_another_replica_and_begin_later(desk: Desk) -> None:
    second = pod(running(), index=1)
    desk.present(job(), pod(running()), second, replicas=2)
    desk.routes.on(f"GET pods/{second['metadata']['name']}/log", Answer(200, "second\n"))
    since = datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)

    assert list(desk.scheduler.log_iter("team:tune", "main", 1, since=since, streams=Stream.COMBINED)) == ["second\n"]
    assert desk.server.requests[-1].query["sinceTime"] == "2026-01-01T12:00:05Z"


def test_lines_are_followed_to_the_containers_end(desk: Desk) -> None:
    found = pod(exited(0))
    name = found["metadata"]["name"]
    desk.present(job(), found)
    desk.routes.on(f"GET pods/{name}/log", Answer(200, "2026-01-01T12:00:00.000000001Z one\n"))
    desk.routes.on(f"GET pods/{name}", found)

    assert list(desk.scheduler.log_iter("team:tune", "main", should_tail=True)) == ["one\n"]


def test_a_container_that_has_not_started_has_said_nothing(desk: Desk) -> None:
    found = pod(waiting("ContainerCreating"))
    desk.present(job(), found)
    desk.routes.on(f"GET pods/{found['metadata']['name']}/log", refusal(400, "BadRequest", "is waiting to start"))

    assert list(desk.scheduler.log_iter("team:tune", "main")) == []


def test_a_replica_without_a_pod_has_no_log(desk: Desk) -> None:
    desk.present(job(), pod(running()))

    with pytest.raises(ValueError, match="team:tune has no pod main-1: it has not started, or was deleted"):
        list(desk.scheduler.log_iter("team:tune", "main", 1))


@pytest.mark.parametrize("stream", [Stream.STDOUT, Stream.STDERR])
def test_one_stream_alone_is_not_to_be_had(desk: Desk, stream: Stream) -> None:
    with pytest.raises(ValueError, match=f"no log of {stream.value} alone"):
        desk.scheduler.log_iter("team:tune", "main", streams=stream)
