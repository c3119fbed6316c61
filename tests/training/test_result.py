"""The result in short that `report()` keeps in a file of 4 KB: on Kubernetes the container's termination message."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s import names, training
from axk8s.metrics.curve import Curves
from axk8s.training import Malformed, Record, Result, parse_line, parse_record, parse_result, report, report_infeasible

LIMIT = 4096


@pytest.fixture(autouse=True)
def outside_any_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*(name for name in os.environ if name.startswith("AXK8S_")), "RANK", "LOCAL_RANK"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "termination-log"
    monkeypatch.setenv(names.ENV_RESULT, str(path))
    monkeypatch.setenv(names.ENV_METRICS, str(tmp_path / "metrics.jsonl"))
    return path


@dataclass(frozen=True)
class Wanted:
    metric: str
    direction: str
    aggregate: str


Reports = Sequence[tuple[int | None, Mapping[str, float | tuple[float, float]]]]


def with_sems(values: st.SearchStrategy[float]) -> st.SearchStrategy[float | tuple[float, float]]:
    return values | st.tuples(values, st.floats(0, 100))


def curves(records: Sequence[Record | Malformed]) -> Curves:
    found = Curves()
    for record in records:
        assert isinstance(record, Record)
        found.add(record)
    return found


def reported(reports: Reports, best: Mapping[str, str]) -> tuple[Curves, str]:
    """What the metrics file says after the reports, and the text of the result in short."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        metrics, short = Path(folder, "metrics.jsonl"), Path(folder, "termination-log")
        patch.setenv(names.ENV_METRICS, str(metrics))
        patch.setenv(names.ENV_RESULT, str(short))
        patch.setenv(names.ENV_BEST, json.dumps(best))
        for step, values in reports:
            report(values, step=step)
        complete = curves([parse_record(line) for line in metrics.read_text().splitlines()])
        return complete, short.read_text() if short.exists() else ""


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


few_steps = st.none() | st.integers(0, 5)
numbers = st.floats() | st.integers(-2, 2).map(float)
objectives = st.lists(
    st.builds(
        Wanted,
        st.sampled_from("abc"),
        st.sampled_from(["minimize", "maximize"]),
        st.sampled_from(["best", "last"]),
    ),
    unique_by=lambda objective: objective.metric,
)


@given(
    st.lists(
        st.tuples(few_steps, st.dictionaries(st.sampled_from("abcd"), with_sems(numbers), min_size=1)), min_size=1
    ),
    objectives,
)
def test_it_gives_the_values_that_the_complete_curves_give(reports: Reports, wanted: list[Wanted]) -> None:
    best = {one.metric: one.direction for one in wanted if one.aggregate == "best"}

    complete, text = reported(reports, best)

    result = parse_result(text)
    short, full = curves(result.records).values(wanted), complete.values(wanted)
    assert short.keys() == full.keys()
    assert all(same(short[name], full[name]) for name in full), (short, full)
    assert curves(result.records).sems(wanted) == complete.sems(wanted)
    assert result.steps == complete.step_count
    assert result.final == any(step is None for step, _ in reports)


# Some short names among long ones, so that there is a choice to make.
long_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).map(lambda name: name * 40)
any_names = (long_names | st.text("abcdef", min_size=1, max_size=3)).filter(lambda name: name not in training._RESERVED)


@given(
    st.lists(st.tuples(few_steps, st.dictionaries(any_names, with_sems(numbers), min_size=1)), min_size=1, max_size=20),
    st.sampled_from(["minimize", "maximize", "last"]),
    st.data(),
)
def test_it_never_has_more_than_4_kb_nor_a_torn_line_nor_a_wrong_value(
    reports: Reports, rule: str, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([name for _, values in reports for name in values]))
    wanted = [Wanted(name, rule, "last" if rule == "last" else "best")]

    complete, text = reported(reports, {name: rule})

    assert len(text.encode()) <= LIMIT
    assert text == "" or text.endswith("\n")
    records = [record for line in text.splitlines() for record in parse_line(line)]
    short, full = curves(records).values(wanted), complete.values(wanted)
    assert all(same(value, full[name]) for name, value in short.items())
    assert curves(records).sems(wanted).items() <= complete.sems(wanted).items()
    if len(json.dumps(name)) < 1000:
        assert name in short
    if sum(len(json.dumps(name)) + 100 for _, values in reports for name in values) < LIMIT:
        assert short.keys() == full.keys()


