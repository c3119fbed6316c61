from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.errors import SubmitError
from axk8s.folder import AttemptFolder
from axk8s.metrics.collect import collect, read
from axk8s.sweep.model import Harvest


@dataclass(frozen=True)
class Wanted:
    metric: str = "accuracy"
    direction: str = "maximize"
    aggregate: str = "last"


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    return AttemptFolder(tmp_path)


def searched(harvest: Harvest) -> str:
    return "\n".join(harvest.searched)


def test_values_come_from_the_file_and_from_printed_lines(folder: AttemptFolder) -> None:
    folder.metrics.write_text('{"step": 0, "accuracy": 0.5}\n{"step": 1, "accuracy": 0.7}\n')
    folder.stdout.write_text('starting\naxk8s: {"loss": 0.3}\n')

    harvest = collect(folder, objectives=[Wanted()])

    assert harvest.values == {"accuracy": 0.7, "loss": 0.3}
    assert harvest.steps == 2
    assert f"{folder.metrics}: 2 records" in harvest.searched
    assert f"{folder.stdout}: 1 record marked `axk8s: {{…}}` in 2 lines" in harvest.searched
    assert "reported: accuracy, loss" in harvest.searched


def test_standard_errors_come_with_the_values(folder: AttemptFolder) -> None:
    folder.metrics.write_text('{"step": 0, "accuracy": [0.5, 0.1]}\n{"step": 1, "accuracy": [0.7, 0.2]}\n')
    folder.stdout.write_text('axk8s: {"loss": [0.3, 0.05], "size": 1}\n')

    harvest = collect(folder, objectives=[Wanted()])

    assert harvest.values == {"accuracy": 0.7, "loss": 0.3, "size": 1.0}
    assert harvest.sems == {"accuracy": 0.2, "loss": 0.05}


def test_of_a_point_in_both_the_files_value_counts(folder: AttemptFolder) -> None:
    folder.metrics.write_text('{"step": 0, "accuracy": 0.5}\n')
    folder.stdout.write_text('axk8s: {"step": 0, "accuracy": 0.4}\naxk8s: {"step": 1, "accuracy": 0.6}\n')

    harvest = collect(folder, objectives=[Wanted(direction="minimize", aggregate="best")])

    assert harvest.values == {"accuracy": 0.5}
    assert harvest.steps == 2


def test_an_empty_folder_tells_where_it_looked(folder: AttemptFolder) -> None:
    harvest = collect(folder, objectives=[Wanted()])

    assert harvest == Harvest(values={}, searched=harvest.searched)
    assert f"{folder.metrics}: does not exist" in searched(harvest)
    assert f"{folder.stdout}: does not exist" in searched(harvest)
    assert "reported: nothing" in harvest.searched


def test_a_misspelt_metric_is_named_beside_the_reported_ones(folder: AttemptFolder) -> None:
    folder.stdout.write_text('axk8s: {"acuracy": 0.4, "loss": 1}\n')

    harvest = collect(folder, objectives=[Wanted()])

    assert harvest.searched[-1] == "reported: acuracy, loss; not accuracy (did you mean 'acuracy'?)"


def test_non_finite_values_are_kept(folder: AttemptFolder) -> None:
    folder.metrics.write_text('{"step": 0, "accuracy": 0.5}\n{"step": 1, "accuracy": "nan"}\n')

    assert math.isnan(collect(folder, objectives=[Wanted()]).values["accuracy"])


def test_an_infeasible_trial_has_its_reason(folder: AttemptFolder) -> None:
    folder.metrics.write_text('{"infeasible": "too wide"}\n')

    assert collect(folder, objectives=[Wanted()]).infeasible == "too wide"


def test_damage_is_told_with_its_place_and_takes_nothing_else_with_it(folder: AttemptFolder) -> None:
    folder.metrics.write_text('{"accuracy": 0.5}\noops\n\n{"loss": "low"}\n{"f1": 0.1}\n{"step": 1, "accu')
    folder.stdout.write_text('axk8s: {"step": 1, "loss": 2.0\n')

    harvest = collect(folder, objectives=[Wanted()])

    assert harvest.values == {"accuracy": 0.5, "f1": 0.1}
    assert "2 records, and line 6 was cut off; 2 unreadable lines, the first is metrics.jsonl:2:" in searched(harvest)
    assert '1 marked line unreadable, the first is \'axk8s: {"step": 1, "loss": 2.0\'' in searched(harvest)


