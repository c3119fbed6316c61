"""`axk8s logs`: what a trial printed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from axk8s.cli import target
from axk8s.cli.options import Directory, Name

EXAMPLE = """
axk8s logs digits --trial 7
axk8s logs digits --follow
axk8s logs digits --trial 7 --replica worker-1
"""


def logs(
    name: Name = None,
    trial: Annotated[
        int | None,
        typer.Option(
            "-t",
            "--trial",
            min=0,
            envvar="AXK8S_LOGS_TRIAL",
            metavar="N",
            help="Of this trial. Left out: of the newest one that has started.",
        ),
    ] = None,
    attempt: Annotated[
        int | None,
        typer.Option(
            "--attempt",
            min=0,
            envvar="AXK8S_LOGS_ATTEMPT",
            metavar="N",
            help="Of this attempt, counted from 0. Left out: of the last one.",
        ),
    ] = None,
    replica: Annotated[
        str | None,
        typer.Option(
            "--replica",
            envvar="AXK8S_LOGS_REPLICA",
            metavar="ROLE-INDEX",
            help="Of this replica. Left out: of all, each line with its replica before it where there are several.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", envvar="AXK8S_FOLLOW", help="Go on until the attempt has ended.")
    ] = False,
    directory: Directory = None,
) -> None:
    """Print the output of a trial's job."""
    sweep = target.opened(target.latest(name, directory), directory)
    for line in sweep.logs(trial, attempt=attempt, replica=replica, follow=follow):
        sys.stdout.write(line if line.endswith("\n") else f"{line}\n")
        if follow:
            sys.stdout.flush()
