"""The live display of a sweep: rich renderables made of a summary and the last trials. Draws, decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from axk8s.cli import figures, standing

if TYPE_CHECKING:
    from axk8s.results.summary import Summary
    from axk8s.results.tables import TrialRow

_SHOWN = 5
"""Ended trials on display: enough to see the trend on the smallest terminal."""
_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "infeasible": "yellow",
    "early_stopped": "blue",
    "stopped": "bright_black",
    "running": "cyan",
}
_STATES = {"running": "cyan", "done": "green", "aborted": "red", "interrupted": "yellow"}


@dataclass(slots=True)
class Board:
    """What the display shows; the controller's thread replaces its parts, the display's thread draws them."""

    clock: Callable[[], float] = time.time
    began: float = 0.0
    """When this controller began; the time shown counts from here."""
    summary: Summary | None = None
    recent: tuple[TrialRow, ...] = field(default=())
    message: str = ""
    """A sentence in place of the hint at the bottom: what an interrupt does."""

    def ended(self, row: TrialRow) -> None:
        """Show one more ended trial."""
        self.recent = (*self.recent, row)[-_SHOWN:]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw."""
        summary = self.summary
        if summary is None:
            yield Text("starting …", style="dim")
            return
        yield self._head(summary)
        yield _bar(summary, options.max_width)
        yield _counts(summary)
        if summary.best_trial is not None:
            best = Text(no_wrap=True, overflow="ellipsis")
            best.append(f"best {summary.objective} {figures.number(summary.best_value)}", style="bold green")
            best.append(f"  trial {summary.best_trial}  {figures.assignments(summary.best_parameters)}")
            yield best
        elif said := standing.short(summary):
            which = figures.members(summary.front)
            yield Text(f"{said}  {which}", style="bold green", no_wrap=True, overflow="ellipsis")
        if summary.unfit:
            yield Text(f"constraints  {standing.unfit(summary)}", style="yellow", no_wrap=True, overflow="ellipsis")
        if summary.waiting:
            yield Text(f"waiting  {summary.waiting}", style="yellow", no_wrap=True, overflow="ellipsis")
        elif summary.state == "running" and not summary.phases and summary.suggested < summary.trials:
            which = "next" if summary.suggested else "first"
            yield Text(f"waiting  for the optimizer's {which} proposals", style="yellow")
        if self.recent:
            yield _trials(self.recent, summary.objectives)
        yield Text(self.message or "Ctrl-C: leave; running jobs go on", style="bold yellow" if self.message else "dim")

    def _head(self, summary: Summary) -> Text:
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(summary.name, style="bold")
        head.append(f"  {summary.state}", style=_STATES.get(summary.state, ""))
        head.append(f"  {figures.duration(max(0.0, self.clock() - self.began))}")
        left = (summary.seconds_left or 0.0) - max(0.0, self.clock() - summary.updated_at)
        if left >= 1.0:
            head.append(f", about {figures.duration(left)} left")
        if summary.reason:
            head.append(f"  {summary.reason}", style="yellow")
        return head


def _bar(summary: Summary, width: int) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(1, summary.trials), completed=summary.ended, width=max(10, min(60, width - 20)))
    table.add_row(bar, Text(f"{summary.ended}/{summary.trials}"))
    return table


def _counts(summary: Summary) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for numbers in (summary.outcomes, summary.phases):
        for word, count in numbers.items():
            if count:
                text.append(f"{count} {word.replace('_', ' ')}  ", style=_COLOURS.get(word, ""))
    return text if text.plain else Text("no job yet", style="dim")


def _trials(rows: Sequence[TrialRow], objectives: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in objectives or [rows[0].objective]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        outcome = row.outcome.value if row.outcome else ""
        table.add_row(
            Text(str(row.trial)),
            Text(outcome.replace("_", " "), style=_COLOURS.get(outcome, "")),
            *(Text(figures.number(value)) for value in _values(row, objectives)),
            Text(figures.duration(row.seconds)),
            Text(figures.assignments(row.parameters)),
        )
    return table


def _values(row: TrialRow, objectives: Sequence[str]) -> list[float | None]:
    return [row.values.get(name) for name in objectives] if objectives else [row.value]


def facts(summary: Summary, lines: Sequence[tuple[str, str]]) -> Group:
    """The lines of `status` with a bar above."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    for name, text in lines:
        table.add_row(Text(name), Text(text))
    head = Text(f"{summary.name}  ", style="bold")
    head.append(summary.state, style=_STATES.get(summary.state, ""))
    return Group(head, _bar(summary, 60), table)
