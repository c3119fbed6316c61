"""`axk8s enqueue`: let parameters of one's own be tried next."""

from __future__ import annotations

from typing import Annotated

import typer

from axk8s.cli import figures, talk, target
from axk8s.cli.options import Directory

EXAMPLE = """
axk8s enqueue digits lr=0.01 hidden=64 optimizer=adam
axk8s enqueue lr=0.02 hidden=32 optimizer=adam      # the only sweep, or the only one that runs
"""


def enqueue(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME] NAME=VALUE…",
            help="The sweep, which may be left out when there is only one, or only one is running; then a value for "
            "each parameter.",
            show_default=False,
        ),
    ],
    directory: Directory = None,
) -> None:
    """Let these parameters be tried next, before any proposal; also while the sweep runs.

    They count as one of the sweep's trials, and the optimizer learns from them as from any other.
    """
    from axk8s.cli.assignments import assigned

    name = None if "=" in words[0] else words[0]
    sweep = target.opened(target.only(name, directory, verb="enqueue"), directory)
    values = assigned(sweep.spec, words if name is None else words[1:])
    running = sweep.running()
    summary = sweep.enqueue(values)
    when = "is tried when a slot is free" if running else "waits for the next run"
    talk.say(f"{summary.name}: {figures.assignments(values)} {when}")
    if not running:
        talk.remedy(f"go on with: {talk.command(f'run {summary.name}', directory)}")
