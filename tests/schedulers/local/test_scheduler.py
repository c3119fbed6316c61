"""The scheduler as TorchX and a crashing controller use it: one job runs once, and anybody can ask about it."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from torchx.runner import Runner
from torchx.schedulers.api import Stream
from torchx.specs import AppDef, AppState, Role

from axk8s.errors import SchedulerConfigError, SubmitError
from axk8s.schedulers.catalog import factories
from axk8s.schedulers.local import process, record
from axk8s.schedulers.local.request import LocalRequest
from axk8s.schedulers.local.scheduler import LocalScheduler, create_scheduler
from axk8s.sweep.model import Phase

if TYPE_CHECKING:
    from tests.schedulers.local.conftest import Desk

ONCE = "echo run >> runs; echo ready; exec sleep 600"
"""Counts how often it is run."""


def request(desk: Desk, script: str, name: str = "job") -> LocalRequest:
    cfg = {"name": name, "folder": str(desk.folder / name), "cwd": str(desk.folder)}
    return LocalRequest.from_app(AppDef(name, roles=[desk.shell(script)]), cfg, "session")


def start_and_die(text: str, point: str) -> None:
    def reached(where: str) -> None:
        if where == point:
            os.kill(os.getpid(), signal.SIGKILL)

    LocalScheduler("session", reached=reached).start(LocalRequest.from_text(text))


def start(text: str, results: multiprocessing.Queue[bool]) -> None:
    results.put(LocalScheduler("session").start(LocalRequest.from_text(text)))


@pytest.mark.parametrize("point", ["registered", "forked", "sent", "started"])
def test_a_submitter_killed_at_any_point_leaves_one_run_after_a_repeat(desk: Desk, point: str) -> None:
    wanted = request(desk, ONCE)
    # Handed on as text, as a controller reads it from the attempt's folder after its crash.
    child = multiprocessing.get_context("spawn").Process(target=start_and_die, args=(wanted.to_text(), point))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    new = [desk.scheduler.start(wanted) for _ in range(2)]
    assert new[1] is False
    if point == "started":
        assert new[0] is False
    desk.line("ready")
    desk.scheduler.cancel("job")
    desk.ended()
    assert desk.scheduler.start(wanted) is False
    assert (desk.folder / "runs").read_text() == "run\n"


def test_a_job_submitted_by_many_processes_at_once_runs_once(desk: Desk) -> None:
    wanted = request(desk, ONCE)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=start, args=(wanted.to_text(), results)) for _ in range(20)]
    for child in children:
        child.start()
    answers = [results.get(timeout=120) for _ in children]
    for child in children:
        child.join()
    assert sorted(answers) == [False] * 19 + [True]
    desk.line("ready")
    assert (desk.folder / "runs").read_text() == "run\n"


def test_a_folder_holds_one_job_only(desk: Desk) -> None:
    desk.submit(desk.shell("true"))
    with pytest.raises(SubmitError, match="holds another job, job"):
        desk.submit(desk.shell("true"), name="other", folder=str(desk.folder / "job"))


def test_a_name_runs_in_one_folder_at_a_time(desk: Desk) -> None:
    desk.submit(desk.shell("sleep 600"))
    with pytest.raises(SubmitError, match="a job called job already runs in"):
        desk.submit(desk.shell("true"), folder=str(desk.folder / "second"))
    desk.scheduler.cancel("job")
    desk.ended()
    desk.submit(desk.shell("true"), folder=str(desk.folder / "second"))
    described = desk.scheduler.describe("job")
    assert described is not None
    assert described.ui_url == (desk.folder / "second").as_uri()


def test_a_folder_that_cannot_be_made_is_refused(desk: Desk) -> None:
    (desk.folder / "file").write_text("")
    with pytest.raises(SubmitError, match="cannot make the folder"):
        desk.submit(desk.shell("true"), folder=str(desk.folder / "file" / "job"))


def test_a_cancel_before_the_job_has_begun_holds(desk: Desk) -> None:
    wanted = request(desk, ONCE)

    def cancel(where: str) -> None:
        if where == "forked":
            desk.scheduler.cancel("job")

    LocalScheduler("session", reached=cancel).start(wanted)
    facts = desk.ended().exit
    assert facts is not None
    assert facts.cause == "cancelled"
    assert not (desk.folder / "runs").exists()


def test_a_cancel_is_idempotent_and_no_error_for_jobs_that_are_gone(desk: Desk) -> None:
    desk.scheduler.cancel("never-was")
    desk.submit(desk.shell("exit 4"))
    ended = desk.ended()
    desk.scheduler.cancel("job")
    desk.scheduler.cancel("job")
    found = record.read(desk.folder / "job")
    assert found is not None
    assert found.facts == ended.exit


def test_another_process_knows_and_cancels_the_job_by_its_handle(desk: Desk) -> None:
    desk.submit(desk.shell("echo ready; sleep 600"))
    desk.line("ready")
    script = """
