"""Each kind of app makes exactly the manifest in `golden/`, and one that the API's own schema takes.

A change of a manifest is meant to be read: `AXK8S_WRITE_GOLDEN=1 pytest tests/schedulers/kubernetes_job/test_golden.py`
writes the files anew, and the difference stands in the commit.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import kubernetes_validate
import pytest

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job.request import as_yaml
from tests.schedulers.kubernetes_job.documents import documents

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
def test_the_schema_of_the_api_takes_it_and_knows_every_field(name: str) -> None:
    for made in _known(DOCUMENTS[name]):
        kubernetes_validate.validate(made, VERSION, strict=True)


def _known(made: Object) -> list[Object]:
    """What the API itself has: of a JobSet, which it does not, the Jobs that are made of it."""
    if made["kind"] != "JobSet":
        return [made]
    templates = [one["template"] for one in made["spec"]["replicatedJobs"]]
    return [{"apiVersion": "batch/v1", "kind": "Job", **one} for one in templates]


def test_the_schema_would_see_a_field_that_does_not_exist() -> None:
    wrong = documents()["plain"]
    wrong["spec"]["template"]["spec"]["containers"][0]["comand"] = ["python"]

    with pytest.raises(kubernetes_validate.ValidationError, match="comand"):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@each
def test_names_are_such_as_the_server_demands_beyond_its_schema(name: str) -> None:
    made = DOCUMENTS[name]
    assert re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", made["metadata"]["name"])
    for one in _known(made):
        if one["kind"] == "Job":
            _check_pod(one["spec"]["template"]["spec"])


def _check_pod(spec: Object) -> None:
    volumes = [one["name"] for one in spec["volumes"]]
    assert len(set(volumes)) == len(volumes)
    for one in spec["containers"]:
        paths = [mount["mountPath"] for mount in one.get("volumeMounts", [])]
        assert len(set(paths)) == len(paths)
        assert {mount["name"] for mount in one.get("volumeMounts", [])} <= set(volumes)
        variables = [variable["name"] for variable in one.get("env", [])]
        assert len(set(variables)) == len(variables)
        for port in one.get("ports", []):
            assert re.fullmatch("(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*", port.get("name", "a"))
        amounts = one.get("resources", {})
        for device, amount in amounts.get("requests", {}).items():
            assert "/" not in device or amounts["limits"][device] == amount


def test_all_have_different_names_so_that_a_cluster_can_be_shown_them_together() -> None:
    names = [(made["kind"], made["metadata"]["name"]) for made in DOCUMENTS.values()]

    assert len(set(names)) == len(names)
    assert all("namespace" not in made["metadata"] for made in DOCUMENTS.values())
