"""Each kind of app makes exactly the manifest in `golden/`, and pods that the API's own schema takes.

A change of a manifest is meant to be read: `AXK8S_WRITE_GOLDEN=1 pytest tests/schedulers/volcano/test_golden.py` writes
the files anew, and the difference stands in the commit.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import kubernetes_validate
import pytest

from axk8s.schedulers.kubernetes_job.request import KubernetesRequest, as_yaml
from tests.schedulers.volcano.documents import documents

FOLDER = Path(__file__).parent / "golden"
VERSION = kubernetes_validate.latest_version()
DOCUMENTS = documents()

each = pytest.mark.parametrize("name", DOCUMENTS)


@each
def test_the_manifest_is_the_one_that_is_kept(name: str) -> None:
    path, text = FOLDER / f"{name}.yaml", as_yaml([DOCUMENTS[name]])
    if os.environ.get("AXK8S_WRITE_GOLDEN") == "1":
        path.write_text(text, "utf-8")

    assert path.read_text("utf-8") == text


def test_nothing_is_kept_that_is_not_made() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(DOCUMENTS)


@each
def test_the_schema_of_the_api_takes_its_pods_and_knows_every_field(name: str) -> None:
    for task in DOCUMENTS[name]["spec"]["tasks"]:
        kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", **task["template"]}, VERSION, strict=True)


@each
def test_nothing_is_left_for_the_webhook_to_fill_in(name: str) -> None:
    spec = DOCUMENTS[name]["spec"]

    assert spec["schedulerName"] == "volcano"
    assert spec["queue"]
    assert spec["maxRetry"] >= 1
    assert 1 <= spec["minAvailable"] == sum(task["minAvailable"] for task in spec["tasks"])
    assert all(task["policies"] and re.fullmatch("[a-z0-9-]+", task["name"]) for task in spec["tasks"])


@each
def test_it_can_be_kept_as_text_and_sent_again(name: str) -> None:
    request = KubernetesRequest(DOCUMENTS[name])

    assert KubernetesRequest.from_text(request.to_text()) == request
    assert str(request.resource) == "jobs.batch.volcano.sh"
