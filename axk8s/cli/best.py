"""`axk8s best`: the best trial so far."""

from __future__ import annotations

from axk8s.cli import figures, talk, target
from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Directory, Format, Name, Output

EXAMPLE = """
axk8s best digits
axk8s best digits -o json
"""


def best(name: Name = None, directory: Directory = None, output: Output = Format.TABLE) -> None:
    """Show the best trial so far: its value, its parameters and its other metrics."""
    sweep = target.opened(target.latest(name, directory), directory)
    row = sweep.best()
    if output is not Format.TABLE:
        emit(row.to_json() if row else None, output)
        return
    if row is None:
        talk.say(f"no trial of {sweep.folder.name} has succeeded yet")
        return
    lines = [("trial", str(row.trial)), (row.objective, figures.number(row.value))]
    lines += [(metric, figures.number(value)) for metric, value in row.values.items() if metric != row.objective]
    lines += [(parameter, _exact(value)) for parameter, value in row.parameters.items()]
    lines += [("generator", row.generator), ("took", figures.duration(row.seconds))]
    write_table([Column(sweep.folder.name), Column("")], lines)


def _exact(value: object) -> str:
    # Parameters are copied from here into a final training: no digit may be lost.
    return str(value).lower() if isinstance(value, bool) else str(value)
