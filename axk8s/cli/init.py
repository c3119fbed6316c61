"""`axk8s init`: a sweep file and a training script that run as they are."""

from __future__ import annotations

import re
import shlex
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from axk8s.cli import talk
from axk8s.errors import Axk8sError, UsageError

EXAMPLE = """
axk8s init digits
axk8s run digits/sweep.yaml
"""
_FILES = ("sweep.yaml", "train.py")


def init(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where to write; made if need be.")] = Path(),
) -> None:
    """Write a sweep file and a training script that run as they are, to start from.

    The sweep is named after the folder. Nothing is ever overwritten.
    """
    existing = [name for name in _FILES if (folder / name).exists()]
    if existing:
        raise UsageError(
            f"{' and '.join(existing)} exist{'' if len(existing) > 1 else 's'} in {folder.absolute()}",
            hint="give another folder: axk8s init FOLDER; nothing was written",
        )
    name = sweep_name(folder.absolute().name)
    template = resources.files("axk8s.cli") / "template"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in _FILES:
            text = (template / file).read_text(encoding="utf-8")
            if file == "sweep.yaml":
                text = text.replace("name: example", f"name: {name}", 1)
            with (folder / file).open("x", encoding="utf-8") as target:
                target.write(text)
    except OSError as error:
        raise Axk8sError(f"cannot write into {folder.absolute()}: {error.strerror or error}") from error
    talk.say(f"wrote {' and '.join(str(folder / file) for file in _FILES)}; next:")
    path = shlex.quote(str(folder / "sweep.yaml"))
    talk.say(f"  axk8s try {path}      one trial, here and now")
    talk.say(f"  axk8s run {path}      the whole sweep")


def sweep_name(text: str) -> str:
    """The nearest valid name of a sweep; it begins with a letter, so that YAML reads it as text."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    if not name or not name[0].isalpha() or name in ("true", "false", "null"):
        name = f"sweep-{name}"
    return name[:63].strip("-._")
