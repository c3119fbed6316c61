"""The process that stands beside a job: starts it, ends all of it, writes down how it ended.

It is started by the scheduler as `python -I -S -c … <job folder>`, with the request on its standard input, detaches
itself, and answers with its exit code once the job is its own: `STARTED`, `TAKEN` (another supervisor has or had this
folder) or 1 with the reason on stderr. It outlives whoever started it. Two locks keep a job from being run twice: an
advisory lock held for the supervisor's whole life, and job.json, which can be created only once.

Standard library only, and little of it: one such process runs for each job, and starting it is part of a job's latency.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from axk8s.names import ENV_JOB
from axk8s.schedulers.local import jobfolder, process, slots
from axk8s.schedulers.local.jobfolder import JobFolder
from axk8s.schedulers.local.process import Process
from axk8s.schedulers.local.replica import CannotStart, Replica

STARTED: Final = 0
TAKEN: Final = 3

LEFTOVER_GRACE: Final = 2.0
"""Seconds that processes which outlived their replica get between SIGTERM and SIGKILL."""
_KILL_PATIENCE: Final = 30.0
_LOOK_AROUND: Final = 2.0
"""Seconds between looks for what no signal announces: a cancel from another machine, a folder that was deleted."""


class Verdict(NamedTuple):
    """Why a job is over; the words are those of `axk8s.sweep.model.ExitFacts`."""

    cause: str
    code: int | None = None
    message: str = ""
    replica: str = ""


class Supervisor:
    """Runs one job whose folder it has claimed."""

    def __init__(self, request: dict[str, Any], folder: JobFolder, token: str, bell: Bell) -> None:
        self._request = request
        self._folder = folder
        self._bell = bell
        self._replicas = [
            Replica(plan, number, folder.path, request) for number, plan in enumerate(request["replicas"])
        ]
        self._environment = {
            "PYTHONUNBUFFERED": "1",
            **os.environ,  # that of whoever submitted the job
            ENV_JOB: f"{request['app_id']}/{token}",
        }
        self._leases = slots.Leases(
            slots.directory(os.environ), slots.gpus(os.environ) if self._gpus_wanted() else [], request["app_id"]
        )
        self._restarts = 0
        self._started_at: float | None = None
        self._deadline = float("inf")
        self._childless = True

    def run(self) -> None:
        """From the claim to exit.json."""
        with contextlib.suppress(OSError):  # a disk that is full already may have room again by the end
            jobfolder.reserve(self._folder.exit)
        verdict = self._supervised()
        if verdict.message:
            self._write_state("running", f"is being ended: {verdict.message}")
        # Also after a success: what a replica left running in the background would be nobody's from now on.
        surviving = self._end_everything(float(self._request["grace"]))
        self._leases.release()
        if surviving:
            note = f"{surviving} of its processes did not die within {_KILL_PATIENCE:.0f} s of SIGKILL"
            verdict = verdict._replace(message=f"{verdict.message}; {note}" if verdict.message else note)
        with contextlib.suppress(OSError):
            if not self._folder.log.stat().st_size:
                self._folder.log.unlink()
        self._write_exit(verdict)

    def _supervised(self) -> Verdict:
        verdict = self._told() or self._queued()
        if verdict is not None:
            return verdict
        self._started_at = time.time()
        if self._request["timeout"] is not None:
            self._deadline = time.monotonic() + float(self._request["timeout"])
        verdict = self._start(self._replicas)
        while verdict is None:
            if not any(replica.code is not None and not replica.judged for replica in self._replicas):
                self._bell.wait(min(_LOOK_AROUND, self._deadline - time.monotonic()))
            self._reap()
            verdict = self._judged()
        return verdict

    def _gpus_wanted(self) -> int:
        return 0 if self._request["share_gpus"] else sum(plan["gpus"] for plan in self._request["replicas"])

    def _queued(self) -> Verdict | None:
        wanted = self._gpus_wanted()
        if not wanted:
            return None
        what = "a GPU slot" if wanted == 1 else f"{wanted} GPU slots"
        allowed = len(slots.gpus(os.environ))
        if allowed < wanted:
            return Verdict("spawn_failed", message=f"wants {what}, and may use {allowed} here")
        pause = 0.05
        try:
            while (taken := self._leases.take(wanted)) is None:
                holders = self._leases.holders()
                self._write_state(
                    "queued", f"waits for {what}" + (f", held by {', '.join(holders)}" if holders else "")
                )
                self._bell.wait(pause)
                pause = min(2 * pause, 0.5)
                if verdict := self._told():
                    return verdict
        except OSError as error:
            return Verdict("spawn_failed", message=f"cannot lease {what}: {error}")
        for replica in self._replicas:
            mine, taken = taken[: replica.gpus], taken[replica.gpus :]
            if mine:
                replica.environment[slots.VISIBLE] = ",".join(gpu.token for gpu in mine)
                if slots.VISIBLE not in os.environ:
                    # The numbers are ours then, and they follow the PCI addresses.
                    replica.environment.setdefault(slots.ORDER, "PCI_BUS_ID")
        return None

    def _start(self, replicas: list[Replica]) -> Verdict | None:
        for replica in replicas:
            self._childless = False
            try:
                replica.start(self._environment, self._leases.descriptors)
            except CannotStart as error:
                return Verdict("spawn_failed", message=str(error), replica=replica.name)
            except OSError as error:
                message = f"cannot write the output of {replica.name}: {error}"
                return Verdict("spawn_failed", message=message, replica=replica.name)
        self._write_state("running", "")
        return None

    def _judged(self) -> Verdict | None:
        for replica in self._replicas:
            if replica.code is None or replica.judged:
                continue
            replica.judged = True
            self._clear(self._leftovers, LEFTOVER_GRACE)
            if replica.code and (verdict := self._failed(replica)):
                return verdict
            self._write_state("running", "")
        if all(replica.code == 0 for replica in self._replicas):
            return Verdict("exited", 0)
        if verdict := self._told():
            return verdict
        if time.monotonic() >= self._deadline:
            return Verdict("deadline", message=f"ran longer than {self._request['timeout']:g} s")
        return None

    def _failed(self, replica: Replica) -> Verdict | None:
        """A replica has failed: start it again, or all, or say that this is the end."""
        if verdict := self._told():
            return verdict
        if replica.retry == "REPLICA" and replica.restarts < replica.max_retries:
            again = [replica]
        elif replica.retry == "APPLICATION" and self._restarts < replica.max_retries:
            self._end_everything(float(self._request["grace"]))
            if verdict := self._told():
                return verdict
            again = self._replicas
        else:
            message = "the kernel ran out of memory and killed it" if replica.killed_for_memory else ""
            return Verdict("exited", replica.code, message, replica.name)
        if time.monotonic() >= self._deadline:
            return Verdict("deadline", message=f"ran longer than {self._request['timeout']:g} s, tries included")
        self._restarts += 1
        for other in again:
            other.restarts += 1
        return self._start(again)

    def _told(self) -> Verdict | None:
        """Whether somebody wants the job to end: a cancel leaves a file before it signals, others only signal."""
        if self._folder.cancel.exists():
            return Verdict("cancelled", message="cancelled")
        if self._bell.rung:
            return Verdict("terminated", message="told to end by a signal from outside: a shutdown, or kill")
        if not self._folder.path.exists():
            return Verdict("cancelled", message="its folder was deleted")
        return None

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return
            if pid == 0:
                return
            for replica in self._replicas:
                if replica.pid == pid and replica.running:
                    replica.ended(os.waitstatus_to_exitcode(status))

    def _end_everything(self, grace: float) -> int:
        """End all replicas and whatever they started; how many processes are left (0, unless they cannot die)."""
        for number in (signal.SIGTERM, signal.SIGCONT):  # a stopped process would sleep through its SIGTERM
            for replica in self._replicas:
                replica.signal(number)
        end = time.monotonic() + grace
        while any(replica.running for replica in self._replicas) and (left := end - time.monotonic()) > 0:
            self._bell.wait(left)
            self._reap()
        left = max(end - time.monotonic(), 0)
        survivors = self._clear(lambda: process.descendants(os.getpid()), min(LEFTOVER_GRACE, left))
        for replica in self._replicas:
            replica.judged = True
        return survivors

    def _clear(self, doomed: Callable[[], list[Process]], grace: float) -> int:
        """End all processes that `doomed` finds, again and again, since they may start others meanwhile."""
        now = time.monotonic()
        kill_at, give_up_at = now + grace, now + grace + _KILL_PATIENCE
        warned: set[Process] = set()
        while True:
            self._reap()
            remaining = [] if self._childless else doomed()
            self._reap()  # what ended since then is not among them, and must not stay in the table of processes
            if not remaining or (now := time.monotonic()) > give_up_at:
                return len(remaining)
            if now >= kill_at:
                process.end_all(remaining, signal.SIGKILL)
            else:
                process.end_all((one for one in remaining if one not in warned), signal.SIGTERM)
                warned.update(remaining)
            self._bell.wait(0.05)

    def _leftovers(self) -> list[Process]:
        """What ended replicas left behind: every process of ours that no living replica started."""
        table = process.table()
        living = [replica for replica in self._replicas if replica.running]
        found: list[Process] = []
        for pid, line in table.items():
            if line.parent != os.getpid() or any(replica.pid == pid for replica in living):
                continue
            # An orphan: with its parent gone, only its environment tells which replica it came from.
            if not any(process.carries(pid, replica.mark) for replica in living):
                found += [] if line.ended else [Process(pid, line.started)]
                found += process.descendants(pid, table)
        return found

    def _write_state(self, phase: str, reason: str) -> None:
        with contextlib.suppress(OSError):  # only for show: a full disk must not end the job
            jobfolder.replace(
                self._folder.state,
                {
                    "phase": phase,
                    "reason": reason,
                    "started_at": self._started_at,
                    "restarts": self._restarts,
                    "replicas": [replica.facts() for replica in self._replicas],
                },
            )

    def _write_exit(self, verdict: Verdict) -> None:
        record = {
            **verdict._asdict(),
            "app_id": self._request["app_id"],
            "started_at": self._started_at,
            "ended_at": time.time(),
            "restarts": self._restarts,
            "replicas": [replica.facts() for replica in self._replicas],
        }
        for _ in range(60):
            try:
                jobfolder.replace(self._folder.exit, record, durable=True)
                return
            except OSError:
                if not self._folder.path.exists():
                    return  # nobody is left to tell
                traceback.print_exc()
                time.sleep(1)


class Bell:
    """Turns signals into something to wait for; handlers themselves do nothing."""

    def __init__(self) -> None:
        self.rung = False
        """Whether somebody told us to end."""
        self._reading, writing = os.pipe()
        for descriptor in (self._reading, writing):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ring)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def wait(self, seconds: float) -> None:
        """Until a signal arrives, at most so long."""
        select.select([self._reading], [], [], max(seconds, 0))
        with contextlib.suppress(BlockingIOError):
            os.read(self._reading, 4096)

    def _ring(self, *_: object) -> None:
        self.rung = True


def main(folder_name: str) -> NoReturn:
    """Read the request from standard input, detach, claim the folder, run the job."""
    text = sys.stdin.buffer.read()
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        answer = b"".join(iter(lambda: os.read(reading, 4096), b"")).decode(errors="replace")
        if answer not in ("started", "taken"):
            sys.stderr.write(answer or "the supervisor died while it started")
            sys.stderr.flush()
            os._exit(1)
        os._exit(STARTED if answer == "started" else TAKEN)
    os.close(reading)
    os.setsid()  # a session of its own: no terminal can hang up on it

    def answered(answer: str) -> None:
        with contextlib.suppress(OSError):  # whoever asked may be dead by now, and that is not our business
            os.write(writing, answer.encode())
        os.close(writing)

    folder = JobFolder(Path(folder_name))
    bell = Bell()  # before the claim: from then on others know our number and may signal us
    try:
        claim = _claim(text, folder)
        if claim is not None:
            _detach(folder.log)
    except (OSError, ValueError, KeyError) as error:
        answered(f"{type(error).__name__}: {error}")
        os._exit(1)
    if claim is None:
        answered("taken")
        os._exit(0)
    answered("started")
    try:
        Supervisor(claim["request"], folder, claim["token"], bell).run()
    finally:
        jobfolder.release(folder.exit)
    os._exit(0)


def _claim(text: bytes, folder: JobFolder) -> dict[str, Any] | None:
    """What job.json says when this supervisor is the first one of its folder; None for any later one."""
    request = json.loads(text)  # of a starter that died half-way only a part arrives, which is not JSON
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until this process ends: nobody closes `lock`
    except BlockingIOError:
        return None
    if folder.job.exists():
        return None
    process.adopt_orphans()
    claim = {
        "version": 1,
        "app_id": request["app_id"],
        "token": os.urandom(8).hex(),
        "machine": process.machine(),
        "host": platform.node(),
        **process.this()._asdict(),
        "submitted_at": time.time(),
        "request": request,
    }
    return claim if jobfolder.claim(folder.job, claim) else None


def _detach(log: Path) -> None:
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    talk = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((nothing, 0), (nothing, 1), (talk, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(talk)
