from __future__ import annotations

import json

import pytest

from axk8s.kube import errors
from axk8s.kube.errors import KubeError, from_response


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "BadRequest", errors.InvalidError),
        (401, "Unauthorized", errors.UnauthorizedError),
        (403, "Forbidden", errors.ForbiddenError),
        (404, "NotFound", errors.NotFoundError),
        (409, "AlreadyExists", errors.AlreadyExistsError),
        (409, "Conflict", errors.ConflictError),
        (410, "Expired", errors.GoneError),
        (422, "Invalid", errors.InvalidError),
        (429, "TooManyRequests", errors.BusyError),
        (500, "InternalError", errors.BusyError),
        (504, "Timeout", errors.BusyError),
        (418, "Teapot", KubeError),
    ],
)
def test_each_answer_has_its_class_and_keeps_the_servers_words(status: int, reason: str, kind: type[KubeError]) -> None:
    body = json.dumps({"kind": "Status", "code": status, "reason": reason, "message": "jobs is full"})

    error = from_response("create jobs/a in team", status, body, {"Retry-After": "3"})

    assert type(error) is kind
    assert error.message == "create jobs/a in team: jobs is full"
    assert (error.status, error.reason, error.retry_after) == (status, reason, 3.0)


def test_an_answer_that_is_no_status_is_shown_as_it_is() -> None:
    error = from_response("get pods/a", 502, b"<html>\n <h1>Bad gateway</h1>", {"Retry-After": "Wed, 21 Oct 2026"})

    assert error.message == "get pods/a: <html> <h1>Bad gateway</h1>"
    assert error.retry_after is None
    assert from_response("get pods/a", 500, b"").message == "get pods/a: HTTP 500"


def test_a_missing_permission_has_a_remedy_and_a_quota_has_none() -> None:
    denied = {"kind": "Status", "message": 'jobs.batch is forbidden: User "u" cannot create resource "jobs"'}
    full = {"kind": "Status", "message": 'pods "a" is forbidden: exceeded quota: team'}

    assert "a Role with it" in from_response("x", 403, json.dumps(denied)).hint
    assert from_response("x", 403, json.dumps(full)).hint == ""
