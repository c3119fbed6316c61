"""The command `axk8s`: one module a verb; the only place that talks to people."""

from __future__ import annotations


def main() -> None:
    """Run the command line of this process; ends it with the command's exit code."""
    from axk8s.cli.app import app

    app(prog_name="axk8s")
