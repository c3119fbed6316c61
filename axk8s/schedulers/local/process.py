"""What the kernel knows about processes: who is alive, whose child is it, does it carry a mark. Standard library only.

A process is its number *and* its start time on one machine since one boot: numbers alone are reused. On Linux the facts
come from `/proc` (proc(5)). Elsewhere `ps` gives most of them; environments and orphans' former parents cannot be
seen there, so a job's stragglers are found only by their process group.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Process(NamedTuple):
    """One process and no other: `started` is its start time, in ticks since boot (Linux) or Unix seconds."""

    pid: int
    started: int


class Entry(NamedTuple):
    """A line of the process table."""

    parent: int
    ended: bool
    """Whether it is a zombie: dead, but not collected by its parent yet."""
    started: int


def machine() -> str:
    """A name for this boot of this machine and this space of process numbers: they mean nothing in another one."""
    if _LINUX:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    return _output("sysctl", "-n", "kern.boottime").strip()


def this() -> Process:
    """The calling process."""
    found = entry(os.getpid())
    assert found is not None, "a process can see itself"
    return Process(os.getpid(), found.started)


def alive(process: Process) -> bool:
    """Whether exactly this process runs; a zombie does not."""
    found = entry(process.pid)
    return found is not None and not found.ended and found.started == process.started


def entry(pid: int) -> Entry | None:
    """The table's line of this process; None when there is none."""
    if _LINUX:
        try:
            text = Path(f"/proc/{pid}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return _parsed(text)
    return _table_by_ps().get(pid)


def table() -> dict[int, Entry]:
    """Every process of this machine."""
    if _LINUX:
        found: dict[int, Entry] = {}
        for name in os.listdir("/proc"):  # noqa: PTH208 - names only, and this is called in a loop
            if name.isdecimal() and (line := entry(int(name))) is not None:
                found[int(name)] = line
        return found
    return _table_by_ps()


def descendants(root: int, among: dict[int, Entry] | None = None) -> list[Process]:
    """Children of `root`, their children and so on, without zombies."""
    lines = table() if among is None else among
    children: dict[int, list[int]] = {}
    for pid, line in lines.items():
        children.setdefault(line.parent, []).append(pid)
    found: list[Process] = []
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            waiting.append(pid)
            if not lines[pid].ended:
                found.append(Process(pid, lines[pid].started))
    return found


def carries(pid: int, mark: str) -> bool:
    """Whether the process was started with `mark` (`NAME=value`) in its environment; False when we may not see it."""
    try:
        return f"\0{mark}\0".encode() in b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def carriers(mark: str) -> list[Process]:
    """All processes with `mark` in their environment (Linux; none elsewhere)."""
    return [Process(pid, line.started) for pid, line in table().items() if not line.ended and carries(pid, mark)]


def send(process: Process, number: int) -> bool:
    """Signal exactly this process; False when it is gone.

    Raises:
        PermissionError: it belongs to another user.
    """
    if _LINUX:
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return False
        try:
            # From here on the descriptor stands for one process: checked once, it cannot become another.
            if not alive(process):
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True
    if not alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def end_all(processes: Iterable[Process], number: int) -> None:
    """Signal each of them; those that are gone or not ours are passed over."""
    for process in processes:
        with contextlib.suppress(PermissionError):
            send(process, number)


def adopt_orphans() -> None:
    """Make this process the parent of all its descendants whose own parent dies (Linux: PR_SET_CHILD_SUBREAPER)."""
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies (Linux: PR_SET_PDEATHSIG); survives an exec."""
    if _LINUX:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def end_group(leader: int) -> None:
    """Where orphans cannot be adopted (not on Linux): kill what is left of a group whose leader just ended."""
    if not _LINUX:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def memory_kills() -> int:
    """How many processes the kernel has killed for want of memory since boot (Linux ≥ 4.13; 0 where unknown)."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl")


def _parsed(text: bytes) -> Entry:
    # The second field is the program's name in brackets and may itself hold spaces and brackets.
    fields = text[text.rindex(b")") + 2 :].split()
    return Entry(parent=int(fields[1]), ended=fields[0] in (b"Z", b"X", b"x"), started=int(fields[19]))


def _table_by_ps() -> dict[int, Entry]:
    found: dict[int, Entry] = {}
    for line in _output("ps", "-axo", "pid=,ppid=,state=,lstart=").splitlines():
        pid, parent, state, *start = line.split()
        moment = time.mktime(time.strptime(" ".join(start), "%a %b %d %H:%M:%S %Y"))
        found[int(pid)] = Entry(int(parent), state.startswith("Z"), int(moment))
    return found


def _output(*command: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
