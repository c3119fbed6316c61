"""Options that several verbs share, each defined once. Every option can also be given as `AXK8S_…`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from axk8s.folder import sweep_folders, sweeps_directory
from axk8s.names import ENV_DIR


class Format(StrEnum):
    """How data are written to stdout."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def _known_sweeps(incomplete: str) -> list[str]:
    return [folder.name for folder in sweep_folders(sweeps_directory()) if folder.name.startswith(incomplete)]


Directory: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--dir", envvar=ENV_DIR, metavar="FOLDER", help="The folder that holds the sweeps' folders (default ./sweeps)."
    ),
]
Output: TypeAlias = Annotated[
    Format,
    typer.Option("-o", "--output", envvar="AXK8S_OUTPUT", help="How to write the data."),
]
Name: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="The sweep: its name, or its file. Left out: the one that changed last.",
        show_default=False,
        autocompletion=_known_sweeps,
    ),
]
OneName: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="The sweep: its name, or its file. May be left out when there is only one, or only one is running.",
        show_default=False,
        autocompletion=_known_sweeps,
    ),
]
Scheduler: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "-s",
        "--scheduler",
        envvar="AXK8S_SCHEDULER",
        metavar="NAME",
        help="The TorchX scheduler that runs the jobs, instead of the file's.",
    ),
]
Config: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "-cfg",
        "--scheduler-config",
        envvar="AXK8S_SCHEDULER_CONFIG",
        metavar="K=V,…",
        help="Options of the scheduler as in TorchX; they win over the file's. May be repeated.",
    ),
]
Trials: TypeAlias = Annotated[
    int | None,
    typer.Option("--trials", min=1, envvar="AXK8S_TRIALS", metavar="N", help="How many trials, instead of the file's."),
]
Parallelism: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--parallelism", min=1, envvar="AXK8S_PARALLELISM", metavar="N", help="How many at the same time, likewise."
    ),
]
