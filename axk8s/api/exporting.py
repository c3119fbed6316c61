"""Writing a sweep's trials into files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from axk8s.errors import UsageError
from axk8s.results.export import to_csv

if TYPE_CHECKING:
    from axk8s.api.view import SweepView


def export(
    sweep: SweepView, *, csv_file: Path | None, ax_file: Path | None, analyses: Path | None, force: bool
) -> list[Path]:
    """Write what is asked for; see `Sweep.export`.

    Raises:
        UsageError: nothing was asked for, or it is there already, or it cannot be written.
        OptimizerError: Ax could not write its part.
    """
    wanted = [path for path in (csv_file, ax_file, analyses) if path is not None]
    if not wanted:
        raise UsageError("there is nothing to export", hint="say what: --csv FILE, --ax FILE, --analyses FOLDER")
    for path in () if force else wanted:
        if path.is_dir() and path is analyses and not any(path.iterdir()):
            continue
        if path.exists():
            raise UsageError(f"{path} exists already", hint="choose another name, or write over it with --force")
    sweep.state()  # raises where there is nothing to write
    written = []
    if csv_file is not None:
        try:
            csv_file.parent.mkdir(parents=True, exist_ok=True)
            csv_file.write_text(to_csv(*sweep.table()), encoding="utf-8", newline="")
        except OSError as error:
            raise UsageError(f"{csv_file} cannot be written: {error.strerror}", hint="choose another place") from error
        written.append(csv_file)
    if ax_file is not None or analyses is not None:
        from axk8s.optimize.exporter import run_export

        written += run_export(sweep.folder, ax_file=ax_file, analyses=analyses)
    return written
