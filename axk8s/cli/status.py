"""`axk8s status`: one sweep at a glance."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axk8s.cli import figures, standing, target
from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Directory, Format, Name, Output
from axk8s.errors import FolderError, suggestion
from axk8s.folder import sweeps_directory

if TYPE_CHECKING:
    from axk8s.results.summary import Summary

EXAMPLE = """
axk8s status digits
axk8s status digits --watch
axk8s status digits -o json
"""
_INTERVAL = 1.0
"""Seconds between two looks with --watch: the controller writes twice as often."""
_UNDER_WAY = ("running", "pausing")


def status(
    name: Name = None,
    watch: Annotated[
        bool,
        typer.Option("-w", "--watch", envvar="AXK8S_WATCH", help="Go on showing it until no controller drives it."),
    ] = False,
    directory: Directory = None,
    output: Output = Format.TABLE,
) -> None:
    """Show one sweep at a glance: progress, best trial, time left, and what it waits for.

    With --watch on a terminal the display is refreshed each second; elsewhere a line (JSON: an object a line) is
    written for each change.
    """
    chosen = target.latest(name, directory)
    summary = _summary(chosen, directory)
    if not watch:
        if output is Format.TABLE:
            write_table([Column(summary.name), Column(summary.state)], lines(summary, directory))
        else:
            emit(summary.to_json(), output)
        return
    if output is Format.TABLE and sys.stdout.isatty():
        _watch_terminal(summary, directory)
        return
    shown: object = None
    while True:
        if output is Format.TABLE:
            text = one_line(summary)
        else:
            text = json.dumps({k: v for k, v in summary.to_json().items() if k not in ("updated_at", "seconds_left")})
        if text != shown:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
            shown = text
        if summary.state not in _UNDER_WAY:
            return
        time.sleep(_INTERVAL)
        summary = _summary(chosen, directory)


def lines(summary: Summary, directory: Path | None = None) -> list[tuple[str, str]]:
    """What is known, as names and sentences; what is not known is left out."""
    now = time.time()
    ended = f"{summary.ended} of {summary.trials} trials"
    outcomes = figures.counts(summary.outcomes)
    rows = [("ended", f"{ended}: {outcomes}" if outcomes else ended)]
    if summary.causes:
        rows.append(("causes", figures.counts(summary.causes)))
    if summary.phases:
        rows.append(("jobs", f"{figures.counts(summary.phases)} (at most {summary.parallelism})"))
    if summary.waiting:
        rows.append(("waiting", summary.waiting))
    rows += standing.rows(summary)
    rows += [("budget" if first else "", text) for first, text in _budgets(summary)]
    if summary.enqueued:
        rows.append(("enqueued", f"{figures.plural(summary.enqueued, 'trial')}, to be tried next"))
    if summary.suggested:
        rows.append(("proposed", f"{summary.suggested}, {summary.from_model} of them by the model"))
    if summary.seconds_left is not None:
        rows.append(("left", f"about {figures.duration(summary.seconds_left)}"))
    if summary.reason:
        rows.append(("reason", summary.reason))
    if summary.hint:
        rows.append(("do", summary.hint))
    rows += [("notice", notice) for notice in summary.notices]
    if summary.state in _UNDER_WAY and summary.pid is not None:
        rows.append(("controller", f"process {summary.pid} on {summary.host}, scheduler {summary.scheduler}"))
    if summary.simulated:
        took = figures.duration(summary.updated_at - summary.began_at)
        rows.append(("simulated", f"no job was started; it took {took} of virtual time"))
    else:
        changed = figures.ago(max(0.0, now - summary.updated_at))
        rows.append(("began", f"{figures.ago(max(0.0, now - summary.began_at))}, changed {changed}"))
    rows.append(("folder", str(sweeps_directory(directory) / summary.name)))
    return rows


def _budgets(summary: Summary) -> list[tuple[bool, str]]:
    """What is gone of each budget, the first one marked."""
    said = []
    for name, each in summary.budgets.items():
        gone, most = each["used"], each["limit"]
        if name == "wall_time":
            said.append(f"{figures.duration(gone)} of {figures.duration(most)} wall time")
        elif name == "patience":
            said.append(f"{gone:g} of {most:g} trials in a row without anything better")
        else:
            said.append(f"{figures.number(gone)} of {figures.number(most)} {_UNITS.get(name, name)}")
    if summary.targets:
        wanted = " and ".join(f"{metric} is {figures.number(value)}" for metric, value in summary.targets.items())
        said.append(f"until {wanted}")
    return [(index == 0, text) for index, text in enumerate(said)]


_UNITS = {"gpu_hours": "GPU hours", "cost": "in costs"}


def one_line(summary: Summary) -> str:
    """The same in one line, for logs."""
    best = f", {said}" if (said := standing.short(summary)) else ""
    outcomes = figures.counts(summary.outcomes)
    jobs = figures.counts(summary.phases)
    parts = "; ".join(part for part in (outcomes, jobs) if part)
    return f"{summary.name} {summary.state} {summary.ended}/{summary.trials}{f' ({parts})' if parts else ''}{best}"


def _summary(name: str, directory: Path | None) -> Summary:
    # Not through Sweep.open: that reads the whole journal, and this is asked each second of sweeps of any size.
    from axk8s.api import sweeps

    summaries = {summary.name: summary for summary in sweeps(directory)}
    if name not in summaries:
        place = sweeps_directory(directory)
        hint = suggestion(name, summaries) if summaries else "begin one: axk8s run sweep.yaml"
        raise FolderError(f"there is no sweep {name!r} in {place}", hint=hint)
    return summaries[name]


def _watch_terminal(summary: Summary, directory: Path | None) -> None:
    from rich.console import Console
    from rich.live import Live

    from axk8s.cli.board import facts

    console = Console(file=sys.stdout, highlight=False, markup=False)
    with Live(facts(summary, lines(summary, directory)), console=console, auto_refresh=False) as live:
        while summary.state in _UNDER_WAY:
            time.sleep(_INTERVAL)
            summary = _summary(summary.name, directory)
            live.update(facts(summary, lines(summary, directory)), refresh=True)
