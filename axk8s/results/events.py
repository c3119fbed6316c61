"""What happened to a sweep, one line an event: the journal in a person's words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

from axk8s.sweep import records
from axk8s.sweep.model import ExitFacts, Phase
from axk8s.sweep.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened; the time is in Unix seconds."""

    time: float
    trial: int | None = None
    attempt: int | None = None
    what: str
    """In a word or two: `running`, `succeeded`, `controller`, …"""
    text: str = ""

    def to_json(self) -> dict[str, object]:
        """As plain JSON values."""
        return {
            "time": self.time,
            "trial": self.trial,
            "attempt": self.attempt,
            "what": self.what,
            "text": self.text,
        }


def events(journal: Iterable[Record], *, trial: int | None = None) -> Iterator[Event]:
    """The events of a journal, oldest first; with `trial` only those of one."""
    for record in journal:
        found = _event(record)
        if trial is None or found.trial == trial:
            yield found


def _event(record: Record) -> Event:
    match record:
        case records.PhaseChanged():
            return _phase(record)
        case records.AttemptDiagnosed():
            return _of(record, record.diagnosis.category.value, record.diagnosis.summary)
        case records.Submitting():
            return _of(record, "submitting", record.job)
        case records.SubmittedJob():
            return _of(record, "adopted" if record.adopted else "submitted", record.handle)
        case records.CancelDecided():
            return _of(record, "cancelling", record.reason)
        case records.Reached():
            return _of(record, "reached", f"step {record.step}: {record.value:g}")
        case records.Spared():
            return _of(record, "would stop", record.reason)
        case records.JobDeleted():
            return _of(record, "deleted", "what the job left on the scheduler")
        case records.Suggested():
            return Event(time=record.time, trial=record.trial, what="suggested", text=f"by {record.generator}")
        case records.TrialConcluded():
            return Event(time=record.time, trial=record.trial, what=record.outcome.value, text=record.reason)
        case records.RequestApplied():
            return Event(time=record.time, trial=record.trial, what="request", text=record.verb)
        case _:
            return _of_sweep(record)


def _of_sweep(
    record: records.Began
    | records.Placed
    | records.Attached
    | records.ControllerStarted
    | records.SpecChanged
    | records.Halted
    | records.Finished
    | records.Noticed,
) -> Event:
    match record:
        case records.Began():
            return Event(time=record.time, what="began", text=record.file)
        case records.Placed():
            return Event(time=record.time, what="placed", text=record.name)
        case records.Attached():
            count = len(record.trials)
            text = f"{count} result{'' if count == 1 else 's'} of {record.source}"
            return Event(time=record.time, what="attached", text=text)
        case records.ControllerStarted():
            return Event(time=record.time, what="controller", text=f"process {record.pid} on {record.host}")
        case records.SpecChanged():
            return Event(time=record.time, what="file changed", text="; ".join(record.changes))
        case records.Halted():
            return Event(time=record.time, what=record.cause, text=record.reason)
        case records.Finished():
            return Event(time=record.time, what="finished", text=record.reason)
        case records.Noticed():
            return Event(time=record.time, what="notice", text=record.text)
        case _:
            assert_never(record)


def _of(
    record: records.PhaseChanged
    | records.AttemptDiagnosed
    | records.Submitting
    | records.SubmittedJob
    | records.CancelDecided
    | records.Reached
    | records.Spared
    | records.JobDeleted,
    what: str,
    text: str,
) -> Event:
    return Event(time=record.time, trial=record.trial, attempt=record.attempt, what=what, text=text)


def _phase(record: records.PhaseChanged) -> Event:
    said = [record.reason] if record.reason else []
    if record.restarts:
        said.append(f"begun anew {record.restarts} times")
    if record.exit is not None and record.phase in (Phase.ENDED, Phase.LOST):
        said = [_exit(record.exit)]
    return _of(record, record.phase.value, "; ".join(said))


def _exit(facts: ExitFacts) -> str:
    words = [facts.cause.replace("_", " ")]
    if facts.code is not None:
        words.append(f"exit code {facts.code}" if facts.code >= 0 else f"signal {-facts.code}")
    if facts.node:
        words.append(f"on {facts.node}")
    return ", ".join(words) + (f": {facts.message}" if facts.message else "")
