"""Writing into a sweep's journal what is known from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from axk8s.controller.clock import WALL_CLOCK
from axk8s.controller.opening import settings, stored_spec
from axk8s.errors import JournalError
from axk8s.folder import SweepFolder
from axk8s.journal import Journal, read
from axk8s.results.known import Known, identity
from axk8s.results.summary import summarize, write_summary
from axk8s.sweep.records import Attached
from axk8s.sweep.state import State, apply, fold


def attached(folder: SweepFolder, found: Known) -> Known:
    """Add results to a sweep that has begun, whose lock is held; what of them is new.

    Raises:
        JournalError: the journal is damaged, or cannot be written.
    """
    records = list(read(folder.journal))
    earlier = [one for one in records if isinstance(one, Attached) and one.source == found.source]
    fresh = new_of(found, earlier)
    if fresh.trials:
        state = fold(records)
        with Journal(folder.journal) as journal:
            record(journal, state, fresh)
        # `status` and `list` look there first.
        write_summary(folder.status, summarize(state, settings(stored_spec(state)), WALL_CLOCK.now()))
    return fresh


def new_of(found: Known, earlier: Iterable[Attached | Known]) -> Known:
    """What of these results was not attached from the same source before."""
    known = {identity(result) for each in earlier for result in each.trials}
    return replace(found, trials=tuple(result for result in found.trials if identity(result) not in known))


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