import sys
from torchx.runner import Runner
from axk8s.schedulers.catalog import factories
runner = Runner("other", scheduler_factories=factories())
print(runner.status("local://torchx/job").state, [app.app_id for app in runner.list("local")])
runner.cancel("local://torchx/job")
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "RUNNING ['job']\n"
    facts = desk.ended().exit
    assert facts is not None
    assert facts.cause == "cancelled"


def test_a_job_that_ended_while_nobody_was_there_tells_its_true_exit_code(desk: Desk) -> None:
    script = """
import sys
from axk8s.schedulers.local.request import LocalRequest
from axk8s.schedulers.local.scheduler import LocalScheduler
LocalScheduler("session").start(LocalRequest.from_text(sys.stdin.read()))
"""
    text = request(desk, "read x < go; echo too bad >&2; exit 42").to_text()
    os.mkfifo(desk.folder / "go")
    subprocess.run([sys.executable, "-c", script], input=text, text=True, check=True)
    (desk.folder / "go").write_text("\n")
    found = record.read(desk.folder / "job")
    assert found is not None
    desk.gone(found.supervisor.pid)
    described = desk.scheduler.describe("job")
    assert described is not None
    assert described.state is AppState.FAILED
    assert described.msg == "main-0 ended with exit code 42: too bad"


@pytest.mark.parametrize(
    ("script", "options", "state"),
    [
        ("true", {}, AppState.SUCCEEDED),
        ("exit 3", {}, AppState.FAILED),
        ("sleep 600", {"timeout": 0.1}, AppState.FAILED),
    ],
)
def test_ends_as_torchx_states(desk: Desk, script: str, options: dict[str, Any], state: AppState) -> None:
    desk.submit(desk.shell(script, num_replicas=2), **options)
    desk.ended()
    described = desk.scheduler.describe("job")
    assert described is not None
    assert described.state is state
    assert [status.id for status in described.roles_statuses[0].replicas] == [0, 1]
    assert described.roles_statuses[0].replicas[0].state is state
    assert [(role.name, role.num_replicas, role.entrypoint) for role in described.roles] == [("main", 2, "/bin/sh")]
    assert [app.state for app in desk.scheduler.list()] == [state]


def test_torchelastics_error_file_is_shown(desk: Desk) -> None:
    desk.submit(desk.shell("""echo '{"message": "no rendezvous"}' > "$$TORCHELASTIC_ERROR_FILE"; exit 1"""))
    desk.ended()
    described = desk.scheduler.describe("job")
    assert described is not None
    assert json.loads(described.structured_error_msg) == {"message": "no rendezvous"}


def test_an_unknown_or_deleted_job_is_none(desk: Desk) -> None:
    assert desk.scheduler.describe("never-was") is None
    assert desk.scheduler.describe("../etc") is None
    desk.submit(desk.shell("true"))
    desk.ended()
    shutil.rmtree(desk.folder / "job")
    assert desk.scheduler.describe("job") is None
    assert desk.scheduler.list() == []
    desk.scheduler.cancel("job")


def test_delete_forgets_the_job_and_leaves_the_submitters_files(desk: Desk, state: Path) -> None:
    desk.submit(desk.shell("true"))
    desk.ended()
    desk.scheduler.delete("job")
    desk.scheduler.delete("job")
    assert desk.scheduler.describe("job") is None
    assert (desk.folder / "job" / "exit.json").exists()
    assert list((state / "jobs").iterdir()) == []


def test_delete_ends_a_running_job(desk: Desk) -> None:
    desk.submit(desk.shell("sleep 600"))
    desk.running()
    desk.scheduler.delete("job")
    facts = desk.ended().exit
    assert facts is not None
    assert facts.cause == "cancelled"


def test_150_jobs_at_once(desk: Desk) -> None:
    names = [f"job-{number}" for number in range(150)]
    for name in names:
        desk.submit(desk.shell("exec sleep 600"), name=name)
        desk.follow(name)
    for name in names:
        desk.view(name, Phase.RUNNING)
    assert {app.state for app in desk.scheduler.list()} == {AppState.RUNNING}
    for name in names:
        desk.scheduler.cancel(name)
    for name in names:
        facts = desk.view(name, Phase.ENDED).exit
        assert facts is not None
        assert facts.cause == "cancelled"


def test_closing_or_collecting_a_scheduler_kills_nothing(desk: Desk) -> None:
    scheduler = create_scheduler("session", client=None)
    scheduler.submit(
        AppDef("a", roles=[desk.shell("exec sleep 600")]), {"name": "job", "folder": str(desk.folder / "job")}
    )
    pid = desk.running().pid
    scheduler.close()
    del scheduler
    gc.collect()
    assert pid is not None
    entry = process.entry(pid)
    assert entry is not None
    assert not entry.ended


def test_the_callers_signal_handlers_and_children_are_left_alone(desk: Desk) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    desk.submit(desk.shell("true"))
    desk.ended()
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
    assert [pid for pid, line in process.table().items() if line.parent == os.getpid() and line.ended] == []


