"""`axk8s schema`: what a sweep file may hold, for editors."""

from __future__ import annotations

from axk8s.cli.listing import emit
from axk8s.cli.options import Format

EXAMPLE = """
axk8s schema > sweep.schema.json
"""


def schema() -> None:
    """Print the JSON schema of a sweep file, so that an editor completes and checks it.

    Most editors take it from a first line in the sweep file: # yaml-language-server: $schema=sweep.schema.json
    """
    from axk8s.spec.schema import json_schema

    emit(json_schema(), Format.JSON)
