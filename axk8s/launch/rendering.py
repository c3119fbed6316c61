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
