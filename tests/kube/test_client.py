"""Calls to a server that makes faults; that a real one is understood is shown on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from axk8s.kube.client import Kube
from axk8s.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from axk8s.kube.rate import Patience
from axk8s.kube.resource import JOBS, NAMESPACES, PODS
from tests.kube.server import Answer, Request, refusal

if TYPE_CHECKING:
    from tests.kube.conftest import Serve

JOB = {"metadata": {"name": "a"}}


def then(*answers: Answer) -> Callable[[Request], Answer]:
    """These answers, one after the other."""
    left = iter(answers)
    return lambda _: next(left)


def test_a_create_is_strict_authorized_and_in_the_namespace(serve: Serve) -> None:
    server, kube = serve(then(Answer(201, {"metadata": {"uid": "1"}}), Answer(201, {})))

    assert kube.create(JOBS, JOB, namespace="team") == {"metadata": {"uid": "1"}}
    kube.create(JOBS, JOB, dry_run=True)

    first, second = server.requests
    assert (first.method, first.path) == ("POST", "/apis/batch/v1/namespaces/team/jobs")
    assert first.body == JOB
    assert first.headers["authorization"] == "Bearer secret"
    assert first.query == {"fieldValidation": "Strict"}
    assert second.path == "/apis/batch/v1/namespaces/default/jobs"
    assert second.query["dryRun"] == "All"


def test_a_post_too_is_tried_again_after_429_503_and_a_cut(serve: Serve, pauses: list[float]) -> None:
    busy = refusal(429, "TooManyRequests", "slow down", Retry_After="1")
    down = refusal(503, "ServiceUnavailable", "etcd is away")
    server, kube = serve(then(busy, down, Answer(cut=True), Answer(201, {"ok": True})))

    assert kube.create(JOBS, JOB) == {"ok": True}
    assert len(server.requests) == 4
    assert pauses[0] == 1.0


def test_a_create_that_succeeded_unheard_meets_its_object(serve: Serve) -> None:
    exists = refusal(409, "AlreadyExists", 'jobs.batch "a" already exists')
    _, kube = serve(then(Answer(cut=True), exists))

    with pytest.raises(AlreadyExistsError, match=r'create jobs\.batch/a in default: jobs\.batch "a" already exists'):
        kube.create(JOBS, JOB)


def test_a_delete_takes_the_pods_with_it_and_is_idempotent(serve: Serve) -> None:
    server, kube = serve(then(Answer(200, {}), refusal(404, "NotFound", "gone"), refusal(409, "Conflict", "other uid")))

    assert kube.delete(JOBS, "a", uid="1", grace=5)
    assert not kube.delete(JOBS, "a")
    with pytest.raises(ConflictError):
        kube.delete(JOBS, "a", uid="2")

    body = server.requests[0].body
    assert body["propagationPolicy"] == "Background"
    assert (body["preconditions"], body["gracePeriodSeconds"]) == ({"uid": "1"}, 5)


def test_a_list_is_read_to_its_last_page(serve: Serve) -> None:
    pages = [
        Answer(200, {"metadata": {"continue": "next", "resourceVersion": "5"}, "items": [{"n": 1}]}),
        Answer(200, {"metadata": {"resourceVersion": "7"}, "items": [{"n": 2}]}),
    ]
    server, kube = serve(then(*pages))

    assert kube.list_all(JOBS, labels="a=b", page=1) == ([{"n": 1}, {"n": 2}], "7")
    assert [request.query for request in server.requests] == [
        {"limit": "1", "labelSelector": "a=b"},
        {"limit": "1", "labelSelector": "a=b", "continue": "next"},
    ]


def test_a_list_that_grew_too_old_between_pages_begins_anew(serve: Serve) -> None:
    first = Answer(200, {"metadata": {"continue": "next", "resourceVersion": "5"}, "items": [{"n": 1}]})
    whole = Answer(200, {"metadata": {"resourceVersion": "9"}, "items": [{"n": 3}]})
    _, kube = serve(then(first, refusal(410, "Expired", "too old"), whole))

    assert kube.list_all(JOBS) == ([{"n": 3}], "9")


def test_the_other_verbs_go_where_they_belong(serve: Serve) -> None:
    server, kube = serve(lambda _: Answer(200, "a log\nof two lines"))
    assert kube.text(PODS, "p", "log", container="main", follow=False, tailLines=5) == "a log\nof two lines"

    server, kube = serve(lambda _: Answer(200, {"gitVersion": "v1.35.4"}))
    assert kube.version() == "v1.35.4"
    kube.get(NAMESPACES, "team")
    kube.replace(JOBS, JOB)
    kube.patch(JOBS, "a", {"spec": {}}, part="status")

    assert [(each.method, each.path) for each in server.requests] == [
        ("GET", "/version"),
        ("GET", "/api/v1/namespaces/team"),
        ("PUT", "/apis/batch/v1/namespaces/default/jobs/a"),
        ("PATCH", "/apis/batch/v1/namespaces/default/jobs/a/status"),
    ]
    assert server.requests[-1].headers["content-type"] == "application/merge-patch+json"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(404, "NotFound", "nothing"), NotFoundError),
        (refusal(422, "Invalid", "no such field"), InvalidError),
        (refusal(401, "Unauthorized", "expired"), UnauthorizedError),
    ],
)
def test_what_is_final_is_raised_with_what_was_asked(serve: Serve, answer: Answer, kind: type[Exception]) -> None:
    server, kube = serve(lambda _: answer)

    with pytest.raises(kind, match=r"get jobs\.batch/a in default: "):
        kube.get(JOBS, "a")
    assert len(server.requests) == (2 if kind is UnauthorizedError else 1)


def test_a_server_that_is_not_there_is_named(serve: Serve) -> None:
    server, kube = serve(lambda _: Answer())
    server.close()
    dead = Kube(kube.access, patience=Patience(deadline=0.0))

    with pytest.raises(UnreachableError, match=server.url):
        dead.get(JOBS, "a")


def test_a_watch_gives_its_events_and_says_when_it_is_too_old(serve: Serve) -> None:
    def events() -> Iterator[object]:
        yield {"type": "ADDED", "object": {"n": 1}}
        yield {"type": "BOOKMARK", "object": {"n": 2}}
        yield {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}

    server, kube = serve(lambda _: Answer(events=events()))
    seen = iter(kube.watch(JOBS, "3", labels="a=b", seconds=100))

    assert [next(seen), next(seen)] == [("ADDED", {"n": 1}), ("BOOKMARK", {"n": 2})]
    with pytest.raises(GoneError, match="too old"):
        next(seen)
    query = server.requests[0].query
    assert (query["resourceVersion"], query["timeoutSeconds"], query["labelSelector"]) == ("3", "100", "a=b")
