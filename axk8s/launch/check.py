"""Whether a sweep's jobs could be submitted: everything that can be known before the first trial."""

from __future__ import annotations

from collections.abc import Mapping

from axk8s import names
from axk8s.errors import SpecError
from axk8s.folder import SweepFolder
from axk8s.launch import appdef, program, rendering, shipment, workspace
from axk8s.launch.session import Session
from axk8s.launch.shipment import Shipment
from axk8s.launch.storage import MOUNTED
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import JobOrder

UID = "0" * 32
"""Stands for the sweep's uid, which is drawn when it begins."""


def fits(spec: SweepSpec) -> program.Program:
    """What runs, if it takes this search space; nothing is asked of the scheduler.

    Raises:
        ComponentError: the program cannot be found or loaded.
        SpecError: it and the search space do not fit, or the workspace does not; all problems at once.
    """
    runs = program.load(spec, workspace.in_place(spec))
    problems = runs.problems()
    if problems:
        raise SpecError(problems)
    return runs


def resources(spec: SweepSpec, runs: program.Program) -> dict[str, float]:
    """What a job of the sweep holds while it runs, at one point of the search space.

    Raises:
        ComponentError: the program makes no job of it.
    """
    folder = SweepFolder(spec.base / "sweeps" / spec.name)
    order = JobOrder(0, 0, names.job_name(spec.name, UID, 0, 0), program.example(spec))
    return rendering.holds(runs.appdef(order.parameters, appdef.filled_in(spec, order, folder.attempt(0, 0))))


def check(spec: SweepSpec) -> list[str]:
    """Everything that can be known of a sweep's jobs before the first trial; warnings for a person.

    Raises:
        ComponentError: the program cannot be found or loaded, or makes no job of a point of the search space.
        SpecError: as `fits`.
        SchedulerConfigError: the scheduler or one of its options does not exist.
    """
    folder = SweepFolder(spec.base / "sweeps" / spec.name)
    code = workspace.in_place(spec)
    said = workspace.warnings(spec)
    runs = fits(spec)
    said += runs.warnings()
    opened = Session(spec)
    order = JobOrder(0, 0, names.job_name(spec.name, UID, 0, 0), program.example(spec))
    shipped = shipment.pack(spec, code, UID) if appdef.in_cluster(spec) else None
    config = opened.config(rendering.options(spec, UID, order, folder, code, shipped))
    filled = appdef.filled_in(spec, order, folder.attempt(0, 0))
    asked = runs.appdef(order.parameters, filled)
    retried = [role.name for role in asked.roles if role.max_retries > spec.retries]
    said += _budget_warnings(spec, rendering.holds(asked))
    opened.dryrun(rendering.appdef_of(runs, spec, order, folder, UID, code), config)
    if retried:
        where = spec.where("component")
        said.append(
            f"{where}: max_retries of {', '.join(retried)} is ignored; the sweep's `retries: {spec.retries}` rules"
        )
    return said + _scheduler_warnings(spec, shipped)


def _budget_warnings(spec: SweepSpec, held: Mapping[str, float]) -> list[str]:
    """Budgets that can never run out, because the jobs do not say that they hold what is counted."""
    said = []
    if spec.budget.gpu_hours is not None and not held.get("gpu"):
        said.append(f"{spec.where('budget.gpu_hours')}: the jobs ask for no GPU, so no GPU hours are counted")
    if spec.budget.cost is not None and not any(held.get(name) for name in spec.budget.prices):
        priced = ", ".join(spec.budget.prices)
        said.append(f"{spec.where('budget.cost')}: the jobs ask for nothing that has a price ({priced})")
    return said


def _scheduler_warnings(spec: SweepSpec, shipped: Shipment | None) -> list[str]:
    where = spec.where("scheduler")
    if spec.scheduler == "local_cwd":
        return [
            f"{where}: jobs on local_cwd end with the controller and cannot be found again; `local` has neither limit"
        ]
    if appdef.on_this_machine(spec):
        return []
    said = []
    if spec.storage is None:
        said.append(f"{where}: without `storage` attempts share no folder, so AXK8S_CHECKPOINT_DIR is not set")
    elif spec.storage.startswith("pvc://") and not appdef.in_cluster(spec):
        where = spec.where("storage")
        said.append(f"{where}: {spec.scheduler} mounts no claim; let the component do it, at {MOUNTED}")
    if appdef.in_cluster(spec):
        if spec.function is not None and spec.workspace is None:
            where = spec.where("function")
            said.append(f"{where}: only this file travels to the cluster; `workspace: .` takes along what it imports")
        if shipped is not None and shipped.left_out:
            links = ", ".join(shipped.left_out[:3])
            said.append(f"{spec.where('workspace')}: links to folders do not travel to the cluster: {links}")
    elif spec.function is not None:
        said.append(f"{where}: on {spec.scheduler} the image must hold the function's code and axk8s")
    return said
