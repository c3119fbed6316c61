"""Several replicas on several nodes: they find each other and compute together, and what happens to one ends all."""

from __future__ import annotations

import json
import time

import pytest

from axk8s.journal import read
from axk8s.kube.client import Object
from axk8s.kube.resource import JOBS, PODS
from axk8s.sweep.model import Category, Outcome, Phase
from axk8s.sweep.records import PhaseChanged
from axk8s.sweep.trial import Attempt
from tests.cluster.cluster import TORCH_IMAGE
from tests.cluster.deadline import until
from tests.cluster.pressure import evict
from tests.cluster.stage import Stage

REPLICAS = 4
GRACE = 5
"""Seconds that a pod is given to end."""
SLACK = 10
"""Seconds beyond that in which everything is to have been noticed and done."""

SPREAD = {
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "DoNotSchedule",
            "nodeTaintsPolicy": "Honor",  # else the node of the control plane counts as one without replicas
            "labelSelector": {"matchLabels": {"axk8s/sweep": "gang"}},
        }
    ],
    # `dist.ddp` knows whole cores only, and the workers of this machine have few.
    "containers": [{"name": "main", "resources": {"requests": {"cpu": "100m"}}}],
}
COMMON = f"""\
name: gang
workspace: .
parameters: {{x: {{type: float, min: 0, max: 1}}}}
objectives: [{{metric: sum, direction: minimize}}]
optimizer: random
trials: 1
retries: 0
scheduler: kubernetes_job
scheduler_config:
  grace: {GRACE}
  pod_overlay: '{json.dumps(SPREAD)}'
"""
# `tee`: Debian's torchrun knows no other number under Python 3.11.
DDP = f"""\
component: dist.ddp
arguments: {{script: train.py, j: 4x1, cpu: 1, memMB: 512, tee: 1, image: "{TORCH_IMAGE}", script_args: ["{{x}}"]}}
"""
TRAIN = """\
import os, sys, time
import torch
import torch.distributed as dist
from axk8s import report

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
for step in range(3):
    total = torch.tensor([rank + 1.0])
    dist.all_reduce(total)
    report(step=step, sum=total.item())
print(f"rank {rank} of {size}: {total.item()}", flush=True)
"""
HELD = TRAIN + "if os.environ['AXK8S_ATTEMPT'] == '0':\n    time.sleep(3600)\n"
"""Only a later attempt comes to an end."""

ELASTIC = DDP.replace("4x1", "2:4x1").replace("tee: 1", "tee: 1, env: {PET_MAX_RESTARTS: '3'}")
ENDURING = (
    TRAIN
    + """\
restarts = torch.tensor([float(os.environ["TORCHELASTIC_RESTART_COUNT"])])
dist.all_reduce(restarts)
while not restarts.item():
    dist.all_reduce(torch.zeros(1))
    time.sleep(0.1)
"""
)
"""It comes to an end once its processes have been begun anew."""
SLOW = TRAIN + "time.sleep(20)\n"

ALONE = f"""\
component: alone.py:gang
arguments: {{image: "{TORCH_IMAGE}"}}
"""
COMPONENT = """\
import torchx.specs as specs
from torchx.specs import macros


def gang(x: float, *, image: str) -> specs.AppDef:
    ranks = f"RANK={macros.replica_id} WORLD_SIZE=4 MASTER_ADDR=$${macros.rank0_env} MASTER_PORT=29500"
    role = specs.Role("worker", image, entrypoint="sh", args=["-c", f"{ranks} exec python train.py {x}"])
    role.num_replicas = 4
    return specs.AppDef("gang", roles=[role])
"""
FAILING = TRAIN + "if rank == 2:\n    print('leaving at', time.time(), flush=True)\n    sys.exit(3)\ntime.sleep(3600)\n"


@pytest.fixture
def gang(there: Stage, torch_image: str) -> Stage:
    """A folder with a sweep of one trial, whose first attempt goes on for ever."""
    there.write(COMMON + DDP, train_py=HELD)
    return there


