"""Of several replicas one begins the end, and the others fail for want of it: which one it was."""

from __future__ import annotations

import pytest

from axk8s.kube.client import Object
from axk8s.sweep.model import Phase
from tests.schedulers.kubernetes_job.evidence import known, seen
from tests.schedulers.kubernetes_job.objects import (
    EVICTED,
    NAME,
    POLICY,
    condition,
    exited,
    job,
    pod,
    running,
)


def left_alone(index: int, ended: float) -> Object:
    """A replica that lost a peer before the Job controller had ended it."""
    return pod(exited(1, ended=ended), index=index)


def end(*pods: Object, failed: Object = POLICY) -> tuple[str, str, int | None]:
    """Cause, replica and exit code of the end."""
    facts = seen(known(job(failed, replicas=len(pods)), *pods, settled=True)).exit
    assert facts is not None
    return facts.cause, facts.replica, facts.code


@pytest.mark.parametrize("later", [0, 1, 30])
def test_one_was_disrupted_and_its_peers_failed_in_the_same_second_or_later(later: int) -> None:
    taken = pod(exited(143, ended=50), EVICTED, index=2, deleting=49)

    assert end(left_alone(0, 50 + later), left_alone(1, 51 + later), taken) == ("terminated", "main-2", 143)


def test_one_was_disrupted_with_its_node_which_tells_nothing_of_its_end() -> None:
    taken = pod(running(), EVICTED, index=1, deleting=20)

    assert end(left_alone(0, 50), taken) == ("terminated", "main-1", None)


def test_one_was_deleted_by_hand_and_its_peers_failed_after_it() -> None:
    taken = pod(exited(143, ended=49), index=1, deleting=48)

    assert end(left_alone(0, 50), taken) == ("terminated", "main-1", 143)


@pytest.mark.parametrize("later", [0, 2])
def test_one_failed_and_the_job_controller_deleted_its_peers(later: int) -> None:
    ended = pod(exited(143, ended=50 + later), index=0, deleting=50)

    assert end(ended, pod(exited(3, ended=50), index=1)) == ("exited", "main-1", 3)


def test_one_that_was_disrupted_and_replaced_is_not_to_blame() -> None:
    before = pod(exited(143, ended=20), EVICTED, index=1, deleting=19)
    now = pod(exited(143, ended=51), index=1, run=1, deleting=50)
    evidence = known(job(POLICY, replicas=2), pod(exited(3, ended=50)), now, gone_pods=[before], settled=True)

    facts = seen(evidence).exit
    assert facts is not None
    assert (facts.cause, facts.replica, facts.code) == ("exited", "main-0", 3)


def test_of_those_that_failed_in_one_second_the_job_controller_names_one() -> None:
    named = pod(exited(3), index=1)
    words = f"Container main for pod team/{named['metadata']['name']} failed with exit code 3 matching FailJob rule"

    assert end(left_alone(0, 50), named, failed=condition("Failed", "PodFailurePolicy", words)) == (
        "exited",
        "main-1",
        3,
    )


def test_replicas_that_wait_for_one_without_a_node_say_so() -> None:
    unbound = condition("PodScheduled", "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu.", status="False")
    view = seen(known(job(replicas=2), pod(running()), pod(None, unbound, index=1, name=f"{NAME}-1-eeeee")))

    assert view.phase is Phase.RUNNING
    assert view.reason == "no node takes main-1: 0/3 nodes are available: 3 Insufficient cpu."
