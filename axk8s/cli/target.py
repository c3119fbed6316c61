"""Which sweep is meant: a name, a file, or the one that comes to mind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from axk8s.cli import talk
from axk8s.errors import UsageError
from axk8s.folder import SweepFolder, sweep_folders, sweeps_directory

if TYPE_CHECKING:
    from axk8s.api import Sweep

_SUFFIXES = (".yaml", ".yml")


def is_file(text: str) -> bool:
    """Whether a person means a sweep file rather than a sweep's name."""
    return Path(text).suffix.lower() in _SUFFIXES or "/" in text or Path(text).is_file()


def latest(name: str | None, directory: Path | None) -> str:
    """The name that is meant; with None the sweep that changed last, which is said when there are others.

    Raises:
        UsageError: there is no sweep at all, or the given file is wrong.
    """
    if name is not None:
        return named(name)
    folders = _existing(directory)
    newest = max(folders, key=_changed)
    if len(folders) > 1:
        talk.say(f"sweep {newest.name}, which changed last of {len(folders)}", style="dim")
    return newest.name


def only(name: str | None, directory: Path | None, *, verb: str) -> str:
    """The name that is meant; with None it must be beyond doubt: the only sweep, or the only one that is running.

    Raises:
        UsageError: there is no sweep, or several could be meant.
    """
    if name is not None:
        return named(name)
    folders = _existing(directory)
    if len(folders) == 1:
        return folders[0].name
    from axk8s.api import sweeps

    running = [each.name for each in sweeps(directory) if each.state in ("running", "pausing")]
    if len(running) == 1:
        return running[0]
    names = ", ".join(running or [folder.name for folder in folders])
    kind = "running sweeps" if running else "sweeps"
    raise UsageError(
        f"there are {len(running or folders)} {kind} in {sweeps_directory(directory)}",
        hint=f"say which: {talk.command(f'{verb} NAME', directory)} ({names})",
    )


def opened(name: str, directory: Path | None) -> Sweep:
    """The sweep of a name that has begun.

    Raises:
        FolderError: there is none of this name.
    """
    from axk8s.api import Sweep

    return Sweep.open(name, directory=directory)


def named(text: str) -> str:
    """The name that is meant by a name, or by a sweep file.

    Raises:
        UsageError: the file is wrong.
    """
    if not is_file(text):
        return text
    from axk8s.spec.sweep import SweepSpec

    return SweepSpec.load(text).name


def _existing(directory: Path | None) -> list[SweepFolder]:
    place = sweeps_directory(directory)
    folders = list(sweep_folders(place))
    if not folders:
        raise UsageError(
            f"there is no sweep in {place}",
            hint="begin one with `axk8s run sweep.yaml`, or say where they are with --dir",
        )
    return folders


def _changed(folder: SweepFolder) -> float:
    return max(path.stat().st_mtime for path in (folder.journal, folder.status) if path.exists())
