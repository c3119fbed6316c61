"""What goes wrong on a real cluster while a sweep runs, and what comes of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from axk8s.kube.resource import JOBS, PODS, RESOURCE_QUOTAS
from axk8s.names import LABEL_TRIAL
from axk8s.sweep.model import Category, Outcome, Phase
from axk8s.sweep.trial import Attempt, Trial
from tests.cluster.deadline import until
from tests.cluster.namespace import Namespace
from tests.cluster.proxy import WATCHES, Proxy
from tests.cluster.stage import SWEEP, Stage, recovered, staged

ONE = SWEEP.replace("trials: 4", "trials: 1").replace("parallelism: 2", "parallelism: 1") + "retries: 0\n"


@pytest.fixture
def behind(namespace: Namespace, proxy: Proxy, tmp_path: Path) -> Iterator[Stage]:
    """A stage whose way to the cluster leads through the proxy."""
    with staged(tmp_path / "behind", namespace, proxy.kubeconfig(namespace)) as made:
        made.write()
        yield made


def only(stage: Stage) -> Trial:
    (trial,) = stage.state().trials
    return trial


def category(trial: Trial) -> Category | None:
    return trial.diagnosis.category if trial.diagnosis is not None else None


def test_an_outage_ends_no_trial(behind: Stage, proxy: Proxy) -> None:
    behind.write(SWEEP.replace("workspace: .", "workspace: .\narguments: {steps: 200}"))
    controller = behind.start("run", "sweep.yaml")
    until("two trials run", lambda: len(behind.running()) == 2)
    proxy.shut()
    until("both have ended meanwhile", lambda: all(_ended(pod) for pod in behind.pods()))
    assert behind.state().ended == 0
    proxy.shut(False)
    recovered(behind, over_at=time.time(), ended=2)

    assert controller.wait(240) == 0, behind.said()
    assert behind.state().counts == {Outcome.SUCCEEDED: 4}
    assert [len(trial.attempts) for trial in behind.state().trials] == [1] * 4


def _ended(pod: dict[str, object]) -> bool:
    status = pod["status"]
    return isinstance(status, dict) and status.get("phase") in ("Succeeded", "Failed")


def test_answers_that_are_lost_or_late_make_no_job_twice(behind: Stage, proxy: Proxy) -> None:
    jobs = r"/jobs(\?fieldValidation=Strict)?$"
    proxy.lose(method="POST", path=jobs, times=2)
    proxy.refuse(429, method="POST", path=jobs, retry_after=1)
    proxy.refuse(503, method="POST", path=jobs)
    proxy.refuse(500, method="DELETE")

    behind.done("run", "sweep.yaml")

    state = behind.state()
    assert state.counts == {Outcome.SUCCEEDED: 4}
    assert [len(trial.attempts) for trial in state.trials] == [1] * 4
    assert any(trial.attempts[0].adopted for trial in state.trials)
    until("nothing is left", lambda: not behind.left())


def test_a_job_that_somebody_deletes_is_tried_again_for_free(stage: Stage) -> None:
    stage.write(ONE.replace("workspace: .", "workspace: .\narguments: {steps: 100}"))
    controller = stage.start("run", "sweep.yaml")
    until("the trial runs", stage.running)
    assert stage.namespace.admin.delete(JOBS, only(stage).attempts[0].job)

    assert controller.wait(240) == 0, stage.said()
    trial = only(stage)
    assert trial.outcome is Outcome.SUCCEEDED
    assert [attempt.phase for attempt in trial.attempts] == [Phase.LOST, Phase.ENDED]


def test_a_pod_that_somebody_deletes_is_a_disruption_and_costs_nothing(stage: Stage) -> None:
    stage.write(ONE.replace("workspace: .", "workspace: .\narguments: {steps: 100}"))
    controller = stage.start("run", "sweep.yaml")
    until("the trial runs", stage.running)
    (pod,) = stage.pods()
    assert stage.namespace.admin.delete(PODS, pod["metadata"]["name"])

    assert controller.wait(240) == 0, stage.said()
    trial = only(stage)
    assert trial.outcome is Outcome.SUCCEEDED
    assert [attempt.diagnosis and attempt.diagnosis.category for attempt in trial.attempts] == [
        Category.DISRUPTED,
        Category.SUCCEEDED,
    ]


def test_a_result_that_went_with_its_pod_is_not_a_metric_that_was_never_reported(stage: Stage) -> None:
    """The log is the only source here, and the pod is gone before the controller comes back."""
    stage.write(
        ONE.replace("function: train.py:train", "command: python say.py {x} {y}"),
        say_py="import time\ntime.sleep(15)\nprint('axk8s: {\"loss\": 1}')\n",
    )
    controller = stage.start("run", "sweep.yaml")
    until("the trial runs", stage.running)
    controller.send_signal(signal.SIGKILL)
    controller.wait()
    until("the pod has ended", lambda: all(_ended(pod) for pod in stage.pods()))
    until("the Job is complete", lambda: "completionTime" in stage.jobs()[0]["status"])
    (pod,) = stage.pods()
    stage.namespace.admin.delete(PODS, pod["metadata"]["name"])
    until("the pod is gone", lambda: not stage.pods())

    assert stage.run("run", "sweep.yaml").returncode == 0
    trial = only(stage)
    assert trial.outcome is Outcome.SUCCEEDED, "the second attempt reports"
    first = trial.attempts[0].diagnosis
    assert first is not None
    assert first.category is Category.LOST
    assert "gone before its result was read" in first.summary


def test_a_metric_that_was_never_reported_says_where_was_looked(stage: Stage) -> None:
    stage.write(
        ONE.replace("function: train.py:train", "command: python say.py {x} {y}"),
        say_py="print('axk8s: {\"los\": 1}')\n",
    )

    assert stage.run("run", "sweep.yaml").returncode == 1
    trial = only(stage)
    assert category(trial) is Category.NO_METRIC
    assert "not loss (did you mean 'los'?)" in trial.reason


@pytest.mark.parametrize(
    ("program", "memory", "expected", "says"),
    [
        ("raise SystemExit(3)", "128Mi", Category.USER_ERROR, "exit code 3"),
        ("raise ValueError('no such layer')", "128Mi", Category.USER_ERROR, "ValueError: no such layer"),
        ("x = bytearray(1 << 30)", "64Mi", Category.OUT_OF_MEMORY, "out of memory"),
        ("raise SystemExit(64)", "128Mi", Category.BAD_PARAMETERS, "refused its parameters"),
        ("import time; time.sleep(3600)", "128Mi", Category.DEADLINE, "longer than its time-out"),
    ],
)
def test_why_a_program_died(stage: Stage, program: str, memory: str, expected: Category, says: str) -> None:
    stage.write(
        ONE.replace("function: train.py:train", "command: python die.py {x} {y}").replace("128Mi", memory)
        + ("trial_timeout: 20s\n" if expected is Category.DEADLINE else ""),
        die_py=f"print('before the end', flush=True)\n{program}\n",
    )

    assert stage.run("run", "sweep.yaml").returncode == 1
    trial = only(stage)
    assert category(trial) is expected, trial.reason
    assert says in trial.reason
    assert "before the end" in stage.done("logs", "bowl")


def test_a_job_that_can_never_start_ends_the_sweep_with_the_words_of_kubernetes(stage: Stage) -> None:
    stage.write(SWEEP + "image: no.such.registry.invalid/x:1\nstart_timeout: 10s\n")

    ended = stage.run("run", "sweep.yaml")

    assert ended.returncode == 1
    assert "no.such.registry.invalid/x:1" in ended.stderr
    assert stage.state().halted is not None
    until("nothing is left", lambda: not stage.left())


@pytest.mark.parametrize("namespace", [{"pod-security.kubernetes.io/enforce": "baseline"}], indirect=True)
def test_pods_that_the_namespace_refuses_end_the_sweep(stage: Stage) -> None:
    stage.write(SWEEP + "scheduler_config: {pod_overlay: {hostNetwork: true}}\n")

    ended = stage.run("run", "sweep.yaml")

    assert ended.returncode == 1
    assert "violates PodSecurity" in ended.stderr
    until("nothing is left", lambda: not stage.left())


def test_a_quota_that_others_fill_makes_jobs_wait_with_the_reason_shown(stage: Stage) -> None:
    body = {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "1"}}}
    stage.namespace.admin.create(RESOURCE_QUOTAS, body)
    until("the quota is in force", lambda: stage.namespace.admin.get(RESOURCE_QUOTAS, "small")["status"].get("hard"))
    stage.write(
        SWEEP.replace("trials: 4", "trials: 2").replace("workspace: .", "workspace: .\narguments: {steps: 200}")
    )
    controller = stage.start("run", "sweep.yaml")

    waits = until("one waits", lambda: [a for a in _attempts(stage) if "exceeded quota" in a.reason])
    assert waits[0].phase is Phase.QUEUED
    until("status says so", lambda: "exceeded quota: small" in stage.done("status", "bowl"))

    assert controller.wait(240) == 0, stage.said()
    assert stage.state().counts == {Outcome.SUCCEEDED: 2}


def _attempts(stage: Stage) -> list[Attempt]:
    return [trial.attempts[-1] for trial in stage.state().trials if trial.attempts]


def test_a_minute_without_any_connection_costs_nothing_and_new_trials_follow_at_once(
    behind: Stage, proxy: Proxy
) -> None:
    """Submits, deletes and both watches meet it."""
    more = SWEEP.replace("trials: 4", "trials: 8")
    behind.write(more.replace("workspace: .", "workspace: .\narguments: {steps: 20, first: 8}"))
    controller = behind.start("run", "sweep.yaml")
    until("two trials have ended", lambda: behind.state().ended >= 2, 120)
    proxy.shut()
    until("nothing runs any more", lambda: all(_ended(pod) for pod in behind.pods()))
    time.sleep(50)  # with the wait before about a minute, as an upgrade of a control plane takes
    state = behind.state()
    over = {int(pod["metadata"]["labels"][LABEL_TRIAL]) for pod in behind.pods() if _ended(pod)}
    missed = state.ended + len(over & state.active.keys())
    proxy.shut(False)
    recovered(behind, over_at=time.time(), ended=missed)

    assert controller.wait(240) == 0, behind.said()
    state = behind.state()
    assert state.counts == {Outcome.SUCCEEDED: 8}
    assert [len(trial.attempts) for trial in state.trials] == [1] * 8
    until("nothing is left", lambda: not behind.left())


def test_a_watch_that_is_half_open_or_torn_is_taken_up_again(behind: Stage, proxy: Proxy) -> None:
    proxy.stall(after=1, times=1)
    proxy.cut(after=1, torn=True, times=2)
    proxy.refuse(410, path=WATCHES, times=2)
    proxy.refuse(500, path=WATCHES, times=2)

    behind.done("run", "sweep.yaml")

    assert behind.state().counts == {Outcome.SUCCEEDED: 4}
