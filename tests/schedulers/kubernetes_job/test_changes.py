"""What a user may change of pods: of all roles or of one, their spec or their metadata, in the option or in a role."""

from __future__ import annotations

from typing import Any

import pytest

from axk8s.errors import ComponentError, SchedulerConfigError
from axk8s.schedulers.kubernetes_job.changes import Changes
from tests.schedulers.kubernetes_job.apps import app, job, jobset, pod, role

TOPOLOGY = "kueue.x-k8s.io/podset-required-topology"


def refusal(found: object) -> str:
    with pytest.raises(SchedulerConfigError) as caught:
        Changes.read(found, "pod_overlay")
    return str(caught.value)


@pytest.mark.parametrize(
    "found",
    [
        {"hostNetwork": True},
        {"spec": {"hostNetwork": True}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ignored"}, "spec": {"hostNetwork": True}},
    ],
)
def test_a_spec_or_a_whole_pod_is_for_all(found: object) -> None:
    assert Changes.read(found, "pod_overlay") == Changes({"spec": {"hostNetwork": True}})


def test_labels_and_annotations_may_stand_alone() -> None:
    metadata = {"labels": {"team": "vision"}, "annotations": {TOPOLOGY: "rack"}}
    made = job(app(), changes={"metadata": metadata})

    template = made["spec"]["template"]["metadata"]
    assert (template["labels"]["team"], template["annotations"][TOPOLOGY]) == ("vision", "rack")
    assert template["labels"]["axk8s/role"] == "main"
    assert TOPOLOGY not in made["metadata"]["annotations"]


def test_roles_have_their_own_beside_and_after_what_is_for_all() -> None:
    changes = {
        "nodeSelector": {"pool": "any"},
        "roles": {
            "trainer": {"nodeSelector": {"pool": "gpu"}},
            "reader": {"metadata": {"annotations": {TOPOLOGY: "rack"}}},
        },
    }
    made = jobset(app(role(name="trainer"), role(name="reader"), role(name="writer")), changes=changes)

    templates = [one["template"]["spec"]["template"] for one in made["spec"]["replicatedJobs"]]
    assert [one["spec"]["nodeSelector"] for one in templates] == [{"pool": "gpu"}, {"pool": "any"}, {"pool": "any"}]
    assert [one["metadata"]["annotations"].get(TOPOLOGY) for one in templates] == [None, "rack", None]


def test_what_a_role_carries_comes_before_what_the_options_say() -> None:
    own = {"spec": {"nodeSelector": {"pool": "own"}, "hostNetwork": True}, "metadata": {"labels": {"a": "b"}}}
    made = job(app(metadata={}, name="worker"), changes={})
    assert "hostNetwork" not in pod(made)

    carrying = role(name="worker", metadata={"kubernetes": own})
    made = job(app(carrying), changes={"roles": {"worker": {"nodeSelector": {"pool": "changed"}}}})

    assert pod(made)["hostNetwork"] is True
    assert pod(made)["nodeSelector"] == {"pool": "changed"}
    assert made["spec"]["template"]["metadata"]["labels"]["a"] == "b"


def test_a_role_that_the_job_does_not_have_is_refused_with_those_that_it_has() -> None:
    changes = {"roles": {"trainr": {"hostNetwork": True}}}
    for make, made in ((job, app(role(name="trainer"))), (jobset, app(role(name="trainer"), role(name="reader")))):
        with pytest.raises(SchedulerConfigError) as caught:
            make(made, changes=changes)
        assert "the job has no role 'trainr'" in str(caught.value)
        assert f"its roles are: {', '.join(one.name for one in made.roles)}" in str(caught.value)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (["a"], "pod_overlay is no part of a pod: ['a']"),
        ({"kind": "Pod"}, "pod_overlay is no part of a pod: None"),
        ({"spec": 1}, "pod_overlay is no part of a pod: 1"),
        ({"spec": {}, "metadata": 1}, "pod_overlay is no part of a pod: 1"),
        ({"spec": {}, "hostNetwork": True}, "pod_overlay: hostNetwork stands beside the metadata or spec of a pod"),
        ({"roles": ["a"]}, "pod_overlay: roles is no mapping from roles: ['a']"),
        ({"roles": {"a": None}}, "pod_overlay: roles: a is no part of a pod: None"),
        ({"metadata": {"labels": ["a"]}}, "pod_overlay: labels: ['a'] is no mapping"),
        ({"metadata": {"labels": {"a": 1}}}, "pod_overlay: labels: a: 1 is no text"),
        ({"metadata": {"labels": {"axk8s/trial": "7"}}}, "pod_overlay: labels: axk8s/trial is ours"),
        ({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}, "app.kubernetes.io/managed-by is ours"),
    ],
    ids=str,
)
def test_what_is_no_part_of_a_pod_is_refused(found: object, says: str) -> None:
    assert says in refusal(found)


@pytest.mark.parametrize("found", ["overlay.yaml", ["a"], {"spec": None}])
def test_what_a_role_carries_must_be_one_too(found: Any) -> None:
    with pytest.raises(ComponentError, match=r"role 'main': metadata\['kubernetes'\] is no part of a pod"):
        job(app(role(metadata={"kubernetes": found})))
