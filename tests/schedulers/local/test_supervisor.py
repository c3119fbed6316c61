"""What the supervisor does with real processes: start, end all of them, retry, and write down how it went."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from axk8s.schedulers.local import process, record
from axk8s.schedulers.local.process import Process
from axk8s.sweep.model import ExitFacts, Phase

if TYPE_CHECKING:
    from tests.schedulers.local.conftest import Desk

ESCAPES = """
import os, signal, subprocess, sys, time
child = '''
import os, signal, subprocess, sys, time
os.setsid()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
depth = int(sys.argv[1])
if depth:
    subprocess.Popen([sys.executable, "-c", sys.argv[2], str(depth - 1), sys.argv[2]])
print("escaped", os.getpid(), flush=True)
time.sleep(600)
'''
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", child, "2", child])
"""
"""Starts three generations of children, each in a session of its own, all deaf to SIGTERM."""


def escaped(desk: Desk, count: int) -> list[Process]:
    found: list[Process] = []
    for line in desk.scheduler.log_iter("job", "main", should_tail=True):
        if line.startswith("escaped"):
            pid = int(line.split()[1])
            entry = process.entry(pid)
            assert entry is not None
            found.append(Process(pid, entry.started))
        if len(found) == count:
            return found
    raise AssertionError("the job ended first")


def test_a_success_leaves_its_output_and_its_exit_record(desk: Desk) -> None:
    desk.submit(desk.shell("echo out; echo err >&2"))
    view = desk.ended()
    assert view.phase is Phase.ENDED
    assert view.exit == ExitFacts("exited", 0)
    assert (desk.text("stdout.log"), desk.text("stderr.log")) == ("out\n", "err\n")
    assert sorted(path.name for path in (desk.folder / "job").iterdir()) == [
        "exit.json", "job.json", "state.json", "stderr.log", "stdout.log", "supervisor.lock",
    ]  # fmt: skip
    written = json.loads(desk.text("exit.json"))
    assert written["replicas"][0]["code"] == 0
    assert written["started_at"] <= written["ended_at"]


def test_exit_codes_and_signals_are_true(desk: Desk) -> None:
    desk.submit(desk.shell("exit 7"), name="code")
    desk.submit(desk.shell("kill -SEGV $$$$"), name="signal")
    assert desk.ended("code").exit == ExitFacts("exited", 7, replica="main-0")
    assert desk.ended("signal").exit == ExitFacts("exited", -signal.SIGSEGV, replica="main-0")


def test_a_replica_has_its_own_session_no_terminal_and_default_signals(desk: Desk) -> None:
    script = """
import os, signal, sys
print(os.getsid(0) == os.getpid() == os.getpgid(0), sys.stdin.read() == "")
print([s.name for s in signal.valid_signals() if isinstance(s, signal.Signals) and signal.getsignal(s) == signal.SIG_IGN
       and s not in (signal.SIGPIPE, signal.SIGXFSZ)], signal.pthread_sigmask(signal.SIG_BLOCK, ()))
try:
    open("/dev/tty")
except OSError:
    print("no terminal")
"""
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    try:
        desk.submit(desk.role(script))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGHUP, handler)
    desk.ended()
    assert desk.text() == "True True\n[] set()\nno terminal\n"


def test_what_a_replica_leaves_in_the_background_ends_with_it(desk: Desk) -> None:
    os.mkfifo(desk.folder / "go")
    desk.submit(desk.role(ESCAPES + "sys.stdin.close()\nopen('go').read()"), cwd=str(desk.folder))
    children = escaped(desk, 3)
    with (desk.folder / "go").open("w"):
        pass  # the replica ends by itself now, and its children do not
    assert desk.ended().exit == ExitFacts("exited", 0)
    assert [process.alive(child) for child in children] == [False] * 3


def test_a_cancel_ends_all_descendants_also_those_with_own_sessions_that_ignore_sigterm(desk: Desk) -> None:
    desk.submit(desk.role(ESCAPES + "time.sleep(600)"), grace=0.2)
    children = escaped(desk, 3)
    desk.scheduler.cancel("job")
    view = desk.ended()
    assert view.exit == ExitFacts("cancelled", message="cancelled")
    assert [process.alive(child) for child in children] == [False] * 3
    assert view.pid is not None
    assert process.entry(view.pid) is None


def test_a_cancelled_replica_may_use_its_grace(desk: Desk) -> None:
    script = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("saved"), sys.exit(0)))
print("ready")
while True: signal.pause()
"""
    desk.submit(desk.role(script), grace=30)
    desk.line("ready")
    desk.scheduler.cancel("job")
    assert desk.ended().exit == ExitFacts("cancelled", message="cancelled")
    assert "saved" in desk.text()


def test_a_stopped_process_is_ended_too(desk: Desk) -> None:
    desk.submit(desk.shell("echo ready; kill -STOP $$$$; sleep 600"), grace=30)
    desk.line("ready")
    desk.scheduler.cancel("job")
    assert desk.ended().exit == ExitFacts("cancelled", message="cancelled")


