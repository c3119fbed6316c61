"""`axk8s attach`: let the optimizer learn what is known already."""

from __future__ import annotations

from typing import Annotated

import typer

from axk8s.cli import talk, target
from axk8s.cli.options import Directory
from axk8s.results.known import said

EXAMPLE = """
axk8s attach digits previous.csv
axk8s attach digits other-sweep sweeps/third --skip
"""


def attach(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The sweep that learns: its name, or its file.", show_default=False)
    ],
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", help="Where results stand: CSV files, sweeps, or sweeps' folders.", show_default=False
        ),
    ],
    skip: Annotated[
        bool,
        typer.Option("--skip", envvar="AXK8S_SKIP", help="Leave out rows that do not fit, instead of refusing all."),
    ] = False,
    directory: Directory = None,
) -> None:
    """Let the optimizer of a sweep learn finished trials from elsewhere, as `warm_start` does when a sweep begins.

    A CSV file has a column for each parameter and metric, as `axk8s export` or Optuna's `trials_dataframe` writes it;
    `<metric>_sem` holds standard errors, and an empty cell is a parameter that the trial does not have. Nothing is
    attached twice, nothing at all where one of several sources is refused, and results from elsewhere never count as
    trials of the sweep.

    A sweep that is being driven must be paused for it.
    """
    sweep = target.opened(target.named(name), directory)
    # All are read before the first is attached: one that is refused leaves the sweep as it was.
    for found in [sweep.known(source, skip=skip) for source in sources]:
        told, *warnings = said(sweep.attach(found))
        for warning in warnings:
            talk.warning(warning)
        talk.say(f"{sweep.folder.name}: {told}")
    talk.remedy(f"go on with: {talk.command(f'run {sweep.folder.name}', directory)}")
