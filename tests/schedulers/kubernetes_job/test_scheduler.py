"""TorchX's interface against a server: each answer that there is means one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from torchx.specs import AppDef

from axk8s.errors import PostponedError, SubmitError
from axk8s.kube.client import Object
from axk8s.kube.errors import ForbiddenError
from axk8s.schedulers.kubernetes_job.request import KubernetesRequest
from axk8s.schedulers.kubernetes_job.scheduler import KubernetesJobScheduler, create_scheduler
from tests.kube.server import Answer, Request, refusal
from tests.schedulers.kubernetes_job.apps import app
from tests.schedulers.kubernetes_job.objects import COMPLETE, FAILED, job
from tests.schedulers.kubernetes_job.routes import Routes, listing

if TYPE_CHECKING:
    from tests.schedulers.kubernetes_job.conftest import Serve

MANAGED = {"app.kubernetes.io/managed-by": "axk8s"}
LABELS = {"axk8s/sweep-uid": "0a1b", "axk8s/trial": "3"}
EXISTS = refusal(409, "AlreadyExists", 'jobs.batch "tune" already exists')


class Desk:
    """A scheduler, and the server that it speaks to."""

    def __init__(self, serve: Serve) -> None:
        self.routes = Routes()
        self.routes.on("POST jobs", Answer(201, {"metadata": {"name": "tune", "uid": "job-1"}}))
        self.routes.on("POST services", Answer(201, {"metadata": {"name": "tune"}}))
        self.server = serve(self.routes)
        self.scheduler = KubernetesJobScheduler("session")

    def request(self, made: AppDef | None = None, **cfg: Any) -> KubernetesRequest:
        found: KubernetesRequest = self.scheduler.submit_dryrun(
            made or app(metadata=LABELS), {"name": "tune", **cfg}
        ).request
        return found

    def asked(self, method: str) -> list[Request]:
        return [one for one in self.server.requests if one.method == method]


@pytest.fixture
def desk(serve: Serve) -> Desk:
    return Desk(serve)


def test_a_job_is_created_strictly_and_is_called_by_namespace_and_name(desk: Desk) -> None:
    info = desk.scheduler.submit_dryrun(app(metadata=LABELS), {"name": "tune"})

    assert desk.scheduler.schedule(info) == "team:tune"
    created = desk.asked("POST")
    assert [one.path for one in created] == ["/apis/batch/v1/namespaces/team/jobs"]
    assert created[0].query == {"fieldValidation": "Strict"}
    assert created[0].body == info.request.job
    assert created[0].body["metadata"]["namespace"] == "team"


def test_several_replicas_get_a_service_that_goes_with_their_job(desk: Desk) -> None:
    assert desk.scheduler.start(desk.request(app(num_replicas=2)))

    job_, service = desk.asked("POST")
    assert service.path == "/api/v1/namespaces/team/services"
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "tune", "uid": "job-1"}
    assert service.body["metadata"]["ownerReferences"] == [owner]
    assert service.body["spec"]["selector"] == {"batch.kubernetes.io/job-name": "tune"}
    assert job_.body["spec"]["template"]["spec"]["subdomain"] == service.body["metadata"]["name"]


def test_a_service_that_is_there_is_used(desk: Desk) -> None:
    desk.scheduler.start(desk.request(app(num_replicas=2), service="shared"))

    assert [one.path.rpartition("/")[2] for one in desk.asked("POST")] == ["jobs"]
    assert desk.asked("POST")[0].body["spec"]["template"]["spec"]["subdomain"] == "shared"


def test_a_service_of_an_earlier_try_is_no_obstacle(desk: Desk) -> None:
    desk.routes.on("POST services", refusal(409, "AlreadyExists", "exists"))

    assert desk.scheduler.start(desk.request(app(num_replicas=2)))


def test_a_service_that_is_refused_is_an_error_with_the_servers_words(desk: Desk) -> None:
    desk.routes.on("POST services", refusal(403, "Forbidden", "services is forbidden"))

    with pytest.raises(SubmitError, match="services is forbidden"):
        desk.scheduler.start(desk.request(app(num_replicas=2)))


def test_a_name_is_made_where_none_is_given(desk: Desk) -> None:
    names = {desk.request(name=None).name for _ in range(3)}

    assert len(names) == 3
    assert all(name.startswith("tune-") for name in names)


def test_a_job_of_ours_that_exists_is_adopted(desk: Desk) -> None:
    desk.routes.on("POST jobs", EXISTS)
    desk.routes.on("GET jobs/tune", job(name="tune", uid="job-7", labels={**MANAGED, **LABELS, "more": "x"}))
    request = desk.request(app(metadata=LABELS, num_replicas=2))

    assert not desk.scheduler.start(request)
    # What an earlier try may not have come to is done now.
    assert desk.asked("POST")[-1].body["metadata"]["ownerReferences"][0]["uid"] == "job-7"


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({**MANAGED, "axk8s/sweep-uid": "other", "axk8s/trial": "3"}, "it is not ours"),
        ({**MANAGED, "axk8s/sweep-uid": "0a1b"}, "it is not ours"),
        ({}, "it is not ours"),
        (LABELS, "axk8s did not make it"),
    ],
    ids=["another sweep", "another trial", "no labels", "nobody's"],
)
def test_a_foreign_job_of_this_name_is_left_alone(desk: Desk, labels: dict[str, str], says: str) -> None:
    desk.routes.on("POST jobs", EXISTS)
    desk.routes.on("GET jobs/tune", job(name="tune", labels=labels))

    with pytest.raises(SubmitError, match=f"a Job tune is in team already, and {says}"):
        desk.scheduler.start(desk.request())
    assert [one.method for one in desk.server.requests] == ["GET", "POST", "GET"]


def test_a_job_that_is_just_being_deleted_is_waited_for(desk: Desk) -> None:
    going = job(name="tune", labels={**MANAGED, **LABELS})
    going["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    desk.routes.on("POST jobs", EXISTS)

    for answer in (going, refusal(404, "NotFound", "not found")):
        desk.routes.on("GET jobs/tune", answer)
        with pytest.raises(PostponedError, match="the Job tune is being deleted just now"):
            desk.scheduler.start(desk.request())


@pytest.mark.parametrize(
    "answer",
    [
        refusal(422, "Invalid", "spec.template.spec.containers[0].image: Required value"),
        refusal(400, "BadRequest", 'strict decoding error: unknown field "spec.colour"'),
        refusal(403, "Forbidden", 'User "u" cannot create resource "jobs"'),
        refusal(404, "NotFound", 'namespaces "team" not found'),
        refusal(413, "RequestEntityTooLarge", "limit is 3145728"),
    ],
    ids=lambda answer: str(answer.status),
)
def test_a_refusal_is_final_and_in_the_servers_words(desk: Desk, answer: Answer) -> None:
    desk.routes.on("POST jobs", answer)

    with pytest.raises(SubmitError) as caught:
        desk.scheduler.start(desk.request())
    assert caught.value.message == (
        f"the Job tune was refused: create jobs.batch/tune in team: {answer.body['message']}"
    )


@pytest.mark.parametrize(
    "answer",
    [
        refusal(503, "ServiceUnavailable", "etcd is away", Retry_After="1000"),
        refusal(429, "TooManyRequests", "slow down", Retry_After="1000"),
        refusal(500, "InternalError", "failed calling webhook", Retry_After="1000"),
        refusal(401, "Unauthorized", "expired"),
        Answer(cut=True),
    ],
    ids=["503", "429", "500", "401", "cut"],
)
def test_no_answer_within_the_patience_postpones_it(desk: Desk, answer: Answer) -> None:
    request = desk.request()
    desk.routes.on("POST jobs", answer)
    desk.scheduler.close()  # from which on nothing is tried again

    with pytest.raises(PostponedError) as caught:
        desk.scheduler.start(request)
    assert "tune" not in caught.value.message, "it is the same for all jobs, and should be told once"
    assert answer.cut or answer.body["message"] in caught.value.message


def test_the_same_is_so_while_it_looks_whose_the_job_is(desk: Desk) -> None:
    desk.routes.on("POST jobs", EXISTS)
    desk.routes.on("GET jobs/tune", refusal(503, "ServiceUnavailable", "etcd is away", Retry_After="1000"))
    with pytest.raises(PostponedError, match="etcd is away"):
        desk.scheduler.start(desk.request())

    desk.routes.on("GET jobs/tune", refusal(403, "Forbidden", "not allowed"))
    with pytest.raises(SubmitError, match="not allowed"):
        desk.scheduler.start(desk.request())


@pytest.mark.parametrize("call", ["cancel", "delete"])
def test_ending_a_job_deletes_it_with_its_pods_and_needs_no_job(desk: Desk, call: str) -> None:
    desk.routes.on("DELETE jobs/tune", {}, refusal(404, "NotFound", "not found"))
    desk.routes.on("DELETE jobsets/tune", refusal(403, "Forbidden", "an older Role says nothing of them"))

    getattr(desk.scheduler, call)("team:tune")
    getattr(desk.scheduler, call)("team:tune")

    asked = [(one.method, one.path.rpartition("namespaces/team/")[2]) for one in desk.server.requests]
    assert asked == [("DELETE", "jobs/tune"), ("DELETE", "jobs/tune"), ("DELETE", "jobsets/tune")]
    assert desk.server.requests[0].body["propagationPolicy"] == "Background"


def test_a_delete_that_is_not_allowed_is_an_error(desk: Desk) -> None:
    desk.routes.on("DELETE jobs/tune", refusal(403, "Forbidden", 'cannot delete resource "jobs"'))

    with pytest.raises(ForbiddenError, match="cannot delete"):
        desk.scheduler.cancel("team:tune")


def test_an_app_id_goes_to_its_own_namespace(desk: Desk) -> None:
    assert desk.scheduler.describe("other:tune") is None
    assert desk.server.requests[0].path == "/apis/batch/v1/namespaces/other/jobs/tune"


def test_only_our_jobs_are_listed_with_their_states(desk: Desk) -> None:
    found: list[Object] = [
        job(name="a", active=1),
        job(name="b", active=1, ready=1),
        job(COMPLETE, name="c"),
        job(FAILED, name="d"),
        job(name="e", suspend=True),
    ]
    desk.routes.on("GET jobs", listing(*found))

    states = {one.app_id: str(one.state) for one in desk.scheduler.list()}

    assert states == {
        "team:a": "PENDING",
        "team:b": "RUNNING",
        "team:c": "SUCCEEDED",
        "team:d": "FAILED",
        "team:e": "PENDING",
    }
    ours = "app.kubernetes.io/managed-by=axk8s"
    assert desk.server.requests[0].query["labelSelector"] == f"{ours},!jobset.sigs.k8s.io/jobset-name"
    assert desk.server.requests[1].query["labelSelector"] == ours


def test_a_list_may_be_of_another_namespace(desk: Desk) -> None:
    desk.scheduler.connection({"namespace": "team"})
    desk.routes.on("GET jobs", listing())
    assert desk.scheduler.list({"namespace": "team", "security": "restricted"}) == []


def test_parameters_for_other_schedulers_are_not_ours(serve: Serve) -> None:
    routes = Routes()
    routes.on("GET jobs", listing(job(name="a")))
    serve(routes)

    made = create_scheduler("session", namespace="team", client=object(), context=None)
    assert [one.app_id for one in made.list()] == ["team:a"]
    made.close()
