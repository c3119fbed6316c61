"""`axk8s list`: every sweep of a folder."""

from __future__ import annotations

import time

from axk8s.cli import figures, talk
from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Directory, Format, Output
from axk8s.folder import sweeps_directory

EXAMPLE = """
axk8s list
axk8s list --dir /data/sweeps -o json
"""
_STYLES = {"running": "cyan", "pausing": "cyan", "aborted": "red", "interrupted": "yellow", "done": "green"}


def list_(directory: Directory = None, output: Output = Format.TABLE) -> None:
    """List the sweeps of a folder with their progress and best value."""
    from axk8s.api import sweeps

    summaries = sweeps(directory)
    if output is not Format.TABLE:
        emit([summary.to_json() for summary in summaries], output)
        return
    if not summaries:
        talk.say(f"there is no sweep in {sweeps_directory(directory)}")
        talk.remedy("begin one: axk8s init, then axk8s run sweep.yaml")
        return
    now = time.time()
    columns = [
        Column("sweep"),
        Column("state"),
        Column("ended", numeric=True),
        Column("succeeded", numeric=True),
        Column("failed", numeric=True),
        Column("best", numeric=True),
        Column("objective"),
        Column("scheduler"),
        Column("changed"),
    ]
    rows = [
        [
            each.name,
            each.state,
            f"{each.ended}/{each.trials}",
            str(each.outcomes.get("succeeded", 0)),
            str(each.outcomes.get("failed", 0)),
            f"front of {len(each.front)}" if each.objectives else figures.number(each.best_value),
            ", ".join(each.objectives) or each.objective,
            each.scheduler,
            "simulated" if each.simulated else figures.ago(max(0.0, now - each.updated_at)),
        ]
        for each in summaries
    ]
    write_table(columns, rows, styles={i: _STYLES.get(each.state, "") for i, each in enumerate(summaries)})
