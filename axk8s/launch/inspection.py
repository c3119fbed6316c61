"""Whether the place where jobs would run is ready for them: the same look for `doctor` and before each `run`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from axk8s import names
from axk8s.errors import Axk8sError, UsageError
from axk8s.folder import SweepFolder
from axk8s.kube.errors import ClusterAccessError, UnreachableError
from axk8s.launch import appdef, program, rendering, shipment, tracker, workspace
from axk8s.launch.check import UID
from axk8s.launch.session import Session
from axk8s.launch.storage import MOUNTED, Storage
from axk8s.schedulers.kubernetes_job import preflight
from axk8s.schedulers.kubernetes_job.options import Options
from axk8s.schedulers.kubernetes_job.preflight import Finding, Level
from axk8s.schedulers.kubernetes_job.scheduler import KubernetesJobScheduler
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import JobOrder


def inspect(spec: SweepSpec) -> Iterator[Finding]:
    """What can be asked of the scheduler before the first job, one answer after the other; nothing is made.

    Raises:
        UsageError: the sweep itself is wrong, which `check` says better.
    """
    if not appdef.in_cluster(spec):
        where = "this machine" if appdef.on_this_machine(spec) else "not looked at: only Kubernetes clusters are"
        yield Finding("scheduler", Level.GOOD, f"{spec.scheduler}: {where}")
        return
    folder = SweepFolder(spec.base / "sweeps" / spec.name)
    code = workspace.in_place(spec)
    runs = program.load(spec, code)
    order = JobOrder(0, 0, names.job_name(spec.name, UID, 0, 0), program.example(spec))
    shipped = shipment.pack(spec, code, UID)
    opened = Session(spec)
    config = opened.config(rendering.options(spec, UID, order, folder, code, shipped))
    assert isinstance(opened.scheduler, KubernetesJobScheduler)
    try:
        connection = opened.scheduler.connection(config)
    except ClusterAccessError as error:
        yield Finding("cluster", Level.FAILED, error.message, error.hint, error)
        return
    info = opened.dryrun(rendering.appdef_of(runs, spec, order, folder, UID, code), config)
    yield from preflight.inspect(connection, Options.read(opened.options.resolve(config)), info.request)
    yield from _storage(spec)
    if shipped is not None:
        size = sum(map(len, shipped.files.values()))
        text = f"{len(shipped.files)} files, {size / 1000:,.0f} of 900 kB, travel with the jobs"
        yield Finding("code", Level.GOOD, text)


def _storage(spec: SweepSpec) -> Iterator[Finding]:
    """Whether what tracker and checkpoints go to can be looked into from here."""
    shared = Storage.of(spec, UID)
    if shared is None or spec.storage is None:
        return
    if shared.claim:
        text = f"the claim {shared.claim} is mounted at {MOUNTED}; whether it exists is seen when pods start"
        yield Finding("storage", Level.GOOD, text)
        return
    try:
        tracker.look(shared.base)
    except Axk8sError as error:
        hint = "results by report() or printed lines need no storage; a tracker's can only be read where this works"
        yield Finding("storage", Level.WARNING, error.message, error.hint or hint)
        return
    text = f"{spec.storage} answers here"
    if not shared.is_folder:
        yield Finding("storage", Level.GOOD, text)
    elif not any(str(volume).partition(":")[2].partition(":")[0] in spec.storage for volume in _volumes(spec)):
        hint = (
            f"mount it at this path with -cfg volumes=CLAIM:{spec.storage}, or name the claim: `storage: pvc://CLAIM`"
        )
        yield Finding("storage", Level.WARNING, f"{text}, and no volume brings it into the pods", hint)
    else:
        yield Finding("storage", Level.GOOD, text)


def _volumes(spec: SweepSpec) -> list[object]:
    given = spec.scheduler_config.get("volumes") or []
    return [*given] if isinstance(given, list) else [*str(given).replace(",", ";").split(";")]


def refuse(findings: Sequence[Finding]) -> None:
    """Stop here if something that was found would keep the sweep from running.

    Raises:
        UsageError: what is wrong, all of it, and what to do about it.
        KubeError: the cluster does not answer.
    """
    failed = [one for one in findings if one.level is Level.FAILED]
    if not failed:
        return
    only = failed[0].error
    if len(failed) == 1 and isinstance(only, UnreachableError | ClusterAccessError):
        raise only
    lines = [f"{one.subject}: {one.text}" for one in failed]
    head = "the cluster cannot run this sweep" + (f" ({len(lines)} reasons)" if len(lines) > 1 else "")
    hints = list(dict.fromkeys(one.hint for one in failed if one.hint))
    raise UsageError("\n".join([f"{head}:", *(f"  {line}" for line in lines)]), hint="\n".join(hints)) from only


def unreached(findings: Sequence[Finding]) -> Axk8sError | None:
    """Why nothing could be asked at all: no credentials, or nobody answers."""
    error = findings[0].error if findings else None
    return error if isinstance(error, UnreachableError | ClusterAccessError) else None
