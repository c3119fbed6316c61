"""One attempt as it would be submitted: what fills each argument, and the rendered job. Nothing is written or sent."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from axk8s import names
from axk8s.folder import SweepFolder
from axk8s.launch import appdef, program, rendering, shipment, workspace
from axk8s.launch.check import UID
from axk8s.launch.session import Session
from axk8s.launch.storage import Storage
from axk8s.launch.workspace import Workspace
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import JobOrder, Parameters

if TYPE_CHECKING:
    from torchx.specs import AppDef

    from axk8s.launch.signature import Signature


@dataclass(frozen=True, slots=True)
class Filling:
    """One argument of what runs."""

    argument: str
    value: object
    """Plain JSON; a default as it is written; None for what is left out."""
    source: str
    """`parameters`, `arguments`, `axk8s` (filled in because it is declared), or `default`."""


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of replica, and what each needs."""

    name: str
    replicas: int
    cpu: float
    gpu: int
    memory_mib: int | None


@dataclass(frozen=True, slots=True)
class Preview:
    """The first attempt of a sweep's first trial."""

    job: str
    parameters: Parameters
    arguments: tuple[Filling, ...]
    roles: tuple[Role, ...]
    manifest: str
    """What the scheduler would be given, as it writes it."""


def preview(spec: SweepSpec, folder: SweepFolder, parameters: Parameters) -> Preview:
    """Render an attempt with these parameters as `run` would in this folder.

    Raises:
        ComponentError: the program cannot be loaded, or refuses the parameters.
        SchedulerConfigError: the scheduler or one of its options does not exist.
    """
    code = workspace.in_place(spec)
    runs = program.load(spec, code)
    shipped = shipment.pack(spec, code, UID) if appdef.in_cluster(spec) else None
    if spec.workspace is not None:
        # Read where it lies now, shown where its copy will be.
        code = Workspace(code.source, folder.workspace, {})
        runs = dataclasses.replace(runs, workspace=code)  # type: ignore[type-var]  # every program is a dataclass
    order = JobOrder(0, 0, names.job_name(spec.name, UID, 0, 0), parameters)
    session = Session(spec)
    app = rendering.appdef_of(runs, spec, order, folder, UID, code)
    roles = _roles(app)
    info = session.dryrun(app, session.config(rendering.options(spec, UID, order, folder, code, shipped)))
    filled = appdef.filled_in(spec, order, folder.attempt(0, 0), Storage.of(spec, UID))
    return Preview(order.job, parameters, tuple(_fillings(spec, runs, parameters, filled)), roles, str(info))


def _roles(app: AppDef) -> tuple[Role, ...]:
    return tuple(
        Role(
            role.name,
            role.num_replicas,
            max(role.resource.cpu, 0),
            max(role.resource.gpu, 0),
            role.resource.memMB if role.resource.memMB > 0 else None,
        )
        for role in app.roles
    )


def _fillings(
    spec: SweepSpec, runs: program.Program, parameters: Parameters, filled: Mapping[str, object]
) -> Sequence[Filling]:
    shape = runs.signature
    if shape is None:
        return _of_words(parameters, filled, runs.placeholders)
    rest = [] if shape.rest not in spec.arguments else _of_words(parameters, filled, runs.placeholders)
    return [*_of_signature(spec, shape, parameters, filled), *rest]


def _of_signature(
    spec: SweepSpec, shape: Signature, parameters: Parameters, filled: Mapping[str, object]
) -> list[Filling]:
    found = []
    others = [name for name in (*parameters, *spec.arguments) if name not in shape.arguments] if shape.takes_any else []
    for name in (*shape.arguments, *others):
        if name in parameters:
            found.append(Filling(name, parameters[name], "parameters"))
        elif name in spec.arguments:
            found.append(Filling(name, spec.arguments[name], "arguments"))
        elif name in shape.arguments and name in filled:
            found.append(Filling(name, filled[name], "axk8s"))
        else:
            absent = name in spec.parameters  # by its `when`
            source = "default: the parameter is absent in this trial" if absent else "default"
            found.append(Filling(name, shape.arguments[name].default, source))
    return found


def _of_words(parameters: Parameters, filled: Mapping[str, object], placeholders: Sequence[str]) -> list[Filling]:
    found = []
    for name in dict.fromkeys(placeholders):
        shown = f"{{{name}}}"
        if name in parameters:
            found.append(Filling(shown, parameters[name], "parameters"))
        elif name in filled:
            found.append(Filling(shown, filled[name], "axk8s"))
        elif name == "params":
            found.append(Filling(shown, json.dumps(dict(parameters)), "parameters"))
        else:
            found.append(Filling(shown, None, "left out: the parameter is absent in this trial"))
    return found