@given(st.data())
def test_a_file_cut_anywhere_keeps_all_records_before_the_cut(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = AttemptFolder(tmp_path_factory.mktemp("attempt"))
    lines = [json.dumps({"step": step, "accuracy": step / 10}) + "\n" for step in range(5)]
    text = "".join(lines)
    cut = data.draw(st.integers(1, len(text)))
    folder.metrics.write_text(text[:cut])
    whole = text[: cut + 1].count("\n") if text[cut : cut + 1] == "\n" else text[:cut].count("\n")

    harvest = collect(folder, objectives=[Wanted()])

    assert harvest.steps == whole
    assert "unreadable" not in searched(harvest)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_break_it(tmp_path_factory: pytest.TempPathFactory, metrics: bytes, stdout: bytes) -> None:
    folder = AttemptFolder(tmp_path_factory.mktemp("attempt"))
    folder.metrics.write_bytes(metrics)
    folder.stdout.write_bytes(b"axk8s: {" + stdout)

    collect(folder, objectives=[Wanted()])


def test_a_folder_in_a_files_place_is_told(folder: AttemptFolder) -> None:
    folder.metrics.mkdir()
    folder.stdout.mkdir()

    harvest = collect(folder, objectives=[Wanted()])

    assert f"{folder.metrics}: could not be read: Is a directory" in harvest.searched
    assert f"{folder.stdout}: could not be read: Is a directory" in harvest.searched


def test_the_schedulers_log_is_read_where_no_output_is_in_the_folder(folder: AttemptFolder) -> None:
    lines = [*(f"line {number}" for number in range(5000)), 'axk8s: {"accuracy": 0.5}', "bye"]

    harvest = collect(folder, lambda: iter(lines), objectives=[Wanted()])

    assert harvest.values == {"accuracy": 0.5}
    assert "the scheduler's log: 1 record marked `axk8s: {…}` in 5,002 lines" in harvest.searched
    assert harvest.log_tail == tuple(lines[-20:])


def test_the_output_in_the_folder_comes_before_the_schedulers_log(folder: AttemptFolder) -> None:
    folder.stdout.write_text('axk8s: {"accuracy": 0.5}\n')

    def never() -> Iterator[str]:
        raise AssertionError("the log was opened")

    assert collect(folder, never, objectives=[Wanted()]).values == {"accuracy": 0.5}


def test_a_log_that_cannot_be_read_is_told(folder: AttemptFolder) -> None:
    folder.metrics.write_text('{"accuracy": 0.5}\n')

    def broken() -> Iterator[str]:
        yield 'axk8s: {"loss": 0.5}'
        raise SubmitError("the pod is gone")

    harvest = collect(folder, broken, objectives=[Wanted()])

    assert harvest.values == {"accuracy": 0.5, "loss": 0.5}
    assert "the scheduler's log: could not be read: the pod is gone" in harvest.searched


def test_a_late_value_is_waited_for_within_the_grace_time(folder: AttemptFolder) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            folder.metrics.write_text('{"accuracy": 0.5}\n')

    harvest = collect(folder, objectives=[Wanted()], grace=5.0, wait=wait)

    assert harvest.values == {"accuracy": 0.5}
    assert waited == [0.5, 0.5]


def test_a_value_that_never_comes_is_waited_for_no_longer_than_the_grace_time(folder: AttemptFolder) -> None:
    waited: list[float] = []

    assert collect(folder, objectives=[Wanted()], grace=1.2, wait=waited.append).values == {}
    assert sum(waited) == pytest.approx(1.2)


def test_the_last_lines_of_both_streams_are_kept(folder: AttemptFolder) -> None:
    folder.stdout.write_text("training\n")
    folder.stderr.write_text("Traceback\n\x1b[31mValueError: no\x1b[0m\n")

    assert collect(folder, objectives=[]).log_tail == ("training", "Traceback", "ValueError: no")


def test_curves_can_be_read_while_the_attempt_runs(folder: AttemptFolder) -> None:
    folder.metrics.write_text('{"step": 0, "accuracy": 0.5}\n{"step": 1, "accuracy": 0.7}\n{"step": 2')

    assert read(folder).curves.metrics["accuracy"].steps == {0: 0.5, 1: 0.7}
