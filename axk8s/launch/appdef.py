"""What every AppDef of a sweep has beside the component's own: environment, labels, no retries of its own."""

from __future__ import annotations

import contextlib
import json
import math
import os
import string
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from torchx.specs import AppDef, Resource, Role, VolumeMount, macros

from axk8s import names
from axk8s.folder import AttemptFolder, SweepFolder
from axk8s.launch.storage import MOUNTED, Storage
from axk8s.launch.workspace import Workspace
from axk8s.schedulers.kubernetes_job import code
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import JobOrder

CLUSTER = ("kubernetes_job", "kubernetes")
"""Schedulers whose jobs we make and watch in a cluster; the second is TorchX's own name for Volcano."""
_HERE = {"local", "local_cwd"}
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_MACROS = ("img_root", "base_img_root", "app_id", "replica_id", "rank0_env")
_ROLE = "main"
RESULT = "/dev/termination-log"
"""Where Kubernetes looks for a container's last words."""
_ANNOTATED = 64 << 10
"""Characters of the parameters that go into an annotation; all annotations together may have 256 KiB."""


def on_this_machine(spec: SweepSpec) -> bool:
    """Whether jobs see this machine's files under the same paths."""
    return spec.scheduler in _HERE


def in_cluster(spec: SweepSpec) -> bool:
    """Whether jobs run in a Kubernetes cluster that is watched."""
    return spec.scheduler in CLUSTER


def verbatim(text: str) -> str:
    """`text` as it must stand in an AppDef to reach the program unchanged: TorchX's macros are `string.Template`."""
    return text.replace("$", "$$")


def single(spec: SweepSpec, workspace: Workspace, words: list[str], env: Mapping[str, str] | None = None) -> AppDef:
    """The AppDef of one process, for `function` and `command`."""
    if spec.scheduler == "local_cwd":
        # It runs everything in the controller's own working directory; sh is replaced by the program at once.
        words = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(workspace.root), *words]
    program, *args = words
    if spec.scheduler in ("local", *CLUSTER):  # others of TorchX replace no macros in it
        program = verbatim(program)
    resources = spec.resources
    cpu = 1 if resources.cpu is None else resources.cpu
    role = Role(
        name=_ROLE,
        # The scheduler's option is for roles that name none, and what is typed wins over the file.
        image="" if in_cluster(spec) and spec.scheduler_config.get("image") else spec.image,
        entrypoint=program,
        args=[verbatim(arg) for arg in args],
        env={name: verbatim(value) for name, value in (env or {}).items()},
        resource=Resource(
            cpu=int(cpu) if cpu == int(cpu) else cpu,
            gpu=resources.gpu or 0,
            # TorchX's word for "not said"; schedulers leave such a limit out.
            memMB=-1 if resources.memory_mib is None else resources.memory_mib,
        ),
    )
    return AppDef(name=spec.name, roles=[role])


def keep_values(app: AppDef, values: Iterable[object]) -> None:
    """Protect values that a component passed on from TorchX's macros.

    A component's own `$` must go on meaning what its author meant (`dist.ddp` relies on it), so only whole values that
    the macros would change are looked for: those with `$$` or with a macro's name.
    """
    present = dict.fromkeys(_MACROS, "")
    at_risk = [
        value
        for value in values
        if isinstance(value, str) and "$" in value and string.Template(value).safe_substitute(present) != value
    ]

    def kept(text: object) -> object:
        for value in at_risk:
            text = text.replace(value, verbatim(value)) if isinstance(text, str) else text
        return text

    if at_risk:
        for role in app.roles:
            role.args = [kept(arg) for arg in role.args]
            role.env = {name: kept(value) for name, value in role.env.items()}


def filled_in(
    spec: SweepSpec, order: JobOrder, folder: AttemptFolder, shared: Storage | None = None
) -> dict[str, object]:
    """The arguments that components and functions may declare, and commands may name."""
    alone = f"/tmp/axk8s/{order.job}"  # noqa: S108  (in the container)
    output, tracker = f"{alone}/output", f"{alone}/tracker"
    if on_this_machine(spec):
        output, tracker = str(folder.output), str(folder.tracker)
    elif shared is not None:
        tracker = shared.tracker(order.trial, order.attempt)
        output = shared.output(order.trial, order.attempt) if shared.is_folder else output
    return {
        "trial_idx": order.trial,
        "attempt": order.attempt,
        "experiment_name": spec.name,
        "output_dir": output,
        "tracker_base": tracker,
    }


