from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axk8s import names, training
from axk8s.training import EXIT_INFEASIBLE, Malformed, Record, parse_line, parse_record, report, report_infeasible

RANKS = ("RANK", "LOCAL_RANK", "JOB_COMPLETION_INDEX", names.ENV_REPLICA)


@pytest.fixture(autouse=True)
def outside_any_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*RANKS, *(name for name in os.environ if name.startswith("AXK8S_"))]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def metrics_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "metrics.jsonl"
    monkeypatch.setenv(names.ENV_METRICS, str(path))
    return path


def read(path: Path) -> list[Record | Malformed]:
    return [parse_record(line) for line in path.read_text().splitlines() if line]


def test_report_appends_one_line_of_json_a_call(metrics_file: Path) -> None:
    report(step=3, loss=0.2)
    report({"val/loss": 1}, step=4, acc=True)
    report(accuracy=0.5)

    assert metrics_file.read_text().splitlines() == [
        '{"step": 3, "loss": 0.2}',
        '{"step": 4, "val/loss": 1.0, "acc": 1.0}',
        '{"accuracy": 0.5}',
    ]


def test_outside_a_sweep_report_prints_the_marked_line(capsys: pytest.CaptureFixture[str]) -> None:
    report(step=3, loss=0.2)

    assert capsys.readouterr().out == 'axk8s: {"step": 3, "loss": 0.2}\n'


def test_nothing_to_report_writes_nothing(metrics_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report({}, step=3)

    assert not metrics_file.exists()
    assert capsys.readouterr().out == ""


def test_non_finite_values_are_strict_json(metrics_file: Path) -> None:
    report(step=0, a=math.nan, b=math.inf, c=-math.inf)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not strict JSON")

    line = metrics_file.read_text()
    assert json.loads(line, parse_constant=refuse) == {"step": 0, "a": "nan", "b": "inf", "c": "-inf"}
    (record,) = read(metrics_file)
    assert isinstance(record, Record)
    assert math.isnan(record.values["a"])
    assert (record.values["b"], record.values["c"]) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    "value", [2, 2.0, np.float32(2), np.int64(2), np.array(2), Decimal(2), Fraction(2)], ids=lambda v: type(v).__name__
)
def test_whatever_is_one_number_is_accepted(value: Any, metrics_file: Path) -> None:
    report(step=np.int32(1), loss=value)

    assert read(metrics_file) == [Record({"loss": 2.0}, 1)]


@pytest.mark.parametrize(
    "value",
    [
        "0.2",
        b"2",
        np.str_("2"),
        None,
        1j,
        np.complex64(1),
        [0.2],
        np.array([0.2]),
        np.array([1.0, 2.0]),
        {"a": 1},
        10**400,
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:10]}",
)
def test_whatever_is_not_one_number_is_refused_with_the_metrics_name(value: Any, metrics_file: Path) -> None:
    with pytest.raises(TypeError, match="'val/loss' must be one number"):
        report({"val/loss": value}, step=1)
    assert not metrics_file.exists()


def test_a_tuple_is_a_value_with_its_standard_error(metrics_file: Path) -> None:
    report({"val/loss": (np.float32(0.5), 0)}, step=1, accuracy=(0.9, 0.25), size=(12, None))

    assert read(metrics_file) == [
        Record({"val/loss": 0.5, "accuracy": 0.9, "size": 12.0}, 1, sems={"val/loss": 0.0, "accuracy": 0.25})
    ]
    assert json.loads(metrics_file.read_text()) == {
        "step": 1,
        "val/loss": [0.5, 0.0],
        "accuracy": [0.9, 0.25],
        "size": 12.0,
    }


@pytest.mark.parametrize("sem", [-0.1, math.nan, math.inf])
def test_a_standard_error_that_none_can_be_is_refused_at_the_call(sem: float, metrics_file: Path) -> None:
    with pytest.raises(ValueError, match="the standard error of metric 'val/loss' must be finite and 0 or more"):
        report({"val/loss": (0.2, sem)})
    assert not metrics_file.exists()


@pytest.mark.parametrize("pair", [("0.2", 0.1), (0.2, "0.1"), (0.2,), (0.2, 0.1, 0.3), [0.2, 0.1], ((0.2, 0.1), 0.1)])
def test_what_is_no_value_with_a_standard_error_is_refused(pair: Any, metrics_file: Path) -> None:
    with pytest.raises(TypeError, match="must be one number"):
        report({"val/loss": pair})
    assert not metrics_file.exists()


@pytest.mark.parametrize("step", [1.0, "1", True, np.array([1, 2]), np.float64(2)], ids=str)
def test_a_step_must_be_an_integer(step: Any) -> None:
    with pytest.raises(TypeError, match="step must be an integer"):
        report(step=step, loss=1)


