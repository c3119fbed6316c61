"""What a job's folder says about the job, held against what the kernel says: the only judge of alive, ended and lost.

A job whose supervisor is gone without exit.json is settled here: whatever it left running is killed, and exit.json is
written in its supervisor's place, so that everybody sees the same end from then on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axk8s.errors import Axk8sError
from axk8s.names import ENV_JOB
from axk8s.schedulers.local import jobfolder, process
from axk8s.schedulers.local.jobfolder import JobFolder
from axk8s.schedulers.local.process import Process
from axk8s.sweep.model import ExitFacts, JobView, Phase

_STRAGGLER_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Record:
    """One job, as it stands on disk."""

    folder: JobFolder
    job: Mapping[str, Any]
    state: Mapping[str, Any]
    exit: Mapping[str, Any] | None

    @property
    def app_id(self) -> str:
        return str(self.job["app_id"])

    @property
    def request(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.job["request"]
        return found

    @property
    def supervisor(self) -> Process:
        return Process(self.job["pid"], self.job["started"])

    @property
    def here(self) -> bool:
        """Whether its process numbers mean anything here: same machine, same boot, same container."""
        return bool(self.job["machine"] == process.machine())

    @property
    def replicas(self) -> list[Mapping[str, Any]]:
        """The facts of each replica; empty before any has started."""
        return list((self.exit or self.state).get("replicas") or self.state.get("replicas") or [])

    @property
    def facts(self) -> ExitFacts | None:
        """How it ended; None while it has not."""
        if self.exit is None:
            return None
        return ExitFacts(
            cause=self.exit["cause"],
            code=self.exit["code"],
            message=self.exit["message"],
            replica=self.exit["replica"],
        )

    @property
    def phase(self) -> Phase:
        if self.exit is not None:
            return Phase.LOST if self.exit["cause"] in ("lost", "rebooted") else Phase.ENDED
        written = self.state.get("phase")
        return {"queued": Phase.QUEUED, "running": Phase.RUNNING}.get(str(written), Phase.PENDING)

    def view(self, job: str) -> JobView:
        """For whoever follows the job."""
        first = self.replicas[0] if self.replicas else {}
        source = self.exit or self.state
        return JobView(
            job=job,
            phase=self.phase,
            reason=str(source.get("message" if self.exit else "reason") or ""),
            pid=first.get("pid"),
            exit=self.facts,
            started_at=source.get("started_at"),
            ended_at=self.exit["ended_at"] if self.exit else None,
            restarts=int(source.get("restarts") or 0),
        )


def read(path: Path) -> Record | None:
    """The job in this folder, settled if nobody stands beside it any more; None when none was ever started there."""
    folder = JobFolder(path)
    job = jobfolder.read(folder.job)
    if job is None:
        return None
    ended = jobfolder.read(folder.exit)
    record = Record(folder, job, jobfolder.read(folder.state) or {}, ended)
    if ended is not None or (record.here and process.alive(record.supervisor)):
        return record
    # Written before the supervisor ended, and read only now that it has: nothing can come later.
    return Record(folder, job, jobfolder.read(folder.state) or {}, _settled(record))


def cancel(path: Path) -> None:
    """Ask the job in this folder to end, and return; nothing happens when it has ended or is gone.

    A job that has not begun yet finds the request when it does.

    Raises:
        Axk8sError: it can neither be told by a file nor by a signal.
    """
    folder = JobFolder(path)
    if folder.exit.exists():
        return
    unwritten: OSError | None = None
    try:
        folder.cancel.touch()
    except FileNotFoundError:
        return
    except OSError as error:  # a full disk, or somebody else's folder: the signal may do
        unwritten = error
    record = read(path)
    if record is None or record.exit is not None:
        return
    try:
        if record.here:
            process.send(record.supervisor, signal.SIGTERM)
            return
    except PermissionError:
        pass  # another user's process: the file is found within seconds
    if unwritten is not None:
        raise Axk8sError(
            f"{record.app_id} cannot be told to end: {folder.cancel}: {unwritten.strerror}",
            hint=f"end process {record.supervisor.pid} on {record.job['host']} as the user that started it",
        ) from unwritten


def _settled(record: Record) -> Mapping[str, Any] | None:
    """Write the end of a job that lost its supervisor; None when that one lives after all, where we cannot see it."""
    with _lock(record.folder.lock) as alone:
        if not alone:
            return None
        if (ended := jobfolder.read(record.folder.exit)) is not None:
            return ended
        if record.here:
            _kill_stragglers(f"{ENV_JOB}={record.app_id}/{record.job['token']}")
        cause, message = _reason(record)
        replicas = list(record.state.get("replicas") or [])
        settled = {
            "cause": cause,
            "code": None,
            "message": message,
            "replica": "",
            "app_id": record.app_id,
            "started_at": record.state.get("started_at"),
            "ended_at": time.time() if record.here else None,
            "restarts": record.state.get("restarts") or 0,
            "replicas": replicas,
        }
        # In a folder that we may not write to, the next reader comes to the same conclusion.
        with contextlib.suppress(OSError):
            jobfolder.replace(record.folder.exit, settled, durable=True)
        return settled


def _reason(record: Record) -> tuple[str, str]:
    if record.folder.cancel.exists():
        return "cancelled", "cancelled"
    if not record.here:
        return "rebooted", f"the machine or container that ran it ({record.job['host']}) was restarted or is gone"
    said = ""
    with contextlib.suppress(OSError):
        lines = record.folder.log.read_text(encoding="utf-8", errors="replace").splitlines()
        said = f": {lines[-1]}" if lines else ""
    return "lost", f"its supervisor (process {record.supervisor.pid}) died without a word of how the job ended{said}"


def _kill_stragglers(mark: str) -> None:
    end = time.monotonic() + _STRAGGLER_PATIENCE
    while (left := process.carriers(mark)) and time.monotonic() < end:
        process.end_all(left, signal.SIGKILL)
        time.sleep(0.01)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether the supervisor's lock is ours for the moment: whoever holds it is the best evidence that it lives."""
    try:
        # Network file systems demand a writable file for an exclusive lock.
        writable = os.access(path, os.W_OK)
        descriptor = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    except OSError:
        yield True  # deleted, or not ours to open: no evidence of life
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
