"""Where an attempt on Volcano is, and how it ends: what its phases were seen to say, with the pods that they leave."""

from __future__ import annotations

import pytest

from axk8s.schedulers.kubernetes_job.facts import JobFacts, PodFacts
from axk8s.schedulers.kubernetes_job.view import Evidence, view
from axk8s.schedulers.volcano import phase
from axk8s.sweep.model import ExitFacts, Phase
from tests.schedulers.kubernetes_job.evidence import known, seen
from tests.schedulers.kubernetes_job.objects import EVICTED, FINAL, exited, running, waiting
from tests.schedulers.volcano.objects import pod_group, replica, scheduled, stuck, volcano

TWO = {"trainer": 2}
ROOM = phase.group(pod_group("Inqueue"))
NO_ROOM = phase.group(pod_group("Pending", stuck("queue resource quota insufficient")))
FULL = phase.group(pod_group("Inqueue", stuck()))


@pytest.mark.parametrize(
    ("evidence", "expected", "reason"),
    [
        (known(volcano()), Phase.QUEUED, "Volcano has not looked at it yet: without its controller, or a queue"),
        (known(volcano("Pending")), Phase.QUEUED, "waits in its queue"),
        (
            known(volcano("Pending"), workload=NO_ROOM),
            Phase.QUEUED,
            "waits in the queue training: NotEnoughResources: queue resource quota insufficient",
        ),
        (known(volcano("Pending"), workload=ROOM), Phase.PENDING, ""),
        (
            known(volcano("Pending"), workload=FULL),
            Phase.PENDING,
            "no room for all of its pods: NotEnoughResources: 2/2 tasks",
        ),
        (known(volcano("Pending"), replica(), workload=ROOM), Phase.PENDING, ""),
        (
            known(volcano("Pending"), workload=ROOM, words="exceeded quota: small"),
            Phase.QUEUED,
            "exceeded quota: small",
        ),
        (known(volcano("Running"), replica(waiting("ImagePullBackOff"))), Phase.PENDING, "ImagePullBackOff"),
        (known(volcano("Running"), replica(running())), Phase.RUNNING, ""),
        (known(volcano("Pending"), replica(running()), workload=NO_ROOM), Phase.RUNNING, ""),
        (known(volcano("Restarting"), replica(running(), deleting=30.0)), Phase.RUNNING, "is being ended"),
        (known(volcano("Restarting"), gone_pods=[replica(exited(1))]), Phase.PENDING, ""),
        (known(volcano("Completing"), replica(exited(0))), Phase.RUNNING, ""),
        (known(volcano("Terminating"), replica(exited(3))), Phase.RUNNING, ""),
        (known(volcano("Aborting"), replica(running(), deleting=30.0)), Phase.RUNNING, "is being ended"),
        (known(volcano("Aborted"), replica(running(), deleting=30.0)), Phase.RUNNING, "is being stopped"),
    ],
)
def test_it_goes_on(evidence: Evidence, expected: Phase, reason: str) -> None:
    found = seen(evidence)

    assert (found.phase, found.exit) == (expected, None)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("evidence", "end"),
    [
        (known(volcano("Completed"), replica(exited(0))), ExitFacts("exited", 0)),
        (
            known(volcano("Completed"), replica(exited(3)), settled=True),
            ExitFacts("exited", 3, "", "trainer-0", "node-1"),
        ),
        (
            known(volcano("Completed", roles=TWO, least=0), replica(exited(0)), replica(exited(3), index=1)),
            ExitFacts("exited", 3, "", "trainer-1", "node-1"),
        ),
        (
            known(volcano("Completed", roles=TWO), replica(exited(0)), replica(exited(3), index=1)),
            ExitFacts("exited", 3, "", "trainer-1", "node-1"),
        ),
        (
            known(volcano("Completed", roles=TWO, least=1), replica(exited(0)), replica(exited(3), index=1)),
            ExitFacts("exited", 0),
        ),
        (
            known(volcano("Completed", roles=TWO, least=1), replica(exited(3)), replica(exited(0), index=1)),
            ExitFacts("exited", 3, "", "trainer-0", "node-1"),
        ),
        (
            known(
                volcano("Terminated", roles=TWO),
                replica(exited(3)),
                gone_pods=[replica(exited(143), index=1, deleting=50.0)],
            ),
            ExitFacts("exited", 3, "", "trainer-0", "node-1"),
        ),
        (known(volcano("Failed"), replica(exited(3))), ExitFacts("exited", 3, "", "trainer-0", "node-1")),
        (
            known(volcano("Failed"), replica(exited(4), run=1), gone_pods=[replica(exited(3))]),
            ExitFacts("exited", 4, "", "trainer-0", "node-1"),
        ),
        (known(volcano("Aborted")), ExitFacts("cancelled", message="its Job was aborted from outside the sweep")),
        (known(volcano("Aborted"), cancelled=True), ExitFacts("cancelled")),
        (known(volcano("Terminated"), cancelled=True, settled=True), ExitFacts("cancelled")),
        (known(volcano("Running"), gone=True, cancelled=True), ExitFacts("cancelled")),
    ],
)
def test_it_ends_as_its_pods_say(evidence: Evidence, end: ExitFacts) -> None:
    assert seen(evidence).exit == end