def complete(
    app: AppDef, spec: SweepSpec, *, order: JobOrder, folder: SweepFolder, uid: str, workspace: Workspace
) -> None:
    """Make a program's AppDef the one of `order`: its name, labels, environment, and no retries."""
    app.name = order.job
    app.metadata = {
        **app.metadata,
        names.LABEL_SWEEP_UID: uid,
        names.LABEL_SWEEP: spec.name,
        names.LABEL_TRIAL: str(order.trial),
        names.LABEL_ATTEMPT: str(order.attempt),
    }
    cluster = in_cluster(spec)
    written = json.dumps(dict(order.parameters), ensure_ascii=False)
    if cluster and len(written) <= _ANNOTATED:
        app.metadata[names.ANNOTATION_PARAMETERS] = written
    replicas = sum(role.num_replicas for role in app.roles)
    shared = Storage.of(spec, uid)
    ours = _environment(spec, order, folder, shared)
    for index, role in enumerate(app.roles):
        # In a sweep every retry is an attempt with a diagnosis of its own.
        role.max_retries = 0
        own = {**role.env, **{name: verbatim(value) for name, value in spec.env.items()}}
        extra = {name: verbatim(value) for name, value in ours.items()}
        extra["PYTHONUNBUFFERED"] = own.get("PYTHONUNBUFFERED", "1")
        if cluster and shared is not None and shared.claim:
            role.mounts = [*role.mounts, VolumeMount(shared.claim, MOUNTED)]
        if cluster:
            extra |= _in_container(spec, role, own)
        elif spec.scheduler != "local":  # which numbers its replicas itself
            # Exact for the first role; any number but 0 keeps the others from reporting.
            extra[names.ENV_REPLICA] = macros.replica_id if index == 0 else str(index)
        if on_this_machine(spec):
            if role.entrypoint in ("python", "python3") and "PATH" not in own:
                # As in a `command:`; the one on the PATH may lack what the sweep was installed with.
                role.entrypoint = sys.executable
            extra["PYTHONPATH"] = _python_path(own.get("PYTHONPATH"), folder, workspace)
            extra |= {name: _share(spec, replicas) for name in _THREADS if name not in own and name not in os.environ}
        role.env = {**own, **extra}


def _environment(spec: SweepSpec, order: JobOrder, folder: SweepFolder, shared: Storage | None) -> dict[str, str]:
    attempt = folder.attempt(order.trial, order.attempt)
    filled = filled_in(spec, order, attempt, shared)
    environment = {
        names.ENV_SWEEP: spec.name,
        names.ENV_TRIAL: str(order.trial),
        names.ENV_ATTEMPT: str(order.attempt),
        names.ENV_PARAMS: json.dumps(dict(order.parameters)),
        names.ENV_OUTPUT_DIR: str(filled["output_dir"]),
        names.ENV_TRACKER_BASE: str(filled["tracker_base"]),
    }
    if on_this_machine(spec):
        environment[names.ENV_METRICS] = str(attempt.metrics)
        environment[names.ENV_CHECKPOINT_DIR] = str(folder.checkpoints(order.trial))
    elif shared is not None:
        place = names.ENV_CHECKPOINT_DIR if shared.is_folder else names.ENV_CHECKPOINT_URL
        environment[place] = shared.checkpoints(order.trial)
    return environment


def _in_container(spec: SweepSpec, role: Role, own: Mapping[str, str]) -> dict[str, str]:
    """What a container needs beyond that: where its results go, where its code is, how many threads are its share."""
    extra = {names.ENV_RESULT: RESULT}
    # Named even where the last value counts: in a message that is full they come first.
    kept = dict.fromkeys(spec.metrics, "last")
    kept.update((one.metric, one.direction) for one in spec.objectives if one.aggregate == "best")
    extra[names.ENV_BEST] = verbatim(json.dumps(kept))
    if spec.workspace is not None or spec.function is not None:
        parts = [code.SUPPORT, code.DIRECTORY, own.get("PYTHONPATH")]
        extra["PYTHONPATH"] = ":".join(part for part in parts if part)
    if role.resource.cpu > 0:
        # Libraries count the node's cores, not the container's.
        threads = str(max(1, math.ceil(role.resource.cpu)))
        extra |= {name: threads for name in _THREADS if name not in own}
    return extra


def _python_path(own: str | None, folder: SweepFolder, workspace: Workspace) -> str:
    """`axk8s` alone (site-packages may be another interpreter's), then the code, then what the user has."""
    inherited = os.environ.get("PYTHONPATH")
    parts = [verbatim(str(folder.support)), verbatim(str(workspace.root)), own, inherited and verbatim(inherited)]
    return os.pathsep.join(part for part in parts if part)


def _share(spec: SweepSpec, replicas: int) -> str:
    """Threads for each process so that all that run together fill the cores once."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return str(max(1, cores // (spec.parallelism * max(1, replicas))))


def write_support(folder: SweepFolder) -> None:
    """Make the folder on the jobs' `PYTHONPATH`: one link to this package, wherever it is installed."""
    package = Path(names.__file__).resolve().parent
    link = folder.support / package.name
    folder.support.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and link.readlink() == package:
        return
    fresh = folder.support / f".{package.name}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    fresh.symlink_to(package, target_is_directory=True)
    fresh.replace(link)
