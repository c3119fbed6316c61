"""`axk8s export`: a sweep's trials as files for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from axk8s.cli import figures, talk, target
from axk8s.cli.options import Directory, Name
from axk8s.errors import UsageError

EXAMPLE = """
axk8s export digits --csv digits.csv
axk8s export digits --csv - | head
axk8s export digits --ax digits.json --analyses plots
"""
_STDOUT = Path("-")


def export(
    name: Name = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", envvar="AXK8S_CSV", metavar="FILE", help="All trials as a table; - is stdout."),
    ] = None,
    ax: Annotated[
        Path | None,
        typer.Option(
            "--ax", envvar="AXK8S_AX", metavar="FILE", help="What Ax knows, for its Client.load_from_json_file."
        ),
    ] = None,
    analyses: Annotated[
        Path | None,
        typer.Option("--analyses", envvar="AXK8S_ANALYSES", metavar="FOLDER", help="Ax's own analyses, as HTML pages."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", envvar="AXK8S_FORCE", help="Write over what is there.")] = False,
    directory: Directory = None,
) -> None:
    """Write a sweep's trials for other programs; also while it runs.

    The CSV file has one row a trial, with a column for each parameter and metric; it can be the `warm_start` of another
    sweep. The other two are written by Ax itself, which takes some seconds.
    """
    if csv is None and ax is None and analyses is None:
        raise UsageError("there is nothing to export", hint="say what: --csv FILE, --ax FILE, --analyses FOLDER")
    sweep = target.opened(target.latest(name, directory), directory)
    if csv == _STDOUT:
        from axk8s.results.export import to_csv

        sys.stdout.write(to_csv(*sweep.table()))
        csv = None
        if ax is None and analyses is None:
            return
    written = sweep.export(csv=csv, ax=ax, analyses=analyses, force=force)
    for path in (csv, ax):
        if path is not None:
            talk.say(f"{path} written")
    if analyses is not None:
        count = len(written) - sum(path is not None for path in (csv, ax))
        talk.say(f"{analyses}: {figures.plural(count, 'file')} written")
