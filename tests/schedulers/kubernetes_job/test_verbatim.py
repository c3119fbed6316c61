"""Text reaches the program as it was, through TorchX's macros, the manifest, its YAML, and the kubelet's expansion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axk8s.kube.client import Object
from axk8s.launch.appdef import verbatim
from axk8s.schedulers.kubernetes_job.request import KubernetesRequest
from tests.schedulers.kubernetes_job.apps import app, container, job
from tests.schedulers.kubernetes_job.documents import distributed


def expand(text: str, variables: Mapping[str, str]) -> str:
    """What Kubernetes makes of a text: its `third_party/forked/golang/expansion`, which goes byte by byte."""
    data, out, at = text.encode(), b"", 0
    while at < len(data):
        byte, after = data[at : at + 1], data[at + 1 : at + 2]
        if byte != b"$" or not after:
            out += byte
            at += 1
        elif after == b"$":
            out += b"$"
            at += 2
        elif after == b"(":
            end = data.find(b")", at)
            if end < 0:
                out += b"$("
                at += 2
            else:
                name = data[at + 2 : end].decode()
                out += variables.get(name, f"$({name})").encode()
                at = end + 1
        else:
            # Go makes a rune of the one byte: a letter of several bytes is spoilt.
            out += b"$" + after.decode("latin-1").encode()
            at += 2
    return out.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("$(B)", "$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("a$", "a$"),
        ("$(A", "$(A"),
        ("$A ${A}", "$A ${A}"),
        ("$(A)$(A)", "11"),
        ("$(", "$("),
        ("$()", "$()"),
    ],
)
def test_the_model_of_the_kubelet_does_what_kubernetes_tests_say(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


def environment(made: Object, index: int) -> dict[str, str]:
    """The variables of a container, each of which may name those before it."""
    found: dict[str, str] = {}
    for one in container(made)["env"]:
        if "value" in one:
            found[one["name"]] = expand(one["value"], found)
        else:
            path = one["valueFrom"]["fieldRef"]["fieldPath"]
            assert path == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
            found[one["name"]] = str(index)
    return found


def words(made: Object, index: int = 0) -> list[str]:
    """Program and arguments as a replica gets them."""
    variables = environment(made, index)
    return [expand(text, variables) for text in [*container(made)["command"], *container(made)["args"]]]


fragments = st.sampled_from([
    "$(X)", "$(HOME)", "$(AXK8S_REPLICA)", "$(TORCHX_RANK0_HOST)", "$$", "$", "${HOME}", "${app_id}", "${replica_id}",
    "${rank0_env}", "${img_root}", "$replica_id", "(", ")", "{", "}", "\n", "\r", "\t", "'", '"', "\\", " ", "ü",
    "\u2028", "\x85", "\ufeff", "😀", "%s", "#", ": ", "- ", "\x1b[0m", "\x7f", "null", "~", "1e3",
])  # fmt: skip
anything = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
text = st.lists(fragments | anything, max_size=8).map("".join)


@given(argument=text, value=text)
@example("$(X) $$ ${HOME} $$$(X) ${replica_id}", "$ü")
def test_arguments_and_variables_arrive_unchanged(argument: str, value: str) -> None:
    env = {"X": "spoilt", "HOME": "/root", "VALUE": verbatim(value), "LATER": verbatim(value)}
    made = job(app(entrypoint=verbatim(argument) or "x", args=[verbatim(argument), "end"], env=env, num_replicas=2))

    assert words(made, 1) == [argument or "x", argument, "end"]
    found = environment(made, 1)
    assert (found["VALUE"], found["LATER"]) == (value, value)


@given(argument=text, value=text)
def test_the_kept_manifest_says_the_same(argument: str, value: str) -> None:
    request = KubernetesRequest(job(app(args=[argument], env={"A": value})))

    assert KubernetesRequest.from_text(request.to_text()) == request


@pytest.mark.parametrize("index", [0, 3])
def test_macros_mean_the_replica_the_job_and_the_first_replicas_variable(index: int) -> None:
    given_words = ["${replica_id}", "n${replica_id}/${app_id}", "${rank0_env}", "[${img_root}]", "$$(AXK8S_REPLICA)"]
    made = job(app(args=given_words, env={"WHO": "${app_id}-${replica_id}"}, num_replicas=4), name="tune-t0")

    assert words(made, index) == [
        "python", str(index), f"n{index}/tune-t0", "TORCHX_RANK0_HOST", "[]", "$(AXK8S_REPLICA)"
    ]  # fmt: skip
    assert environment(made, index)["WHO"] == f"tune-t0-{index}"


def test_the_first_replica_is_found_through_the_service() -> None:
    assert environment(job(app(num_replicas=2), name="a", service="s"), 1)["TORCHX_RANK0_HOST"] == "a-0.s"
    assert environment(job(app(num_replicas=2), name="a"), 1)["TORCHX_RANK0_HOST"] == "a-0.a"
    assert environment(job(app()), 0)["TORCHX_RANK0_HOST"] == "localhost"


def test_the_shell_of_torchx_own_distributed_component_finds_it_too() -> None:
    script = words(job(distributed(), name="tune-t0", service="s"), 2)[2]

    assert "--rdzv_endpoint ${TORCHX_RANK0_HOST:=localhost}:29500 " in script
    assert "--rdzv_id 'tune-t0' " in script


@pytest.mark.parametrize("name", ["AXK8S_REPLICA", "TORCHX_RANK0_HOST"])
def test_a_variable_that_is_ours_is_not_taken_from_the_app(name: str) -> None:
    made = job(app(env={name: "theirs"}, num_replicas=2), name="a")

    assert environment(made, 1)[name] != "theirs"
    assert [one["name"] for one in container(made)["env"]].count(name) == 1


def test_the_app_itself_is_not_changed() -> None:
    def made() -> Any:
        return app(args=["${replica_id}", "$$"], env={"A": "${app_id}"})

    given_app = made()
    job(given_app)
    assert given_app == made()
