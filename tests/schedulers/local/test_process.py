"""Facts about processes are those of the kernel, and a number alone is never trusted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from axk8s.schedulers.local import process
from axk8s.schedulers.local.process import Process


def test_this_process_is_alive_and_its_number_with_another_start_is_not() -> None:
    this = process.this()
    assert process.alive(this)
    assert not process.alive(Process(this.pid, this.started + 1))
    assert process.machine() == process.machine()


def test_a_zombie_is_dead_and_a_stranger_is_not_signalled() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        entry = process.entry(child.pid)
        assert entry is not None
        known = Process(child.pid, entry.started)
        assert known in process.descendants(process.this().pid)
        assert not process.send(Process(child.pid, entry.started + 1), signal.SIGKILL)
        assert process.alive(known)
        assert process.send(known, signal.SIGKILL)
        # Dead, but not collected yet: waiting without collecting shows exactly that moment.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        zombie = process.entry(child.pid)
        assert zombie is not None
        assert zombie.ended
        assert not process.alive(known)
        assert not process.send(known, signal.SIGTERM)
    assert process.entry(child.pid) is None
    assert not process.send(known, signal.SIGTERM)


def test_processes_are_found_by_their_mark() -> None:
    mark = "AXK8S_TEST_MARK=job/1"
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, env={"AXK8S_TEST_MARK": "job/1"}) as child:
        assert [one.pid for one in process.carriers(mark)] == [child.pid]
        assert process.carriers("AXK8S_TEST_MARK=job/") == []
        assert process.carries(child.pid, mark)
    assert process.carriers(mark) == []


def test_a_name_with_spaces_and_brackets_does_not_confuse_the_table() -> None:
    script = "import ctypes; ctypes.CDLL(None).prctl(15, b') Z 1 (', 0, 0, 0); print(flush=True); input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        entry = process.entry(child.pid)
        assert entry is not None
        assert (entry.parent, entry.ended) == (process.this().pid, False)
        child.kill()
