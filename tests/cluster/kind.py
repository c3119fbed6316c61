"""Clusters in Docker: what the program `kind` does, from the configuration that people use too, with an audit log."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.cluster.undertaker import Undertaker

CONFIG = Path(__file__).parents[2] / "kind-config.yaml"
_AUDIT = "/audit"
"""Where the folder with policy and log is, on the node and in the API server's pod."""

# Who called what is enough. Without the cluster's own components the log stays small, and quick to read.
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
        {"level": "None", "users": ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"]},
        {"level": "Metadata"},
    ],
}


def missing() -> str:
    """Why there can be no cluster here; empty when there can."""
    for program in ("kind", "docker"):
        if shutil.which(program) is None:
            return f"there is no {program} on PATH"
    answer = subprocess.run(["docker", "ps", "--quiet"], capture_output=True, text=True, timeout=60, check=False)
    return "" if answer.returncode == 0 else f"docker does not work: {' '.join(answer.stderr.split())}"


@contextmanager
def created(folder: Path, workers: int = 0) -> Iterator[tuple[str, Path, Path]]:
    """A new cluster: its name, its kubeconfig and its audit log; gone at the end.

    With workers, pods run on them alone.
    """
    name = f"axk8s-test-{secrets.token_hex(3)}"
    kubeconfig, config, audit = folder / "kubeconfig", folder / "kind.json", folder / "audit"
    audit.mkdir()
    (audit / "policy.json").write_text(json.dumps(_POLICY), "utf-8")
    log = audit / "audit.log"
    log.touch()  # the server's user would make one that only root can read
    wanted = _light(_audited(YAML(typ="safe").load(CONFIG.read_text("utf-8")), audit))
    wanted["nodes"] += [{"role": "worker"}] * workers
    config.write_text(json.dumps(wanted), "utf-8")
    image = os.environ.get("KIND_NODE_IMAGE")
    this = ["--name", name, "--kubeconfig", str(kubeconfig)]
    create = ["kind", "create", "cluster", *this, "--config", str(config), "--wait", "120s"]
    create += ["--image", image] if image else []
    delete = ["kind", "delete", "cluster", *this]
    # One after the other, whenever we end: a cluster that is being made cannot be deleted.
    undertaker = Undertaker(f"{shlex.join(create)} >&2; echo $?; read -r _; {shlex.join(delete)}")
    try:
        assert undertaker.hear() == "0", undertaker.said()
        yield name, kubeconfig, log
    finally:
        undertaker.end()


def containers(name: str) -> tuple[str, ...]:
    """The nodes, which are containers of the same name."""
    return tuple(run("kind", "get", "nodes", "--name", name).split())


def load(name: str, image: str, nodes: Sequence[str]) -> None:
    """Put an image of this machine's Docker into these nodes; one that is not there is pulled."""
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode != 0:
        run("docker", "pull", "--quiet", image, seconds=600)
    where = ["--name", name, "--nodes", ",".join(nodes)]
    loading = subprocess.run(
        ["kind", "load", "docker-image", image, *where], capture_output=True, text=True, check=False
    )
    if loading.returncode == 0:
        return
    # Where Docker keeps images as containerd does, it hands out an index of all platforms with the content of one, and
    # the node refuses that (kind's issue 3795): one platform alone is accepted.
    platform = run("docker", "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", image).strip()
    archive = subprocess.Popen(["docker", "image", "save", "--platform", platform, image], stdout=subprocess.PIPE)
    command = ["kind", "load", "image-archive", "/dev/stdin", *where]
    again = subprocess.run(command, stdin=archive.stdout, capture_output=True, text=True, check=False)
    archive.communicate()
    assert again.returncode == 0, f"{image} cannot be loaded: {loading.stderr}\n{again.stderr}"


def run(*command: str, seconds: float = 120, text: str | None = None) -> str:
    """What a program prints that is given `text` to read; what it complains about when it fails is the failure."""
    done = subprocess.run(command, capture_output=True, input=text, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def _light(config: dict[str, Any]) -> dict[str, Any]:
    """Nobody else wants to lead, and what is lost with the machine is not missed: that spares a sixth of the processor
    that a cluster takes at rest, and its controllers never step down because a busy machine was late."""
    alone = {"extraArgs": {"leader-elect": "false"}}
    etcd = {
        "local": {"extraArgs": {"unsafe-no-fsync": "true", "heartbeat-interval": "500", "election-timeout": "5000"}}
    }
    patch = {"kind": "ClusterConfiguration", "controllerManager": alone, "scheduler": alone, "etcd": etcd}
    config["kubeadmConfigPatches"].append(json.dumps(patch))
    return config


def _audited(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    arguments = {"audit-policy-file": f"{_AUDIT}/policy.json", "audit-log-path": f"{_AUDIT}/audit.log"}
    volume = {"name": "audit", "hostPath": _AUDIT, "mountPath": _AUDIT, "pathType": "Directory"}
    server = {"extraArgs": {**arguments, "audit-log-maxsize": "4096"}, "extraVolumes": [volume]}
    for node in config["nodes"]:
        if node["role"] == "control-plane":
            node.setdefault("extraMounts", []).append({"hostPath": str(folder), "containerPath": _AUDIT})
    config["kubeadmConfigPatches"].append(json.dumps({"kind": "ClusterConfiguration", "apiServer": server}))
    return config
