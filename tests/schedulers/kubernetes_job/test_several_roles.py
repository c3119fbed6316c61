"""Several roles at the scheduler and the observer: one JobSet is sent, described, listed, read, watched and ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from torchx.specs import AppDef

from axk8s.errors import SubmitError
from axk8s.kube.client import Object
from axk8s.kube.resource import JOB_SETS
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.schedulers.kubernetes_job.patience import Patience
from axk8s.schedulers.kubernetes_job.request import KubernetesRequest
from axk8s.schedulers.kubernetes_job.scheduler import KubernetesJobScheduler
from axk8s.sweep.model import ExitFacts, JobView, Phase
from tests.kube.server import Answer, Request, refusal
from tests.schedulers.kubernetes_job.apps import app, jobset, role
from tests.schedulers.kubernetes_job.conftest import client
from tests.schedulers.kubernetes_job.objects import ALL_DONE, NAME, at, exited, job, of_role, pod, running
from tests.schedulers.kubernetes_job.objects import jobset as seen
from tests.schedulers.kubernetes_job.routes import Routes, listing

if TYPE_CHECKING:
    from tests.schedulers.kubernetes_job.conftest import Serve

ROLES = (role(name="trainer", num_replicas=2), role(name="reader"))
QUOTA = 'pods "a" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2'


def several() -> AppDef:
    return app(*ROLES, metadata={"axk8s/sweep-uid": "0a1b2c", "axk8s/trial": "3"})


class Desk:
    def __init__(self, serve: Serve) -> None:
        self.routes = Routes()
        self.server = serve(self.routes)
        self.scheduler = KubernetesJobScheduler("session")

    def request(self) -> KubernetesRequest:
        found: KubernetesRequest = self.scheduler.submit_dryrun(
            several(), {"name": "tune", "service": "shared"}
        ).request
        return found

    def present(self, found: Object, *pods: Object) -> None:
        made = jobset(several(), name="tune", namespace="team")
        self.routes.on("GET jobsets/tune", {**made, "status": found["status"]})
        self.routes.on("GET pods", listing(*pods))


@pytest.fixture
def desk(serve: Serve) -> Desk:
    return Desk(serve)


def of(role_name: str, state: Object, index: int = 0) -> Object:
    return of_role(pod(state, index=index), role_name, jobset="tune")


def test_one_jobset_is_created_and_no_service_which_its_controller_makes(desk: Desk) -> None:
    request = desk.request()
    desk.routes.on("POST jobsets", request.job)

    assert desk.scheduler.start(request)
    assert [one.path for one in desk.server.requests if one.method == "POST"] == [
        "/apis/jobset.x-k8s.io/v1alpha2/namespaces/team/jobsets"
    ]
    assert request.service is None


def test_one_that_is_there_is_adopted(desk: Desk) -> None:
    request = desk.request()
    desk.routes.on("POST jobsets", refusal(409, "AlreadyExists", 'jobsets.jobset.x-k8s.io "tune" already exists'))
    desk.routes.on("GET jobsets/tune", request.job)

    assert not desk.scheduler.start(request)

    other = {**request.job, "metadata": {**request.job["metadata"], "labels": {}}}
    desk.routes.on("GET jobsets/tune", other)
    with pytest.raises(SubmitError, match="a JobSet tune is in team already, and it is not ours") as caught:
        desk.scheduler.start(request)
    assert "get jobset tune" in caught.value.hint


def test_a_cluster_without_jobset_refuses_it_with_the_way_to_have_it(desk: Desk) -> None:
    desk.routes.on("POST jobsets", Answer(404, "404 page not found\n"))

    with pytest.raises(SubmitError, match="JobSet is not installed in this cluster") as caught:
        desk.scheduler.start(desk.request())
    assert "https://jobset.sigs.k8s.io" in caught.value.hint


def test_each_role_is_described_with_its_replicas(desk: Desk) -> None:
    desk.present(seen(), of("trainer", running()), of("trainer", exited(0), 1), of("reader", exited(3)))

    said = desk.scheduler.describe("team:tune")

    assert said is not None
    assert str(said.state) == "RUNNING"
    assert [(one.name, one.num_replicas) for one in said.roles] == [("trainer", 2), ("reader", 1)]
    states = {one.role: [str(replica.state) for replica in one.replicas] for one in said.roles_statuses}
    assert states == {"trainer": ["RUNNING", "SUCCEEDED"], "reader": ["FAILED"]}
    assert desk.server.requests[-1].query["labelSelector"] == "jobset.sigs.k8s.io/jobset-name=tune"


def test_where_jobsets_may_not_be_read_there_is_none(desk: Desk) -> None:
    desk.routes.on("GET jobsets/tune", refusal(403, "Forbidden", "not allowed"))

    assert desk.scheduler.describe("team:tune") is None


def test_jobsets_are_listed_beside_jobs(desk: Desk) -> None:
    counts = [{"name": "trainer", "ready": 1}]
    found = [seen(name="a"), seen(name="b", replicatedJobsStatus=counts), seen(ALL_DONE, name="c")]
    desk.routes.on("GET jobs", listing())
    desk.routes.on("GET jobsets", listing(*found))

    states = {one.app_id: str(one.state) for one in desk.scheduler.list()}

    assert states == {"team:a": "PENDING", "team:b": "RUNNING", "team:c": "SUCCEEDED"}


def test_lines_are_of_the_role_that_is_asked_for(serve: Serve) -> None:
    trainer, reader = of("trainer", running()), of("reader", running())

    def answer(request: Request) -> Answer:
        if request.path.endswith("/log"):
            return Answer(200, f"said by {request.path.split('/')[-2]}\n")
        jobs = "batch.kubernetes.io" in request.query["labelSelector"]
        return Answer(200, listing(*([] if jobs else [trainer, reader])))

    serve(answer)
    scheduler = KubernetesJobScheduler("session")

    assert list(scheduler.log_iter("team:tune", "reader")) == [f"said by {reader['metadata']['name']}\n"]
    with pytest.raises(ValueError, match="team:tune has no pod trainer-1"):
        list(scheduler.log_iter("team:tune", "trainer", 1))


def test_ending_it_deletes_the_whole(desk: Desk) -> None:
    desk.routes.on("DELETE jobsets/tune", {})
    desk.scheduler.cancel("team:tune")

    assert desk.server.requests[-1].body["propagationPolicy"] == "Background"


class Watched:
    """An observer of JobSets whose watchers are the test itself, and whose clock stands still."""

    def __init__(self, serve: Serve) -> None:
        self.now = 1000.0
        self.events: dict[str, list[Object]] = {}
        self.told: list[JobView] = []
        self.server = serve(self._answer)
        patience = Patience(start=600, pod=5, leave=60, linger=30)
        self.observer = KubernetesObserver(
            client(), "a=b", self.told.append, resource=JOB_SETS, patience=patience, now=lambda: self.now
        )
        self.observer.follow(NAME)
        self.observer.job_seen(seen(), gone=False)

    def _answer(self, request: Request) -> Answer:
        kind = request.query["fieldSelector"].rpartition("=")[2]
        return Answer(200, {"metadata": {"resourceVersion": "1"}, "items": self.events.get(kind, [])})

    def pods(self, *found: Object) -> None:
        for one in found:
            self.observer.pod_seen(one, gone=False)

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.observer.tick()


@pytest.fixture
def watched(serve: Serve) -> Watched:
    return Watched(serve)


def event(message: str, **about: str) -> Object:
    return {"message": message, "involvedObject": about, "lastTimestamp": at(1)}


def member(role_name: str, state: Object | None, index: int = 0, **more: object) -> Object:
    return of_role(pod(state, index=index, **more), role_name)  # type: ignore[arg-type]


def test_why_one_role_has_no_pods_is_said_of_its_job_and_read_there(watched: Watched) -> None:
    watched.events["Job"] = [
        event("of another job", kind="Job", name="other-reader-0", uid="?"),
        event(QUOTA, kind="Job", name=f"{NAME}-reader-0", uid="?"),
    ]
    watched.pods(member("trainer", running()), member("trainer", running(), 1))
    watched.tick(6)

    assert (watched.told[-1].phase, watched.told[-1].reason) == (Phase.RUNNING, QUOTA)
    watched.tick(1e6)
    assert watched.told[-1].exit is None
    watched.pods(member("reader", running()))
    assert (watched.told[-1].phase, watched.told[-1].reason) == (Phase.RUNNING, "")


def test_of_a_job_too_a_replica_without_room_is_told_while_the_others_run(serve: Serve) -> None:
    told: list[JobView] = []
    now = [1000.0]
    events = {"metadata": {"resourceVersion": "1"}, "items": [event(QUOTA, kind="Job", name=NAME, uid="job-1")]}
    serve(lambda _: Answer(200, events))
    observer = KubernetesObserver(client(), "a=b", told.append, patience=Patience(pod=5), now=lambda: now[0])
    observer.follow(NAME)
    observer.job_seen(job(replicas=2), gone=False)
    observer.pod_seen(pod(running()), gone=False)
    now[0] += 6
    observer.tick()

    assert (told[-1].phase, told[-1].reason) == (Phase.RUNNING, QUOTA)


def test_why_no_job_could_be_made_is_said_of_the_jobset(watched: Watched) -> None:
    refused = 'admission webhook "policy" denied the request: no team label'
    watched.events["JobSet"] = [
        event(refused, kind="JobSet", name=NAME, uid="set-1"),
        event(f'jobs.batch "{NAME}-reader-0" already exists', kind="JobSet", name=NAME, uid="set-1"),
    ]
    watched.tick(6)
    assert watched.told[-1].reason == refused

    watched.tick(601)
    assert watched.told[-1].exit == ExitFacts("spawn_failed", message=f"no pod after 600 s: {refused}")


def test_a_mesh_that_lingers_in_one_role_ends_nothing_while_another_has_not_begun(watched: Watched) -> None:
    mesh = [{"name": "istio-proxy", "state": {"running": {"startedAt": at(1)}}}]
    held = [member("trainer", exited(0), index, beside=mesh, phase="Running") for index in (0, 1)]
    watched.pods(*held)
    watched.tick(31)
    assert watched.told[-1].exit is None

    watched.pods(member("reader", exited(0), beside=mesh, phase="Running"))
    watched.tick(31)
    watched.tick(1)
    assert watched.told[-1].exit == ExitFacts("exited", 0)
