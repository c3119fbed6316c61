"""`axk8s try`: one trial in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from axk8s.cli import figures, talk
from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Config, Format, Output, Scheduler

EXAMPLE = """
axk8s try sweep.yaml
axk8s try sweep.yaml lr=0.01 optimizer=sgd
"""


def try_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sweep file.")],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]…",
            help="Parameters. Left out: the middle of the range, the first of the choices.",
            show_default=False,
        ),
    ] = None,
    scheduler: Scheduler = None,
    config: Config = None,
    output: Output = Format.TABLE,
) -> None:
    """Run one trial in the foreground, outside of any sweep: the quickest way to see whether everything fits.

    The job's output appears on stderr as it comes; its metrics at the end, on stdout. Exit code 1 if it fails.
    """
    from axk8s.api import Sweep
    from axk8s.cli.assignments import parameters, scheduler_config
    from axk8s.sweep.encoding import encode_diagnosis, encode_values
    from axk8s.sweep.model import Outcome

    sweep = Sweep.from_yaml(file, scheduler=scheduler, scheduler_config=scheduler_config(config))
    complete, chosen = parameters(sweep.spec, values or [])
    talk.say(f"trying {figures.assignments(complete)}" + (f" (chosen: {', '.join(chosen)})" if chosen else ""))

    def show(line: str) -> None:
        sys.stderr.write(line if line.endswith("\n") else f"{line}\n")
        sys.stderr.flush()

    tried = sweep.try_trial(complete, output=show)
    ok = tried.outcome is Outcome.SUCCEEDED
    if output is not Format.TABLE:
        emit(
            {
                "outcome": tried.outcome.value,
                "parameters": dict(tried.parameters),
                "values": encode_values(tried.values),
                "diagnosis": encode_diagnosis(tried.diagnosis),
                "steps": tried.steps,
                "seconds": round(tried.seconds, 3),
                "folder": str(tried.folder.path),
            },
            output,
        )
    elif tried.values:
        wanted = sweep.spec.metrics
        rows = sorted(
            tried.values.items(), key=lambda item: wanted.index(item[0]) if item[0] in wanted else len(wanted)
        )
        write_table([Column("metric"), Column("value", numeric=True)], [(k, figures.number(v)) for k, v in rows])
    steps = f", {figures.plural(tried.steps, 'step')}" if tried.steps else ""
    summary = f"{tried.outcome.value} after {figures.duration(tried.seconds)}{steps}; files in {tried.folder.path}"
    if ok:
        talk.say(summary, style="green")
        return
    talk.error(tried.diagnosis.summary, hint=tried.diagnosis.hint)
    talk.say(summary)
    raise typer.Exit(1)
