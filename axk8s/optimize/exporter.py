"""Hands a sweep over to Ax: starts the process that writes it, because Ax is never imported here."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from axk8s.errors import OptimizerError
from axk8s.folder import SweepFolder
from axk8s.optimize.worker import child_environment, python_command

_SHOWN: Final = 500
"""Characters of the process's last line: a sentence, not a dump."""


def run_export(folder: SweepFolder, *, ax_file: Path | None, analyses: Path | None) -> list[Path]:
    """Write a sweep as Ax has it; takes seconds to minutes, most of it imports and Ax's analyses.

    Args:
        folder: The sweep; its journal is read, and nothing else. The sweep may be running.
        ax_file: The JSON file to write, which `ax.api.client.Client.load_from_json_file` opens.
        analyses: The folder (made where there is none) for Ax's own analyses as HTML pages, their data beside them as
            CSV files.

    Returns:
        The files that were written, in the order of their making; none where nothing was asked for.

    Raises:
        OptimizerError: the process ended without having written them; the text is the last line that it said.
    """
    if ax_file is None and analyses is None:
        return []
    arguments = ["--folder", str(folder.path.absolute())]
    if ax_file is not None:
        arguments += ["--ax-file", str(ax_file.absolute())]
    if analyses is not None:
        arguments += ["--analyses", str(analyses.absolute())]
    try:
        ended = subprocess.run(
            [*python_command("axk8s.optimize.export"), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=child_environment(),
            check=False,
        )
    except OSError as error:
        raise OptimizerError(f"the process that writes the export cannot be started: {error}") from error
    if ended.returncode:
        said = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
        last = said[-1][:_SHOWN] if said else f"exit code {ended.returncode}"
        raise OptimizerError(f"the sweep could not be exported for Ax: {last}")
    return [Path(line) for line in ended.stdout.splitlines()]
