"""What cannot be a pod is refused with a sentence, and what can be one is what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from torchx.specs import MISSING, BindMount, DeviceMount

from axk8s.errors import ComponentError
from tests.schedulers.kubernetes_job.apps import app, container, job, pod, resource

LONG = "x" * 200_000


def refusal(*, cfg: dict[str, Any] | None = None, **fields: Any) -> str:
    with pytest.raises(ComponentError) as caught:
        job(app(**fields), **(cfg or {}))
    return str(caught.value)


@dataclass
class Ghost:
    """A kind of mount that nobody knows."""

    src: str


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"image": ""}, "role 'main' names no image"),
        ({"image": "registry:5000/train"}, "the image 'registry:5000/train' has no tag"),
        ({"image": "train"}, "write train:1.0, or train@sha256:"),
        ({"image": "a b:1"}, "'a b:1' is not the name of an image"),
        ({"image": "a:1\n"}, "is not the name of an image"),
        ({"image": " "}, "is not the name of an image"),
        ({"entrypoint": ""}, "role 'main' has no entrypoint"),
        ({"entrypoint": MISSING}, "role 'main' has no entrypoint"),
        ({"entrypoint": "a\0b"}, "the entrypoint holds a NUL character"),
        ({"args": ["--lr", 0.1]}, "argument 2 is 0.1 (float), and TorchX takes strings only"),
        ({"args": [None]}, "argument 1 is None (NoneType)"),
        ({"env": {"A": 1}}, "variable A is 1 (int)"),
        ({"args": ["a\0b"]}, "argument 1 holds a NUL character"),
        ({"env": {"A": "\0"}}, "variable A holds a NUL character"),
        ({"args": [LONG]}, "is 200,000 bytes long, and Linux starts no program with more than 131,071"),
        ({"args": ["ü" * 70_000]}, "is 140,000 bytes long"),
        ({"env": {"A": LONG}}, "the variable A is 200,002 bytes long"),
        ({"env": {"A=B": "1"}}, "'A=B' cannot be the name of an environment variable"),
        ({"env": {"": "1"}}, "'' cannot be the name"),
        ({"env": {"Ä": "1"}}, "'Ä' cannot be the name"),
        ({"env": {"A\n": "1"}}, "cannot be the name"),
        ({"mounts": [DeviceMount("/dev/fuse", "/dev/fuse")]}, "the device /dev/fuse cannot be mounted"),
        ({"mounts": [Ghost("/a")]}, "{'src': '/a'} is no mount that Kubernetes has"),
        ({"mounts": ["/a"]}, "'/a' is no mount that Kubernetes has"),
    ],
    ids=lambda value: f"{value!r:.40}",
)
def test_a_role_that_cannot_be_a_pod_is_refused(fields: dict[str, Any], says: str) -> None:
    assert says in refusal(**fields)


@pytest.mark.parametrize(
    "image",
    ["a:1", "registry:5000/a:1", "a@sha256:0123", "registry:5000/team/a@sha256:0123", "a:latest", "a:1@sha256:01"],
)
def test_an_image_with_a_tag_or_a_digest_is_taken(image: str) -> None:
    assert container(job(app(image=image)))["image"] == image


def test_the_options_image_is_for_roles_that_name_none() -> None:
    assert container(job(app(image=""), image="other:1"))["image"] == "other:1"
    assert container(job(app(image="own:1"), image="other:1"))["image"] == "own:1"
    assert "has no tag" in refusal(image="", cfg={"image": "other"})


@pytest.mark.parametrize("length", [131_071, 131_072])
def test_an_argument_may_be_as_long_as_linux_takes(length: int) -> None:
    if length == 131_071:
        assert len(container(job(app(args=["x" * length])))["args"][0]) == length
    else:
        assert "131,072 bytes long" in refusal(args=["x" * length])


@pytest.mark.parametrize("name", ["A", "_a9", "with.dots-and/others", "lower case"])
def test_a_variable_may_be_called_what_newer_clusters_take(name: str) -> None:
    assert name in {one["name"] for one in container(job(app(env={name: "1"})))["env"]}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (resource(), None),
        (resource(cpu=2), {"cpu": "2"}),
        (resource(cpu=0.5), {"cpu": "500m"}),
        (resource(cpu=2.0, memory=1024), {"cpu": "2", "memory": "1024Mi"}),
        (resource(gpu=1), {"nvidia.com/gpu": "1"}),
        (resource(cpu=0, gpu=0, memory=0, devices={"example.com/a": 0}), None),
        (resource(devices={"example.com/a": 2}), {"example.com/a": "2"}),
    ],
    ids=str,
)
def test_a_pod_asks_for_what_the_role_says_and_has_as_much(asked: Any, expected: dict[str, str] | None) -> None:
    resources = container(job(app(resource=asked))).get("resources")

    assert resources == (None if expected is None else {"requests": expected, "limits": expected})


def test_without_a_limit_on_cpu_only_the_request_stays() -> None:
    made = container(job(app(resource=resource(cpu=2, memory=8)), cpu_limit=False))["resources"]
    assert made == {"requests": {"cpu": "2", "memory": "8Mi"}, "limits": {"memory": "8Mi"}}
    assert container(job(app(resource=resource(cpu=2)), cpu_limit=False))["resources"] == {"requests": {"cpu": "2"}}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("c10d", True),
        ("a", True),
        ("a-b", True),
        ("fifteen-letters", True),
        ("sixteen-letters-", False),
        ("a--b", False),
        ("-a", False),
        ("123", False),
        ("Upper", False),
        ("under_score", False),
        ("", False),
    ],
)
def test_a_port_keeps_its_name_if_kubernetes_takes_it(name: str, kept: bool) -> None:
    ports = container(job(app(port_map={name: 80})))["ports"]

    assert ports == [{"name": name, "containerPort": 80} if kept else {"containerPort": 80}]


def test_restricted_pods_have_a_user_of_a_number_and_a_home() -> None:
    made = job(app(), restricted=True, run_as_user=2000)

    assert pod(made)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 2000,
        "runAsGroup": 2000,
        "fsGroup": 2000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert {"name": "HOME", "value": "/tmp"} in container(made)["env"]


def test_a_home_of_the_apps_own_stays_and_unrestricted_pods_have_the_images() -> None:
    made = job(app(env={"HOME": "/own"}), restricted=True)
    assert [one for one in container(made)["env"] if one["name"] == "HOME"] == [{"name": "HOME", "value": "/own"}]
    assert not any(one["name"] == "HOME" for one in container(job(app()))["env"])


@pytest.mark.parametrize("restricted", [True, False])
def test_no_pod_may_gain_privileges_or_has_a_token(restricted: bool) -> None:
    made = job(app(), restricted=restricted, service_account="trainer")

    assert container(made)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(made)["automountServiceAccountToken"] is False
    assert pod(made)["serviceAccountName"] == "trainer"


def test_a_time_out_is_rounded_up_to_whole_seconds() -> None:
    assert pod(job(app(), timeout=1.2))["activeDeadlineSeconds"] == 2
    assert "activeDeadlineSeconds" not in pod(job(app()))


def test_shared_memory_is_bounded_by_the_memory_that_was_asked_for() -> None:
    assert pod(job(app(resource=resource(memory=64))))["volumes"][0]["emptyDir"] == {
        "medium": "Memory",
        "sizeLimit": "64Mi",
    }
    assert pod(job(app()))["volumes"][0]["emptyDir"] == {"medium": "Memory"}


def test_code_of_the_support_alone_does_not_change_the_working_directory() -> None:
    assert "workingDir" not in container(job(app(), code="c", code_files=["support/axk8s/training.py"]))
    assert container(job(app(), code="c", code_files=["code/a.py"]))["workingDir"] == "/axk8s/code"


def test_a_secret_of_the_name_of_a_plain_variable_comes_last_and_wins() -> None:
    env = container(job(app(env={"TOKEN": "plain"}), secret_env={"TOKEN": "s/k"}))["env"]

    assert env[-1] == {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}


def test_of_two_volumes_the_options_one_comes_before_the_roles() -> None:
    made = pod(job(app(mounts=[BindMount("/here", "/there")]), volumes=["claim:/data"]))

    assert [one["name"] for one in made["volumes"]] == ["shm", "mount-0", "mount-1"]
    assert made["volumes"][1] == {"name": "mount-0", "persistentVolumeClaim": {"claimName": "claim"}}
