"""Where an attempt of several roles is, and how it ends: what JobSet was seen to say, with the pods that it leaves."""

from __future__ import annotations

import pytest

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job.view import Evidence, view
from axk8s.sweep.model import ExitFacts, Phase
from tests.schedulers.kubernetes_job.evidence import known, seen
from tests.schedulers.kubernetes_job.objects import (
    ALL_DONE,
    EVICTED,
    FINAL,
    NO_MORE_RESTARTS,
    ONE_FAILED,
    STEPS,
    condition,
    exited,
    jobset,
    of_role,
    pod,
    running,
    waiting,
)

RESTARTING = condition("RestartingJobSet", "DefaultFailurePolicy", "restarting jobset without failure policy rules")


def trainer(state: Object | None = None, *conditions: Object, restart: int = 0, **more: object) -> Object:
    return of_role(pod(state, *conditions, run=restart, **more), "trainer", restart=restart)  # type: ignore[arg-type]


def reader(state: Object | None = None, *conditions: Object, restart: int = 0, **more: object) -> Object:
    return of_role(pod(state, *conditions, run=restart, **more), "reader", restart=restart)  # type: ignore[arg-type]


def both(state: Object) -> list[Object]:
    return [trainer(state), trainer(state, index=1), reader(state)]


@pytest.mark.parametrize(
    ("evidence", "phase", "reason"),
    [
        (known(jobset()), Phase.PENDING, ""),
        (known(jobset(suspend=True)), Phase.QUEUED, "suspended: it waits in a queue"),
        (known(jobset(), trainer(waiting("ContainerCreating"))), Phase.PENDING, ""),
        (known(jobset(), *both(running())), Phase.RUNNING, ""),
        (known(jobset(), trainer(running()), reader(waiting("ImagePullBackOff"))), Phase.RUNNING, ""),
        (known(jobset(RESTARTING, restarts=1), *both(exited(1))), Phase.RUNNING, ""),
        (known(jobset(), reader(exited(0)), trainer(running())), Phase.RUNNING, ""),
        (
            known(jobset(), trainer(running()), words="exceeded quota: small"),
            Phase.RUNNING,
            "exceeded quota: small",
        ),
        (known(jobset(), trainer(), words="exceeded quota: small"), Phase.PENDING, "exceeded quota: small"),
    ],
)
def test_it_goes_on(evidence: Evidence, phase: Phase, reason: str) -> None:
    found = seen(evidence)

    assert (found.phase, found.reason, found.exit) == (phase, reason, None)


def test_the_first_replica_of_the_first_role_speaks_for_all() -> None:
    ends = [trainer(exited(0, report=FINAL)), trainer(exited(0, report="axk8s: {}"), index=1)]
    other = reader(exited(0, report='axk8s: {"loss": 99}'))
    found = seen(known(jobset(ALL_DONE), other, *ends))

    assert (found.phase, found.exit, found.report) == (Phase.ENDED, ExitFacts("exited", 0), FINAL)


def test_a_success_whose_first_pod_is_gone_is_lost_only_when_nothing_more_can_come() -> None:
    ended = jobset(ALL_DONE)

    assert view(known(ended, reader(exited(0)))) is None
    found = seen(known(ended, reader(exited(0)), settled=True))
    assert found.exit == ExitFacts(
        "lost", message="the JobSet completed, and its pod was gone before its result was read"
    )


def test_the_role_that_failed_is_named_not_those_that_were_ended_for_it() -> None:
    stopped = [trainer(exited(143, ended=40), index=index, deleting=20) for index in (0, 1)]
    found = seen(known(jobset(ONE_FAILED), reader(exited(3, ended=18)), gone_pods=stopped))

    assert found.exit == ExitFacts("exited", 3, replica="reader-0", node="node-1")


def test_a_disruption_of_one_role_ends_the_attempt_as_a_disruption() -> None:
    evicted = reader(exited(143, ended=25), EVICTED, deleting=20)
    stopped = [trainer(exited(0, report=STEPS, ended=22), index=index, deleting=20) for index in (0, 1)]
    found = seen(known(jobset(ONE_FAILED), gone_pods=[evicted, *stopped], settled=True))

    words = "EvictionByEvictionAPI: Eviction API: evicting"
    assert found.exit == ExitFacts("terminated", 143, words, "reader-0", "node-1")


def test_what_was_thrown_away_to_begin_anew_decides_nothing() -> None:
    before = [trainer(exited(1, report=STEPS)), reader(exited(143), deleting=20)]
    again = [trainer(exited(0, report=FINAL), restart=1), trainer(exited(0), restart=1, index=1)]
    found = seen(known(jobset(ALL_DONE, restarts=1), *again, reader(exited(0), restart=1), gone_pods=before))
    assert (found.exit, found.report, found.restarts) == (ExitFacts("exited", 0), FINAL, 0)

    failed = known(jobset(NO_MORE_RESTARTS, restarts=1), trainer(exited(7, ended=90), restart=1), gone_pods=before)
    assert seen(failed).exit == ExitFacts("exited", 7, replica="trainer-0", node="node-1")


def test_a_disruption_that_let_it_begin_anew_is_counted() -> None:
    before = [trainer(exited(143), EVICTED, deleting=20)]
    found = seen(known(jobset(restarts=1), trainer(running(), restart=1), gone_pods=before))

    assert (found.phase, found.restarts) == (Phase.RUNNING, 1)


def test_deleted_by_somebody_it_is_lost_unless_all_had_succeeded() -> None:
    some = known(jobset(), gone=True, gone_pods=[trainer(exited(0)), reader(exited(0))], settled=True)
    assert seen(some).exit == ExitFacts("lost", message="the JobSet was deleted from outside the sweep")

    every = known(jobset(), gone=True, gone_pods=both(exited(0, report=FINAL)), settled=True)
    assert seen(every).exit == ExitFacts("exited", 0)


def test_cancelled_it_ends_when_its_pods_have() -> None:
    stopping = known(jobset(), trainer(running(), deleting=20), gone=True, cancelled=True)
    assert (seen(stopping).phase, seen(stopping).reason) == (Phase.RUNNING, "is being stopped")

    stopped = known(jobset(), gone=True, gone_pods=both(exited(143)), cancelled=True)
    assert seen(stopped).exit == ExitFacts("cancelled")
