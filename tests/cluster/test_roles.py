"""Whole sweeps whose trials have several roles: they find each other, one fails, one is disrupted, none is left."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from torchx.specs import AppDef

from axk8s.kube.client import Object
from axk8s.kube.resource import JOB_SETS
from axk8s.sweep.model import Category, Outcome
from tests.cluster import crd, jobset, kueue
from tests.cluster.cluster import IMAGE, Cluster
from tests.cluster.deadline import until
from tests.cluster.namespace import Namespace
from tests.cluster.pressure import evict
from tests.cluster.stage import SWEEP, Stage
from tests.schedulers.kubernetes_job import apps

PAGE = Path(__file__).parents[2] / "docs" / "roles.md"
COMPONENT = """\
import torchx.specs as specs

TRAINER = '''
import os, pathlib, socket, sys, time
from axk8s import report
print("training", sys.argv[1], flush=True)
with socket.create_server(("0.0.0.0", 7000)) as server:
    read, _ = server.accept()
    print("heard", read.recv(100).decode(), flush=True)
report(loss=float(sys.argv[1]) ** 2)
'''
READER = '''
import os, socket, sys, time
print("reading for", os.environ["TORCHX_RANK0_HOST"], flush=True)
while True:
    try:
        with socket.create_connection((os.environ["TORCHX_RANK0_HOST"], 7000), 5) as trainer:
            time.sleep(float(os.environ.get("PAUSE", "0")) * (os.environ["AXK8S_ATTEMPT"] == "0"))
            if code := int(os.environ.get("CODE", "0")):
                print("broken", flush=True)
                sys.exit(code)
            trainer.sendall(b"data of replica " + os.environ["AXK8S_REPLICA"].encode())
            break
    except OSError:
        time.sleep(0.2)
print("reported nothing", flush=True)
'''


def roles(x: float, y: float, code: int = 0, pause: float = 0) -> specs.AppDef:
    env = {"CODE": str(code), "PAUSE": str(pause)}
    asked = specs.Resource(cpu=0.1, gpu=0, memMB=64)
    made = [
        specs.Role(
            name, image="python:3.11-slim", entrypoint="python", args=["-c", text, str(x)], env=dict(env),
            resource=asked,
        )
        for name, text in (("trainer", TRAINER), ("reader", READER))
    ]
    return specs.AppDef("roles", made)