def test_plain_torchx(desk: Desk, tmp_path: Path) -> None:
    app = AppDef("hello", roles=[desk.shell("echo ${app_id}; echo $$TORCHX_JOB_ID; echo oops >&2")])
    with Runner("torchx", scheduler_factories=factories()) as runner:
        handle = runner.run(app, "local", {"log_dir": str(tmp_path / "logs"), "timeout": 60})
        status = runner.wait(handle, wait_interval=0.05)
        assert status is not None
        assert status.state is AppState.SUCCEEDED
        app_id = handle.rpartition("/")[2]
        assert list(runner.log_lines(handle, "main")) == [f"{app_id}\n", f"local://torchx/{app_id}\n", "oops\n"]
        assert list(runner.log_lines(handle, "main", streams=Stream.STDERR)) == ["oops\n"]
        assert (tmp_path / "logs" / "torchx" / app_id / "stdout.log").exists()
        assert [listed.app_handle for listed in runner.list("local")] == [handle]
        described = runner.describe(handle)
        assert described is not None
        assert described.roles[0].name == "main"
        runner.cancel(handle)
    assert app.roles[0].args[1].startswith("echo ${app_id}")


def test_the_job_of_an_unnamed_folder_lies_in_the_register(desk: Desk, state: Path) -> None:
    with Runner("torchx", scheduler_factories=factories()) as runner:
        handle = runner.run(AppDef("my/app", roles=[desk.shell("true")]), "local")
        runner.wait(handle, wait_interval=0.05)
    app_id = handle.rpartition("/")[2]
    assert app_id.startswith("my-app-")
    assert (state / "jobs" / app_id / "exit.json").exists()
    desk.scheduler.delete(app_id)
    assert list((state / "jobs").iterdir()) == []


def test_torchrun_with_two_workers(desk: Desk) -> None:
    script = desk.folder / "worker.py"
    script.write_text("import os; print('rank', os.environ['RANK'], 'of', os.environ['WORLD_SIZE'])\n")
    command = f"exec {sys.executable} -m torch.distributed.run --nnodes 1 --nproc-per-node 2 --tee 3 {script}"
    desk.submit(desk.shell(command, env={"OMP_NUM_THREADS": "1"}))
    facts = desk.ended().exit
    assert facts is not None
    assert facts.code == 0, desk.text("stderr.log")
    assert {line.split(": ")[-1].removeprefix("[default0]:").strip()[-11:] for line in desk.text().splitlines()} >= {
        "rank 0 of 2",
        "rank 1 of 2",
    }


def test_a_misspelt_option_is_refused_with_the_right_one(desk: Desk) -> None:
    with pytest.raises(SchedulerConfigError, match="did you mean 'timeout'"):
        desk.submit(desk.shell("true"), timeuot=3)


def test_seconds_may_be_whole_numbers_and_options_may_come_as_text(desk: Desk) -> None:
    options = desk.scheduler.run_opts()
    assert options.resolve({"timeout": 3})["timeout"] == 3.0
    assert options.cfg_from_str("timeout=3.5,prepend_cwd=true,cwd=/tmp") == {
        "timeout": 3.5, "prepend_cwd": True, "cwd": "/tmp",
    }  # fmt: skip


def test_logs_by_replica_stream_pattern_and_time(desk: Desk) -> None:
    desk.submit(desk.shell("for i in 1 2 3; do echo out ${replica_id} $$i; done; echo err >&2", num_replicas=2))
    desk.ended()
    log = desk.scheduler.log_iter
    assert list(log("job", "main", 1)) == ["out 1 1\n", "out 1 2\n", "out 1 3\n", "err\n"]
    assert list(log("job", "main", 0, regex="2$")) == ["out 0 2\n"]
    assert list(log("job", "main", 0, should_tail=True, streams=Stream.STDERR)) == ["err\n"]
    long_ago, far_ahead = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    assert list(log("job", "main", since=far_ahead)) == list(log("job", "main", until=long_ago)) == []
    assert len(list(log("job", "main", since=long_ago, until=far_ahead))) == 4
    with pytest.raises(ValueError, match=r"no replica main-2: did you mean"):
        log("job", "main", 2)
    with pytest.raises(ValueError, match="no job"):
        log("never-was", "main")


def test_a_later_torchx_may_pass_more(desk: Desk) -> None:
    desk.scheduler._validate(AppDef("a", roles=[Role("main", "")]), "local", {})
    assert desk.scheduler.list({}) == []


def test_a_cancel_that_cannot_leave_its_file_still_ends_the_job(desk: Desk) -> None:
    desk.submit(desk.shell("echo ready; exec sleep 600"))
    desk.line("ready")
    (desk.folder / "job" / "cancel").symlink_to("cancel")  # a loop: nobody can write there, not even root
    desk.scheduler.cancel("job")
    facts = desk.ended().exit
    assert facts is not None
    assert facts.cause == "terminated"
