"""A whole sweep on a real cluster, as its user sees it and as the API server does."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from axk8s.kube.resource import PODS
from axk8s.sweep.model import Outcome
from tests.cluster.audit import Audit
from tests.cluster.cluster import Cluster
from tests.cluster.deadline import until
from tests.cluster.stage import SWEEP, Stage, names, staged

if TYPE_CHECKING:
    from tests.cluster.conftest import NewNamespace

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.mark.parametrize("namespace", [RESTRICTED], indirect=True)
def test_twelve_trials_that_ax_proposes_run_in_pods_without_an_image_of_their_own(stage: Stage, audit: Audit) -> None:
    stage.write(
        SWEEP.replace("optimizer: random\n", "")
        .replace("trials: 4", "trials: 12")
        .replace("parallelism: 2", "parallelism: 3")
    )
    since = audit.mark()
    controller = stage.start("run", "sweep.yaml")

    until("a trial has ended and another runs", lambda: stage.state().ended and stage.running(), 180)
    assert "of 12 trials" in stage.done("status", "bowl")
    running = until("a trial runs", lambda: stage.running())
    assert "training with" in stage.done("logs", "bowl", "-t", str(running[0]), "-f")
    assert "loss" in stage.done("best", "bowl")
    assert controller.wait(300) == 0, stage.said()

    state = stage.state()
    assert state.counts == {Outcome.SUCCEEDED: 12}
    assert all(trial.attempts[0].steps == 3 and "loss" in trial.values for trial in state.trials)
    calls = audit.calls(stage.namespace.user, since)
    assert len(calls) <= 5 * 12, Counter(str(call) for call in calls)
    assert not [str(call) for call in calls if call.code >= 400], "the shipped Role is enough"
    repeated = Counter((c.verb, c.resource, c.name) for c in calls if c.verb in ("get", "list") and not c.subresource)
    assert max(repeated.values()) <= 3, repeated  # preflight, beginning, and `logs` of another shell
    until("nothing is left", lambda: not stage.left())
    assert "training with" in stage.done("logs", "bowl", "-t", "0"), "kept in the sweep's folder"


def test_a_controller_that_is_killed_finds_its_jobs_again_and_none_runs_twice(stage: Stage, audit: Audit) -> None:
    stage.write(SWEEP.replace("workspace: .", "workspace: .\narguments: {steps: 300}"))
    since = audit.mark()
    first = stage.start("run", "sweep.yaml")
    until("two trials run", lambda: len(stage.running()) == 2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = {one["metadata"]["uid"] for one in stage.jobs()}

    second = stage.start("run", "sweep.yaml")
    assert second.wait(240) == 0, stage.said()

    state = stage.state()
    assert state.counts == {Outcome.SUCCEEDED: 4}
    assert [len(trial.attempts) for trial in state.trials] == [1, 1, 1, 1]
    assert "2 jobs still running" in stage.said()
    calls = audit.calls(stage.namespace.user, since)
    made = [call for call in calls if (call.verb, call.resource) == ("create", "jobs") and "dryRun" not in call.uri]
    assert len(made) == 4
    assert len(before) == 2
    assert not [call for call in calls if (call.verb, call.resource) == ("get", "jobs")], "by watch alone"


def test_stop_ends_a_python_program_that_handles_no_signal_by_sigterm(stage: Stage, cluster: Cluster) -> None:
    stage.write(
        SWEEP.replace("function: train.py:train", "command: python -u wait.py {x} {y}"),
        wait_py="import time\nprint('waiting')\ntime.sleep(3600)\n",
    )
    controller = stage.start("run", "sweep.yaml")
    until("two trials run", lambda: len(stage.running()) == 2)
    with cluster.kube(stage.namespace.name).watch(PODS, _version(stage)) as stream:
        stage.done("stop", "bowl")
        ends = set()
        for _, pod in stream:
            state = (pod["status"].get("containerStatuses") or [{}])[0].get("state") or {}
            if "terminated" in state:
                ends.add((pod["metadata"]["name"], state["terminated"]["exitCode"]))
            if len(ends) == 2:
                break

    assert {code for _, code in ends} == {128 + signal.SIGTERM}, "not killed after the grace period"
    assert controller.wait(240) == 130
    assert stage.state().counts == {Outcome.STOPPED: 2}
    until("nothing is left", lambda: not stage.left())


def _version(stage: Stage) -> str:
    return stage.namespace.admin.list_all(PODS)[1]


def test_pods_fit_the_namespace_that_is_restricted_and_root_works_where_nothing_is_said(
    new_namespace: NewNamespace, tmp_path: Path
) -> None:
    who = SWEEP.replace("function: train.py:train", "command: python who.py {x} {y}").replace("trials: 4", "trials: 1")
    script = "import os, pathlib\nprint('user', os.getuid())\npathlib.Path.home().joinpath('x').write_text('y')\n"
    script += "print('axk8s: {\"loss\": 1}')\n"
    found = {}
    for label, labels in {"restricted": RESTRICTED, "open": {}}.items():
        with staged(tmp_path / label, new_namespace(**labels)) as stage:
            stage.write(who, who_py=script)
            stage.done("run", "sweep.yaml")
            found[label] = stage.done("logs", "bowl").splitlines()[0]

    assert found == {"restricted": "user 1000", "open": "user 0"}


def test_parameters_arrive_as_they_are_whatever_is_in_them(stage: Stage) -> None:
    odd = [
        "plain",
        "ünï ☃ 'single' \"double\"",
        "$(HOME) $HOME ${AXK8S_TRIAL} $$",
        "--x\n\ttab; rm -rf /",
        "x" * 100_000,
    ]
    stage.write(
        "name: odd\ncommand: python say.py {text}\nworkspace: .\nresources: {cpu: 0.1}\n"
        f"parameters:\n  text: {{type: choice, values: {json.dumps(odd)}}}\n"
        "objectives: [{metric: same, direction: maximize}]\noptimizer: grid\ntrials: 5\nparallelism: 5\n"
        "scheduler: kubernetes_job\n",
        say_py="import sys, json, os\nfrom axk8s import report, parameters\n"
        "report(same=sys.argv[1] == parameters()['text'], length=len(sys.argv[1]))\n",
    )
    stage.done("run", "sweep.yaml")

    state = stage.state("odd")
    assert [trial.values for trial in state.trials] == [{"same": 1.0, "length": float(len(text))} for text in odd]


def test_what_several_replicas_print_is_kept_and_only_the_first_reports(stage: Stage) -> None:
    component = """\