def test_a_signal_to_the_supervisor_without_a_cancel_is_a_disruption(desk: Desk) -> None:
    desk.submit(desk.shell("echo ready; sleep 600"))
    desk.line("ready")
    found = record.read(desk.folder / "job")
    assert found is not None
    process.send(found.supervisor, signal.SIGTERM)
    facts = desk.ended().exit
    assert facts is not None
    assert facts.cause == "terminated"


def test_a_job_is_ended_at_its_deadline_also_when_it_has_retries_left(desk: Desk) -> None:
    desk.submit(desk.shell("trap 'exit 1' TERM; sleep 600 & wait", max_retries=3), timeout=0.3, grace=5)
    view = desk.ended()
    assert view.exit == ExitFacts("deadline", message="ran longer than 0.3 s")
    assert view.restarts == 0


@pytest.mark.parametrize(
    ("entrypoint", "said"),
    [
        ("no-such-program", "no program 'no-such-program' on PATH"),
        ("./missing.sh", "no such program: "),
        ("./plain.txt", "may not be executed"),
        ("./broken.sh", "the interpreter that the first line of"),
        ("./headless.sh", "is not a program; a script needs a first line"),
    ],
)
def test_a_program_that_cannot_start_is_named_with_the_reason(desk: Desk, entrypoint: str, said: str) -> None:
    for name, mode, text in (
        ("plain.txt", 0o644, "text"),
        ("broken.sh", 0o755, "#!/no/such/interpreter\n"),
        ("headless.sh", 0o755, "echo hello\n"),
    ):
        (desk.folder / name).write_text(text)
        (desk.folder / name).chmod(mode)
    role = desk.role("")
    role.entrypoint, role.args = entrypoint, []
    desk.submit(role, cwd=str(desk.folder))
    facts = desk.ended().exit
    assert facts is not None
    assert (facts.cause, facts.code, facts.replica) == ("spawn_failed", None, "main-0")
    assert facts.message.startswith("cannot start main-0: ")
    assert said in facts.message


def test_a_missing_working_directory_is_named(desk: Desk) -> None:
    desk.submit(desk.shell("true"), cwd=str(desk.folder / "nowhere"))
    facts = desk.ended().exit
    assert facts is not None
    assert facts.message == f"cannot start main-0: its working directory does not exist: {desk.folder / 'nowhere'}"


def test_a_replica_that_cannot_start_ends_those_that_have(desk: Desk) -> None:
    missing = desk.role("", name="second")
    missing.entrypoint = "no-such-program"
    desk.submit(desk.shell("sleep 600", name="first"), missing)
    view = desk.ended()
    assert view.exit is not None
    assert (view.exit.cause, view.exit.replica) == ("spawn_failed", "second-0")
    assert view.pid is not None
    assert process.entry(view.pid) is None


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_application_retries_are_counted_exactly_and_earlier_output_is_kept(desk: Desk, retries: int) -> None:
    desk.submit(desk.shell("echo try; exit 5", max_retries=retries))
    view = desk.ended()
    assert view.exit == ExitFacts("exited", 5, replica="main-0")
    assert view.restarts == retries
    lines = desk.text().splitlines()
    assert lines.count("try") == retries + 1
    assert [line for line in lines if line != "try"] == [
        f"=== try {number}: the one before ended with exit code 5 ===" for number in range(2, retries + 2)
    ]


def test_a_retry_that_succeeds_is_a_success(desk: Desk) -> None:
    desk.submit(desk.shell("test -e done || { touch done; exit 1; }", max_retries=5), cwd=str(desk.folder))
    view = desk.ended()
    assert (view.exit, view.restarts) == (ExitFacts("exited", 0), 1)


def test_an_application_retry_restarts_all_replicas(desk: Desk) -> None:
    script = "echo start; test ${replica_id} = 1 && exit 1; exec sleep 600"
    desk.submit(desk.shell(script, num_replicas=2, max_retries=2))
    view = desk.ended()
    assert (view.exit, view.restarts) == (ExitFacts("exited", 1, replica="main-1"), 2)
    for log in ("main-0/stdout.log", "main-1/stdout.log"):
        assert desk.text(log).count("start") == 3


def test_a_replica_retry_restarts_that_one_only(desk: Desk) -> None:
    script = "echo start; test ${replica_id} = 1 && exit 1; exec sleep 600"
    desk.submit(desk.shell(script, num_replicas=2, max_retries=2, retry_policy="REPLICA"))
    view = desk.ended()
    assert (view.exit, view.restarts) == (ExitFacts("exited", 1, replica="main-1"), 2)
    assert [desk.text(log).count("start") for log in ("main-0/stdout.log", "main-1/stdout.log")] == [1, 3]


