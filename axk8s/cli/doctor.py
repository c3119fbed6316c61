"""`axk8s doctor`: is the cluster ready for a sweep?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axk8s.cli import talk
from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Config, Format, Output, Scheduler

if TYPE_CHECKING:
    from axk8s.api import Sweep
    from axk8s.schedulers.kubernetes_job.preflight import Finding

EXAMPLE = """
axk8s doctor sweep.yaml
axk8s doctor sweep.yaml -s kubernetes_job -cfg namespace=ml
axk8s doctor -cfg context=gpu-cluster,namespace=ml
"""

_NOBODY = {
    "name": "doctor",
    "command": "true",
    "parameters": {"x": {"type": "float", "min": 0, "max": 1}},
    "objectives": [{"metric": "x", "direction": "minimize"}],
    "trials": 1,
}
"""The smallest sweep there is, to ask a cluster about when no other is given."""


def doctor(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="The sweep file. Left out: only the cluster is looked at.", show_default=False
        ),
    ] = None,
    scheduler: Scheduler = None,
    config: Config = None,
    output: Output = Format.TABLE,
) -> None:
    """Ask the cluster everything that a sweep's first job rests on: permissions, quota, queue, PodSecurity, image.

    One line each, with a remedy where something is wrong. Nothing is made, and `run` makes the same checks.

    Exit code: 0 when a sweep could run, 1 when it could not.
    """
    from axk8s.schedulers.kubernetes_job.preflight import Level

    sweep = _sweep(file, scheduler, config)
    findings = []
    for found in sweep.inspect(cluster_only=file is None):
        findings.append(found)
        if output is Format.TABLE and talk.on_terminal():
            talk.say(f"{found.subject} …", style="dim")
    if output is Format.TABLE:
        write_table([Column("state"), Column("subject"), Column("finding")], _rows(findings))
    else:
        emit([_plain(one) for one in findings], output)
    for one in findings:
        if one.hint and one.level is not Level.GOOD:
            talk.say(f"{one.subject}:")
            talk.remedy(one.hint)
    if any(one.level is Level.FAILED for one in findings):
        raise typer.Exit(1)


def _sweep(file: Path | None, scheduler: str | None, config: list[str] | None) -> Sweep:
    from axk8s.api import Sweep
    from axk8s.cli.assignments import scheduler_config

    options = scheduler_config(config)
    if file is not None:
        return Sweep.from_yaml(file, scheduler=scheduler, scheduler_config=options)
    from axk8s.spec.sweep import SweepSpec

    mapping = {**_NOBODY, "scheduler": scheduler or "kubernetes_job", "scheduler_config": dict(options or {})}
    return Sweep.of(SweepSpec.from_mapping(mapping, base=Path.cwd()))


def _rows(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(one.level.value, one.subject, one.text) for one in findings]


def _plain(found: Finding) -> dict[str, str]:
    return {"state": found.level.value, "subject": found.subject, "finding": found.text, "remedy": found.hint}
