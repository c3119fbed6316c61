"""Whether a sweep's jobs could be submitted: everything that can be known before the first trial."""

from __future__ import annotations

from axk8s import names
from axk8s.errors import SpecError
from axk8s.folder import SweepFolder
from axk8s.launch import appdef, program, rendering, workspace
from axk8s.launch.session import Session
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import JobOrder


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
    order = JobOrder(0, 0, names.job_name(spec.name, "0" * 6, 0, 0), program.example(spec))
    config = opened.config(rendering.options(spec, order, folder, code))
    filled = appdef.filled_in(spec, order, folder.attempt(0, 0))
    retried = [role.name for role in runs.appdef(order.parameters, filled).roles if role.max_retries > spec.retries]
    opened.dryrun(rendering.appdef_of(runs, spec, order, folder, "0" * 6, code), config)
    if retried:
        where = spec.where("component")
        said.append(
            f"{where}: max_retries of {', '.join(retried)} is ignored; the sweep's `retries: {spec.retries}` rules"
        )
    return said + _scheduler_warnings(spec)


def _scheduler_warnings(spec: SweepSpec) -> list[str]:
    where = spec.where("scheduler")
    if spec.scheduler == "local_cwd":
        return [
            f"{where}: jobs on local_cwd end with the controller and cannot be found again; `local` has neither limit"
        ]
    if appdef.on_this_machine(spec):
        return []
    said = [f"{where}: attempts share no folder on {spec.scheduler}, so AXK8S_CHECKPOINT_DIR is not set"]
    if spec.function is not None:
        said.append(f"{where}: on {spec.scheduler} the image must hold the function's code and axk8s")
    return said