def pods_of(stage: Stage, attempt: int) -> list[Object]:
    """The pods of an attempt, by their replicas."""
    named = f"-t0-a{attempt}"
    found = [pod for pod in stage.pods() if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"].endswith(named)]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def together(stage: Stage) -> list[Object]:
    """The pods of the first attempt, once all replicas have computed something together."""
    until("the replicas have found each other", lambda: "rank 0 of 4" in stage.run("logs", "gang").stdout, 120)
    pods = pods_of(stage, 0)
    assert len(pods) == REPLICAS
    return pods


def attempts(stage: Stage) -> list[Attempt]:
    (trial,) = stage.state("gang").trials
    return trial.attempts


def seen(stage: Stage, words: str) -> float:
    """When the controller first said this of the first attempt."""
    changes = [one for one in read(stage.sweep("gang").journal) if isinstance(one, PhaseChanged) and one.attempt == 0]
    return next(one.time for one in changes if words in f"{one.phase.value}: {one.reason}")


def diagnoses(stage: Stage) -> list[Category | None]:
    return [one.diagnosis.category if one.diagnosis else None for one in attempts(stage)]


def test_four_replicas_on_two_nodes_compute_one_sum_and_one_of_them_reports_it(gang: Stage) -> None:
    gang.write(COMMON + DDP, train_py=TRAIN)
    controller = gang.start("run", "sweep.yaml")

    def nodes() -> list[str]:
        return [pod["spec"]["nodeName"] for pod in gang.pods() if "nodeName" in pod["spec"]]

    placed = until("all replicas have a node", lambda: found if len(found := nodes()) == REPLICAS else [])
    assert controller.wait(240) == 0, gang.said()

    assert len(set(placed)) == 2
    (trial,) = gang.state("gang").trials
    assert trial.outcome is Outcome.SUCCEEDED
    assert trial.values == {"sum": 10.0}
    assert trial.attempts[0].steps == 3
    said = gang.done("logs", "gang", "--trial", "0").splitlines()
    assert {line.split()[0] for line in said if "axk8s:" in line} == {"train-0"}
    assert sorted(line for line in said if "of 4: 10.0" in line) == [
        f"train-{rank} [0]:rank {rank} of 4: 10.0" for rank in range(REPLICAS)
    ]
    until("nothing is left", lambda: not gang.left())


def test_one_evicted_replica_ends_the_attempt_and_the_next_one_is_free(gang: Stage) -> None:
    controller = gang.start("run", "sweep.yaml")
    pod = together(gang)[2]["metadata"]["name"]
    evicted_at = time.time()
    evict(gang.namespace, pod)

    assert controller.wait(240) == 0, gang.said()
    assert seen(gang, "EvictionByEvictionAPI") - evicted_at < SLACK
    assert seen(gang, "ended: ") - evicted_at < GRACE + SLACK
    first, second = attempts(gang)
    assert second.submitting_at - evicted_at < GRACE + SLACK
    assert diagnoses(gang) == [Category.DISRUPTED, Category.SUCCEEDED]
    assert first.exit is not None
    assert first.exit.replica == "train-2"
    assert gang.state("gang").trials[0].values == {"sum": 10.0}


def test_one_replica_that_is_deleted_by_hand_does_the_same(gang: Stage) -> None:
    controller = gang.start("run", "sweep.yaml")
    pod = together(gang)[1]["metadata"]["name"]
    deleted_at = time.time()
    gang.namespace.admin.delete(PODS, pod)

    assert controller.wait(240) == 0, gang.said()
    assert seen(gang, "ended: ") - deleted_at < GRACE + SLACK
    assert diagnoses(gang) == [Category.DISRUPTED, Category.SUCCEEDED]
    assert f"{pod} was deleted while it ran" in gang.done("events", "gang")


def test_one_that_is_suspended_waits_again_and_goes_on_within_the_attempt(gang: Stage) -> None:
    gang.write(COMMON + DDP, train_py=SLOW)
    controller = gang.start("run", "sweep.yaml")
    together(gang)
    (job,) = gang.jobs()
    name, admin = job["metadata"]["name"], gang.namespace.admin
    # As Kueue does for somebody's higher priority; all its pods end by SIGTERM.
    admin.patch(JOBS, name, {"spec": {"suspend": True}})
    until("the attempt is queued", lambda: attempts(gang)[0].phase is Phase.QUEUED)
    until("all its pods are gone", lambda: not gang.pods())
    admin.patch(JOBS, name, {"spec": {"suspend": False}})

    assert controller.wait(240) == 0, gang.said()
    assert diagnoses(gang) == [Category.SUCCEEDED]
    assert gang.state("gang").trials[0].values == {"sum": 10.0}


def test_an_elastic_role_goes_on_with_another_pod_within_the_attempt(gang: Stage) -> None:
    gang.write(COMMON + ELASTIC, train_py=ENDURING)
    controller = gang.start("run", "sweep.yaml")
    evict(gang.namespace, together(gang)[3]["metadata"]["name"])

    assert controller.wait(240) == 0, gang.said()
    (attempt,) = attempts(gang)
    assert diagnoses(gang) == [Category.SUCCEEDED]
    assert attempt.restarts == 1
    assert gang.state("gang").trials[0].disruptions == 1


def test_one_replica_that_fails_ends_all_and_is_named(gang: Stage) -> None:
    gang.write(COMMON + ALONE, alone_py=COMPONENT, train_py=FAILING)

    assert gang.run("run", "sweep.yaml").returncode == 1

    (attempt,) = attempts(gang)
    assert diagnoses(gang) == [Category.USER_ERROR]
    assert attempt.diagnosis is not None
    assert "worker-2 ended with exit code 3" in attempt.diagnosis.summary
    assert {**attempt.diagnosis.evidence, "node": ""} == {
        "cause": "exited",
        "exit_code": 3,
        "replica": "worker-2",
        "node": "",
    }
    (left_at,) = [line.split()[-1] for line in attempt.diagnosis.log_tail if "leaving at" in line]
    assert seen(gang, "ended: ") - float(left_at) < GRACE + SLACK
    until("nothing is left", lambda: not gang.left())