"""
ROLES = (
    SWEEP.replace("function: train.py:train", "component: roles.py:roles")
    .replace("resources: {cpu: 0.1, memory: 128Mi}\n", "")
    .replace("trials: 4", "trials: 2")
    + "retries: 0\n"
)
ONE = ROLES.replace("trials: 2", "trials: 1").replace("parallelism: 2", "parallelism: 1")


def test_without_jobset_a_sweep_of_several_roles_is_refused_before_its_first_job(
    stage: Stage, cluster: Cluster
) -> None:
    if crd.installed(cluster.kube(), JOB_SETS):
        pytest.skip("JobSet is installed in this cluster")
    stage.write(ROLES, roles_py=COMPONENT)

    refused = stage.run("run", "sweep.yaml")

    assert refused.returncode == 2
    assert "JobSet is not installed in this cluster" in refused.stderr
    assert "the roles trainer, reader" in refused.stderr
    assert "https://jobset.sigs.k8s.io" in refused.stderr
    assert "let one role with several replicas do it" in refused.stderr
    assert not stage.left()


@pytest.fixture(scope="module")
def is_played(cluster: Cluster) -> Iterator[bool]:
    with jobset.known(cluster.kube()) as missing:
        yield missing


@pytest.fixture
def team(namespace: Namespace, is_played: bool) -> Iterator[Namespace]:
    """A namespace in which JobSet works."""
    with jobset.played(namespace.admin) if is_played else nullcontext():
        yield namespace


def test_a_sweep_of_two_roles_that_find_each_other(stage: Stage, team: Namespace) -> None:
    stage.write(ROLES, roles_py=COMPONENT)
    stage.done("run", "sweep.yaml")

    state = stage.state()
    assert state.counts == {Outcome.SUCCEEDED: 2}
    assert all(trial.values == {"loss": trial.parameters["x"] ** 2} for trial in state.trials)  # type: ignore[operator]
    lines = stage.done("logs", "bowl", "-t", "1").splitlines()
    assert {line.split()[0] for line in lines} == {"trainer-0", "reader-0"}
    assert "trainer-0 heard data of replica 1" in lines
    assert "reader-0 reported nothing" in lines
    alone = stage.done("logs", "bowl", "-t", "1", "--replica", "reader-0").splitlines()
    assert f"reading for {state.trials[1].attempts[0].job}-trainer-0-0." in alone[0]
    unknown = stage.run("logs", "bowl", "-t", "1", "--replica", "reader-1")
    assert unknown.returncode == 2
    assert "its replicas are: trainer-0, reader-0" in unknown.stderr
    until("nothing is left", lambda: not stage.left() and not team.admin.list_all(JOB_SETS)[0])


def test_the_pages_own_example_works(stage: Stage, team: Namespace) -> None:
    blocks = re.findall(r"```(?:python|yaml)\n# (pair\.py|sweep\.yaml)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    for name, text in blocks:
        (stage.folder / name).write_text(text, "utf-8")
    assert len(blocks) == 2

    stage.done("run", "sweep.yaml")

    assert stage.state("pair").counts == {Outcome.SUCCEEDED: 4}
    assert stage.done("logs", "pair", "-t", "3").startswith("trainer-0 heard the data\n")
    assert stage.done("logs", "pair", "-t", "3", "--replica", "trainer-0").startswith("heard the data\n")


def test_the_role_that_failed_is_in_the_diagnosis_with_its_log(stage: Stage, team: Namespace) -> None:
    stage.write(ONE.replace("workspace: .", "workspace: .\narguments: {code: 4}"), roles_py=COMPONENT)

    assert stage.run("run", "sweep.yaml").returncode == 1

    (trial,) = stage.state().trials
    found = trial.attempts[0].diagnosis
    assert found is not None
    assert found.category is Category.USER_ERROR
    assert (found.evidence["replica"], found.evidence["exit_code"]) == ("reader-0", 4)
    assert "broken" in found.log_tail
    assert "reader-0 ended with exit code 4" in trial.reason
    until("nothing is left", lambda: not stage.left() and not team.admin.list_all(JOB_SETS)[0])


def test_after_a_disruption_of_one_role_another_attempt_costs_no_retry(stage: Stage, team: Namespace) -> None:
    stage.write(ONE.replace("workspace: .", "workspace: .\narguments: {pause: 600}"), roles_py=COMPONENT)
    controller = stage.start("run", "sweep.yaml")
    pod = until("the reader has reached the trainer", lambda: _reader(stage))
    evict(team, pod["metadata"]["name"])

    assert controller.wait(240) == 0, stage.said()
    (trial,) = stage.state().trials
    causes = [attempt.diagnosis.category for attempt in trial.attempts if attempt.diagnosis]
    assert causes == [Category.DISRUPTED, Category.SUCCEEDED]


def _reader(stage: Stage) -> Object | None:
    ready = [pod for pod in stage.pods() if pod["status"]["phase"] == "Running"]
    return next((p for p in ready if p["metadata"]["labels"]["axk8s/role"] == "reader" and len(ready) == 2), None)


def test_a_controller_that_is_killed_finds_its_jobsets_again(stage: Stage, team: Namespace) -> None:
    stage.write(ROLES.replace("workspace: .", "workspace: .\narguments: {pause: 6}"), roles_py=COMPONENT)
    first = stage.start("run", "sweep.yaml")
    until("two trials run", lambda: len(stage.running()) == 2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = {one["metadata"]["uid"] for one in team.admin.list_all(JOB_SETS)[0]}

    assert stage.start("run", "sweep.yaml").wait(180) == 0, stage.said()

    state = stage.state()
    assert state.counts == {Outcome.SUCCEEDED: 2}
    assert [len(trial.attempts) for trial in state.trials] == [1, 1]
    assert len(before) == 2


def test_what_a_sweep_left_is_removed_with_all_its_roles(stage: Stage, team: Namespace) -> None:
    stage.write(ONE, roles_py=COMPONENT)
    stage.done("run", "sweep.yaml")
    asleep = {"image": IMAGE, "entrypoint": "sleep", "args": ["600"]}
    left = AppDef("left", [apps.role(name=name, **asleep) for name in ("trainer", "reader")])
    left.metadata["axk8s/sweep-uid"] = stage.state().uid
    team.admin.create(JOB_SETS, apps.jobset(left, name="left"))
    until("its Jobs are there", lambda: len(stage.jobs()) == 2)

    assert stage.done("clean", "bowl").splitlines() == ["jobsets.jobset.x-k8s.io/left"]

    until("nothing is left", lambda: not stage.left() and not team.admin.list_all(JOB_SETS)[0])


def test_all_roles_of_a_trial_get_their_quota_together(stage: Stage, team: Namespace, cluster: Cluster) -> None:
    """Two cores' tenths are two pods: the roles of one trial, and not one of each."""
    lasting = ROLES.replace("workspace: .", "workspace: .\narguments: {pause: 10}")
    stage.write(lasting + "scheduler_config: {queue: trials, grace: 1}\n", roles_py=COMPONENT)
    with (
        kueue.known(cluster.kube()) as is_played,
        kueue.played(team.admin) if is_played else nullcontext(),
        kueue.queue(team.admin, "trials", cpu=0.2),
    ):
        controller = stage.start("run", "sweep.yaml")
        waits = "insufficient unused quota for cpu"
        until("the other trial waits in the queue", lambda: waits in stage.run("trials", "bowl").stdout)
        assert controller.wait(240) == 0, stage.said()

    state = stage.state()
    assert state.counts == {Outcome.SUCCEEDED: 2}
    assert state.crowded
    assert [trial.disruptions for trial in state.trials] == [0, 0]
