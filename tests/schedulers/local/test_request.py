"""An AppDef becomes a plan, the plan a text and back, and what cannot run is refused with a sentence."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchx.specs import AppDef, Resource, RetryPolicy, Role

from axk8s.errors import ComponentError, SchedulerConfigError, SubmitError
from axk8s.schedulers.local.request import LocalRequest, ReplicaPlan

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def role(**fields: Any) -> Role:
    return Role(**{"name": "main", "image": "image", "entrypoint": "sh", **fields})


def plan(*roles: Role, **cfg: Any) -> LocalRequest:
    return LocalRequest.from_app(AppDef("app", roles=list(roles)), {"name": "job", **cfg}, "session")


@given(args=st.lists(text, min_size=1), env=st.dictionaries(text, text), timeout=st.none() | st.floats(0, 1e9))
def test_a_request_survives_as_text(args: list[str], env: dict[str, str], timeout: float | None) -> None:
    request = LocalRequest(
        "job", Path("/a b/ü"), Path("/"), (ReplicaPlan("main", 0, tuple(args), env, gpus=1),), timeout, metadata=env
    )
    assert LocalRequest.from_text(request.to_text()) == request


@pytest.mark.parametrize("damaged", ["", "{", "[]", "{}", '{"version": 1}', '{"version": 1, "replicas": [{}]}'])
def test_a_damaged_text_is_refused(damaged: str) -> None:
    with pytest.raises(SubmitError, match="the stored request is damaged"):
        LocalRequest.from_text(damaged)


def test_a_text_of_another_version_is_refused() -> None:
    with pytest.raises(SubmitError, match="of version 2"):
        LocalRequest.from_text(json.dumps({"version": 2}))


def test_a_text_with_a_part_missing_or_unknown_is_refused() -> None:
    plain = json.loads(plan(role()).to_text())
    for broken in ({**plain, "colour": "red"}, {key: value for key, value in plain.items() if key != "app_id"}):
        with pytest.raises(SubmitError, match="damaged"):
            LocalRequest.from_text(json.dumps(broken))


def test_macros_are_replaced_for_each_replica_and_the_appdef_is_not_changed(tmp_path: Path) -> None:
    given_role = role(
        args=["${app_id}", "${replica_id}", "${img_root}", "${rank0_env}", "$$HOME", "cost: 5$"],
        env={"WHO": "${app_id}-${replica_id}"},
        num_replicas=2,
    )
    before = copy.deepcopy(given_role)
    request = plan(given_role, cwd=str(tmp_path))
    assert request.replicas[1].args == ("sh", "job", "1", str(tmp_path), "TORCHX_RANK0_HOST", "$HOME", "cost: 5$")
    assert request.replicas[1].env["WHO"] == "job-1"
    assert request.replicas[1].env["TORCHX_RANK0_HOST"] == "localhost"
    assert given_role == before


def test_the_logs_of_an_only_replica_lie_in_the_folder_itself() -> None:
    assert [one.folder for one in plan(role()).replicas] == [""]
    assert [one.folder for one in plan(role(num_replicas=2), role(name="b")).replicas] == ["main-0", "main-1", "b-0"]


def test_the_folder_is_the_given_one_or_below_log_dir_or_in_the_register(tmp_path: Path, state: Path) -> None:
    assert plan(role(), folder=str(tmp_path / "x"), log_dir="ignored").folder == tmp_path / "x"
    assert plan(role(), log_dir=str(tmp_path)).folder == tmp_path / "session" / "job"
    assert plan(role()).folder == state / "jobs" / "job"


def test_relative_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = plan(role(), folder="x", cwd="y")
    assert (request.folder, request.cwd) == (tmp_path / "x", tmp_path / "y")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"args": ["a", 0.01]}, "argument 2 is 0.01 (float), and TorchX takes strings only"),
        ({"env": {"LR": 3}}, "variable LR is 3 (int)"),
        ({"args": ["a\0b"]}, "argument 1 holds a NUL character"),
        ({"env": {"A=B": "c"}}, "'A=B' cannot be the name of an environment variable"),
        ({"entrypoint": ""}, "has no entrypoint"),
        ({"name": "a/b"}, "usable as a folder's name"),
        ({"max_retries": 1, "retry_policy": RetryPolicy.HOT_SPARE}, "does not know the retry policy HOT_SPARE"),
        ({"max_retries": 1, "retry_policy": "ROLE"}, "does not know the retry policy ROLE"),
    ],
)
def test_roles_that_cannot_run_are_refused_by_name(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ComponentError) as caught:
        plan(role(**fields))
    assert said in caught.value.message


def test_a_retry_policy_without_retries_does_not_matter() -> None:
    assert plan(role(retry_policy=RetryPolicy.HOT_SPARE)).replicas[0].max_retries == 0


def test_two_roles_of_one_name_are_refused() -> None:
    with pytest.raises(ComponentError, match="more than one role is called main"):
        plan(role(), role())


@pytest.mark.parametrize("name", ["a/b", ".hidden", "two\nlines", "x" * 201])
def test_a_name_that_cannot_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(SchedulerConfigError, match="cannot be the name of a job"):
        plan(role(), name=name)


@pytest.mark.parametrize("options", [{"timeout": -1.0}, {"grace": float("inf")}, {"timeout": float("nan")}])
def test_impossible_seconds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SchedulerConfigError, match="seconds are not negative, and finite"):
        plan(role(), **options)


def test_an_unnamed_app_gets_a_unique_name_each_time() -> None:
    names = {plan(role(), name=None).app_id for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("app-") for name in names)


def gpu_role(gpu: int, **fields: Any) -> Role:
    return role(resource=Resource(cpu=1, gpu=gpu, memMB=1), **fields)


def test_more_gpus_than_there_are_are_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert [one.gpus for one in plan(gpu_role(1, num_replicas=2)).replicas] == [1, 1]
    with pytest.raises(SchedulerConfigError, match=r"wants 4 GPUs, and CUDA_VISIBLE_DEVICES=0,1 has 2"):
        plan(gpu_role(2, num_replicas=2))
    assert plan(gpu_role(4), share_gpus=True).share_gpus


def test_a_role_that_names_its_gpus_itself_needs_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    request = plan(gpu_role(2, env={"CUDA_VISIBLE_DEVICES": "6,7"}))
    assert request.replicas[0].gpus == 0
    assert request.replicas[0].env["CUDA_VISIBLE_DEVICES"] == "6,7"
