"""From an order to what a scheduler is given: the AppDef of an attempt, and the options that the sweep decides."""

from __future__ import annotations

from torchx.specs import AppDef

from axk8s.errors import ComponentError
from axk8s.folder import SweepFolder
from axk8s.launch import appdef, cluster_jobs, program
from axk8s.launch.shipment import Shipment
from axk8s.launch.storage import Storage
from axk8s.launch.workspace import Workspace
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import JobOrder


def appdef_of(
    runs: program.Program, spec: SweepSpec, order: JobOrder, folder: SweepFolder, uid: str, code: Workspace
) -> AppDef:
    """The AppDef of an attempt, complete with the sweep's own environment and labels.

    Raises:
        ComponentError: the component refuses these parameters, or makes no job.
    """
    attempt = folder.attempt(order.trial, order.attempt)
    app = runs.appdef(order.parameters, appdef.filled_in(spec, order, attempt, Storage.of(spec, uid)))
    if not app.roles:
        raise ComponentError(
            f"{spec.where('component')}: the AppDef has no roles", hint="give it one Role a kind of process"
        )
    appdef.complete(app, spec, order=order, folder=folder, uid=uid, workspace=code)
    return app


def holds(app: AppDef) -> dict[str, float]:
    """What all replicas of a job hold together: `cpu` (cores), `memory` (GiB), `gpu`, and devices by their names.

    A role that says nothing of a resource holds none of it. Devices that are GPUs count as `gpu` too.
    """
    total: dict[str, float] = {}
    for role in app.roles:
        asked = role.resource
        amounts = {"cpu": max(0.0, asked.cpu), "memory": max(0, asked.memMB) / 1024, "gpu": max(0, asked.gpu)}
        for name, count in (asked.devices or {}).items():
            amounts[name] = count
            amounts["gpu"] += count if name.endswith("/gpu") else 0
        for name, amount in amounts.items():
            total[name] = total.get(name, 0.0) + float(amount) * role.num_replicas
    return {name: amount for name, amount in total.items() if amount}


def options(
    spec: SweepSpec, uid: str, order: JobOrder, folder: SweepFolder, code: Workspace, shipped: Shipment | None = None
) -> dict[str, object]:
    """The scheduler options that the sweep decides."""
    path = str(folder.attempt(order.trial, order.attempt).path)
    if appdef.in_cluster(spec):
        return cluster_jobs.options(spec, uid, order, shipped)
    if spec.scheduler == "local_cwd":
        return {"log_dir": path}
    if spec.scheduler != "local":
        return {}
    limit: dict[str, object] = {} if spec.trial_timeout is None else {"timeout": spec.trial_timeout}
    return {"name": order.job, "folder": path, "cwd": str(code.root), **limit}
