"""Writing into a sweep's journal what is known from elsewhere."""

from __future__ import annotations

from axk8s.controller.clock import WALL_CLOCK
from axk8s.controller.opening import settings, stored_spec
from axk8s.errors import JournalError
from axk8s.folder import SweepFolder
from axk8s.journal import Journal, fold_file
from axk8s.results.known import Known, new_of
from axk8s.results.summary import summarize, write_summary
from axk8s.sweep.records import Attached
from axk8s.sweep.state import State, apply


def attached(folder: SweepFolder, found: Known) -> Known:
    """Add results to a sweep that has begun, whose lock is held; what of them is new.

    Raises:
        JournalError: the journal is damaged, or cannot be written.
    """
    state = fold_file(folder.journal)
    fresh = new_of(found, state.attached)
    if fresh.trials:
        with Journal(folder.journal) as journal:
            record(journal, state, fresh)
        # `status` and `list` look there first.
        write_summary(folder.status, summarize(state, settings(stored_spec(state)), WALL_CLOCK.now()))
    return fresh


def record(journal: Journal, state: State, found: Known) -> None:
    """Journal the results.

    Raises:
        JournalError: the journal cannot be written.
    """
    if not found.trials:
        return
    one = Attached(time=WALL_CLOCK.now(), source=found.source, trials=found.trials)
    try:
        journal.append(one)
        journal.commit()
    except JournalError:
        journal.close()
        raise
    apply(state, one)
