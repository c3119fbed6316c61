"""`axk8s run`: begin a sweep, or go on with it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axk8s.cli import talk, target
from axk8s.cli.options import Config, Directory, Parallelism, Scheduler, Trials
from axk8s.errors import UsageError
from axk8s.folder import SweepFolder, sweeps_directory

if TYPE_CHECKING:
    from axk8s.api import Sweep
    from axk8s.controller.controller import Controller

EXAMPLE = """
axk8s run sweep.yaml
axk8s run sweep.yaml --name second --trials 40 --parallelism 4
axk8s run digits --detach
"""


_ONCE = tuple(
    f"AXK8S_{option}"
    for option in ("NAME", "TRIALS", "PARALLELISM", "SCHEDULER", "SCHEDULER_CONFIG", "DETACH", "FRESH")
)
"""What is carried out before the detached controller begins, which must not find it in its environment once more."""


def run(
    sweep: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME", help="A sweep file, or the name of a sweep that has begun.", show_default=False
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", envvar="AXK8S_NAME", metavar="NAME", help="Another name for the sweep of this file."),
    ] = None,
    trials: Trials = None,
    parallelism: Parallelism = None,
    scheduler: Scheduler = None,
    config: Config = None,
    detach: Annotated[
        bool,
        typer.Option("-d", "--detach", envvar="AXK8S_DETACH", help="Return at once; a process of its own drives it."),
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", envvar="AXK8S_FRESH", help="Start anew; the earlier sweep's folder is kept aside."),
    ] = False,
    directory: Directory = None,
) -> None:
    """Begin a sweep, or go on with it: the same command resumes whatever was interrupted.

    Ctrl-C (or SIGTERM) once: nothing further is begun, running jobs go on, and the same command finds them again.
    Twice: leave at once. Nothing is lost either way.

    Exit code: 0 when it has ended as asked, 1 when it was aborted or no trial succeeded, 130 when it was interrupted
    or stopped.
    """
    loaded = _loaded(sweep, name, directory, scheduler, config, trials, parallelism)
    earlier = loaded.folder.path.exists()
    if detach:
        for option in _ONCE:
            os.environ.pop(option, None)
        pid = loaded.detach(fresh=fresh)
        _kept_aside(loaded.folder, fresh and earlier)
        sys.stdout.write(f"{loaded.folder.name}\n")
        talk.say(f"process {pid} drives the sweep {loaded.folder.name}; it goes on when you log out")
        for words in ("status {} --watch", "logs {} --follow", "pause {}", "stop {}"):
            talk.say(f"  {talk.command(words.format(loaded.folder.name), directory)}", style="dim")
        return
    raise typer.Exit(_drive(loaded, directory, fresh=fresh, earlier=earlier))


def _drive(loaded: Sweep, directory: Path | None, *, fresh: bool, earlier: bool) -> int:
    from axk8s.cli.interrupt import Interrupts
    from axk8s.cli.progress import closing, progress

    began = time.monotonic()
    spec = loaded.spec
    if not earlier or fresh:
        way = f"{spec.trials} trials, {spec.parallelism} at a time, by {spec.optimizer.kind} on {spec.scheduler}"
        talk.say(f"sweep {loaded.folder.name}: {way}; folder {loaded.folder.path}")
    with Interrupts() as interrupts, progress() as shown:

        def started(controller: Controller, notices: tuple[str, ...]) -> None:
            _kept_aside(loaded.folder, fresh and earlier)
            shown.begun(controller.state, notices)

            def leave() -> None:
                shown.interrupted()
                controller.interrupt()

            interrupts.leave = leave

        ending = loaded.run(fresh=fresh, listen=shown.listen, started=started)
    for text, style in closing(ending.summary, loaded.trials(), directory, seconds=time.monotonic() - began):
        talk.say(text, style=style)
    return ending.exit_code


def _loaded(
    text: str,
    name: str | None,
    directory: Path | None,
    scheduler: str | None,
    config: list[str] | None,
    trials: int | None,
    parallelism: int | None,
) -> Sweep:
    from axk8s.api import Sweep
    from axk8s.cli.assignments import scheduler_config

    options = scheduler_config(config)
    if target.is_file(text):
        return Sweep.from_yaml(
            text,
            name=name,
            directory=directory,
            scheduler=scheduler,
            scheduler_config=options,
            trials=trials,
            parallelism=parallelism,
        )
    if name is not None or scheduler is not None:
        option = "--name" if name is not None else "--scheduler"
        raise UsageError(
            f"{option} cannot change the sweep {text!r}, which has begun",
            hint=f"give its file to begin another one: axk8s run sweep.yaml {option} …",
        )
    return Sweep.open(text, directory=directory, scheduler_config=options, trials=trials, parallelism=parallelism)


def _kept_aside(folder: SweepFolder, happened: bool) -> None:
    if not happened:
        return
    aside = sorted((sweeps_directory(folder.path.parent) / ".replaced").glob(f"{folder.name}-*"), key=_age)
    if aside:
        talk.say(f"the earlier sweep is kept in {aside[-1]}")


def _age(path: Path) -> float:
    return path.stat().st_ctime
