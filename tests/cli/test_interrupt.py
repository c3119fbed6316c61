from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from axk8s.cli.interrupt import Interrupts

PROGRAM = """
import os, signal, sys
from axk8s.cli.interrupt import Interrupts
number = getattr(signal, sys.argv[1])
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup
with Interrupts() as interrupts:
    if sys.argv[2] == "driving":
        interrupts.leave = lambda: print("leaving", flush=True)
    os.kill(os.getpid(), number)
    print("going on", flush=True)
    os.kill(os.getpid(), number)
    print("never", flush=True)
"""


def outcome(name: str, stage: str) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, name, stage], capture_output=True, text=True, timeout=60, check=False
    )
    return result.returncode, result.stdout


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_once_leaves_in_order_and_twice_at_once(name: str) -> None:
    assert outcome(name, "driving") == (130, "leaving\ngoing on\n")


def test_before_anything_is_driven_a_signal_ends_the_command_as_usual() -> None:
    code, said = outcome("SIGTERM", "not yet")
    assert (code, said) == (-signal.SIGINT, "")  # as Python ends on KeyboardInterrupt


def test_handlers_are_put_back_as_they_were() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