def test_a_failed_replica_ends_its_siblings_with_their_grace(desk: Desk) -> None:
    trap = "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    os.mkfifo(desk.folder / "go")
    desk.submit(
        desk.shell(trap, name="server"),
        desk.shell("read x < go; exit 9", name="client"),
        cwd=str(desk.folder),
        grace=30,
    )
    desk.line("ready", role="server")
    (desk.folder / "go").write_text("\n")
    assert desk.ended().exit == ExitFacts("exited", 9, replica="client-0")
    assert "told" in desk.text("server-0/stdout.log")


def test_leftovers_of_one_replica_end_while_the_orphans_of_a_living_one_stay(desk: Desk) -> None:
    # Both replicas leave an orphan with a session of its own; only the second replica lives on.
    script = """
import os, subprocess, sys
orphan = "import os, time; os.setsid(); print('escaped', os.getpid(), flush=True); time.sleep(600)"
middle = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
subprocess.run([sys.executable, "-c", middle, orphan])
open("go-${replica_id}").read()
"""
    for number in (0, 1):
        os.mkfifo(desk.folder / f"go-{number}")
    desk.submit(desk.role(script, num_replicas=2), cwd=str(desk.folder))
    orphans = [int(desk.line("escaped", k=number).split()[1]) for number in (0, 1)]
    with (desk.folder / "go-0").open("w"):
        pass
    desk.gone(orphans[0])
    assert process.entry(orphans[1]) is not None
    with (desk.folder / "go-1").open("w"):
        pass
    assert desk.ended().exit == ExitFacts("exited", 0)
    assert process.entry(orphans[1]) is None


def test_environment_macros_and_folders_of_each_replica(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "yes")
    show = 'echo "$$INHERITED $$OWN ${app_id} ${replica_id} $$AXK8S_REPLICA $$${rank0_env} $$PYTHONUNBUFFERED"; pwd'
    desk.submit(
        desk.shell(show, name="a", num_replicas=2, env={"OWN": "${app_id}/$$x"}),
        desk.shell(show, name="b", env={"PYTHONUNBUFFERED": ""}),
        cwd=str(desk.folder),
    )
    desk.ended()
    assert desk.text("a-0/stdout.log") == f"yes job/$x job 0 0 localhost 1\n{desk.folder}\n"
    assert desk.text("a-1/stdout.log") == f"yes job/$x job 1 1 localhost 1\n{desk.folder}\n"
    assert desk.text("b-0/stdout.log") == f"yes  job 0 2 localhost \n{desk.folder}\n"


def test_programs_are_found_on_the_roles_path_then_ours_then_in_the_working_directory(desk: Desk) -> None:
    for folder, names in (("own", ["both"]), ("cwd", ["both", "only", "sh"])):
        (desk.folder / folder).mkdir()
        for name in names:
            program = desk.folder / folder / name
            program.write_text(f"#!/bin/sh\necho {folder}\n")
            program.chmod(0o755)
    cwd = str(desk.folder / "cwd")
    for name, entrypoint, options, said in (
        ("one", "both", {}, "own"),
        ("two", "only", {}, "cwd"),
        ("three", "sh", {}, ""),
        ("four", "sh", {"prepend_cwd": True}, "cwd"),
    ):
        role = desk.role("", env={"PATH": str(desk.folder / "own")})
        role.entrypoint, role.args = entrypoint, ["-c", "true"]
        desk.submit(role, name=name, cwd=cwd, **options)
        desk.ended(name)
        assert desk.text(name=name).strip() == said


def test_a_supervisor_killed_takes_its_replicas_along_and_the_job_is_lost(desk: Desk) -> None:
    desk.submit(desk.role(ESCAPES + "time.sleep(600)"))
    children = escaped(desk, 3)
    pid = desk.running().pid
    found = record.read(desk.folder / "job")
    assert found is not None
    process.send(found.supervisor, signal.SIGKILL)
    view = desk.ended()
    assert view.phase is Phase.LOST
    assert view.exit is not None
    assert view.exit.cause == "lost"
    assert pid is not None
    desk.gone(pid)
    assert [process.alive(child) for child in children] == [False] * 3


def test_a_killed_for_memory_is_told_from_a_kill_by_hand(desk: Desk) -> None:
    desk.submit(desk.shell("kill -KILL $$$$"))
    assert desk.ended().exit == ExitFacts("exited", -signal.SIGKILL, replica="main-0")


def test_a_deleted_folder_ends_the_job(desk: Desk, tmp_path: Path) -> None:
    desk.submit(desk.shell("echo $$$$; sleep 600"))
    pid = int(desk.line(""))
    found = record.read(desk.folder / "job")
    assert found is not None
    (desk.folder / "job").rename(tmp_path / "elsewhere")
    desk.gone(found.supervisor.pid)
    assert process.entry(pid) is None


def test_the_supervisor_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.append(sys.argv[1]); import axk8s.schedulers.local.supervisor; "
        "print({n.split('.')[0] for n in sys.modules} - sys.stdlib_module_names - {'__main__'})"
    )
    root = str(Path(process.__file__).parents[3])
    said = subprocess.run([sys.executable, "-I", "-S", "-c", script, root], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "{'axk8s'}"
