"""A dry run of a whole sweep: the real controller and journal, a simulated cluster, virtual time."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from axk8s.api.view import version
from axk8s.controller.controller import Controller
from axk8s.controller.opening import new, settings
from axk8s.errors import FolderError, SpecError, UsageError
from axk8s.folder import SweepFolder
from axk8s.journal import fold_file
from axk8s.launch.check import fits, resources
from axk8s.optimize.capability import check as check_capability
from axk8s.optimize.choice import optimizer as optimizer_for
from axk8s.results.effort import Effort, effort
from axk8s.results.summary import Summary
from axk8s.simulate.conditions import Conditions
from axk8s.simulate.inbox import VirtualInbox, VirtualWorkers
from axk8s.simulate.jobs import SimulatedJobs
from axk8s.simulate.objective import SHAPES, Recorded, Results, Row, Synthetic
from axk8s.simulate.optimizer import Consultable, ConsultedOptimizer
from axk8s.simulate.progress import SimulatedCurves
from axk8s.simulate.world import World
from axk8s.spec.stopping import AshaStopping, ThresholdStopping
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Outcome, Scalar
from axk8s.sweep.state import State

if TYPE_CHECKING:
    from axk8s.api.sweep import Sweep

_NOBODY = (0, "simulated")
"""Process id and host in a simulated journal, which must not depend on who runs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """How a simulated sweep went; times in virtual seconds."""

    seed: int
    optimizer: str
    """Who proposed."""
    values: str
    """Where the objective's values came from; empty when they mean nothing."""
    slots: int
    state: str
    """How it ended: `done`, `aborted`, …"""
    reason: str
    trials: int
    outcomes: Mapping[str, int]
    from_model: int
    effort: Effort
    repeated_seconds: float
    """How long disrupted jobs ran in vain: since their last checkpoint, or from their start."""
    best_trial: int | None
    best_value: float | None
    best_parameters: Mapping[str, Scalar]
    front: tuple[int, ...]
    """Of several objectives, the trials that no other beats in all of them."""
    hypervolume: float | None
    folder: str | None
    """Where the simulated sweep is kept."""

    def to_json(self) -> dict[str, object]:
        """As plain JSON values."""
        return asdict(self)


def simulate(
    sweep: Sweep,
    conditions: Conditions,
    *,
    seed: int | None,
    results: str | os.PathLike[str] | None,
    keep: str | os.PathLike[str] | None,
) -> Simulation:
    """Dry-run a sweep; see `Sweep.simulate`.

    Raises:
        UsageError: the sweep, the results or the folder cannot be used.
    """
    if problems := check_capability(sweep.spec):
        raise SpecError(problems)
    # The scheduler is not asked: the cluster that is simulated need not be within reach.
    holds = resources(sweep.spec, fits(sweep.spec))
    chosen = sweep.spec.optimizer.seed if seed is None else seed
    spec = _proposing(sweep.spec, seed=chosen, informed=results is not None)
    found = _results(sweep, spec, results, seed=chosen)
    with ExitStack() as stack:
        if keep is None:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="axk8s-plan-")))
        else:
            place = Path(keep).absolute()
        folder = SweepFolder(place / spec.name)
        if folder.path.exists():
            raise FolderError(f"{folder.path} exists already", hint="keep the simulated sweep in another folder")
        folder.path.mkdir(parents=True)
        world = World(_stepping(conditions, spec), seed=chosen, slots=spec.parallelism, results=found)
        summary, spent = drive(spec, folder, world, seed=chosen, holds=holds)
    return Simulation(
        seed=chosen,
        optimizer=spec.optimizer.kind,
        values=found.note if results is not None else "",
        slots=min(conditions.slots or spec.parallelism, spec.parallelism),
        state=summary.state,
        reason=summary.reason,
        trials=spec.trials,
        outcomes=summary.outcomes,
        from_model=summary.from_model,
        effort=spent,
        repeated_seconds=world.repeated_seconds,
        best_trial=summary.best_trial if results is not None else None,
        best_value=summary.best_value if results is not None else None,
        best_parameters=summary.best_parameters if results is not None else {},
        front=summary.front if results is not None else (),
        hypervolume=summary.hypervolume if results is not None else None,
        folder=None if keep is None else str(folder.path),
    )


