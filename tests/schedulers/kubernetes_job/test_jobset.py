"""What several roles become, what cannot be one JobSet, and how they begin anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from torchx.specs import AppDef, RetryPolicy, macros

from axk8s.errors import ComponentError
from axk8s.kube.client import Object
from tests.schedulers.kubernetes_job.apps import app, jobset, role

DISRUPTED = [{"type": "DisruptionTarget"}]


def two(first: dict[str, Any] | None = None, second: dict[str, Any] | None = None) -> AppDef:
    return app(role(name="trainer", **{"num_replicas": 2, **(first or {})}), role(name="reader", **(second or {})))


def specs(made: Object) -> list[Object]:
    """Of each role's Job."""
    return [one["template"]["spec"] for one in made["spec"]["replicatedJobs"]]


def variables(spec: Object) -> dict[str, Any]:
    found = spec["template"]["spec"]["containers"][0]["env"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in found}


def refusal(made: AppDef, **cfg: Any) -> str:
    with pytest.raises(ComponentError) as caught:
        jobset(made, **cfg)
    return str(caught.value)


def test_each_role_is_a_job_and_all_end_together() -> None:
    made = jobset(two(), name="tune", namespace="team")

    assert [one["name"] for one in made["spec"]["replicatedJobs"]] == ["trainer", "reader"]
    assert [(one["completions"], one["parallelism"]) for one in specs(made)] == [(2, 2), (1, 1)]
    for spec in specs(made):
        # One replica alone in its role is not replaced: the others would wait for it.
        assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["FailJob"]
        assert spec["backoffLimit"] == 0
    assert "failurePolicy" not in made["spec"]


def test_all_find_the_first_replica_by_its_full_name() -> None:
    made = jobset(two(), name="tune", namespace="team")

    hosts = {variables(spec)["TORCHX_RANK0_HOST"] for spec in specs(made)}
    assert hosts == {"tune-trainer-0-0.tune.team.svc.cluster.local"}
    assert made["spec"]["network"]["subdomain"] == "tune"


def test_only_the_first_replica_of_the_first_role_has_the_number_0() -> None:
    made = two(second={"args": [macros.replica_id], "env": {"WHO": macros.replica_id}, "num_replicas": 3})
    first, second = map(variables, specs(jobset(made)))

    assert "fieldRef" in first["AXK8S_REPLICA"]
    assert second["AXK8S_REPLICA"] == "2"
    assert "fieldRef" in second["JOB_COMPLETION_INDEX"]
    assert second["WHO"] == "$(JOB_COMPLETION_INDEX)"
    assert specs(jobset(made))[1]["template"]["spec"]["containers"][0]["args"] == ["$(JOB_COMPLETION_INDEX)"]


@pytest.mark.parametrize(
    ("roles", "parts"),
    [
        (["Trainer_1", "data.reader"], ["trainer-1", "data-reader"]),
        (["parameter-server-of-all", "parameter-server-of-some"], ["parameter-se", "parameter-s2"]),
        (["a", "A", "a_A"], ["a", "a2", "a-a"]),
    ],
)
def test_jobs_have_names_that_fit_and_differ_and_pods_the_roles_own(roles: list[str], parts: list[str]) -> None:
    name = "s" * 40
    made = jobset(app(*(role(name=one) for one in roles)), name=name)

    assert [one["name"] for one in made["spec"]["replicatedJobs"]] == parts
    assert [spec["template"]["metadata"]["labels"]["axk8s/role"] for spec in specs(made)] == roles
    assert all(len(f"{name}-{part}-0-0-abcde") <= 63 for part in parts)


def test_a_name_that_leaves_no_room_for_the_pods_is_refused() -> None:
    assert len("a" * 50 + "-tr-0-1-abcde") == 63
    jobset(two(), name="a" * 50)

    assert "is too long for a JobSet: at most 50 characters" in refusal(two(), name="a" * 51)


@pytest.mark.parametrize("name", ["", "a role", "-a", "x" * 64])
def test_a_role_needs_a_name_that_can_be_a_label(name: str) -> None:
    assert "needs a name by which its pods are found" in refusal(app(role(name="trainer"), role(name=name)))


def test_roles_of_one_name_and_roles_without_replicas_are_refused() -> None:
    assert "two roles are called 'a'" in refusal(app(role(name="a"), role(name="a")))
    assert "role 'reader' has 0 replicas" in refusal(two(second={"num_replicas": 0}))


def restarted(made: AppDef) -> Any:
    return jobset(made)["spec"].get("failurePolicy")


def test_an_application_that_is_retried_begins_anew_as_a_whole_and_disruptions_do_not_count() -> None:
    retried = {"max_retries": 3, "retry_policy": RetryPolicy.APPLICATION}
    made = two(retried, retried)

    rule = {
        "name": "disrupted",
        "action": "RestartJobSetAndIgnoreMaxRestarts",
        "onJobFailureReasons": ["PodFailurePolicy"],
    }
    assert restarted(made) == {"maxRestarts": 3, "restartStrategy": "BlockingRecreate", "rules": [rule]}
    for spec in specs(jobset(made)):
        # Any other failure has another reason, and counts.
        assert spec["podFailurePolicy"] == {"rules": [{"action": "FailJob", "onPodConditions": DISRUPTED}]}
        assert spec["backoffLimit"] == 0


def test_after_the_failure_of_a_role_without_retries_nothing_begins_anew() -> None:
    made = two({"max_retries": 3, "retry_policy": RetryPolicy.APPLICATION})

    found = restarted(made)
    assert found["rules"][0] == {"name": "final", "action": "FailJobSet", "targetReplicatedJobs": ["reader"]}
    assert len(found["rules"]) == 2


def test_a_replica_may_begin_anew_by_itself() -> None:
    made = two({"max_retries": 2, "retry_policy": RetryPolicy.REPLICA})

    trainer, reader = specs(jobset(made))
    assert (trainer["backoffLimitPerIndex"], trainer["maxFailedIndexes"]) == (2, 0)
    assert reader["backoffLimit"] == 0
    assert restarted(made) is None


def test_retries_that_differ_are_refused_and_so_are_policies_that_jobset_does_not_have() -> None:
    several = {"max_retries": 1}, {"max_retries": 2}
    assert "their max_retries differ: trainer: 1, reader: 2" in refusal(two(*several))
    strange: list[Any] = ["ROLE", SimpleNamespace(value="HOT_SPARE")]
    for policy in strange:
        said = refusal(two({"max_retries": 1, "retry_policy": policy}))
        assert "role 'trainer': JobSet does not have the retry policy" in said
        assert "use RetryPolicy.APPLICATION" in said


def test_a_queue_suspends_the_whole_and_stands_on_the_jobset_alone() -> None:
    made = jobset(two(), queue="q", priority_class="p")

    assert made["spec"]["suspend"] is True
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "q"
    for one in made["spec"]["replicatedJobs"]:
        assert "kueue.x-k8s.io/queue-name" not in one["template"]["metadata"]["labels"]
        assert "suspend" not in one["template"]["spec"]
    assert "suspend" not in jobset(two())["spec"]


def test_what_the_app_says_of_itself_is_on_jobset_jobs_and_pods() -> None:
    made = jobset(app(role(name="a"), role(name="b"), metadata={"axk8s/trial": "3", "words": "with spaces"}))

    child = made["spec"]["replicatedJobs"][1]["template"]
    for metadata in (made["metadata"], child["metadata"], child["spec"]["template"]["metadata"]):
        assert metadata["labels"]["axk8s/trial"] == "3"
        assert metadata["annotations"]["words"] == "with spaces"
