"""Several replicas of one role: how they find the first one, and what becomes of them when one is gone."""

from __future__ import annotations

from typing import Any

import pytest
import torchx
from torchx.components.dist import ddp

from axk8s.kube.client import Object
from tests.schedulers.kubernetes_job.apps import IMAGE, app, container, job, pod

LEAST = "kueue.x-k8s.io/job-min-parallelism"
SHRINKS = "kueue.x-k8s.io/job-completions-equal-parallelism"


def rank0_host(made: Object) -> str:
    return next(str(one["value"]) for one in container(made)["env"] if one["name"] == "TORCHX_RANK0_HOST")


def rules(**fields: Any) -> list[str]:
    """What follows from a disruption; an exit code fails a Job that may have no failure."""
    spec = job(app(**fields))["spec"]
    assert spec["backoffLimit"] == 0
    return [rule["action"] for rule in spec["podFailurePolicy"]["rules"]]


def test_the_first_replica_has_the_name_that_its_own_pod_knows_itself_by() -> None:
    made = job(app(num_replicas=2), namespace="team", service="tune-0a1b2c")

    assert rank0_host(made) == "tune-0a1b2c-t3-a0-0.tune-0a1b2c.team.svc.cluster.local"
    assert pod(made)["subdomain"] == "tune-0a1b2c"


def test_a_cluster_may_have_another_domain() -> None:
    made = job(app(num_replicas=2), namespace="team", cluster_domain="k8s.example.com")

    assert rank0_host(made) == "tune-0a1b2c-t3-a0-0.tune-0a1b2c-t3-a0.team.svc.k8s.example.com"


def test_where_the_namespace_is_not_known_the_name_is_as_much_as_is_known() -> None:
    assert rank0_host(job(app(num_replicas=2), service="s")) == "tune-0a1b2c-t3-a0-0.s"


def test_one_replica_is_its_own_first_one() -> None:
    made = job(app(), namespace="team")

    assert rank0_host(made) == "localhost"
    assert "subdomain" not in pod(made)


@pytest.mark.parametrize("least", [None, 4, 5])
def test_replicas_that_need_each_other_end_together(least: int | None) -> None:
    assert rules(num_replicas=4, min_replicas=least) == ["FailJob"]


@pytest.mark.parametrize("least", [0, 1, 3])
def test_an_elastic_role_goes_on_until_the_one_that_is_gone_has_a_successor(least: int) -> None:
    assert rules(num_replicas=4, min_replicas=least) == ["Ignore"]


@pytest.mark.parametrize("least", [2, 4])
def test_no_rule_matches_the_exit_code_of_a_pod_that_a_suspension_ends(least: int) -> None:
    found = job(app(num_replicas=4, min_replicas=least))["spec"]["podFailurePolicy"]["rules"]

    assert not any("onExitCodes" in rule for rule in found)


@pytest.mark.parametrize(("least", "said"), [(0, "1"), (1, "1"), (3, "3")])
def test_kueue_may_begin_an_elastic_role_with_fewer(least: int, said: str) -> None:
    made = job(app(num_replicas=4, min_replicas=least), queue="team-queue", annotations={"mine": "1"})

    assert made["metadata"]["annotations"] == {"mine": "1", LEAST: said, SHRINKS: "true"}
    assert LEAST not in made["spec"]["template"]["metadata"]["annotations"]


def test_without_a_queue_nobody_begins_it_with_fewer() -> None:
    assert LEAST not in job(app(num_replicas=4, min_replicas=1))["metadata"]["annotations"]


@pytest.mark.parametrize("fields", [{"num_replicas": 4}, {"num_replicas": 1, "min_replicas": 1}], ids=str)
def test_kueue_begins_all_replicas_of_other_roles_or_none(fields: dict[str, Any]) -> None:
    assert LEAST not in job(app(**fields), queue="team-queue")["metadata"]["annotations"]


def test_torchx_own_image_gives_way_to_one_that_somebody_chose() -> None:
    default = ddp(script="train.py", j="2x1")
    chosen = ddp(script="train.py", j="2x1", image=IMAGE)

    assert default.roles[0].image == torchx.IMAGE
    assert container(job(default, image="mine:1"))["image"] == "mine:1"
    assert container(job(default))["image"] == torchx.IMAGE
    assert container(job(chosen, image="mine:1"))["image"] == IMAGE
