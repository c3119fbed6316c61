"""One role as the template of its pods. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import torchx
from torchx.specs import BindMount, DeviceMount, Role, VolumeMount, macros

from axk8s.errors import ComponentError
from axk8s.names import ENV_REPLICA
from axk8s.schedulers import words
from axk8s.schedulers.kubernetes_job import code
from axk8s.schedulers.kubernetes_job.options import Options

CONTAINER = "main"
"""The training container, by whose end a pod is judged; meshes and overlays put others beside it."""
RANK0 = "TORCHX_RANK0_HOST"
GPU = "nvidia.com/gpu"
LONGEST_TEXT = 128 * 1024 - 1
"""Bytes of one argument or `NAME=value`; Linux starts no program with a longer one."""

_INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""By which Kubernetes tells a pod its number within the role."""
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_REPLICA = "\0replica\0"
"""Stands for the replica's number, which only the pod knows, until everything else is escaped."""
_NODE_FAILURE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_PATIENCE_WITH_NODES = 60
"""Seconds that a pod stays bound to a node that does not answer; Kubernetes' own 300 are a long time for a slot."""


def spec(
    role: Role, options: Options, *, app: str, rank0_host: str, restricted: bool, before: int = 0
) -> dict[str, Any]:
    """The pod's spec for a role; `before` replicas of other roles come first.

    Raises:
        ComponentError: the role cannot be a pod: no image, no program, text that is none, a mount that cannot be.
    """
    _check(role, options)
    values = macros.Values(img_root="", app_id=app, replica_id=_REPLICA, rank0_env=RANK0)
    applied = values.apply(role)
    # Only of the first role the two numbers are the same.
    own = _INDEX_VARIABLE if before else ENV_REPLICA
    line = [_verbatim(word, own) for word in (values.substitute(role.entrypoint), *applied.args)]
    for word in line:
        _check_length(role, f"the argument {word[:40]!r}…", word)
    volumes, mounts = _volumes(role, options)
    resources = _resources(role, options)
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": _image(role, options),
        "command": line[:1],
        "args": line[1:],
        "env": _environment(applied, options, rank0_host, before),
        **({"envFrom": [{"secretRef": {"name": name}} for name in options.env_from]} if options.env_from else {}),
        **({"imagePullPolicy": options.image_pull_policy} if options.image_pull_policy else {}),
        **({"workingDir": code.DIRECTORY} if any(p.startswith("code/") for p in options.code_files) else {}),
        **({"ports": _ports(role)} if role.port_map else {}),
        **({"resources": resources} if resources else {}),
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "restartPolicy": "Never",
        **({"activeDeadlineSeconds": math.ceil(options.timeout)} if options.timeout is not None else {}),
        "terminationGracePeriodSeconds": options.grace,
        "automountServiceAccountToken": False,
        # Python as process 1 ignores SIGTERM unless it handles it, so that each stop would take the whole grace time.
        "shareProcessNamespace": True,
        "enableServiceLinks": False,
        "securityContext": _security(options, restricted=restricted),
        **({"serviceAccountName": options.service_account} if options.service_account else {}),
        **({"priorityClassName": options.priority_class} if options.priority_class and not options.queue else {}),
        **(
            {"imagePullSecrets": [{"name": n} for n in options.image_pull_secrets]}
            if options.image_pull_secrets
            else {}
        ),
        **({"nodeSelector": selector} if (selector := _node_selector(role, options)) else {}),
        **({"affinity": _elsewhere(options.avoid_nodes)} if options.avoid_nodes else {}),
        "tolerations": _tolerations(role, options),
        "containers": [container],
        "volumes": volumes,
    }


def requests(role: Role) -> dict[str, str]:
    """What one replica asks for, as Kubernetes writes it; empty where a role says nothing."""
    resource = role.resource
    found: dict[str, str] = {}
    if resource.cpu > 0:
        found["cpu"] = str(int(resource.cpu)) if resource.cpu == int(resource.cpu) else f"{resource.cpu * 1000:.0f}m"
    if resource.memMB > 0:
        found["memory"] = f"{resource.memMB}Mi"
    if resource.gpu > 0:
        found[GPU] = str(resource.gpu)
    found |= {name: str(count) for name, count in (resource.devices or {}).items() if count}
    return found


def _resources(role: Role, options: Options) -> dict[str, Any]:
    wanted = requests(role)
    if not wanted:
        return {}
    limits = {name: amount for name, amount in wanted.items() if name != "cpu" or options.cpu_limit}
    return {"requests": wanted, **({"limits": limits} if limits else {})}


def _environment(role: Role, options: Options, rank0_host: str, before: int) -> list[dict[str, Any]]:
    # First, because a variable can only be named in those after it.
    own = _INDEX_VARIABLE if before else ENV_REPLICA
    found: list[dict[str, Any]] = [{"name": own, "valueFrom": {"fieldRef": {"fieldPath": _INDEX}}}]
    if before:
        # A pod cannot add: all replicas of the role have its first one's number. What counts is that it is not 0.
        found.append({"name": ENV_REPLICA, "value": str(before)})
    plain = {name: value for name, value in role.env.items() if name not in (own, ENV_REPLICA, RANK0)}
    for name, value in plain.items():
        _check_length(role, f"the variable {name}", f"{name}={value}")
        found.append({"name": name, "value": _verbatim(value, own)})
    found.append({"name": RANK0, "value": rank0_host})
    for name, (secret, key) in options.secret_env.items():
        found.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    return found


