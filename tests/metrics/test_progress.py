from __future__ import annotations

import os
from pathlib import Path

import pytest

from axk8s.folder import AttemptFolder
from axk8s.metrics.log import LINE_LIMIT
from axk8s.metrics.progress import Latest, Tail, latest
from axk8s.training import Record


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    return AttemptFolder(tmp_path)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_nothing_is_latest_before_the_first_report(folder: AttemptFolder) -> None:
    assert latest(folder) is None

    folder.metrics.touch()
    folder.stdout.write_text("loading\n")
    assert latest(folder) is None


def test_the_latest_values_are_all_those_of_the_highest_step(folder: AttemptFolder) -> None:
    folder.metrics.write_text('{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n{"step": 2, "acc": 0.5}\n{"st')

    assert latest(folder) == Latest(2, {"loss": 2.0, "acc": 0.5})


def test_final_values_stand_over_those_of_the_last_step(folder: AttemptFolder) -> None:
    folder.metrics.write_text('{"loss": 1}\n{"step": 2, "loss": 2, "acc": 0.5}\n')

    assert latest(folder) == Latest(2, {"loss": 1.0, "acc": 0.5})


def test_printed_values_are_latest_where_there_is_no_metrics_file(folder: AttemptFolder) -> None:
    folder.stdout.write_text('axk8s: {"step": 4, "loss": 2}\nnoise\n')

    assert latest(folder) == Latest(4, {"loss": 2.0})


def test_the_latest_of_a_huge_file_is_at_its_end(folder: AttemptFolder) -> None:
    with folder.metrics.open("wb") as file:
        file.truncate(4 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b'\n{"step": 7, "loss": 1}\n')

    assert latest(folder) == Latest(7, {"loss": 1.0})


def test_a_tail_returns_each_record_once_and_whole(folder: AttemptFolder) -> None:
    tail = Tail(folder)
    assert tail.read() == []

    append(folder.metrics, '{"step": 0, "loss": 3}\n{"step": 1, ')
    assert tail.read() == [Record({"loss": 3.0}, 0)]
    assert tail.read() == []

    append(folder.metrics, '"loss": 2}\nbroken\n')
    append(folder.stdout, 'hello\naxk8s: {"step": 1, "acc": 1}\naxk8s: {"st')
    assert tail.read() == [Record({"loss": 2.0}, 1), Record({"acc": 1.0}, 1)]

    append(folder.stdout, 'ep": 2, "acc": 2}\n')
    assert tail.read() == [Record({"acc": 2.0}, 2)]
    assert tail.read() == []


def test_a_tail_begins_anew_when_the_file_does(folder: AttemptFolder) -> None:
    tail = Tail(folder)
    append(folder.metrics, '{"step": 10, "loss": 3}\n')
    assert len(tail.read()) == 1

    folder.metrics.write_text('{"step": 0, "a": 3}\n')
    assert tail.read() == [Record({"a": 3.0}, 0)]

    folder.metrics.unlink()
    assert tail.read() == []
    append(folder.metrics, '{"step": 0, "a": 4}\n')
    assert tail.read() == [Record({"a": 4.0}, 0)]


def test_a_tail_passes_over_a_line_that_never_ends(folder: AttemptFolder) -> None:
    tail = Tail(folder)
    append(folder.stdout, "\r10%" * LINE_LIMIT)
    assert tail.read() == []

    append(folder.stdout, '\raxk8s: {"loss": 1}\n')
    assert tail.read() == [Record({"loss": 1.0})]
