"""What an AppDef becomes on Volcano, one field after the other, and what is refused."""

from __future__ import annotations

import pytest
from torchx.specs import AppDef, RetryPolicy, Role

from axk8s.errors import ComponentError, SchedulerConfigError
from axk8s.kube.client import Object
from tests.schedulers.kubernetes_job.apps import app, resource, role
from tests.schedulers.volcano.apps import NAME, volcano
from tests.schedulers.volcano.documents import RETRIED, gang, roles, single


def policies(made: Object, task: int = 0) -> dict[str, str]:
    return {one["event"]: one["action"] for one in made["spec"]["tasks"][task]["policies"]}


def variables(made: Object, task: int) -> dict[str, str]:
    (container,) = made["spec"]["tasks"][task]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


@pytest.mark.parametrize(
    ("retries", "runs", "action"), [(0, 1, "TerminateJob"), (1, 2, "RestartJob"), (3, 4, "RestartJob")]
)
def test_volcano_counts_runs_where_torchx_counts_retries(retries: int, runs: int, action: str) -> None:
    made = volcano(app(max_retries=retries))

    assert made["spec"]["maxRetry"] == runs
    assert policies(made) == {"PodFailed": action, "PodEvicted": action}


def test_after_the_failure_of_a_role_without_retries_all_ends() -> None:
    made = volcano(app(role(name="trainer", **RETRIED), role(name="judge")))

    assert made["spec"]["maxRetry"] == 3
    assert [policies(made, task)["PodFailed"] for task in (0, 1)] == ["RestartJob", "TerminateJob"]


def test_retries_are_the_fewest_of_those_that_have_any() -> None:
    made = volcano(app(role(name="a", max_retries=5), role(name="b", max_retries=2)))

    assert made["spec"]["maxRetry"] == 3


@pytest.mark.parametrize("policy", [one for one in RetryPolicy if one is not RetryPolicy.APPLICATION])
def test_single_replicas_of_several_cannot_begin_anew(policy: RetryPolicy) -> None:
    with pytest.raises(ComponentError, match="Volcano cannot begin single replicas anew"):
        volcano(app(num_replicas=2, max_retries=1, retry_policy=policy))


def test_the_only_replica_is_the_whole_job() -> None:
    assert policies(volcano(app(max_retries=1, retry_policy=RetryPolicy.REPLICA)))["PodFailed"] == "RestartJob"


def test_an_elastic_gang_begins_with_its_least_and_replaces_what_is_lost() -> None:
    made = volcano(app(num_replicas=4, min_replicas=2))

    assert made["spec"]["minAvailable"] == 2
    assert [task["minAvailable"] for task in made["spec"]["tasks"]] == [1, 1, 0, 0]
    assert policies(made) == {"PodFailed": "TerminateJob"}


def test_a_single_pod_needs_no_service_of_its_own() -> None:
    assert volcano(single())["spec"]["plugins"] == {"env": []}
    assert volcano(gang())["spec"]["plugins"]["svc"] == ["--publish-not-ready-addresses"]


def test_each_replica_knows_its_number_over_all_roles_and_in_its_role() -> None:
    made = volcano(roles())

    assert [variables(made, task)["AXK8S_REPLICA"] for task in range(3)] == ["0", "1", "2"]
    assert variables(made, 1)["WHO"] == f"$(AXK8S_REPLICA) of {NAME}"
    assert variables(made, 2)["JOB_COMPLETION_INDEX"] == "0"


def test_all_replicas_find_the_first_one_by_its_full_name() -> None:
    made = volcano(roles(), namespace="team")

    host = f"{NAME}-trainer-0-0.{NAME}.team.svc.cluster.local"
    assert [variables(made, task)["TORCHX_RANK0_HOST"] for task in range(3)] == [host] * 3
    assert variables(volcano(single()), 0)["TORCHX_RANK0_HOST"] == "localhost"


def test_the_queue_and_the_priority_are_the_jobs() -> None:
    made = volcano(single(), queue="training", priority_class="low")

    assert made["spec"]["queue"] == "training"
    assert made["spec"]["priorityClassName"] == "low"
    assert "priorityClassName" not in made["spec"]["tasks"][0]["template"]["spec"]
    assert not any("kueue" in str(part) for part in (made["metadata"], made["spec"]["tasks"][0]["template"]))


def test_labels_that_cannot_be_labels_are_left_out() -> None:
    made = volcano(AppDef("tune: the first", [role()]))

    labels = made["spec"]["tasks"][0]["template"]["metadata"]["labels"]
    assert "app.kubernetes.io/name" not in labels
    assert labels["torchx.pytorch.org/role-name"] == "main"
    assert labels["app.kubernetes.io/managed-by"] == "axk8s"


def test_changes_are_for_all_pods_or_for_those_of_one_role() -> None:
    changes = {"priorityClassName": "high", "roles": {"reader": {"nodeSelector": {"pool": "cpu"}}}}
    made = volcano(roles(), changes=changes)

    specs = [task["template"]["spec"] for task in made["spec"]["tasks"]]
    assert [spec.get("nodeSelector") for spec in specs] == [None, None, {"pool": "cpu"}]
    assert {spec["priorityClassName"] for spec in specs} == {"high"}
    with pytest.raises(SchedulerConfigError, match="the job has no role 'nobody'"):
        volcano(single(), changes={"roles": {"nobody": {}}})


@pytest.mark.parametrize(
    ("made", "name", "says"),
    [
        ([], NAME, "has no roles"),
        ([role(num_replicas=0)], NAME, "has 0 replicas"),
        ([role()], "1-begins-with-a-digit", "cannot be the name of a Volcano Job"),
        ([role(name="Data_")], NAME, None),
        ([role(name="r" * 60)], NAME, "has too long a name"),
        ([role(name="a b"), role(name="ab")], NAME, "two replicas would both be 'ab-0'"),
        ([role(name="ü")], NAME, "cannot be the name of a replica's task"),
        ([role(image="")], NAME, "names no image"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(made: list[Role], name: str, says: str | None) -> None:
    wanted = AppDef("tune", made)
    if says is None:
        assert volcano(wanted, name=name)["spec"]["tasks"][0]["name"] == "data-0"
        return
    with pytest.raises(ComponentError, match=says):
        volcano(wanted, name=name)


def test_the_memory_that_is_asked_for_is_all_of_it() -> None:
    (container,) = volcano(app(resource=resource(cpu=0.05, memory=512)))["spec"]["tasks"][0]["template"]["spec"][
        "containers"
    ]

    assert container["resources"]["requests"] == {"cpu": "50m", "memory": "512Mi"}
