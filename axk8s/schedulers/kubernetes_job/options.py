"""What may be said of Kubernetes Jobs with `-cfg` or `scheduler_config`, checked and typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Dict, List, Literal, get_args  # noqa: UP035  (see _LIST)

from axk8s import names
from axk8s.errors import SchedulerConfigError, suggestion
from axk8s.schedulers.options import ClosedOptions

NAME = "kubernetes_job"
WEEK = 7 * 24 * 3600

Security = Literal["auto", "restricted", "unrestricted"]
PullPolicy = Literal["IfNotPresent", "Always", "Never"]
KeepLogs = Literal["all", "failed", "none"]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class VolumeClaim:
    """A PersistentVolumeClaim mounted into every replica."""

    claim: str
    path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that replicas put up with; an empty effect means any, no value any value."""

    key: str
    value: str | None = None
    effect: str = ""

    def manifest(self) -> dict[str, str]:
        """As it stands in a pod."""
        how = {"operator": "Exists"} if self.value is None else {"operator": "Equal", "value": self.value}
        return {"key": self.key, **how, **({"effect": self.effect} if self.effect else {})}


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one Job; each field is an option of the same name."""

    name: str | None = None
    namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    image: str | None = None
    queue: str | None = None
    priority_class: str | None = None
    service_account: str | None = None
    image_pull_policy: PullPolicy | None = None
    image_pull_secrets: tuple[str, ...] = ()
    env_from: tuple[str, ...] = ()
    secret_env: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Variable to the name of a Secret and a key in it."""
    volumes: tuple[VolumeClaim, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pod_overlay: str | None = None
    security: Security = "auto"
    run_as_user: int = 1000
    cpu_limit: bool = True
    timeout: float | None = None
    grace: int = 30
    ttl_seconds: int = WEEK
    keep_logs: KeepLogs = "all"
    qps: float = 20.0
    service: str | None = None
    cluster_domain: str = "cluster.local"
    avoid_nodes: tuple[str, ...] = ()
    code: str | None = None
    code_files: tuple[str, ...] = ()
    base: str | None = None

    @classmethod
    def read(cls, cfg: Mapping[str, Any]) -> Options:
        """The options that TorchX has resolved.

        Raises:
            SchedulerConfigError: a value makes no sense; the message names option and value.
        """
        given = {one.name: cfg[one.name] for one in fields(cls) if cfg.get(one.name) is not None}
        for name, kinds in (("security", Security), ("image_pull_policy", PullPolicy), ("keep_logs", KeepLogs)):
            if name in given and given[name] not in get_args(kinds):
                raise _wrong(name, given[name], suggestion(str(given[name]), get_args(kinds)))
        for name in ("namespace", "queue", "service_account", "priority_class", "service", "cluster_domain"):
            if name in given and not all(map(_LABEL.fullmatch, str(given[name]).split("."))):
                raise _wrong(name, given[name], "names in Kubernetes are of a-z, 0-9 and '-'")
        for name, least in (("grace", 0), ("ttl_seconds", 0), ("qps", 0), ("run_as_user", 1), ("timeout", 1)):
            if name in given and not least <= given[name] < 2**31:
                raise _wrong(name, given[name], f"a number from {least}")
        for name in ("image_pull_secrets", "env_from", "avoid_nodes", "code_files"):
            given[name] = tuple(given.get(name, ()))
        given["secret_env"] = dict(_secret(name, text) for name, text in given.get("secret_env", {}).items())
        given["volumes"] = tuple(map(_volume, given.get("volumes", ())))
        given["tolerations"] = tuple(map(_toleration, given.get("tolerations", ())))
        for name in ("node_selector", "labels"):
            _check_labels(name, given.get(name, {}))
        for key, value in given.get("labels", {}).items():
            if key == names.LABEL_MANAGED_BY or key.startswith(f"{names.LABEL_PREFIX}/"):
                raise _wrong("labels", f"{key}:{value}", "by this label our Jobs are found again; take another key")
        for key in given.get("annotations", {}):
            if not _KEY.fullmatch(key):
                raise _wrong("annotations", key, "a key such as example.com/name")
        return cls(**given)

    def below(self, path: str) -> Path:
        """A path that was given, from where relative ones start."""
        return Path(self.base or ".") / Path(path).expanduser()


def is_label_value(text: str) -> bool:
    """Whether Kubernetes takes it for the value of a label: at most 63 of letters, digits, '-', '_' and '.'."""
    return _VALUE.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """Whether Kubernetes takes it for the key of a label or annotation."""
    return _KEY.fullmatch(text) is not None and len(text.rpartition("/")[0]) <= 253


def run_opts() -> ClosedOptions:
    """The options with their help, as `torchx runopts` shows them."""
    opts = ClosedOptions(NAME)
    for name, kind, default, text in _TABLE:
        opts.add(name, type_=kind, default=default, help=text)
    return opts


_LIST, _DICT = List[str], Dict[str, str]  # noqa: UP006
"""In the only spelling that TorchX's own command line and `.torchxconfig` know."""
_TABLE: tuple[tuple[str, Any, Any, str], ...] = (
    ("namespace", str, None, "where the Jobs run; default: the context's namespace, or that of the pod we run in"),
    ("kubeconfig", str, None, "a kubeconfig file; default: KUBECONFIG, the pod's service account, ~/.kube/config"),
    ("context", str, None, "a context of the kubeconfig; default: its current one"),
    ("image", str, None, "image of every role that names none, or TorchX's own, as `dist.ddp` does by default"),
    ("queue", str, None, "a Kueue LocalQueue of the namespace, through which the Jobs wait for quota"),
    ("priority_class", str, None, "PriorityClass of the pods (with a queue: the WorkloadPriorityClass)"),
    ("service_account", str, None, "service account of the pods; its token is not mounted. Default: the namespace's"),
    ("image_pull_policy", str, None, "IfNotPresent, Always or Never; default: Kubernetes' own, Always for :latest"),
    ("image_pull_secrets", _LIST, None, "Secrets with registry credentials: a;b"),
    ("env_from", _LIST, None, "Secrets whose every key becomes a variable: a;b"),
    ("secret_env", _DICT, None, "variables from Secrets: WANDB_API_KEY:wandb/api-key (secret/key)"),
    ("volumes", _LIST, None, "PersistentVolumeClaims to mount: data:/data:ro;scratch:/scratch"),
    ("node_selector", _DICT, None, "labels that a node must have: pool:gpu,zone:a"),
    ("tolerations", _LIST, None, "taints to put up with: dedicated=ml:NoSchedule;gpu (as kubectl writes taints)"),
    ("labels", _DICT, None, "more labels on Job and pods: team:vision"),
    ("annotations", _DICT, None, "more annotations on Job and pods"),
    (
        "pod_overlay",
        str,
        None,
        "a YAML file (or YAML text) that is merged into the pods' spec last of all, or with `metadata:` and `spec:` "
        "into the whole pod; `roles: {NAME: …}` in it is for the pods of one role",
    ),
    (
        "security",
        str,
        "auto",
        "restricted: what PodSecurity 'restricted' demands (a user other than root); unrestricted: root images work; "
        "auto: as the namespace's label says",
    ),
    ("run_as_user", int, 1000, "user and group of the pods where security is restricted"),
    ("cpu_limit", bool, True, "limit CPU to what is requested; false: use what the node has left"),
    ("timeout", float, None, "seconds that a pod may run, not counting its waiting; default: no limit"),
    ("grace", int, 30, "seconds between SIGTERM and SIGKILL when a pod is ended"),
    ("ttl_seconds", int, WEEK, "seconds after which an ended Job is deleted if nobody did; default: 7 days"),
    ("keep_logs", str, "all", "whose output a sweep copies before the Job is deleted: all, failed or none"),
    ("qps", float, 20.0, "calls a second to the API on average, twice as many at once; 0: no limit"),
    ("name", str, None, "name of the Job, verbatim; one of this name that is ours is adopted. Default: a unique one"),
    ("service", str, None, "an existing headless Service through which replicas find each other; default: a new one"),
    ("cluster_domain", str, "cluster.local", "the domain of the cluster's own names, in which replicas find replica 0"),
    ("avoid_nodes", _LIST, None, "nodes on which the pods must not run: a;b"),
    ("code", str, None, "a ConfigMap whose files become the working directory"),
    ("code_files", _LIST, None, "the paths of its files, in the order of their keys"),
    ("base", str, None, "the folder that relative paths start from; default: the present one"),
)


def markdown() -> str:
    """The options as a table, for the documentation; those that a sweep sets for each job are left out."""
    rows = ["| option | default | meaning |", "|---|---|---|"]
    for name, _, default, text in _TABLE:
        if name not in _OURS:
            shown = "–" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
            rows.append(f"| `{name}` | {shown} | {text.replace('|', '&#124;')} |")
    return "\n".join(rows) + "\n"


_OURS = {"name", "service", "code", "code_files", "avoid_nodes", "base", "timeout"}


def _wrong(name: str, value: object, hint: str) -> SchedulerConfigError:
    return SchedulerConfigError(f"scheduler: {name}={value}: this cannot be", hint=hint)


def _secret(name: str, text: str) -> tuple[str, tuple[str, str]]:
    secret, slash, key = text.partition("/")
    if not _ENV.fullmatch(name) or not slash or not secret or not key:
        raise _wrong("secret_env", f"{name}:{text}", "write VARIABLE:secret/key")
    return name, (secret, key)


def _volume(text: str) -> VolumeClaim:
    claim, _, rest = text.partition(":")
    path, colon, mode = rest.partition(":")
    if not claim or not path.startswith("/") or (colon and mode not in ("ro", "rw")):
        raise _wrong("volumes", text, "write claim:/path, or claim:/path:ro")
    return VolumeClaim(claim, path, mode == "ro")


def _toleration(text: str) -> Toleration:
    taint, colon, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    if not _KEY.fullmatch(key) or (colon and effect not in _EFFECTS):
        raise _wrong("tolerations", text, f"write key, key:effect or key=value:effect; effects: {', '.join(_EFFECTS)}")
    return Toleration(key, value if equals else None, effect)


def _check_labels(option: str, labels: Mapping[str, str]) -> None:
    bad: Iterable[str] = [f"{k}:{v}" for k, v in labels.items() if not is_label_key(k) or not is_label_value(v)]
    if bad:
        raise _wrong(option, next(iter(bad)), "label values have at most 63 of letters, digits, '-', '_' and '.'")
