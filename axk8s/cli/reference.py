"""The help texts as one Markdown page, for `docs/cli.md`; the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator

from typer import Context
from typer.main import get_command

from axk8s.cli.app import app

_WIDTH = 100


def markdown() -> str:
    """A section for the command and for each verb, with its help text as it is printed 100 columns wide."""
    return "\n".join(_sections())


def _sections() -> Iterator[str]:
    group = get_command(app)
    root = Context(group, info_name="axk8s", terminal_width=_WIDTH, help_option_names=["-h", "--help"])
    yield from _section("axk8s", group.get_help(root))
    for name in group.list_commands(root):  # type: ignore[attr-defined]  # a group; get_command promises any command
        verb = group.get_command(root, name)  # type: ignore[attr-defined]  # as above
        yield from _section(f"axk8s {name}", verb.get_help(Context(verb, info_name=name, parent=root)))


def _section(title: str, text: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield "```text"
    yield from (line.rstrip() for line in text.strip().splitlines())
    yield "```\n"
