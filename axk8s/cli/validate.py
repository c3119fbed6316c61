"""`axk8s validate`: everything that can be known before the first trial."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axk8s.cli import figures, talk
from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Config, Format, Output, Scheduler

if TYPE_CHECKING:
    from axk8s.spec.settings import Objective
    from axk8s.spec.sweep import SweepSpec

EXAMPLE = """
axk8s validate sweep.yaml
"""


def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sweep file.")],
    scheduler: Scheduler = None,
    config: Config = None,
    output: Output = Format.TABLE,
) -> None:
    """Check a sweep file, its training code and its scheduler, as `run` would, without running anything.

    Prints what was understood, or everything that is wrong, by line.
    """
    from axk8s.api import Sweep
    from axk8s.cli.assignments import scheduler_config

    sweep = Sweep.from_yaml(file, scheduler=scheduler, scheduler_config=scheduler_config(config))
    warnings = sweep.validate()
    if output is not Format.TABLE:
        emit({**sweep.spec.to_json(), "warnings": warnings}, output)
    else:
        write_table([Column(sweep.spec.name), Column("")], described(sweep.spec))
    for warning in warnings:
        talk.warning(warning)
    talk.say(f"{file} is right" if not warnings else f"{file} can run", style="green")


def described(spec: SweepSpec) -> list[tuple[str, str]]:
    """What a spec says, as names and sentences."""
    way = next(name for name in ("component", "function", "command") if getattr(spec, name) is not None)
    rows = [(way, str(getattr(spec, way)))]
    if spec.arguments:
        rows.append(("arguments", figures.assignments({k: str(v) for k, v in spec.arguments.items()})))
    for name, parameter in spec.parameters.items():
        scale = ", on a logarithmic scale" if getattr(parameter, "log", False) else ""
        conditions = " and ".join(
            f"{other} is {' or '.join(figures.number(value) for value in values)}"
            for other, values in (parameter.when or {}).items()
        )
        rows.append((f"  {name}", f"{parameter.describe()}{scale}{f', when {conditions}' if conditions else ''}"))
    rows += [("constraint", constraint) for constraint in spec.parameter_constraints]
    rows += [
        ("objective", ", ".join(map(_objective, spec.objectives))),
        *(("outcome constraint", constraint) for constraint in spec.outcome_constraints),
        *([("baseline", figures.assignments(spec.baseline))] if spec.baseline is not None else []),
        *([("warm start", ", ".join(spec.warm_start))] if spec.warm_start else []),
        ("optimizer", f"{spec.optimizer.kind}, seed {spec.optimizer.seed}"),
        ("trials", f"{spec.trials}, {spec.parallelism} at a time"),
        (
            "scheduler",
            " ".join([spec.scheduler, figures.assignments({k: str(v) for k, v in spec.scheduler_config.items()})]),
        ),
    ]
    return [(name, text.strip()) for name, text in rows]


def _objective(objective: Objective) -> str:
    said = [f"{objective.direction} {objective.metric}"]
    if objective.threshold is not None:
        said.append(f"(of use from {figures.number(objective.threshold)})")
    if objective.weight is not None:
        said.append(f"(weight {figures.number(objective.weight)})")
    return " ".join(said)
