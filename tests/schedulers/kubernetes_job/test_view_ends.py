"""How an attempt ended, for everything that a cluster was seen to do."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from axk8s.schedulers.kubernetes_job.view import Evidence
from axk8s.sweep.model import ExitFacts, Phase
from tests.schedulers.kubernetes_job.evidence import known, seen
from tests.schedulers.kubernetes_job.objects import (
    COMPLETE,
    EVICTED,
    FAILED,
    FINAL,
    LATE,
    NAME,
    POLICY,
    PREEMPTED,
    SHUTDOWN,
    STEPS,
    TAINTED,
    exited,
    job,
    pod,
    running,
)

LOST = "the Job was deleted from outside the sweep"


def by_itself(code: int | None, message: str = "", replica: str = "main-0") -> ExitFacts:
    return ExitFacts("exited", code, message, replica)


def disrupted(code: int | None, message: str, replica: str = "main-0") -> ExitFacts:
    return ExitFacts("terminated", code, message, replica)


SUCCESS = ExitFacts("exited", 0)
BY_HAND = f"the pod {NAME}-0-eeeee was deleted while it ran"
FULL = "Usage of EmptyDir volume shm exceeds the limit 64Mi."
EVICTION = "EvictionByEvictionAPI: Eviction API: evicting"


@pytest.mark.parametrize(
    ("evidence", "facts"),
    [
        pytest.param(known(job(COMPLETE), pod(exited(0, report=FINAL))), SUCCESS, id="success with a report"),
        pytest.param(known(job(COMPLETE), pod(exited(0))), SUCCESS, id="success without one"),
        pytest.param(
            known(job(FAILED), pod(exited(137, "OOMKilled"))),
            by_itself(-signal.SIGKILL, "out of memory: over the container's limit (OOMKilled)"),
            id="out of memory",
        ),
        pytest.param(known(job(FAILED), pod(exited(3))), by_itself(3), id="an exit code of its own"),
        pytest.param(known(job(FAILED), pod(exited(64))), by_itself(64), id="parameters that cannot be"),
        pytest.param(known(job(FAILED), pod(exited(137))), by_itself(-9), id="137 is SIGKILL"),
        pytest.param(known(job(FAILED), pod(exited(143))), by_itself(-15), id="143 is SIGTERM"),
        pytest.param(known(job(FAILED), pod(exited(139))), by_itself(-11), id="139 is SIGSEGV"),
        pytest.param(known(job(FAILED), pod(exited(255))), by_itself(255), id="255 is no signal"),
        pytest.param(
            known(job(FAILED), pod(exited(128, "StartError", report="exec: no such file"))),
            by_itself(128, "StartError"),
            id="a program that is not there",
        ),
        pytest.param(
            known(job(FAILED), pod(exited(137), reason="Evicted", message=FULL)),
            ExitFacts("over_limit", 137, FULL, "main-0"),
            id="evicted for what it wrote itself",
        ),
        pytest.param(
            known(job(FAILED), pod(exited(137), SHUTDOWN, reason="Terminated"), settled=True),
            disrupted(137, "TerminationByKubelet: Pod was terminated in response to node shutdown."),
            id="its node was shut down",
        ),
        pytest.param(
            known(job(FAILED), pod(exited(3), run=1), gone_pods=[pod(exited(143), EVICTED, deleting=20)]),
            by_itself(3),
            id="disrupted, replaced, and then failed by itself",
        ),
        pytest.param(
            known(job(FAILED), pod(exited(3), run=1), pod(exited(143, ended=20), PREEMPTED)),
            by_itself(3),
            id="the same, whichever is listed first",
        ),
        pytest.param(
            known(job(COMPLETE), pod(exited(0), run=1), gone_pods=[pod(exited(143), EVICTED, deleting=20)]),
            SUCCESS,
            id="disrupted, replaced, and then a success",
        ),
        pytest.param(
            known(job(COMPLETE), gone_pods=[pod(exited(0, report=STEPS), EVICTED, deleting=20)], settled=True),
            disrupted(0, EVICTION),
            id="told to end, exit code 0, and no final value: no success",
        ),
        pytest.param(
            known(job(COMPLETE), gone_pods=[pod(exited(0, report=FINAL), EVICTED, deleting=20)]),
            SUCCESS,
            id="told to end, exit code 0, and the final value was there: a success",
        ),
        pytest.param(
            known(job(COMPLETE), gone_pods=[pod(exited(0), deleting=20)], settled=True),
            disrupted(0, BY_HAND),
            id="deleted by hand, exit code 0, and no final value",
        ),
        pytest.param(
            known(job(FAILED), pod(exited(137), reason="DeadlineExceeded", message="Pod was active too long")),
            ExitFacts("deadline", message="ran longer than its time-out", replica="main-0"),
            id="the pod's deadline",
        ),
        pytest.param(
            known(job(LATE), gone_pods=[pod(exited(143), deleting=20)]),
            ExitFacts("deadline", message="the Job's deadline passed: Job was active longer than specified deadline"),
            id="the Job's deadline",
        ),
        pytest.param(
            known(job(FAILED), gone_pods=[pod(exited(143), deleting=20)], settled=True),
            disrupted(143, BY_HAND),
            id="its pod was deleted by hand, and seen to end",
        ),
        pytest.param(
            known(job(FAILED), gone_pods=[pod(running(), deleting=20)], settled=True),
            disrupted(None, BY_HAND),
            id="its pod was deleted by hand, and not seen to end",
        ),
        pytest.param(
            known(job(FAILED), gone_pods=[pod(running())], settled=True),
            ExitFacts("terminated", message="its pod was deleted while it ran"),
            id="its pod was deleted by hand, and not even that was seen",
        ),
        pytest.param(
            known(job(FAILED), settled=True),
            ExitFacts(
                "lost",
                message="the Job failed (BackoffLimitExceeded: Job has reached the specified backoff limit), "
                "no pod says why",
            ),
            id="failed, and nothing is left to say why",
        ),
        pytest.param(
            known(
                job(POLICY, replicas=4),
                pod(exited(143, ended=52), index=0, deleting=51),
                pod(exited(3, ended=50), index=1),
                pod(exited(137, ended=81), index=2, deleting=51),
                gone_pods=[pod(exited(143, ended=53), index=3, deleting=51)],
            ),
            by_itself(3, replica="main-1"),
            id="one of four exits 3, and the others are torn down",
        ),
        pytest.param(
            known(job(POLICY, replicas=2), pod(exited(1, ended=30), index=1), pod(exited(2, ended=20), index=0)),
            by_itself(2),
            id="of two that failed by themselves the first one counts",
        ),
        pytest.param(
            known(
                job(POLICY, replicas=2),
                pod(exited(143, ended=22), TAINTED, index=1, deleting=20),
                pod(exited(143, ended=21), index=0, deleting=20),
                settled=True,
            ),
            disrupted(143, "DeletionByTaintManager: Taint manager: deleting due to NoExecute taint", "main-1"),
            id="one of two is disrupted, and the other torn down",
        ),
        pytest.param(
            known(job(), gone=True, gone_pods=[pod(running(), deleting=20)], settled=True),
            ExitFacts("lost", message=LOST),
            id="the Job was deleted from outside",
        ),
        pytest.param(
            known(job(), gone=True, settled=True), ExitFacts("lost", message=LOST), id="deleted before it had a pod"
        ),
        pytest.param(
            known(job(), gone=True, gone_pods=[pod(exited(0, report=FINAL))]),
            SUCCESS,
            id="deleted after its pod succeeded",
        ),
        pytest.param(
            known(job(replicas=2), gone=True, gone_pods=[pod(exited(0)), pod(running(), index=1)], settled=True),
            ExitFacts("lost", message=LOST),
            id="deleted after one of two succeeded",
        ),
        pytest.param(
            known(job(), gone=True, gone_pods=[pod(exited(3))], settled=True),
            by_itself(3),
            id="deleted after its pod had failed by itself",
        ),
        pytest.param(
            known(job(COMPLETE), gone=True, gone_pods=[pod(exited(0))]), SUCCESS, id="complete, and then deleted"
        ),
        pytest.param(
            known(job(COMPLETE), settled=True),
            ExitFacts("lost", message="the Job completed, and its pod was gone before its result was read"),
            id="complete, and no pod is left",
        ),
        pytest.param(
            known(job(), gone=True, cancelled=True, gone_pods=[pod(exited(143), deleting=20)]),
            ExitFacts("cancelled"),
            id="cancelled, once its pod is gone",
        ),
        pytest.param(known(job(), gone=True, cancelled=True), ExitFacts("cancelled"), id="cancelled without a pod"),
        pytest.param(
            known(job(), pod(running(), deleting=20), gone=True, cancelled=True, settled=True),
            ExitFacts("cancelled"),
            id="cancelled, and its pod does not go",
        ),
        pytest.param(
            known(job(FAILED), pod(exited(3)), cancelled=True), ExitFacts("cancelled"), id="cancelled, then failed"
        ),
        pytest.param(
            known(job(COMPLETE), pod(exited(0)), cancelled=True), SUCCESS, id="complete before the cancel took effect"
        ),
        pytest.param(
            known(
                job(COMPLETE),
                pod(exited(0), phase="Succeeded", beside=[{"name": "istio-proxy", "state": exited(1)}]),
            ),
            SUCCESS,
            id="a mesh's container does not count",
        ),
    ],
)
def test_an_end(evidence: Evidence, facts: ExitFacts) -> None:
    found = seen(evidence)

    # Which node it was on is another test's matter.
    assert found.exit is not None
    assert replace(found.exit, node=facts.node) == facts
    assert found.phase is (Phase.LOST if facts.cause == "lost" else Phase.ENDED)
    assert found.reason == facts.message