def test_its_lines_are_what_a_program_would_print(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_BEST, '{"loss": "minimize"}')

    for step, loss in enumerate([0.5, 0.2, 0.4]):
        report(step=step, loss=loss, accuracy=1 - loss)
    report(size=12)

    assert message.read_text().splitlines() == [
        "axk8s steps: 3",
        'axk8s: {"step": 1, "loss": 0.2}',
        'axk8s: {"step": 2, "loss": 0.4, "accuracy": 0.6}',
        'axk8s: {"size": 12.0}',
    ]
    assert parse_line("axk8s steps: 3") == ()


def test_a_best_step_that_is_reported_again_makes_room_for_the_next_best(
    message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(names.ENV_BEST, '{"acc": "maximize"}')
    for step, acc in enumerate([0.7, 0.9, 0.8, 0.1]):
        report(step=step, acc=acc)
    report(step=1, acc=0.2)

    assert Record({"acc": 0.8}, 2) in parse_result(message.read_text()).records

    report(step=2, acc=math.nan)

    assert Record({"acc": 0.7}, 0) in parse_result(message.read_text()).records


def test_objectives_come_first_where_room_is_short(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_BEST, '{"best": "minimize", "newest": "last"}')
    report({f"layer {number}/norm": number / 7 for number in range(300)}, step=0)
    report(step=1, best=1, newest=1)
    report(step=2, best=2, newest=2)
    report(size=3)

    found = curves(parse_result(message.read_text()).records)

    wanted = [Wanted("best", "minimize", "best"), Wanted("newest", "minimize", "last")]
    assert {"best": 1.0, "newest": 2.0, "size": 3.0}.items() <= found.values(wanted).items()
    assert {f"layer {number}/norm" for number in range(50)} <= found.metrics.keys()
    assert LIMIT - 50 < message.stat().st_size <= LIMIT


def test_a_final_value_without_room_is_not_stood_for_by_a_steps_value(message: Path) -> None:
    long = "x" * (LIMIT - 46)
    report({long: 1}, step=0)
    assert set(curves(parse_result(message.read_text()).records).metrics) == {long}

    report({long: 0.12345678901234568})
    report({"other": 3}, step=0)

    assert parse_result(message.read_text()).records == (Record({"other": 3.0}, 0),)


def test_where_no_record_fits_the_file_stays_as_it_was(message: Path) -> None:
    report({"\N{SNOWMAN}" * 1000: 1}, step=0)

    assert message.read_text() == ""

    message.write_text("the words of another program\n")
    report({"\N{SNOWMAN}" * 1000: 1}, step=1)

    assert message.read_text() == "the words of another program\n"


def test_a_name_that_is_too_long_does_not_keep_out_the_others(message: Path) -> None:
    report({"x" * 5000: 1}, step=0)
    report(step=0, loss=1)

    assert parse_result(message.read_text()).records == (Record({"loss": 1.0}, 0),)


def test_infeasible_lands_there_too_with_a_reason_that_leaves_room(message: Path) -> None:
    report(step=0, loss=1)
    with pytest.raises(SystemExit):
        report_infeasible("\N{GRINNING FACE}" * 5000)

    result = parse_result(message.read_text())

    assert result.records == (Record({}, None, "\N{GRINNING FACE}" * 300), Record({"loss": 1.0}, 0))
    assert not result.final


def test_a_process_that_does_not_speak_for_the_job_writes_nothing(
    message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(names.ENV_REPLICA, "1")

    report(loss=1)
    with pytest.raises(SystemExit):
        report_infeasible("no")

    assert not message.exists()


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_second_program_in_the_container_goes_on_from_what_the_first_left(message: Path) -> None:
    best = '{"loss": "minimize"}'
    start = "from axk8s.training import report\n"
    first = start + "for step, loss in enumerate([3, 1, 2]): report(step=step, loss=loss)"
    second = start + "report(step=2, loss=2.5); report(step=3, loss=4, other=5); report(accuracy=0.9)"
    assert run(first, **{names.ENV_BEST: best}).returncode == 0
    assert run(second, **{names.ENV_BEST: best}).returncode == 0

    result = parse_result(message.read_text())

    assert set(map(str, result.records)) == {
        str(Record({"loss": 1.0}, 1)),
        str(Record({"loss": 4.0, "other": 5.0}, 3)),
        str(Record({"accuracy": 0.9})),
    }
    assert result.steps == 4
    assert result.final


def test_what_a_child_process_reports_in_between_is_kept(message: Path) -> None:
    report(step=0, loss=1)
    assert run("from axk8s.training import report; report(step=0, accuracy=0.5); report(size=3)").returncode == 0
    report(step=1, loss=2)

    result = parse_result(message.read_text())

    assert curves(result.records).values([]) == {"loss": 2.0, "accuracy": 0.5, "size": 3.0}
    assert result.steps == 2


def test_words_of_another_program_are_replaced(message: Path) -> None:
    message.write_text('all well\naxk8s: {"loss": \n\x00' * 1000)

    report(step=0, loss=1)

    assert message.read_text() == 'axk8s steps: 1\naxk8s: {"step": 0, "loss": 1.0}\n'


def test_the_file_is_written_in_place_because_a_mounted_one_cannot_be_replaced(message: Path) -> None:
    message.touch(mode=0o600)
    before = message.stat()

    report(step=10, loss=1.2345)
    report(step=10, loss=1)

    assert message.read_text() == 'axk8s steps: 1\naxk8s: {"step": 10, "loss": 1.0}\n'
    assert (message.stat().st_ino, message.stat().st_mode) == (before.st_ino, before.st_mode)
    assert {path.name for path in message.parent.iterdir()} == {"termination-log", "metrics.jsonl"}


def test_a_killed_process_loses_nothing(message: Path) -> None:
    code = (
        "import os, signal; from axk8s.training import report\n"
        "for step in range(1000): report(step=step, loss=step)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert run(code).returncode == -9

    assert message.read_text() == 'axk8s steps: 1000\naxk8s: {"step": 999, "loss": 999.0}\n'


@pytest.mark.parametrize("place", ["missing/termination-log", "."])
def test_where_it_cannot_be_written_stderr_says_so_once(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(names.ENV_RESULT, str(tmp_path / place))

    report(step=0, loss=1)
    report(loss=2)

    printed = capsys.readouterr()
    assert printed.out == 'axk8s: {"step": 0, "loss": 1.0}\naxk8s: {"loss": 2.0}\n'
    assert printed.err.count("axk8s could not write the result in short to") == 1
    assert printed.err.endswith("; the training goes on\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_on_a_full_disk_the_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(names.ENV_RESULT, "/dev/full")

    report(step=0, loss=1)

    assert "/dev/full" in capsys.readouterr().err


def test_a_stderr_that_is_closed_does_not_matter(tmp_path: Path) -> None:
    code = "import sys; from axk8s.training import report; sys.stderr.close(); report(loss=1); print('on')"

    done = run(code, **{names.ENV_RESULT: str(tmp_path / "missing" / "file")})

    assert (done.stdout, done.returncode) == ('axk8s: {"loss": 1.0}\non\n', 0)


def test_once_it_can_be_written_it_holds_what_was_reported_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "late" / "file"
    monkeypatch.setenv(names.ENV_RESULT, str(path))
    report(step=0, loss=1)
    path.parent.mkdir()
    report(step=1, accuracy=2)

    assert curves(parse_result(path.read_text()).records).values([]) == {"loss": 1.0, "accuracy": 2.0}


@pytest.mark.parametrize("text", ["{loss: minimize}", "[1]", "7"])
def test_rules_that_are_no_object_are_said_and_do_no_harm(
    text: str, message: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(names.ENV_BEST, text)

    report(step=0, loss=1)
    report(step=1, loss=2)

    assert capsys.readouterr().err == f"axk8s keeps no best values, because AXK8S_BEST is not a JSON object: {text!r}\n"
    assert parse_result(message.read_text()).records == (Record({"loss": 2.0}, 1),)


def test_threads_leave_what_the_metrics_file_says(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_BEST, '{"loss": "minimize"}')

    def work(who: int) -> None:
        for step in range(100):
            report({"loss": (step * 37 + who * 11) % 101, f"own {who}": step}, step=step)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    lines = (message.parent / "metrics.jsonl").read_text().splitlines()
    complete, result = curves([parse_record(line) for line in lines]), parse_result(message.read_text())
    wanted = [Wanted("loss", "minimize", "best")]
    assert curves(result.records).values(wanted) == complete.values(wanted)
    assert result.steps == 100


def test_a_child_forked_while_a_thread_reports_can_report(message: Path) -> None:
    code = (
        "import os, threading, warnings; from axk8s.training import report\n"
        "warnings.simplefilter('ignore')\n"
        "ended = threading.Event()\n"
        "def work():\n"
        "    step = 0\n"
        "    while not ended.is_set(): report(step=step, loss=step); step += 1\n"
        "thread = threading.Thread(target=work); thread.start()\n"
        "for number in range(50):\n"
        "    child = os.fork()\n"
        "    if child == 0: report({f'child {number}': 1}); os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "ended.set(); thread.join()\n"
    )

    done = run(code)

    assert (done.stderr, done.returncode) == ("", 0)


def test_a_signal_handler_may_report_in_the_middle_of_a_report(message: Path) -> None:
    code = (
        "import signal; from axk8s.training import report\n"
        "signal.signal(signal.SIGALRM, lambda *_: report(step=seen.append(1) or len(seen), signals=len(seen)))\n"
        "seen = []; signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)\n"
        "for step in range(3000): report(step=step, loss=step)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0); report(loss=1)\n"
    )

    done = run(code, **{names.ENV_BEST: '{"loss": "minimize", "signals": "maximize"}'})

    assert (done.stderr, done.returncode) == ("", 0)
    assert curves(parse_result(message.read_text()).records).values([])["loss"] == 1.0


def test_in_a_long_training_only_the_best_steps_are_remembered(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_KEPT", 5)
    monkeypatch.setenv(names.ENV_BEST, '{"loss": "minimize", "acc": "maximize"}')
    values = [(number * 37) % 101 for number in range(100)]
    for step, value in enumerate(values):
        report(step=step, loss=value, acc=value)

        records = parse_result(message.read_text()).records
        wanted = [Wanted("loss", "minimize", "best"), Wanted("acc", "maximize", "best")]
        assert curves(records).values(wanted) == {"loss": min(values[: step + 1]), "acc": max(values[: step + 1])}
    report(step=values.index(0), loss=1000)

    result = parse_result(message.read_text())
    assert Record({"loss": 1.0}, values.index(1)) in result.records
    assert result.steps == 100


def test_the_last_lines_of_the_output_can_stand_in_its_place() -> None:
    text = (
        's: {"step": 1, "loss": 3}\n'
        'loading …\r 50%|█████     | 3/6axk8s: {"step": 2, "loss": 2}\n'
        'axk8s: {"step": 3, "loss": 1}   \n'
        'axk8s: {"step": 3, "lo\n'
        'axk8s: {"loss": "much"}\n'
        "Traceback (most recent call last):\n"
        'ValueError: axk8s steps: 99\naxk8s: {"step": 4'
    )

    assert parse_result(text) == Result((Record({"loss": 2.0}, 2), Record({"loss": 1.0}, 3)), 2)
    assert not parse_result(text).final
    assert parse_result(text + '\naxk8s: {"loss": 1}').final


@pytest.mark.parametrize("text", ["", "\n", "killed", "axk8s steps: \N{ARABIC-INDIC DIGIT FIVE}", "axk8s steps: -1"])
def test_a_message_without_records_is_an_empty_result(text: str) -> None:
    assert parse_result(text) == Result((), 0)
    assert not parse_result(text).final


def lines() -> Iterator[str]:
    yield "axk8s steps: 7"
    yield 'axk8s: {"step": 6, "loss": 1.0}'
    yield 'axk8s: {"loss": 2.0}'


@given(st.text(), st.integers(0, 60), st.integers(0, 60))
def test_no_cut_breaks_the_reader(noise: str, start: int, end: int) -> None:
    text = "\n".join(lines())

    parse_result(noise)
    result = parse_result(text[start : len(text) - end])

    assert {str(record) for record in result.records} <= {str(record) for record in parse_result(text).records}
