"""Sweeps at a glance, for commands that answer at once: nothing is loaded that takes time to load."""

from __future__ import annotations

import os
from dataclasses import replace

from axk8s.controller.lock import is_locked
from axk8s.errors import JournalError
from axk8s.folder import SweepFolder, sweep_folders, sweeps_directory
from axk8s.results.summary import Summary, read_summary


def sweeps(directory: str | os.PathLike[str] | None = None) -> list[Summary]:
    """All sweeps of a directory, by name."""
    return [current_summary(folder) for folder in sweep_folders(sweeps_directory(directory))]


def current_summary(folder: SweepFolder) -> Summary:
    """The sweep at a glance: from the cache, else from the journal; says so when the controller is gone."""
    try:
        summary = read_summary(folder.status)
    except JournalError:
        summary = _from_journal(folder)
    if summary.state in ("running", "pausing") and not is_locked(folder.lock):
        hint = f"go on with: axk8s run {summary.name}"
        return replace(summary, state="interrupted", reason="no controller is at work", hint=hint, seconds_left=None)
    return summary


def _from_journal(folder: SweepFolder) -> Summary:
    # The sweep file's settings are in the journal, and reading those loads what checks them.
    from axk8s.controller.opening import settings, stored_spec
    from axk8s.journal import fold_file
    from axk8s.results.summary import summarize

    try:
        state = fold_file(folder.journal)
    except JournalError as error:
        return Summary(name=folder.name, uid="", state="damaged", reason=error.message, hint=error.hint, trials=0)
    return summarize(state, settings(stored_spec(state)), state.last_time)