def test_a_step_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match="step must be 0 or more, not -1"):
        report(step=-1, loss=1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"step": 1}, "report\\(\\.\\.\\., step=\\.\\.\\.\\)"),
        ({"infeasible": 1}, "report_infeasible"),
        ({"": 1}, "not a metric name"),
        ({"\ud800": 1}, "not a metric name"),
    ],
    ids=["step", "infeasible", "empty", "half-surrogate"],
)
def test_reserved_and_impossible_names_are_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        report(values)


def test_a_name_that_is_not_text_is_refused() -> None:
    with pytest.raises(TypeError, match="name must be text, not 3"):
        report({3: 1.0})  # type: ignore[dict-item]  # the mistake under test


def test_a_metric_given_twice_is_refused() -> None:
    with pytest.raises(TypeError, match="'loss' is given twice"):
        report({"loss": 1}, loss=2)


@pytest.mark.parametrize(
    ("environment", "speaks"),
    [
        ({}, True),
        ({names.ENV_REPLICA: "0"}, True),
        ({names.ENV_REPLICA: "1"}, False),
        ({"RANK": "0"}, True),
        ({"RANK": "3"}, False),
        ({"JOB_COMPLETION_INDEX": "0"}, True),
        ({"JOB_COMPLETION_INDEX": "1"}, False),
        ({names.ENV_REPLICA: "0", "JOB_COMPLETION_INDEX": "2"}, True),
        ({names.ENV_REPLICA: "0", "RANK": "1", "LOCAL_RANK": "1"}, False),
        ({names.ENV_REPLICA: "1", "RANK": "0", "LOCAL_RANK": "0"}, True),
        ({names.ENV_REPLICA: "0", "LOCAL_RANK": "1"}, False),
        ({"RANK": "", "LOCAL_RANK": "first"}, True),
    ],
    ids=str,
)
def test_only_one_process_of_a_job_reports(
    environment: dict[str, str], speaks: bool, metrics_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    report(loss=1)

    assert metrics_file.exists() == speaks


def test_report_infeasible_records_the_reason_and_exits_with_64(metrics_file: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        report_infeasible("hidden must\nbe even")

    assert ended.value.code == EXIT_INFEASIBLE == 64
    assert read(metrics_file) == [Record({}, None, "hidden must\nbe even")]


def test_a_silent_replica_that_is_infeasible_ends_too(metrics_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_REPLICA, "1")

    with pytest.raises(SystemExit):
        report_infeasible("no")
    assert not metrics_file.exists()


def test_a_file_that_cannot_be_written_makes_report_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(names.ENV_METRICS, str(tmp_path / "missing" / "metrics.jsonl"))

    report(step=1, loss=2)

    printed = capsys.readouterr()
    assert printed.out == 'axk8s: {"step": 1, "loss": 2.0}\n'
    assert "metrics.jsonl" in printed.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_makes_report_print(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(names.ENV_METRICS, "/dev/full")

    report(loss=2)

    assert parse_line(capsys.readouterr().out) == (Record({"loss": 2.0}),)


def test_a_line_cut_off_earlier_does_not_take_the_next_one_with_it(metrics_file: Path) -> None:
    metrics_file.write_text('{"step": 1, "lo')

    report(step=2, loss=1)

    damaged, whole = read(metrics_file)
    assert isinstance(damaged, Malformed)
    assert whole == Record({"loss": 1.0}, 2)


def test_several_processes_append_without_mixing_their_lines(metrics_file: Path) -> None:
    code = (
        "import sys; from axk8s.training import report; who = int(sys.argv[1])\n"
        "for step in range(200): report({f'metric-{who}': step, 'padding' * 20: who}, step=step)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(who)]) for who in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4

    records = read(metrics_file)
    assert len(records) == 800
    assert all(isinstance(record, Record) for record in records)


def test_parameters_are_those_of_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    assert training.parameters() == {}

    monkeypatch.setenv(names.ENV_PARAMS, '{"lr": 0.1, "optimizer": "sgd", "nesterov": true}')
    assert training.parameters() == {"lr": 0.1, "optimizer": "sgd", "nesterov": True}


@pytest.mark.parametrize("text", ["{lr: 0.1}", "[1]"])
def test_parameters_that_are_no_object_are_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_PARAMS, text)

    with pytest.raises(ValueError, match="AXK8S_PARAMS is not"):
        training.parameters()


def test_folders_are_made_and_none_outside_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert training.output_dir() is None
    assert training.checkpoint_dir() is None

    monkeypatch.setenv(names.ENV_OUTPUT_DIR, str(tmp_path / "a" / "output"))
    monkeypatch.setenv(names.ENV_CHECKPOINT_DIR, str(tmp_path / "b"))
    for folder in (training.output_dir(), training.checkpoint_dir()):
        assert folder is not None
        assert folder.is_dir()
