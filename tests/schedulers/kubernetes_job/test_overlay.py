"""A person's changes to the pod: merged where a thing has a name, added where it has none, null removes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.schedulers.kubernetes_job.overlay import merged

OURS: dict[str, Any] = {
    "restartPolicy": "Never",
    "securityContext": {"runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "imagePullSecrets": [{"name": "registry"}],
    "containers": [
        {
            "name": "main",
            "image": "reg/a:1",
            "args": ["-c", "x"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "ports": [{"name": "c10d", "containerPort": 29500}],
            "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
        }
    ],
    "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
}


def main(overlay: dict[str, Any]) -> dict[str, Any]:
    """Our container with changes of its own."""
    whole = merged(OURS, {"containers": [{"name": "main", **overlay}]})
    assert len(whole["containers"]) == 1
    found: dict[str, Any] = whole["containers"][0]
    return found


def test_a_value_takes_the_place_of_ours_and_a_new_one_is_added() -> None:
    whole = merged(OURS, {"restartPolicy": "OnFailure", "hostNetwork": True})

    assert whole == {**OURS, "restartPolicy": "OnFailure", "hostNetwork": True}


def test_mappings_are_merged_and_null_removes_a_key() -> None:
    whole = merged(OURS, {"securityContext": {"runAsUser": None, "fsGroup": 5}, "tolerations": None})

    assert whole["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}, "fsGroup": 5}
    assert "tolerations" not in whole


def test_null_for_what_is_not_there_does_nothing_at_any_depth() -> None:
    assert merged(OURS, {"affinity": None, "dnsConfig": {"options": None}}) == {**OURS, "dnsConfig": {}}


def test_our_container_is_found_by_its_name_and_others_are_added() -> None:
    whole = merged(OURS, {"containers": [{"name": "main", "tty": True}, {"name": "proxy", "image": "p:1"}]})

    assert [one["name"] for one in whole["containers"]] == ["main", "proxy"]
    assert whole["containers"][0] == {**OURS["containers"][0], "tty": True}


def test_variables_are_changed_and_added_by_name() -> None:
    env = main({"env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]})["env"]

    assert env == [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}]


def test_a_variable_may_get_its_value_from_elsewhere() -> None:
    secret = {"secretKeyRef": {"name": "s", "key": "k"}}

    env = main({"env": [{"name": "A", "value": None, "valueFrom": secret}]})["env"]
    assert env[0] == {"name": "A", "valueFrom": secret}


def test_mounts_are_told_apart_by_their_path_for_a_volume_may_be_mounted_twice() -> None:
    mounts = main(
        {"volumeMounts": [{"name": "data", "mountPath": "/a", "subPath": "a"}, {"name": "data", "mountPath": "/b"}]}
    )["volumeMounts"]

    assert [one["mountPath"] for one in mounts] == ["/dev/shm", "/a", "/b"]


def test_a_mount_without_a_path_changes_that_of_its_volume() -> None:
    mounts = main({"volumeMounts": [{"name": "shm", "readOnly": True}]})["volumeMounts"]

    assert mounts == [{"name": "shm", "mountPath": "/dev/shm", "readOnly": True}]


def test_ports_are_told_apart_by_their_number() -> None:
    ports = main({"ports": [{"containerPort": 29500, "protocol": "UDP"}, {"containerPort": 8080}]})["ports"]

    assert ports == [{"name": "c10d", "containerPort": 29500, "protocol": "UDP"}, {"containerPort": 8080}]


def test_what_has_no_name_is_added() -> None:
    whole = merged(OURS, {"tolerations": [{"key": "dedicated", "operator": "Exists"}]})

    assert [one["key"] for one in whole["tolerations"]] == ["gpu", "dedicated"]


def test_plain_values_in_a_list_are_replaced() -> None:
    assert main({"args": ["y"]})["args"] == ["y"]


@pytest.mark.parametrize(
    "spread",
    [[{"topologyKey": "zone", "maxSkew": 1}], [{"topologyKey": "zone", "maxSkew": 1}, {"topologyKey": "host"}]],
)
def test_a_list_that_we_do_not_have_is_taken_as_it_is(spread: list[dict[str, Any]]) -> None:
    assert merged(OURS, {"topologySpreadConstraints": spread})["topologySpreadConstraints"] == spread


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "a", "b"]), inner, max_size=3),
    max_leaves=12,
)
mappings = st.dictionaries(st.sampled_from(["name", "a", "b", "c"]), json_values, max_size=4)


@given(ours=mappings, overlay=mappings)
def test_neither_side_is_changed_and_doing_it_twice_changes_no_keys(ours: Any, overlay: Any) -> None:
    before = copy.deepcopy((ours, overlay))

    once = merged(ours, overlay)

    assert (ours, overlay) == before
    assert set(once) == {key for key in {*ours, *overlay} if overlay.get(key, 0) is not None}


@given(ours=mappings)
def test_an_empty_overlay_changes_nothing(ours: Any) -> None:
    assert merged(ours, {}) == ours
