"""A plain TorchX `Runner` with our schedulers: nothing of a sweep is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import yaml
from torchx.runner import Runner

import axk8s.schedulers
from axk8s.errors import SchedulerConfigError
from tests.kube.server import Answer
from tests.schedulers.kubernetes_job.objects import COMPLETE, exited, job, pod, running
from tests.schedulers.kubernetes_job.routes import SPACE, Routes, listing

if TYPE_CHECKING:
    from tests.schedulers.kubernetes_job.conftest import Serve

ECHO = ["--msg", "hello $world", "--num_replicas", "2"]


@pytest.fixture
def runner() -> Iterator[Runner]:
    with Runner("torchx", scheduler_factories=axk8s.schedulers.factories()) as found:
        yield found


def test_a_dry_run_needs_no_cluster(runner: Runner) -> None:
    info = runner.dryrun_component("utils.echo", ECHO, "kubernetes_job")

    job_, service = yaml.safe_load_all(str(info))
    assert (job_["kind"], service["kind"]) == ("Job", "Service")
    assert job_["spec"]["template"]["spec"]["containers"][0]["args"] == ["hello $$world"]
    assert "namespace" not in job_["metadata"]
    assert job_["metadata"]["name"].startswith("echo-")


def test_a_dry_run_for_a_namespace_needs_none_either(runner: Runner) -> None:
    info = runner.dryrun_component("utils.echo", ECHO, "kubernetes_job", cfg={"namespace": "team"})

    assert info.request.job["metadata"]["namespace"] == "team"


@pytest.mark.parametrize("level", ["restricted", "baseline", ""])
def test_pods_are_made_as_the_namespace_demands(runner: Runner, serve: Serve, level: str) -> None:
    routes = Routes()
    labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    routes.on("GET namespace", {"metadata": {**SPACE["metadata"], "labels": labels}})
    server = serve(routes)

    infos = [runner.dryrun_component("utils.echo", ECHO, "kubernetes_job") for _ in range(2)]

    for info in infos:
        security = info.request.job["spec"]["template"]["spec"]["securityContext"]
        assert security.get("runAsNonRoot", False) is (level == "restricted")
    assert len(server.requests) == 1


@pytest.mark.parametrize("said", ["restricted", "unrestricted"])
def test_the_namespace_is_not_asked_where_the_options_say_it(runner: Runner, serve: Serve, said: str) -> None:
    server = serve(Routes())

    info = runner.dryrun_component("utils.echo", ECHO, "kubernetes_job", cfg={"security": said})

    security = info.request.job["spec"]["template"]["spec"]["securityContext"]
    assert security.get("runAsNonRoot", False) is (said == "restricted")
    assert server.requests == []


def test_a_misspelt_option_is_refused(runner: Runner) -> None:
    with pytest.raises(SchedulerConfigError, match="did you mean 'queue'"):
        runner.dryrun_component("utils.echo", ECHO, "kubernetes_job", cfg={"queu": "a"})


def test_an_app_is_run_asked_about_and_read(runner: Runner, serve: Serve) -> None:
    routes = Routes()
    routes.on("POST jobs", Answer(201, {"metadata": {"uid": "job-1"}}))
    server = serve(routes)
    handle = runner.run_component("utils.echo", ["--msg", "hello"], "kubernetes_job", cfg={"name": "tune"})
    assert handle == "kubernetes_job://torchx/team:tune"

    made = next(one for one in server.requests if one.method == "POST").body
    found = pod(exited(0), job="tune")
    routes.on("GET jobs/tune", {**made, "status": job(COMPLETE)["status"]})
    routes.on("GET pods", listing(found))
    routes.on(f"GET pods/{found['metadata']['name']}/log", Answer(200, "hello\n"))
    status = runner.status(handle)
    assert status is not None
    assert str(status.state) == "SUCCEEDED"
    assert list(runner.log_lines(handle, "echo", 0)) == ["hello\n"]


def test_an_app_that_runs_is_ended_by_a_cancel(runner: Runner, serve: Serve) -> None:
    routes = Routes()
    info = runner.dryrun_component("utils.echo", ECHO, "kubernetes_job", cfg={"name": "tune"})
    routes.on("GET jobs/tune", info.request.job)
    routes.on("GET pods", listing(pod(running(), job="tune")))
    routes.on("DELETE jobs/tune", {})
    server = serve(routes)

    runner.cancel("kubernetes_job://torchx/team:tune")

    assert server.requests[-1].method == "DELETE"
