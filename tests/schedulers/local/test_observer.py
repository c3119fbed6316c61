"""The observer reports what real jobs do, in order, to the end, and again after a restart."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import threading
from typing import TYPE_CHECKING

from axk8s.schedulers.local import process, record
from axk8s.schedulers.local.observer import LocalObserver
from axk8s.sweep.model import ExitFacts, JobView, Phase

if TYPE_CHECKING:
    import pytest

    from tests.schedulers.local.conftest import Desk


def collect(observer_views: queue.Queue[JobView]) -> list[JobView]:
    found: list[JobView] = []
    while not found or found[-1].exit is None:
        found.append(observer_views.get(timeout=60))
    return found


def test_a_job_is_seen_running_with_its_pid_and_then_ended(desk: Desk) -> None:
    desk.submit(desk.shell("echo $$$$; exec sleep 600"))
    running = desk.running()
    assert running.pid == int(desk.line(""))
    assert running.started_at is not None
    desk.scheduler.cancel("job")
    ended = desk.ended()
    assert ended.exit == ExitFacts("cancelled", message="cancelled")
    assert (ended.pid, ended.started_at) == (running.pid, running.started_at)
    assert ended.ended_at is not None


def test_phases_never_go_back_and_the_end_comes_once(desk: Desk) -> None:
    views: queue.Queue[JobView] = queue.Queue()
    observer = LocalObserver(views.put)
    desk.submit(desk.shell("exit 3"))
    observer.follow("job", desk.folder / "job")
    observer.follow("job", desk.folder / "job")
    found = collect(views)
    observer.close()
    order = [Phase.PENDING, Phase.RUNNING, Phase.ENDED]
    assert [order.index(view.phase) for view in found] == sorted(order.index(view.phase) for view in found)
    assert [view.exit is not None for view in found].count(True) == 1


def test_an_ended_job_is_reported_at_once(desk: Desk) -> None:
    desk.submit(desk.shell("exit 3"))
    desk.ended()
    views: queue.Queue[JobView] = queue.Queue()
    observer = LocalObserver(views.put)
    observer.follow("job", desk.folder / "job")
    assert [view.exit for view in collect(views)] == [ExitFacts("exited", 3, replica="main-0")]
    observer.close()


def test_a_restart_of_a_replica_is_seen_with_its_new_pid(desk: Desk) -> None:
    os.mkfifo(desk.folder / "go")
    desk.submit(desk.shell("read x < go; exit 1", max_retries=1), cwd=str(desk.folder))
    first = desk.running()
    (desk.folder / "go").write_text("\n")
    while desk.views[-1].restarts == 0:
        desk.views.append(desk._queue.get(timeout=60))
    again = desk.views[-1]
    assert again.phase is Phase.RUNNING
    assert again.pid != first.pid
    (desk.folder / "go").write_text("\n")
    assert desk.ended().restarts == 1


def test_a_folder_that_is_gone_or_never_held_a_job_is_lost(desk: Desk) -> None:
    (desk.folder / "empty").mkdir()
    desk.submit(desk.shell("true"))
    desk.ended()
    shutil.rmtree(desk.folder / "job")
    desk.views.clear()
    for name, said in (("empty", "no job was ever started"), ("job", "is gone")):
        view = desk.ended(name)
        assert view.phase is Phase.LOST
        assert said in view.reason


def test_a_reused_process_number_does_not_pass_for_the_supervisor(desk: Desk) -> None:
    desk.submit(desk.shell("echo ready; exec sleep 600"))
    desk.line("ready")
    found = record.read(desk.folder / "job")
    assert found is not None
    process.send(found.supervisor, signal.SIGKILL)
    desk.gone(found.supervisor.pid)
    # Now a living process - this one - has the number that is written down, with another start time.
    text = found.folder.job.read_text().replace(f'"pid": {found.supervisor.pid}', f'"pid": {os.getpid()}')
    found.folder.job.write_text(text)
    view = desk.ended()
    assert view.phase is Phase.LOST


def test_a_job_from_before_a_restart_of_the_machine_was_disrupted(desk: Desk) -> None:
    desk.submit(desk.shell("echo ready; exec sleep 600"))
    desk.line("ready")
    found = record.read(desk.folder / "job")
    assert found is not None
    process.send(found.supervisor, signal.SIGKILL)
    desk.gone(found.supervisor.pid)
    found.folder.job.write_text(found.folder.job.read_text().replace(process.machine(), "another boot"))
    view = desk.ended()
    assert view.phase is Phase.LOST
    assert view.exit is not None
    assert view.exit.cause == "rebooted"
    for straggler in process.carriers(f"AXK8S_JOB=job/{found.job['token']}"):
        process.send(straggler, signal.SIGKILL)


def test_a_supervisor_that_lives_where_we_cannot_see_it_is_believed_by_its_lock(desk: Desk) -> None:
    os.mkfifo(desk.folder / "go")
    desk.submit(desk.shell("echo ready; read x < go"), cwd=str(desk.folder))
    desk.line("ready")
    job = desk.folder / "job" / "job.json"
    job.write_text(job.read_text().replace(process.machine(), "another machine"))
    assert desk.running().phase is Phase.RUNNING
    desk.scheduler.cancel("job")  # by the file alone: its number means nothing here
    assert desk.ended().exit == ExitFacts("cancelled", message="cancelled")


def test_it_works_without_instant_news(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, flags: int = 0) -> int:
        raise OSError(24, "Too many open files")

    desk.submit(desk.shell("echo ready; exec sleep 600"))
    desk.line("ready")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", refused)
        desk.running()
    found = record.read(desk.folder / "job")
    assert found is not None
    process.send(found.supervisor, signal.SIGKILL)
    assert desk.ended().phase is Phase.LOST


def test_closing_stops_reports_and_threads_but_no_jobs(desk: Desk) -> None:
    desk.submit(desk.shell("exec sleep 600"))
    views: queue.Queue[JobView] = queue.Queue()
    observer = LocalObserver(views.put)
    observer.follow("job", desk.folder / "job")
    views.get(timeout=60)
    observer.close()
    observer.close()
    observer.follow("job", desk.folder / "job")
    assert "local-jobs" not in {thread.name for thread in threading.enumerate()}
    unused = LocalObserver(views.put)
    unused.close()
    found = record.read(desk.folder / "job")
    assert found is not None
    assert found.exit is None
