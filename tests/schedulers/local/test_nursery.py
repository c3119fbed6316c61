"""The process that forks supervisors: quick, in the submitter's environment, and nobody's burden when it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from axk8s.errors import SubmitError
from axk8s.schedulers.local import nursery
from axk8s.schedulers.local.supervisor import STARTED, TAKEN
from axk8s.sweep.model import Phase

if TYPE_CHECKING:
    from tests.schedulers.local.conftest import Desk


def test_one_nursery_bears_them_all(desk: Desk) -> None:
    desk.submit(desk.shell("true"), name="a")
    first = nursery.nursery()
    desk.submit(desk.shell("true"), name="b")

    assert nursery.nursery() is first
    assert desk.ended("a").exit == desk.ended("b").exit


def test_many_at_once_each_run_once(desk: Desk) -> None:
    def start(number: int) -> None:
        desk.submit(desk.shell(f"echo {number} >> {desk.folder}/ran"), name=f"job{number}")

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(start, range(24)))
    for number in range(24):
        assert desk.ended(f"job{number}").phase is Phase.ENDED

    assert sorted((desk.folder / "ran").read_text().split(), key=int) == [str(number) for number in range(24)]


def test_of_many_that_start_one_job_one_does(desk: Desk) -> None:
    def start(_: int) -> str:
        return desk.submit(desk.shell(f"echo once >> {desk.folder}/ran"), name="same")

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(start, range(8))) == {"same"}
    desk.ended("same")

    assert (desk.folder / "ran").read_text() == "once\n"


def test_a_job_has_the_environment_of_the_moment_of_its_submit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.submit(desk.shell("true"), name="before")
    monkeypatch.setenv("TODAY", "später \udcff")
    monkeypatch.delenv("LANG", raising=False)

    desk.submit(desk.shell('printf %s "$TODAY:${LANG-none}"'), name="after")
    desk.ended("after")

    said = (desk.folder / "after" / "stdout.log").read_bytes()
    assert said == b"sp\xc3\xa4ter \xff:none"


def test_a_nursery_that_was_killed_is_replaced(desk: Desk) -> None:
    desk.submit(desk.shell("true"), name="a")
    dead = nursery.nursery()
    os.kill(dead._process.pid, signal.SIGKILL)
    dead._process.wait()

    desk.submit(desk.shell("true"), name="b")

    assert nursery.nursery() is not dead
    assert desk.ended("b").phase is Phase.ENDED


def test_a_nursery_killed_in_the_middle_loses_and_repeats_nothing(desk: Desk) -> None:
    dead = nursery.nursery()

    def reached(point: str) -> None:
        if point == "forked" and dead._process.poll() is None:
            os.kill(dead._process.pid, signal.SIGKILL)
            dead._process.wait()

    desk.scheduler._reached = reached
    desk.submit(desk.shell(f"echo once >> {desk.folder}/ran"), name="a")
    desk.ended("a")

    assert (desk.folder / "ran").read_text() == "once\n"


def test_a_python_that_cannot_start_is_an_error_that_names_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    nursery.forget(nursery.nursery())
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(SubmitError, match="the process that makes supervisors dies") as caught:
        desk.submit(desk.shell("true"), name="a")
    assert "/bin/false -I -S" in caught.value.hint
    monkeypatch.undo()
    assert not nursery.nursery()._process.poll()


PROGRAM = """
import os, sys
from axk8s.schedulers.local import nursery
from axk8s.schedulers.local.supervisor import STARTED, TAKEN
home = nursery.nursery()
print(home._process.pid, flush=True)
if sys.argv[1] == "forks":
    if not os.fork():
        print(nursery.nursery()._process.pid != home._process.pid, flush=True)
        os._exit(0)
    os.wait()
if sys.argv[1] == "waits":
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["ends", "waits"])
def test_it_ends_with_its_process_however_that_ends(desk: Desk, how: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        if how == "waits":
            process.kill()
        process.wait()
    desk.gone(pid)


def test_a_forked_process_has_a_nursery_of_its_own() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM, "forks"], capture_output=True, text=True, check=True).stdout

    assert said.split()[1] == "True"


def test_a_supervisor_that_meets_the_unforeseen_leaves_its_traceback(desk: Desk) -> None:
    folder = desk.folder / "odd"
    folder.mkdir()
    birth = nursery.nursery().bear(folder)
    birth.send(b'{"app_id": "odd"}')  # a request that no version writes: it says nothing of what to run

    code, said = birth.outcome(60)
    assert (code, said) == (STARTED, "")
    desk.gone(json.loads((folder / "job.json").read_text())["pid"])

    log = (folder / "supervisor.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "KeyError" in log


def test_what_is_no_request_is_answered_with_what_is_wrong(desk: Desk) -> None:
    folder = desk.folder / "half"
    folder.mkdir()
    birth = nursery.nursery().bear(folder)
    birth.send(b'{"app_id": "ha')

    code, said = birth.outcome(60)
    assert code not in (STARTED, TAKEN)
    assert "JSONDecodeError" in said
    assert not (folder / "job.json").exists()
