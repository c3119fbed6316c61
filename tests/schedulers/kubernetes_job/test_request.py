"""What is sent is kept as YAML that kubectl takes and that is read back as it was."""

from __future__ import annotations

import pytest
import yaml

from axk8s.errors import SubmitError
from axk8s.schedulers.kubernetes_job.request import KubernetesRequest, split
from tests.schedulers.kubernetes_job.apps import app, job, jobset, role
from tests.schedulers.kubernetes_job.documents import documents

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "tune"}}


@pytest.mark.parametrize("service", [None, SERVICE], ids=["a Job alone", "with a Service"])
def test_a_request_survives_as_text(service: dict[str, object] | None) -> None:
    for made in documents().values():
        if made["kind"] in ("Job", "JobSet"):
            request = KubernetesRequest(made, service)
            assert KubernetesRequest.from_text(request.to_text()) == request


def test_a_request_knows_its_kind_and_its_replicas_in_their_order() -> None:
    made = KubernetesRequest(jobset(app(role(name="trainer", num_replicas=2), role(name="reader"))))

    assert (made.kind, str(made.resource)) == ("JobSet", "jobsets.jobset.x-k8s.io")
    assert made.replicas == [("trainer", 0), ("trainer", 1), ("reader", 0)]
    alone = KubernetesRequest(job(app(name="worker")))
    assert (alone.kind, str(alone.resource), alone.replicas) == ("Job", "jobs.batch", [("worker", 0)])


def test_its_text_is_one_document_an_object() -> None:
    text = KubernetesRequest(job(app()), SERVICE).to_text()

    assert [one["kind"] for one in yaml.safe_load_all(text)] == ["Job", "Service"]


@pytest.mark.parametrize(
    "damaged", ["", "a", "[", "kind: Service", "- kind: Job", "kind: Job\n---\n", "metadata: {name: a}"], ids=repr
)
def test_a_damaged_text_is_refused(damaged: str) -> None:
    with pytest.raises(SubmitError, match="the stored manifest is damaged"):
        KubernetesRequest.from_text(damaged)


@pytest.mark.parametrize(("namespace", "app_id"), [("team", "team:tune"), (None, ":tune")])
def test_an_app_is_called_by_namespace_and_name(namespace: str | None, app_id: str) -> None:
    request = KubernetesRequest(job(app(), name="tune", namespace=namespace))

    assert request.app_id == app_id
    assert split(app_id) == (namespace or "", "tune") == (request.namespace, request.name)


def test_a_bare_name_has_no_namespace() -> None:
    assert split("tune") == ("", "tune")
