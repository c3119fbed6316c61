"""TorchX's interface against a server: Volcano Jobs, and nothing else, under TorchX's own name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from torchx.runner import Runner
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler
from torchx.specs import AppDef, AppState, RetryPolicy

from axk8s.errors import ComponentError, PostponedError, SchedulerConfigError, SubmitError
from axk8s.schedulers.catalog import factories
from axk8s.schedulers.volcano import options
from axk8s.schedulers.volcano.scheduler import VolcanoRequest, VolcanoScheduler
from tests.kube.server import Answer, Request, refusal
from tests.schedulers.kubernetes_job.apps import app, role
from tests.schedulers.kubernetes_job.objects import NAME, exited, running
from tests.schedulers.kubernetes_job.routes import Routes, listing
from tests.schedulers.volcano.objects import replica, volcano

if TYPE_CHECKING:
    from tests.schedulers.kubernetes_job.conftest import Serve

PAGE = Path(__file__).parents[3] / "docs" / "volcano.md"
LABELS = {"axk8s/sweep-uid": "0a1b", "axk8s/trial": "3"}
OURS = {"app.kubernetes.io/managed-by": "axk8s", **LABELS}


class Desk:
    """A scheduler, and the server that it speaks to."""

    def __init__(self, serve: Serve) -> None:
        self.routes = Routes()
        self.routes.on("POST jobs", Answer(201, {"metadata": {"name": NAME, "uid": "volcano-1"}}))
        self.server = serve(self.routes)
        self.scheduler = VolcanoScheduler("session")

    def request(self, made: AppDef | None = None, **cfg: Any) -> VolcanoRequest:
        asked = self.scheduler.submit_dryrun(made or app(metadata=LABELS), {"name": NAME, "queue": "training", **cfg})
        found: VolcanoRequest = asked.request
        return found

    def asked(self, method: str) -> list[Request]:
        return [one for one in self.server.requests if one.method == method]


@pytest.fixture
def desk(serve: Serve) -> Desk:
    return Desk(serve)


def test_a_job_is_created_strictly_at_volcanos_place(desk: Desk) -> None:
    info = desk.scheduler.submit_dryrun(app(metadata=LABELS, num_replicas=2), {"name": NAME, "queue": "training"})

    assert desk.scheduler.schedule(info) == f"team:{NAME}"
    (created,) = desk.asked("POST")
    assert created.path == "/apis/batch.volcano.sh/v1alpha1/namespaces/team/jobs"
    assert created.query == {"fieldValidation": "Strict"}
    assert created.body == info.request.job


def test_a_runner_makes_plain_handles(serve: Serve) -> None:
    desk = Desk(serve)
    runner = Runner("torchx", scheduler_factories=factories())

    handle = runner.run(app(), "kubernetes", cfg={"name": NAME, "queue": "training"})

    assert handle == f"kubernetes://torchx/team:{NAME}"
    assert len(desk.asked("POST")) == 1


def test_a_name_is_made_where_none_is_given(desk: Desk) -> None:
    names = {desk.request(name=None).name for _ in range(3)}

    assert len(names) == 3
    assert all(name.startswith("tune-") for name in names)


def test_torchx_warning_of_retries_is_not_passed_on_for_they_are_right(desk: Desk) -> None:
    assert desk.request(app(max_retries=2)).job["spec"]["maxRetry"] == 3


def test_a_job_of_ours_that_exists_is_adopted_and_anybody_elses_left_alone(desk: Desk) -> None:
    desk.routes.on("POST jobs", refusal(409, "AlreadyExists", "exists"))
    desk.routes.on(f"GET jobs/{NAME}", volcano("Running", labels=OURS))
    assert not desk.scheduler.start(desk.request())

    desk.routes.on(f"GET jobs/{NAME}", volcano("Running", labels={**OURS, "axk8s/trial": "4"}))
    with pytest.raises(SubmitError, match="is in team already, and it is not ours"):
        desk.scheduler.start(desk.request())


def test_a_cluster_without_volcano_is_told_so_with_both_remedies(desk: Desk) -> None:
    desk.routes.on("POST jobs", refusal(404, "NotFound", "the server could not find the requested resource"))

    with pytest.raises(SubmitError, match="Volcano is not installed in this cluster") as refused:
        desk.scheduler.start(desk.request())
    assert "-s kubernetes_job" in refused.value.hint
    assert "https://volcano.sh/en/docs/installation/" in refused.value.hint


def test_volcanos_webhook_that_is_down_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    request = desk.request()
    desk.routes.on("POST jobs", refusal(500, "InternalError", "failed calling webhook mutatejob.volcano.sh"))
    monkeypatch.setattr(desk.scheduler.kube, "_patience", desk.scheduler.kube.impatient(0.0)._patience)
    monkeypatch.setattr("axk8s.schedulers.kubernetes_job.scheduler.PAUSE", 0.0)

    with pytest.raises(PostponedError, match="webhook"):
        desk.scheduler.start(request)


def test_volcanos_webhook_that_refuses_is_an_error_in_its_words(desk: Desk) -> None:
    desk.routes.on("POST jobs", refusal(400, "BadRequest", "unable to find job queue: queues 'training' not found"))

    with pytest.raises(SubmitError, match="unable to find job queue"):
        desk.scheduler.start(desk.request())


@pytest.mark.parametrize(
    ("phase", "pods", "state", "replicas"),
    [
        ("", [], AppState.PENDING, [AppState.PENDING]),
        ("Pending", [], AppState.PENDING, [AppState.PENDING]),
        ("Running", [replica(running())], AppState.RUNNING, [AppState.RUNNING]),
        ("Completing", [replica(running())], AppState.RUNNING, [AppState.RUNNING]),
        ("Completed", [replica(exited(0))], AppState.SUCCEEDED, [AppState.SUCCEEDED]),
        ("Completed", [], AppState.SUCCEEDED, [AppState.PENDING]),
        ("Completed", [replica(exited(1))], AppState.FAILED, [AppState.FAILED]),
        ("Terminated", [replica(exited(1))], AppState.FAILED, [AppState.FAILED]),
        ("Failed", [replica(exited(1))], AppState.FAILED, [AppState.FAILED]),
        ("Aborted", [], AppState.CANCELLED, [AppState.PENDING]),
    ],
)
def test_it_is_described_with_its_replicas_in_every_phase(
    desk: Desk, phase: str, pods: list[Any], state: AppState, replicas: list[AppState]
) -> None:
    desk.routes.on(f"GET jobs/{NAME}", volcano(phase))
    desk.routes.on("GET pods", listing(*pods))

    found = desk.scheduler.describe(f"team:{NAME}")

    assert found is not None
    assert found.state is state
    assert [(one.name, one.num_replicas, one.image) for one in found.roles] == [("trainer", 1, "a/b:1")]
    assert [one.state for one in found.roles_statuses[0].replicas] == replicas
    (asked,) = (one for one in desk.asked("GET") if one.path.endswith("/pods"))
    assert asked.query["labelSelector"] == f"volcano.sh/job-name={NAME}"


def test_none_is_described_where_there_is_none(desk: Desk) -> None:
    assert desk.scheduler.describe(f"team:{NAME}") is None


def test_the_list_has_jobs_without_a_status_too(desk: Desk) -> None:
    found = [volcano(phase, name=f"job-{number}") for number, phase in enumerate(("", "Running", "Failed", "Aborted"))]
    found[1]["status"]["running"] = 1
    desk.routes.on("GET jobs", listing(*found))

    states = [one.state for one in desk.scheduler.list()]

    assert states == [AppState.PENDING, AppState.RUNNING, AppState.FAILED, AppState.CANCELLED]


def test_a_replicas_log_is_found_by_role_and_number(desk: Desk) -> None:
    pods = [replica(exited(0), role=name, index=index) for name in ("trainer", "reader") for index in range(2)]
    desk.routes.on("GET pods", listing(*pods))
    desk.routes.on(f"GET pods/{NAME}-reader-1-0/log", Answer(200, "hello\n"))

    assert list(desk.scheduler.log_iter(f"team:{NAME}", "reader", 1)) == ["hello\n"]


def test_cancelling_deletes_the_job_with_its_pods(desk: Desk) -> None:
    desk.routes.on(f"DELETE jobs/{NAME}", {})

    desk.scheduler.cancel(f"team:{NAME}")
    desk.scheduler.delete("team:nobody")

    first = desk.asked("DELETE")[0]
    assert first.path == f"/apis/batch.volcano.sh/v1alpha1/namespaces/team/jobs/{NAME}"
    assert first.body["propagationPolicy"] == "Background"


def test_images_that_torchx_has_built_are_pushed_before_the_job_is_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[object] = []
    monkeypatch.setattr(KubernetesScheduler, "push_images", lambda _, images: pushed.append(images))
    made = app(image="sha256:0a1b2c")

    info = desk.scheduler.submit_dryrun(made, {"name": NAME, "image_repo": "registry.example.com/team/train"})
    assert not pushed
    desk.scheduler.schedule(info)

    assert pushed == [{"sha256:0a1b2c": ("registry.example.com/team/train", "0a1b2c")}]
    (container,) = info.request.job["spec"]["tasks"][0]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/team/train:0a1b2c"


@pytest.mark.parametrize(
    ("cfg", "says"),
    [
        ({"quue": "training"}, "the scheduler kubernetes has no option 'quue'"),
        ({"queue": "Not A Queue"}, "queue=Not A Queue"),
        ({"service": "shared"}, "has no option 'service'"),
    ],
)
def test_options_that_cannot_be_are_refused(desk: Desk, cfg: dict[str, str], says: str) -> None:
    with pytest.raises(SchedulerConfigError, match=says):
        desk.request(**cfg)


def test_a_retry_policy_that_would_do_nothing_is_refused(desk: Desk) -> None:
    made = app(role(num_replicas=2, max_retries=1, retry_policy=RetryPolicy.REPLICA))

    with pytest.raises(ComponentError, match=r"use RetryPolicy\.APPLICATION"):
        desk.request(made)


def test_the_page_has_the_options_as_they_are() -> None:
    assert options.markdown() in PAGE.read_text("utf-8")
