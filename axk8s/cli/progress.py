"""What `run` tells while it runs: a moving display on a terminal, plain lines elsewhere, and a summary at the end."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from axk8s.cli import figures, standing, talk
from axk8s.results.tables import TrialRow, failure_groups, trial_row
from axk8s.sweep.model import Outcome
from axk8s.sweep.records import Halted, Noticed, Record, RequestApplied, Submitting, TrialConcluded

if TYPE_CHECKING:
    from rich.live import Live

    from axk8s.cli.board import Board
    from axk8s.results.summary import Summary
    from axk8s.sweep.state import State

_TAIL = 5
"""Lines of a failed job's output that the closing summary shows."""
_GROUPS = 5
"""Kinds of failure that it shows."""
_FRONT = 8
"""Trials of a front that it shows."""


class Progress:
    """Says what happens, line by line; `begun` and `listen` are called in the controller's thread."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._explained: set[str] = set()

    def begun(self, state: State, notices: Sequence[str]) -> None:
        """The controller has opened the sweep and is about to drive it."""
        self._state = state
        for notice in notices:
            self.tell(f"notice: {notice}", style="yellow")
        if state.trials:
            running = figures.plural(state.live, "job")
            self.tell(f"resumed: {state.ended} of {_wanted(state)} ended, {running} still running")

    def listen(self, records: Sequence[Record], summary: Summary) -> None:
        """Records were journaled."""
        state = self._state
        assert state is not None, "the controller starts before it records"
        for record in records:
            match record:
                case TrialConcluded():
                    self.concluded(trial_row(state, state.trials[record.trial]), summary)
                case Submitting() if record.attempt > 0:
                    before = state.trials[record.trial].attempts[record.attempt - 1].diagnosis
                    why = f" after: {before.summary}" if before else ""
                    self.tell(f"trial {record.trial} is tried again{why}", style="yellow")
                case Halted():
                    self.tell(f"ending: {record.reason}", style="yellow")
                case Noticed():
                    self.tell(f"notice: {record.text}", style="yellow")
                case RequestApplied():
                    what = "" if record.trial is None else f" trial {record.trial}"
                    self.tell(f"request from another shell: {record.verb}{what}", style="yellow")
                case _:
                    pass

    def concluded(self, row: TrialRow, summary: Summary) -> None:
        """A trial has ended."""
        self.tell(ended_line(row, summary), style=_style(row))
        self.explain(row)

    def explain(self, row: TrialRow) -> None:
        """Say what to do about a failure, once for each remedy."""
        if row.outcome in (Outcome.FAILED, Outcome.INFEASIBLE) and row.hint and row.hint not in self._explained:
            self._explained.add(row.hint)
            for line in row.hint.splitlines():
                self.tell(f"  → {line}", style="dim")

    def interrupted(self) -> None:
        """The person wants to leave."""
        text = "leaving: nothing further is begun, running jobs go on (again: leave at once)\n"
        # Called by a signal's handler, perhaps in the middle of a print to the same stream, which is not reentrant.
        with contextlib.suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), text.encode())

    def tell(self, text: str, *, style: str = "") -> None:
        """One line."""
        talk.say(text, style=style)

    def close(self) -> None:
        """Leave the terminal as it was; may be called twice."""


class LiveProgress(Progress):
    """The same as a display that is redrawn; failures and notices scroll by above it."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live

        from axk8s.cli.board import Board

        self._board: Board = Board(began=time.time())
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live: Live = Live(self._board, console=console, refresh_per_second=4, transient=True)

    def begun(self, state: State, notices: Sequence[str]) -> None:
        """Show what there is already."""
        self._live.start()
        ended = [trial for trial in state.trials if trial.outcome is not None]
        for trial in sorted(ended, key=lambda trial: trial.ended_at or 0.0)[-5:]:
            self._board.ended(trial_row(state, trial))
        super().begun(state, notices)

    def listen(self, records: Sequence[Record], summary: Summary) -> None:
        """Show the new summary."""
        self._board.summary = summary
        super().listen(records, summary)

    def concluded(self, row: TrialRow, summary: Summary) -> None:
        """Ended trials are in the display; only what went wrong stays on the terminal."""
        self._board.ended(row)
        if row.outcome in (Outcome.FAILED, Outcome.INFEASIBLE):
            self.tell(ended_line(row, summary), style=_style(row))
            self.explain(row)

    def interrupted(self) -> None:
        """Said in the display: the handler of a signal must not wait for the terminal."""
        self._board.message = "leaving: running jobs go on (Ctrl-C again: leave at once)"

    def tell(self, text: str, *, style: str = "") -> None:
        """One line above the display."""
        from rich.text import Text

        with contextlib.suppress(BrokenPipeError):
            self._live.console.print(Text(text, style=style), soft_wrap=True)

    def close(self) -> None:
        """Remove the display and show the cursor again."""
        self._live.stop()


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """What fits where stderr goes; closed at the end."""
    shown = LiveProgress() if talk.on_terminal() else Progress()
    try:
        yield shown
    finally:
        shown.close()