import torchx.specs as specs


def several(x: float, y: float) -> specs.AppDef:
    code = (
        "import os, socket, time\\n"
        "host = os.environ['TORCHX_RANK0_HOST']\\n"
        "for _ in range(600):\\n"
        "    try:\\n"
        "        print('found', socket.gethostbyname(host)); break\\n"
        "    except OSError: time.sleep(0.1)\\n"
        "from axk8s import report\\n"
        "print('i am', os.environ['AXK8S_REPLICA'])\\n"
        "report(loss=float(os.environ['AXK8S_REPLICA']) + 1)\\n"
    )
    role = specs.Role(
        "worker", image="python:3.11-slim", entrypoint="python", args=["-c", code, specs.macros.replica_id],
        num_replicas=3, resource=specs.Resource(cpu=0.1, gpu=0, memMB=64), env={"PYTHONPATH": "/axk8s/support"},
    )
    return specs.AppDef("several", [role])
"""
    stage.write(
        SWEEP.replace("function: train.py:train", "component: several.py:several")
        .replace("resources: {cpu: 0.1, memory: 128Mi}\n", "")
        .replace("trials: 4", "trials: 2"),
        several_py=component,
    )
    stage.done("run", "sweep.yaml")

    assert [trial.values for trial in stage.state().trials] == [{"loss": 1.0}] * 2
    lines = stage.done("logs", "bowl", "-t", "1").splitlines()
    assert [line for line in lines if "i am" in line] == [f"worker-{k} i am {k}" for k in range(3)]
    assert sum("found" in line for line in lines) == 3
    until("nothing is left", lambda: not stage.left())
    assert names(stage.jobs()) == []
