"""Data on stdout: an aligned table for people, JSON or YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from axk8s.cli.options import Format

if TYPE_CHECKING:
    from rich.table import Table

_WIDE = 100_000
"""Columns of a console that never breaks a line: what a pipe or a file gets."""
_NOTE_WIDTH = 24
"""A terminal leaves at least this much to the last, talkative column."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and whether its cells are numbers (aligned to the right)."""

    heading: str
    numeric: bool = False
    note: bool = False
    """A sentence, which a narrow terminal may cut."""


def emit(data: object, output: Format) -> None:
    """Write data that are plain JSON values as JSON or YAML."""
    if output is Format.YAML:
        from ruamel.yaml import YAML

        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.allow_unicode = True
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # annotated as None, read as a truth value
        yaml.dump(data, sys.stdout)
        return
    sys.stdout.write(json.dumps(data, allow_nan=False, ensure_ascii=False, indent=2) + "\n")


def write_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, styles: Mapping[int, str] | None = None
) -> None:
    """Write an aligned table; `styles` gives the style of some rows, by index.

    On a terminal the last column is cut to fit. Elsewhere every cell is whole, so that `grep` and `awk` find it.
    """
    from rich.console import Console

    on_terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
    table = _table(columns, rows, styles or {}, fold=on_terminal)
    if not on_terminal:
        console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=_WIDE, color_system=None)
        with console.capture() as captured:
            console.print(table)
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
        return
    width = max(console.width, console.measure(table, options=console.options.update(width=_WIDE)).minimum)
    console.print(table, width=width, crop=False, overflow="ignore", no_wrap=True)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], styles: Mapping[int, str], *, fold: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        cuts = fold and column.note
        table.add_column(
            column.heading,
            justify="right" if column.numeric else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=_NOTE_WIDTH if cuts else _widest(columns, rows, column),
        )
    for index, row in enumerate(rows):
        table.add_row(*(Text(" ".join(cell.split("\n"))) for cell in row), style=styles.get(index))
    return table


def _widest(columns: Sequence[Column], rows: Sequence[Sequence[str]], column: Column) -> int:
    from rich.cells import cell_len

    index = columns.index(column)
    return max([cell_len(column.heading), *(cell_len(row[index]) for row in rows)])
