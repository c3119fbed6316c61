"""What cannot be right on a cluster: said before the first Job, with what to do, and nothing left behind."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from axk8s.kube.resource import JOBS, NAMESPACES, RESOURCE_QUOTAS
from tests.cluster import kubeconfig
from tests.cluster.cluster import Cluster
from tests.cluster.deadline import until
from tests.cluster.namespace import ROLES, Namespace
from tests.cluster.stage import SWEEP, Stage, names

if TYPE_CHECKING:
    from tests.cluster.conftest import NewNamespace


def refused(stage: Stage, *words: str, code: int = 2) -> str:
    """What `run` says when it refuses; nothing was begun and nothing made."""
    ended = stage.run("run", "sweep.yaml", *words)
    assert ended.returncode == code, (ended.returncode, ended.stderr)
    assert "Traceback" not in ended.stderr
    assert not stage.sweep().exists()
    assert stage.left() == []
    return " ".join(ended.stderr.split())


def quota(stage: Stage, **hard: str) -> None:
    amounts = {name.replace("_", "."): text for name, text in hard.items()}
    body = {"metadata": {"name": "small"}, "spec": {"hard": amounts}}
    stage.namespace.admin.create(RESOURCE_QUOTAS, body)
    until("the quota is in force", lambda: stage.namespace.admin.get(RESOURCE_QUOTAS, "small")["status"].get("hard"))


def test_no_kubeconfig(stage: Stage) -> None:
    stage.environment["KUBECONFIG"] = "/nowhere/config"

    assert "there is no kubeconfig at /nowhere/config" in refused(stage)
    assert stage.run("validate", "sweep.yaml").returncode == 0, "a file can be checked on the train"


def test_a_context_that_does_not_exist_is_answered_with_those_that_do(stage: Stage) -> None:
    said = refused(stage, "-cfg", "context=tset")

    assert "has no context 'tset'" in said
    assert "did you mean 'test'?" in said


def test_a_server_that_is_not_there(stage: Stage, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    entry = {"server": f"https://127.0.0.1:{port}"}
    stage.environment["KUBECONFIG"] = str(
        kubeconfig.write(tmp_path / "nobody", entry, token="t", namespace=stage.namespace.name)
    )

    assert f"https://127.0.0.1:{port} does not answer" in refused(stage, code=1)


def test_a_token_that_has_expired(stage: Stage, cluster: Cluster, tmp_path: Path) -> None:
    head, payload, signature = stage.namespace.token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    old = base64.urlsafe_b64encode(json.dumps({**claims, "exp": claims["iat"]}).encode()).decode().rstrip("=")
    file = kubeconfig.write(
        tmp_path / "old", cluster.entry(), token=f"{head}.{old}.{signature}", namespace=stage.namespace.name
    )
    stage.environment["KUBECONFIG"] = str(file)

    assert "log in again" in refused(stage)


def test_a_namespace_that_is_not_ours_or_does_not_exist(stage: Stage) -> None:
    said = refused(stage, "-cfg", "namespace=nowhere-at-all")

    assert "missing in nowhere-at-all" in said
    assert "axk8s manifests rbac" in said


def test_a_missing_permission_is_named_with_the_rule_to_add(stage: Stage) -> None:
    admin = stage.namespace.admin
    role = admin.get(ROLES, "axk8s")
    for rule in role["rules"]:
        if rule["resources"] == ["jobs"]:
            rule["verbs"] = [verb for verb in rule["verbs"] if verb != "delete"]
    role["rules"] = [rule for rule in role["rules"] if rule["resources"] != ["pods/log"]]
    admin.replace(ROLES, role)
    until("the Role is in force", lambda: stage.run("doctor", "sweep.yaml").returncode == 1)

    said = refused(stage)

    assert "delete jobs (batch)" in said
    assert "get pods/log" in said
    assert '{apiGroups: ["batch"], resources: [jobs], verbs: [delete]}' in said
    assert '{apiGroups: [""], resources: [pods/log], verbs: [get]}' in said


def test_a_job_of_the_same_name_that_is_not_ours(stage: Stage) -> None:
    stage.write(SWEEP.replace("trials: 4", "trials: 1"))
    stage.done("run", "sweep.yaml", "--trials", "1")
    uid = stage.state().uid
    foreign: dict[str, Any] = {
        "metadata": {"name": f"bowl-{uid[:6]}-t1-a0", "labels": {"app.kubernetes.io/managed-by": "axk8s"}},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x:1"}]}},
        },
    }
    stage.namespace.admin.create(JOBS, foreign)

    ended = stage.run("run", "sweep.yaml", "--trials", "2")

    assert ended.returncode == 0, ended.stderr
    assert "it is not ours" in stage.state().trials[1].attempts[0].exit.message  # type: ignore[union-attr]
    assert names(stage.jobs()) == [foreign["metadata"]["name"]], "left alone"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("image: 'python'", "the image 'python' has no tag"),
        ("image: 'two words:1'", "is not the name of an image"),
        ("resources: {cpu: 64, memory: 64Mi}", "one trial needs 64, quota small has 1 in all"),
        ("scheduler_config: {pod_overlay: {no_such_field: 1}}", 'unknown field "spec.template.spec.no_such_field"'),
        ("scheduler_config: {pod_overlay: 'just words'}", "cannot be read"),
        ("scheduler_config: {pod_overlay: '[1, 2]: 3'}", "pod_overlay"),
        ("scheduler_config: {node_selectr: a}", "did you mean 'node_selector'?"),
        ("scheduler_config: {tolerations: [a:Never]}", "write key, key:effect or key=value:effect"),
    ],
)
def test_what_the_file_says_and_the_cluster_cannot_give(stage: Stage, change: str, says: str) -> None:
    quota(stage, requests_cpu="1", requests_memory="1Gi", limits_memory="1Gi")
    key = change.partition(":")[0]
    kept = "".join(line for line in SWEEP.splitlines(keepends=True) if not line.startswith(key))
    stage.write(f"{kept}{change}\n")

    assert says in refused(stage)


def test_a_quota_that_wants_amounts_which_the_jobs_do_not_say(stage: Stage) -> None:
    quota(stage, requests_memory="1Gi")
    stage.write(SWEEP.replace(", memory: 128Mi", ""))

    assert "do not say their requests.memory (quota small)" in refused(stage)


def test_a_workspace_that_is_too_large_names_what_is_large(stage: Stage) -> None:
    (stage.folder / "data.bin").write_bytes(b"\0\1" * 500_000)

    said = refused(stage)

    assert "1,001 kB of code cannot travel as a ConfigMap (at most 900 kB); most in data.bin (1,000 kB)" in said
    assert ".gitignore" in said


def test_a_sweep_goes_on_only_in_the_namespace_where_it_began(stage: Stage, new_namespace: NewNamespace) -> None:
    stage.done("run", "sweep.yaml", "--trials", "1")
    other: Namespace = new_namespace()
    stage.environment["KUBECONFIG"] = str(other.kubeconfig)

    ended = stage.run("run", "sweep.yaml", "--trials", "2")

    assert ended.returncode == 2, ended.stderr
    assert f"the jobs of bowl are in namespace {stage.namespace.name}" in " ".join(ended.stderr.split())
    assert len(stage.state().trials) == 1


def test_a_namespace_that_was_made_anew_is_another_one(
    stage: Stage, cluster: Cluster, tmp_path: Path, new_namespace: Callable[..., Namespace]
) -> None:
    stage.done("run", "sweep.yaml", "--trials", "1")
    records = stage.sweep().journal.read_text().splitlines()
    placed = next(line for line in records if '"placed"' in line)
    uid = str(cluster.kube().get(NAMESPACES, stage.namespace.name)["metadata"]["uid"])
    assert uid in placed
    stage.sweep().journal.write_text("\n".join(records).replace(uid, "0" * 36) + "\n")

    ended = stage.run("run", "sweep.yaml", "--trials", "2")

    assert ended.returncode == 2
    assert "has been made anew since" in " ".join(ended.stderr.split())


def test_the_manifests_that_are_printed_are_accepted(cluster: Cluster, stage: Stage) -> None:
    text = stage.done("manifests", "--namespace", stage.namespace.name)
    documents = [one for one in YAML(typ="safe").load_all(text) if one]

    assert {one["kind"] for one in documents} >= {"Namespace", "Role", "RoleBinding", "NetworkPolicy", "LocalQueue"}
    assert {one["metadata"].get("namespace", one["metadata"]["name"]) for one in documents} == {stage.namespace.name}
