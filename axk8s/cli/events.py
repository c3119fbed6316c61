"""`axk8s events`: what happened, and when."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from axk8s.cli import target
from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Directory, Format, Name, Output

if TYPE_CHECKING:
    from axk8s.api import Sweep
    from axk8s.results.events import Event

EXAMPLE = """
axk8s events digits --trial 7
axk8s events digits --follow
axk8s events digits -o json
"""
_INTERVAL = 0.5
"""Seconds between two looks with --follow."""


def events(
    name: Name = None,
    trial: Annotated[
        int | None,
        typer.Option("-t", "--trial", min=0, envvar="AXK8S_EVENTS_TRIAL", metavar="N", help="Of this trial alone."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("-f", "--follow", envvar="AXK8S_EVENTS_FOLLOW", help="Go on until no controller drives it."),
    ] = False,
    directory: Directory = None,
    output: Output = Format.TABLE,
) -> None:
    """List what happened to a sweep and its trials, in order: each submit, phase, end and its cause.

    It is the journal in words: nothing that the controller did is missing.
    """
    sweep = target.opened(target.latest(name, directory), directory)
    if follow:
        _follow(sweep, trial, output)
        return
    found = list(sweep.events(trial=trial))
    if output is Format.TABLE:
        columns = [Column("time"), Column("trial", numeric=True), Column("attempt", numeric=True)]
        write_table([*columns, Column("what"), Column("text", note=True)], [_row(one) for one in found])
    else:
        emit([one.to_json() for one in found], output)


def _follow(sweep: Sweep, trial: int | None, output: Format) -> None:
    shown = 0
    while True:
        running = sweep.running()  # asked before reading: what was written until then is read
        found = list(sweep.events(trial=trial))
        for one in found[shown:]:
            text = "  ".join(_row(one)).rstrip() if output is Format.TABLE else json.dumps(one.to_json())
            sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        shown = len(found)
        if not running:
            return
        time.sleep(_INTERVAL)


def _row(event: Event) -> tuple[str, ...]:
    at = datetime.fromtimestamp(event.time, UTC).astimezone()
    numbers = ["" if number is None else str(number) for number in (event.trial, event.attempt)]
    return (f"{at:%Y-%m-%d %H:%M:%S}", *numbers, event.what, event.text)