def drive(
    spec: SweepSpec,
    folder: SweepFolder,
    world: World,
    *,
    seed: int,
    optimizer: Consultable | None = None,
    holds: Mapping[str, float] | None = None,
) -> tuple[Summary, Effort]:
    """Run a new sweep in an empty folder and a world to its end; the same seed and place give the same journal.

    The optimizer is the one that the spec names unless one is given; `holds` is what each job has while it runs.

    Raises:
        JournalError: the journal cannot be written.
    """
    uid = f"{Random(f'{seed}/uid').getrandbits(128):032x}"
    opened = new(spec, folder, time=world.clock.now(), uid=uid, workspace="", version=version(), simulated=True)
    with opened.journal:
        ending = Controller(
            state=opened.state,
            settings=settings(spec),
            journal=opened.journal,
            folder=folder,
            jobs=SimulatedJobs(world, spec, holds),
            optimizer=ConsultedOptimizer(optimizer or optimizer_for(spec, log=folder.optimizer_log), world),
            clock=world.clock,
            curves=SimulatedCurves(world, spec),
            inbox=VirtualInbox(world.clock),
            workers=VirtualWorkers(world),
            version=version(),
            interval=math.inf,
            seat=_NOBODY,
        ).run()
    return ending.summary, effort(opened.state, slots=min(spec.parallelism, world.conditions.slots or spec.parallelism))


def _proposing(spec: SweepSpec, *, seed: int, informed: bool) -> SweepSpec:
    """The spec with the seed, and without what asks for results where there are none.

    Ax would learn nothing from them, and neither a target nor patience nor a constraint on them would mean anything.
    """
    if not informed:
        objectives = tuple(each.model_copy(update={"target": None}) for each in spec.objectives)
        budget = spec.budget.model_copy(update={"patience": None})
        stopping = None if isinstance(spec.early_stopping, ThresholdStopping) else spec.early_stopping
        spec = spec.model_copy(update={"objectives": objectives, "budget": budget, "early_stopping": stopping})
        # Read anew, so that nothing which was derived from the constraints stays.
        spec = SweepSpec.from_mapping({**spec.to_json(), "outcome_constraints": []}, base=spec.base)
    seeded = spec.model_copy(update={"optimizer": spec.optimizer.model_copy(update={"seed": seed})})
    random = seeded.model_copy(update={"optimizer": seeded.optimizer.model_copy(update={"kind": "random"})})
    return seeded if informed or spec.optimizer.kind == "grid" or check_capability(random) else random


def _stepping(conditions: Conditions, spec: SweepSpec) -> Conditions:
    """The conditions with as many steps as early stopping says that a whole trial has, unless they say how many."""
    most = spec.early_stopping.max_step if isinstance(spec.early_stopping, AshaStopping) else None
    if most is None or "steps" in conditions.model_fields_set:
        return conditions
    return conditions.model_copy(update={"steps": most})


def _results(sweep: Sweep, spec: SweepSpec, given: str | os.PathLike[str] | None, *, seed: int) -> Results:
    text = "bowl" if given is None else os.fspath(given)
    for folder in (SweepFolder(Path(text)), SweepFolder(sweep.folder.path.parent / text)):
        if folder.exists():
            return Recorded(spec, _rows(fold_file(folder.journal)), source=f"the sweep in {folder.path}")
    file = Path(text)
    if text in SHAPES or (file.suffix != ".csv" and not file.exists()):
        return Synthetic(spec, text, seed=seed)
    try:
        return Recorded.from_csv(spec, file.read_text("utf-8-sig"), source=text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"the results {text!r} cannot be read: {reason}") from error


def _rows(state: State) -> Iterator[Row]:
    for trial in state.trials:
        last = trial.last
        if trial.outcome is Outcome.SUCCEEDED and last is not None and last.started_at and last.ended_at:
            yield Row(trial.parameters, trial.values, last.ended_at - last.started_at)