@pytest.mark.parametrize(
    "evidence",
    [
        known(volcano("Terminated"), gone_pods=[replica(running(), EVICTED)], settled=True),
        known(volcano("Terminated"), gone_pods=[replica(exited(0), deleting=40.0)], settled=True),
        known(volcano("Terminated"), gone_pods=[replica(running())], settled=True),
        known(volcano("Terminated"), settled=True),
        known(volcano("Completed"), replica(exited(0), EVICTED), settled=True),
    ],
    ids=["evicted", "traps SIGTERM", "deleted", "nobody watched", "completed all the same"],
)
def test_a_replica_that_was_taken_away_is_a_disruption(evidence: Evidence) -> None:
    found = seen(evidence).exit

    assert found is not None
    assert found.cause == "terminated"


@pytest.mark.parametrize(
    "evidence",
    [
        known(volcano("Terminated")),
        known(volcano("Failed"), replica(running())),
        known(volcano("Completed")),
        known(volcano("Completed"), replica(exited(0), EVICTED)),
    ],
)
def test_no_end_is_guessed_before_the_pods_are_known(evidence: Evidence) -> None:
    assert view(evidence) is None


@pytest.mark.parametrize("name", ["Completed", "Failed"])
def test_an_end_without_any_pod_is_a_lost_result(name: str) -> None:
    found = seen(known(volcano(name), settled=True))

    assert found.phase is Phase.LOST


def test_final_values_come_with_it() -> None:
    found = seen(known(volcano("Completed"), replica(exited(0, report=FINAL))))

    assert found.report == FINAL
    assert found.ended_at is not None


def test_facts_are_the_replicas_of_all_roles_in_their_order() -> None:
    facts = JobFacts.read(volcano("Running", roles={"trainer": 2, "reader": 1}, running=2))

    assert facts.replicas == (("trainer", 0), ("trainer", 1), ("reader", 0))
    assert (facts.phase, facts.ended, facts.active, facts.shrinks) == ("Running", False, 2, False)


def test_a_pod_is_of_its_volcano_job_and_has_its_replicas_number() -> None:
    facts = PodFacts.read(replica(running(), index=2, role="reader", run=1))

    assert (facts.replica, facts.restart) == (("reader", 2), 1)


@pytest.mark.parametrize(
    ("found", "words", "admitted"),
    [
        (pod_group(""), "waits in the queue training", False),
        (pod_group("Pending"), "waits in the queue training", False),
        (pod_group("Pending", stuck("full")), "waits in the queue training: NotEnoughResources: full", False),
        (pod_group("Inqueue", stuck("full")), "no room for all of its pods: NotEnoughResources: full", True),
        (pod_group("Inqueue", stuck(), scheduled()), "", True),
        (
            pod_group("Inqueue", stuck("again", since=12), scheduled()),
            "no room for all of its pods: NotEnoughResources: again",
            True,
        ),
        (pod_group("Running", scheduled()), "", True),
        (
            pod_group("Unknown", stuck("one is gone")),
            "no room for all of its pods: NotEnoughResources: one is gone",
            True,
        ),
        (pod_group("Completed"), "", True),
    ],
)
def test_a_pod_group_says_why_its_job_waits(found: dict[str, object], words: str, admitted: bool) -> None:
    facts = phase.group(found)

    assert facts is not None
    assert (facts.words, facts.admitted, facts.owner, facts.queue) == (words, admitted, "volcano-1", "training")


def test_a_pod_group_of_something_else_is_none_of_ours() -> None:
    found = pod_group("Pending")
    del found["metadata"]["ownerReferences"]

    assert phase.group(found) is None
