"""The lock: one controller a sweep, and no lock outlives its holder."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from axk8s.controller.lock import SweepLock, is_locked
from axk8s.errors import LockedError

HOLDER = """
import sys
from pathlib import Path
from axk8s.controller.lock import SweepLock
SweepLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_controller_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "s" / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"

        with pytest.raises(LockedError, match=f"process {holder.pid} on ") as caught:
            SweepLock(path).acquire()
        assert is_locked(path)
        assert "axk8s status" in caught.value.hint

        holder.kill()
        holder.wait()
        assert not is_locked(path)
        with SweepLock(path):
            assert is_locked(path)
    assert not is_locked(path)


def test_looking_never_keeps_a_controller_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            is_locked(path)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(50):
            with SweepLock(path):
                pass
    finally:
        over.set()
        for looker in lookers:
            looker.join()


def test_a_sweep_that_never_began_is_not_locked_and_asking_makes_no_file(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []
