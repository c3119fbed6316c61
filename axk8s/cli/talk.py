"""What is said beside the data: sentences on stderr, one style for all verbs. NO_COLOR is honoured."""

from __future__ import annotations

import contextlib
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from axk8s.errors import Axk8sError, SpecError
from axk8s.folder import sweeps_directory

if TYPE_CHECKING:
    from rich.console import Console

_ARROW = "  → "


@cache
def _console_of(stream: object) -> Console:
    from rich.console import Console

    # Long lines are left to the terminal: a path or command that is broken in two cannot be copied.
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)  # type: ignore[arg-type]  # a stream that is hashable


def console() -> Console:
    """The console on stderr; looked up anew because tests and notebooks exchange the stream."""
    return _console_of(sys.stderr)


def on_terminal() -> bool:
    """Whether a person watches stderr, so that moving pictures make sense."""
    return console().is_terminal and not console().is_dumb_terminal


def say(text: str, *, style: str = "") -> None:
    """One sentence. When nobody can hear it any more (a closed pipe) it is not said, and nothing else changes."""
    with contextlib.suppress(BrokenPipeError):
        console().print(text, style=style or None)


def remedy(text: str) -> None:
    """What to do about the sentence before."""
    for line in text.splitlines():
        say(f"{_ARROW}{line}", style="dim")


def warning(text: str) -> None:
    """Something that a person should know and that stops nothing."""
    say(f"warning: {text}", style="yellow")


def error(text: str, *, hint: str = "") -> None:
    """What went wrong, in red, and what to do about it."""
    first, *others = text.splitlines() or [""]
    say(f"error: {first}", style="bold red")
    for line in others:
        say(line)
    remedy(hint)


def problem(error_: Axk8sError) -> None:
    """An expected error; those of a sweep file one by one, each with its place and remedy."""
    if not isinstance(error_, SpecError):
        error(error_.message, hint=error_.hint)
        return
    if len(error_.problems) > 1:
        error(f"there are {len(error_.problems)} problems")
    for each in error_.problems:
        where = f"{each.where}: {each.key}" if each.key else each.where
        (say if len(error_.problems) > 1 else error)(f"{where}: {each.message}")
        remedy(each.hint)


def command(words: str, directory: Path | None) -> str:
    """A command to type next, with `--dir` where the sweeps are not where axk8s would look for them."""
    if directory is None or sweeps_directory(directory) == sweeps_directory():
        return f"axk8s {words}"
    return f"axk8s {words} --dir {directory}"
