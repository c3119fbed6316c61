"""What cannot be one Job is refused; labels, names and retries are such that a cluster takes them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from torchx.specs import AppDef, RetryPolicy

from axk8s.errors import ComponentError
from axk8s.schedulers.kubernetes_job import job as manifests
from tests.schedulers.kubernetes_job.apps import app, container, job, pod, role

DISRUPTED = [{"type": "DisruptionTarget"}]


def refusal(made: AppDef, **cfg: Any) -> str:
    with pytest.raises(ComponentError) as caught:
        job(made, **cfg)
    return str(caught.value)


def test_more_than_one_role_is_refused_with_a_way_out() -> None:
    said = refusal(app(role(name="a"), role(name="b")))

    assert "tune has 2 roles, and a Job has one" in said
    assert "one of several becomes a JobSet" in said
    assert "tune has 0 roles" in refusal(AppDef("tune", roles=[]))


@pytest.mark.parametrize("replicas", [0, -1])
def test_a_role_without_replicas_is_refused(replicas: int) -> None:
    assert f"role 'main' has {replicas} replicas" in refusal(app(num_replicas=replicas))


@pytest.mark.parametrize("policy", [RetryPolicy.APPLICATION, SimpleNamespace(value="HOT_SPARE"), "ROLE"], ids=str)
def test_several_replicas_cannot_begin_anew_together(policy: Any) -> None:
    said = refusal(app(num_replicas=2, max_retries=1, retry_policy=policy))

    assert "cannot begin anew as a whole" in said
    assert "use max_retries=0, and let the sweep retry, or RetryPolicy.REPLICA" in said


@pytest.mark.parametrize(("replicas", "longest"), [(1, 51), (10, 51), (11, 50), (101, 49)])
def test_a_name_that_leaves_no_room_for_the_pods_is_refused(replicas: int, longest: int) -> None:
    made = job(app(num_replicas=replicas), name="a" * longest)
    # The pods' names: an index, and six characters that the Job controller adds.
    assert len(f"{made['metadata']['name']}-{replicas - 1}-abcde") <= 63

    assert "is too long for a Job" in refusal(app(num_replicas=replicas), name="a" * (longest + 1))


def test_one_pod_that_is_disrupted_is_replaced_within_the_attempt() -> None:
    spec = job(app())["spec"]

    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 1, 1)
    assert spec["backoffLimit"] == 0
    assert spec["podFailurePolicy"] == {"rules": [{"action": "Ignore", "onPodConditions": DISRUPTED}]}


@pytest.mark.parametrize("policy", [RetryPolicy.APPLICATION, RetryPolicy.REPLICA])
def test_one_pod_begins_anew_as_often_as_the_role_says_whatever_the_policy(policy: RetryPolicy) -> None:
    assert job(app(max_retries=3, retry_policy=policy))["spec"]["backoffLimit"] == 3


def test_several_replicas_end_together() -> None:
    spec = job(app(num_replicas=4))["spec"]

    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (4, 4, 0)
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["FailJob"]


def test_a_replica_may_begin_anew_by_itself() -> None:
    spec = job(app(num_replicas=2, max_retries=3, retry_policy=RetryPolicy.REPLICA))["spec"]

    assert (spec["backoffLimitPerIndex"], spec["maxFailedIndexes"]) == (3, 0)
    assert "backoffLimit" not in spec
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore"]


def test_what_the_app_says_of_itself_is_a_label_where_it_can_be_and_an_annotation_otherwise() -> None:
    metadata = {
        "axk8s/trial": "3",
        "example.com/long": "x" * 64,
        "words": "with spaces",
        "not a key": "x",
        "a/b/c": "x",
        f"{'p' * 254}/a": "x",
        "empty": "",
    }
    made = job(app(metadata=metadata), annotations={"example.com/mine": "1"})

    assert made["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "axk8s", "axk8s/trial": "3", "empty": ""}
    kept = {"example.com/long": "x" * 64, "words": "with spaces", "example.com/mine": "1"}
    assert made["metadata"]["annotations"] == kept
    template = made["spec"]["template"]["metadata"]
    assert template["labels"] == {**made["metadata"]["labels"], "axk8s/role": "main"}
    assert kept.items() <= template["annotations"].items()


def test_a_role_that_cannot_be_a_label_has_none() -> None:
    made = job(app(name="a role"))

    assert "axk8s/role" not in made["spec"]["template"]["metadata"]["labels"]


def test_the_options_labels_are_on_job_and_pods() -> None:
    made = job(app(metadata={"team": "none"}), labels={"team": "vision"})

    assert made["metadata"]["labels"]["team"] == made["spec"]["template"]["metadata"]["labels"]["team"] == "vision"


def test_a_queue_has_the_priority_and_the_first_word() -> None:
    made = job(app(), queue="q", priority_class="p")

    assert made["spec"]["suspend"] is True
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "q"
    assert made["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "p"
    assert "kueue.x-k8s.io/queue-name" not in made["spec"]["template"]["metadata"]["labels"]
    assert "priorityClassName" not in pod(made)


def test_without_a_queue_the_pods_have_the_priority_and_begin_at_once() -> None:
    made = job(app(), priority_class="p")

    assert pod(made)["priorityClassName"] == "p"
    assert "suspend" not in made["spec"]


def test_a_namespace_is_in_the_manifest_where_it_is_known() -> None:
    assert job(app(), namespace="team")["metadata"]["namespace"] == "team"
    assert "namespace" not in job(app())["metadata"]


def test_the_overlay_has_the_last_word() -> None:
    changes = {
        "subdomain": "other",
        "containers": [{"name": "main", "env": [{"name": "HOME", "value": "/changed"}]}],
    }
    made = job(app(num_replicas=2), restricted=True, changes=changes)

    assert pod(made)["subdomain"] == "other"
    assert {"name": "HOME", "value": "/changed"} in container(made)["env"]


def test_a_service_finds_pods_before_they_are_ready() -> None:
    made = manifests.service("s", "team", labels={"a": "b"}, selector={"c": "d"})

    assert made["metadata"] == {"name": "s", "namespace": "team", "labels": {"a": "b"}}
    assert made["spec"] == {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"c": "d"}}
