"""What all benchmarks do with their figures: one JSON file, one table on the terminal."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
"""Where results go unless `--output` says otherwise; not under version control."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that the project wants to reach. It is shown, never enforced: a busy machine is no defect."""

    what: str
    wanted: str
    measured: str
    met: bool


def add_output(parser: argparse.ArgumentParser, name: str) -> None:
    """The option that every benchmark has."""
    parser.add_argument(
        "--output", type=Path, default=RESULTS / f"{name}.json", help="file for the result (default: %(default)s)"
    )


def machine() -> dict[str, object]:
    """What the figures depend on; the load shows whether others were at work when the benchmark began."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def save(
    name: str, output: Path, *, where: Mapping[str, object], figures: Mapping[str, object], bars: Sequence[Bar]
) -> None:
    """Write the JSON result and say where it is and which bars are met.

    Args:
        name: of the benchmark.
        output: the file.
        where: `machine()` as it was when the benchmark began.
        figures: the settings and everything measured.
        bars: what was aimed at.
    """
    result = {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "machine": where,
        **figures,
        "bars": [asdict(bar) for bar in bars],
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for bar in bars:
        print(f"{'met   ' if bar.met else 'MISSED'}  {bar.what}: {bar.measured} (wanted: {bar.wanted})")
    print(f"written to {output}")


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table that can be pasted into Markdown; all columns but the first hold numbers."""
    table = Table(box=box.MARKDOWN)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # A pipe or a narrow terminal must not cut figures off.
    console = Console(width=240, highlight=False, markup=False, emoji=False)
    console.print(f"\n{title}\n")
    console.print(table)


def percent(share: float) -> str:
    """A share as people read it."""
    return f"{100 * share:.1f} %"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is at least as large as this share of all."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
