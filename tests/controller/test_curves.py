"""What running attempts report reaches the controller, from files and from outputs, and none of it twice."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from axk8s.controller import curves
from axk8s.controller.curves import LiveCurves
from axk8s.errors import SubmitError
from axk8s.folder import AttemptFolder
from axk8s.sweep.model import JobOrder
from axk8s.sweep.stopping import Progress

ORDER = JobOrder(0, 0, "job", {})


class Jobs:
    """Jobs whose files are in a folder, or whose lines a test hands out."""

    def __init__(self, folder: AttemptFolder | None) -> None:
        self.folder = folder
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.opened = 0
        self.trouble = False

    def growing(self, order: JobOrder) -> AttemptFolder | None:
        return self.folder

    def output(self, order: JobOrder, handle: str) -> Iterator[str]:
        self.opened += 1
        if self.trouble:
            raise SubmitError("the scheduler has no log")
        while (line := self.lines.get()) is not None:
            yield line


class Told:
    """What was told, and a way to wait for it."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Progress]] = []
        self._news = threading.Condition()

    def __call__(self, job: str, progress: Progress) -> None:
        with self._news:
            self.all.append((job, progress))
            self._news.notify_all()

    def until(self, count: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.all) >= count, timeout=20)


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    found = AttemptFolder(tmp_path / "0" / "0")
    found.path.mkdir(parents=True)
    return found


def started(jobs: Jobs, every: float) -> tuple[LiveCurves, Told]:
    live, told = LiveCurves(jobs, "loss", every=every), Told()
    live.begin(told)
    return live, told


def test_new_lines_of_the_files_come_with_each_look(folder: AttemptFolder) -> None:
    live, told = started(Jobs(folder), every=3600)
    live.follow(ORDER, "handle")
    live.look()
    folder.metrics.write_text('{"step": 1, "loss": 0.5, "lr": 1}\n{"step": 2, "loss"')
    live.look()
    live.look()
    with folder.metrics.open("a") as file:
        file.write(': 0.4}\n{"loss": 0.1}\n')
    live.look()

    assert told.all == [("job", Progress(((1, 0.5),), ("lr",))), ("job", Progress(((2, 0.4),)))]
    folder.stdout.write_text('epoch axk8s: {"step": 3, "loss": 0.3}\n')
    assert live.last(ORDER, folder) == Progress(((3, 0.3),))
    live.look()
    assert len(told.all) == 2
    live.close()


def test_an_attempt_that_ended_before_any_look_is_read_all_the_same(folder: AttemptFolder) -> None:
    live, _ = started(Jobs(folder), every=3600)
    folder.metrics.write_text('{"step": 1, "loss": 0.5}\n{"loss": 0.2}\n')

    assert live.last(ORDER, folder) == Progress(((1, 0.5),))
    live.close()


def test_lines_of_an_output_are_told_together(folder: AttemptFolder) -> None:
    jobs = Jobs(None)
    live, told = started(jobs, every=0.01)
    live.follow(ORDER, "handle")
    jobs.lines.put("loading")
    jobs.lines.put('axk8s: {"step": 1, "loss": 0.5}')
    told.until(1)
    jobs.lines.put('axk8s: {"step": 2, "loss": 0.4}')
    told.until(2)
    jobs.lines.put('axk8s: {"step": 3, "loss": 0.3}')
    jobs.lines.put(None)
    # The termination message has brought the last one as well.
    folder.metrics.write_text('{"step": 4, "loss": 0.2}\n')
    rest = live.last(ORDER, folder)
    points = [point for _, progress in told.all for point in progress.points] + list(rest.points)

    assert points == [(1, 0.5), (2, 0.4), (3, 0.3), (4, 0.2)]
    live.close()


def test_an_output_that_cannot_be_had_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_PAUSE", 0.001)
    jobs = Jobs(None)
    jobs.trouble = True
    live, told = started(jobs, every=0.01)
    live.follow(ORDER, "handle")
    told.until(1)

    assert told.all == [("job", Progress(trouble="the scheduler has no log"))]
    live.close()
    assert jobs.opened == 5


def test_a_replica_that_was_replaced_has_a_new_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_AGAIN", 0.001)
    jobs = Jobs(None)
    live, told = started(jobs, every=0.01)
    live.follow(ORDER, "handle")
    jobs.lines.put('axk8s: {"step": 1, "loss": 0.5}')
    told.until(1)
    jobs.lines.put(None)
    jobs.lines.put('axk8s: {"step": 2, "loss": 0.4}')
    told.until(2)

    assert jobs.opened == 2
    live.close()
    jobs.lines.put(None)
