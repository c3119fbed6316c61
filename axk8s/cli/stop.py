"""`axk8s stop`: end a sweep, or one of its trials."""

from __future__ import annotations

from typing import Annotated

import typer

from axk8s.cli import figures, talk, target
from axk8s.cli.options import Directory, OneName

EXAMPLE = """
axk8s stop digits
axk8s stop digits --trial 7
"""


def stop(
    name: OneName = None,
    trial: Annotated[
        int | None,
        # Not AXK8S_TRIAL: that is the trial's own number inside a job, where `stop` must not come to mean it alone.
        typer.Option("-t", "--trial", min=0, envvar="AXK8S_STOP_TRIAL", metavar="N", help="End only this trial."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", envvar="AXK8S_WAIT", help="Return only when it has happened.")
    ] = True,
    directory: Directory = None,
) -> None:
    """End a sweep: its running jobs are ended, its results are kept.

    `axk8s run NAME` would go on with the remaining trials.
    """
    sweep = target.opened(target.only(name, directory, verb="stop"), directory)
    if wait and sweep.running():
        talk.say("waiting for running jobs to end …" if trial is None else f"waiting for trial {trial} to end …")
    summary = sweep.stop(trial=trial, wait=wait)
    if trial is not None:
        talk.say(f"{summary.name}: trial {trial} {'has ended' if wait else 'is to end'}")
        return
    ended = figures.counts(summary.outcomes) or "no trial ended"
    talk.say(f"{summary.name}: {summary.state if wait else 'is to stop'}; {ended}, of {summary.trials}")
    if summary.ended < summary.trials:
        talk.remedy(f"go on after all: {talk.command(f'run {summary.name}', directory)}")