def _verbatim(text: str, replica: str) -> str:
    """Text as the program gets it, its replica's number in place.

    Nothing else changes: the kubelet replaces `$(NAME)`, and takes `$$` for a dollar.
    """
    return text.replace("$", "$$").replace(_REPLICA, f"$({replica})")


def _volumes(role: Role, options: Options) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    memory = role.resource.memMB
    shm: dict[str, Any] = {"medium": "Memory", **({"sizeLimit": f"{memory}Mi"} if memory > 0 else {})}
    # Data loaders pass batches between processes there, and 64 MiB, the default, are soon full.
    volumes: list[dict[str, Any]] = [{"name": "shm", "emptyDir": shm}]
    mounts: list[dict[str, Any]] = [{"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108  (in the container)
    if options.code is not None:
        volumes.append(code.volume(options.code, options.code_files))
        mounts.append({"name": "code", "mountPath": code.ROOT, "readOnly": True})
    for number, mount in enumerate([*options.volumes, *role.mounts]):
        name = f"mount-{number}"
        match mount:
            case BindMount():
                volumes.append({"name": name, "hostPath": {"path": mount.src_path}})
                path, read_only = mount.dst_path, mount.read_only
            case VolumeMount():
                volumes.append({"name": name, "persistentVolumeClaim": {"claimName": mount.src}})
                path, read_only = mount.dst_path, mount.read_only
            case _:
                volumes.append({"name": name, "persistentVolumeClaim": {"claimName": mount.claim}})
                path, read_only = mount.path, mount.read_only
        mounts.append({"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})})
    return volumes, mounts


def _security(options: Options, *, restricted: bool) -> dict[str, Any]:
    always: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if not restricted:
        return always
    user = options.run_as_user
    return {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "fsGroup": user, **always}


def _node_selector(role: Role, options: Options) -> dict[str, str]:
    known = {"node.kubernetes.io/instance-type"}
    wanted = {name: str(value) for name, value in (role.resource.capabilities or {}).items() if name in known}
    return {**wanted, **options.node_selector}


def _tolerations(role: Role, options: Options) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _PATIENCE_WITH_NODES}
        for key in _NODE_FAILURE
    ]
    devices = [name for name in requests(role) if "/" in name]
    found += [{"key": name, "operator": "Exists", "effect": "NoSchedule"} for name in devices]
    return found + [one.manifest() for one in options.tolerations]


def _elsewhere(nodes: Sequence[str]) -> dict[str, Any]:
    """Not on these nodes, by their names: one field requirement takes one of them."""
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in nodes]
    terms = [{"matchFields": fields}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def _ports(role: Role) -> list[dict[str, Any]]:
    named = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
    return [
        {**({"name": name} if named.fullmatch(name) else {}), "containerPort": port}
        for name, port in role.port_map.items()
    ]


def _check(role: Role, options: Options) -> None:
    where = f"role {role.name!r}"
    words.check(role, where=where)
    for name in role.env:
        if not re.fullmatch(r"[ -<>-~]+", name):
            raise ComponentError(f"{where}: {name!r} cannot be the name of an environment variable in Kubernetes")
    _check_image(where, _image(role, options))
    for mount in role.mounts:
        if isinstance(mount, DeviceMount):
            raise ComponentError(
                f"{where}: the device {mount.src_path} cannot be mounted without a privileged pod",
                hint="ask for it as a resource: Resource(devices={'vendor.com/device': 1})",
            )
        if not isinstance(mount, BindMount | VolumeMount):
            shown = asdict(mount) if is_dataclass(mount) and not isinstance(mount, type) else mount
            raise ComponentError(f"{where}: {shown!r} is no mount that Kubernetes has")


def _image(role: Role, options: Options) -> str:
    """TorchX's own image is what its components name where nobody has chosen one."""
    named = "" if options.image and role.image == torchx.IMAGE else role.image
    return named or options.image or ""


def _check_image(where: str, image: str) -> None:
    if not image:
        hint = "set it in the component, or give one for all roles: -cfg image=registry/name:tag"
        raise ComponentError(f"{where} names no image", hint=hint)
    if re.search(r"\s", image):
        raise ComponentError(f"{where}: {image!r} is not the name of an image")
    name, at, _ = image.partition("@")
    if not at and ":" not in name.rpartition("/")[2]:
        raise ComponentError(
            f"{where}: the image {image!r} has no tag, so that each trial may run another one",
            hint=f"write {image}:1.0, or {image}@sha256:…; {image}:latest if that is what you mean",
        )


def _check_length(role: Role, what: str, text: str) -> None:
    size = len(text.encode("utf-8", "replace"))
    if size > LONGEST_TEXT:
        raise ComponentError(
            f"role {role.name!r}: {what} is {size:,} bytes long, and Linux starts no program with more than 131,071",
            hint="let the program read it from a file of the workspace, and pass its name",
        )


def default_container(annotations: Mapping[str, str]) -> dict[str, str]:
    """Annotations with which kubectl finds the training container, and no autoscaler removes its node."""
    return {
        "kubectl.kubernetes.io/default-container": CONTAINER,
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
        **annotations,
    }
