"""`axk8s pause`: let the running trials end, begin no others."""

from __future__ import annotations

from axk8s.cli import figures, talk, target
from axk8s.cli.options import Directory, OneName

EXAMPLE = """
axk8s pause digits
axk8s run digits     # goes on
"""


def pause(name: OneName = None, directory: Directory = None) -> None:
    """Begin no further trial; those that run end by themselves, then the controller returns.

    `axk8s run NAME` goes on, also before the last one has ended.
    """
    sweep = target.opened(target.only(name, directory, verb="pause"), directory)
    summary = sweep.pause()
    running = sum(summary.phases.values())
    talk.say(
        f"{summary.name}: asked its controller to pause; {figures.plural(running, 'job')} to end"
        if running
        else f"{summary.name}: asked its controller to pause"
    )
    talk.remedy(f"go on with: {talk.command(f'run {summary.name}', directory)}")