def _style(row: TrialRow) -> str:
    styles = {Outcome.FAILED: "red", Outcome.INFEASIBLE: "yellow", Outcome.STOPPED: "dim"}
    return styles.get(row.outcome, "") if row.outcome else ""


def ended_line(row: TrialRow, summary: Summary) -> str:
    """`trial 7 succeeded accuracy=0.971 lr=0.01 hidden=32, best 0.975 (trial 4), 8/16`."""
    outcome = row.outcome.value.replace("_", " ") if row.outcome else ""
    value = f" {said}" if (said := standing.result(row, summary.objectives)) else ""
    best = ""
    if row.breaks:
        best = f", breaks {' and '.join(standing.breaches(row.breaks))}"
    elif summary.objectives and summary.front:
        best = f", {'on the ' if row.front else ''}front of {len(summary.front)}"
    elif summary.best_trial is not None:
        mine = summary.best_trial == row.trial
        best = ", the best" if mine else f", best {figures.number(summary.best_value)} (trial {summary.best_trial})"
    why = f": {_first_line(row.reason)}" if row.reason else ""
    return (
        f"trial {row.trial} {outcome}{value} [{figures.assignments(row.parameters)}]"
        f"{best}, {summary.ended}/{summary.trials}{why}"
    )


def closing(summary: Summary, rows: list[TrialRow], directory: Path | None, *, seconds: float) -> list[tuple[str, str]]:
    """The last words, as lines and their styles: how it ended, what failed and why, the best, what to type next."""
    name = summary.name
    outcomes = figures.counts(summary.outcomes) or "none ended"
    style = {"done": "bold green", "aborted": "bold red"}.get(summary.state, "bold yellow")
    said = [(f"{name}: {_ENDINGS.get(summary.state, summary.state)} after {figures.duration(seconds)}", style)]
    said.append((f"{summary.ended} of {summary.trials} trials: {outcomes}", ""))
    if summary.reason and summary.state != "interrupted":
        said.append((summary.reason, ""))
    if summary.hint and summary.state in ("aborted", "budget", "exhausted", "converged"):
        said.append((f"  → {summary.hint}", "dim"))
    for group in failure_groups(rows)[:_GROUPS]:
        if group.outcome is Outcome.STOPPED:
            continue
        label = f"{len(group.trials)} {group.outcome.value}"
        said.append((f"{label}: {_first_line(group.reason)} ({figures.members(group.trials)})", "red"))
        said += [(f"    {line}", "dim") for line in group.log_tail[-_TAIL:]]
        if group.hint and group.hint != summary.hint:
            said.append((f"  → {group.hint}", "dim"))
    if summary.best_trial is not None:
        value = figures.number(summary.best_value)
        said.append((f"best: {summary.objective}={value} in trial {summary.best_trial}", "bold green"))
        said.append((f"  {figures.assignments(summary.best_parameters)}", ""))
    if summary.front:
        said.append((f"{standing.front(summary)} in {' and '.join(summary.objectives)}", "bold green"))
        for row in [row for row in rows if row.front][:_FRONT]:
            result = standing.result(row, summary.objectives)
            said.append((f"  trial {row.trial}: {result} [{figures.assignments(row.parameters)}]", ""))
        if len(summary.front) > _FRONT:
            said.append((f"  and {len(summary.front) - _FRONT} more", "dim"))
    if summary.unfit:
        said.append((f"outcome constraints: {standing.unfit(summary)}", "yellow"))
    said += [(f"  {line}", "dim") for line in _next(summary, rows, directory)]
    return said


_ENDINGS = {
    "interrupted": "interrupted, nothing is lost,",
    "budget": "its budget is used up",
    "exhausted": "nothing is left to try",
    "reached": "its target is reached",
    "converged": "it no longer improves",
    "stopped": "stopped on request",
}


def _next(summary: Summary, rows: list[TrialRow], directory: Path | None) -> list[str]:
    """Commands that a person may want now, with what they are for."""
    name = summary.name
    commands: list[tuple[str, str]] = []
    if summary.state in ("interrupted", "paused", "pausing", "stopped", "budget"):
        running = sum(summary.phases.values())
        commands.append((f"run {name}", "go on"))
        if running:
            commands.append((f"stop {name}", f"end the {figures.plural(running, 'job')} still running"))
    failed = next((row.trial for row in rows if row.outcome is Outcome.FAILED), None)
    if failed is not None:
        commands.append((f"logs {name} --trial {failed}", "the output of the first failed trial"))
    if summary.best_trial is not None:
        commands.append((f"best {name}", "the best trial"))
    elif summary.front:
        commands.append((f"best {name}", "the front"))
    if summary.ended:
        commands.append((f"trials {name}", "all of them"))
    typed = [(talk.command(words, directory), meaning) for words, meaning in commands]
    width = max((len(words) for words, _ in typed), default=0)
    return [f"{words:<{width}}   {meaning}" for words, meaning in typed]


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""


def _wanted(state: State) -> object:
    return state.spec.get("trials", len(state.trials))
