"""What interrupts a trial from outside costs it nothing, whatever its exit code says; what it does itself does."""

from __future__ import annotations

import json
import signal

from axk8s.kube.client import Object
from axk8s.sweep.model import Category, Outcome
from tests.cluster.deadline import until
from tests.cluster.pressure import evict
from tests.cluster.stage import SWEEP, Stage

ONE = SWEEP.replace("trials: 4", "trials: 1").replace("parallelism: 2", "parallelism: 1") + "retries: 0\n"
LONG = ONE.replace("workspace: .", "workspace: .\narguments: {steps: 120}")


def causes(stage: Stage) -> list[list[Category | None]]:
    """Of each trial's attempts."""
    return [[a.diagnosis.category if a.diagnosis else None for a in trial.attempts] for trial in stage.state().trials]


def the_pod(stage: Stage) -> Object:
    (pod,) = stage.pods()
    return pod


def test_an_evicted_pod_is_replaced_within_the_attempt_and_counted(stage: Stage) -> None:
    stage.write(LONG)
    controller = stage.start("run", "sweep.yaml")
    until("the trial runs", stage.running)
    evict(stage.namespace, the_pod(stage)["metadata"]["name"])

    assert controller.wait(240) == 0, stage.said()
    (trial,) = stage.state().trials
    assert trial.outcome is Outcome.SUCCEEDED
    assert [attempt.restarts for attempt in trial.attempts] == [1]
    assert trial.disruptions == 1
    assert "waits for another pod after EvictionByEvictionAPI" in stage.done("events", "bowl", "-t", "0")


def test_a_program_that_handles_sigterm_and_exits_with_0_has_not_succeeded(stage: Stage) -> None:
    stage.write(
        ONE.replace("function: train.py:train", "command: python polite.py {x} {y}"),
        polite_py="import os, signal, sys, time\nfrom axk8s import report\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nreport(step=0, loss=9)\n"
        "time.sleep(3600 if os.environ['AXK8S_ATTEMPT'] == '0' else 0)\nreport(loss=1)\n",
    )
    controller = stage.start("run", "sweep.yaml")
    until("the trial runs", stage.running)
    until("it has reported", lambda: "step" in stage.run("logs", "bowl").stdout)
    evict(stage.namespace, the_pod(stage)["metadata"]["name"])

    assert controller.wait(240) == 0, stage.said()
    assert causes(stage) == [[Category.DISRUPTED, Category.SUCCEEDED]]
    assert stage.state().trials[0].values == {"loss": 1.0}


def test_a_pod_that_fills_its_own_volume_has_failed_by_its_limit(stage: Stage) -> None:
    overlay = {
        "volumes": [{"name": "small", "emptyDir": {"sizeLimit": "1Mi"}}],
        "containers": [{"name": "main", "volumeMounts": [{"name": "small", "mountPath": "/small"}]}],
    }
    stage.write(
        ONE.replace("function: train.py:train", "command: python fill.py {x} {y}")
        + f"scheduler_config: {{pod_overlay: {json.dumps(overlay)}}}\n",
        fill_py="import time\nopen('/small/x', 'wb').write(bytes(8 << 20))\ntime.sleep(3600)\n",
    )

    assert stage.run("run", "sweep.yaml").returncode == 1
    assert causes(stage) == [[Category.OVER_LIMIT]]
    assert "exceeds the limit" in stage.state().trials[0].reason


def test_a_secret_that_is_missing_ends_the_sweep_and_is_named(stage: Stage) -> None:
    stage.write(SWEEP + "start_timeout: 10s\nscheduler_config: {secret_env: {TOKEN: nowhere/key}}\n")

    ended = stage.run("run", "sweep.yaml")

    assert ended.returncode == 1
    assert 'secret "nowhere" not found' in ended.stderr
    until("nothing is left", lambda: not stage.left())


def test_a_script_that_fails_at_its_first_line_ends_the_sweep_after_three(stage: Stage) -> None:
    stage.write(SWEEP.replace("trials: 4", "trials: 30"), train_py="import no_such_module\n\ndef train(x, y): ...\n")

    ended = stage.run("run", "sweep.yaml")

    assert ended.returncode == 1
    assert "the first 3 trials failed alike" in ended.stderr
    assert "No module named 'no_such_module'" in ended.stderr
    # A slot is taken again as soon as its job has ended, before the log is read that says why.
    assert len(stage.state().trials) <= 3 + 2 * 2
    until("nothing is left", lambda: not stage.left())


def test_what_is_not_a_number_is_infeasible(stage: Stage) -> None:
    stage.write(ONE, model_py="def loss(x, y):\n    return float('nan')\n")

    stage.run("run", "sweep.yaml")

    assert causes(stage) == [[Category.NON_FINITE]]
    assert stage.state().trials[0].outcome is Outcome.INFEASIBLE


def test_a_log_rule_excludes_the_node_and_a_later_attempt_waits_for_another(stage: Stage) -> None:
    stage.write(
        ONE.replace("function: train.py:train", "command: python broken.py {x} {y}").replace(
            "retries: 0", "retries: 1"
        ),
        broken_py="print('RuntimeError: CUDA error: uncorrectable ECC error encountered')\nraise SystemExit(1)\n",
    )
    controller = stage.start("run", "sweep.yaml")

    waits = until("the second attempt waits", lambda: [a for a in _attempts(stage) if "no node takes it" in a])
    assert "didn't match Pod's node affinity" in waits[0]
    stage.done("stop", "bowl")
    assert controller.wait(240) == 130
    first = stage.state().trials[0].attempts[0].diagnosis
    assert first is not None
    assert first.advice == "exclude_node"
    assert first.evidence["node"] in stage.state().avoided


def _attempts(stage: Stage) -> list[str]:
    return [attempt.reason for trial in stage.state().trials for attempt in trial.attempts]


def test_sigkill_from_the_node_is_told_from_an_exit_code(stage: Stage) -> None:
    stage.write(
        ONE.replace("function: train.py:train", "command: python die.py {x} {y}"),
        die_py="import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    )

    assert stage.run("run", "sweep.yaml").returncode == 1
    assert causes(stage) == [[Category.USER_ERROR]]
    assert signal.Signals.SIGSEGV.name in stage.state().trials[0].reason
