from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from axk8s.cli.board import Board
from axk8s.cli.progress import Progress, closing, ended_line
from axk8s.results.summary import Summary, summarize
from axk8s.results.tables import TrialRow, trial_rows
from axk8s.sweep.limits import Settings
from axk8s.sweep.model import Outcome
from axk8s.sweep.records import Halted, Noticed, Record, Submitting, TrialConcluded
from axk8s.sweep.state import State, apply, fold

SETTINGS = Settings(trials=6, parallelism=2, retries=1)


def summary_of(state: State) -> Summary:
    return summarize(state, SETTINGS, 1100.0)


@pytest.fixture
def state(sweep_records: list[Record]) -> State:
    return fold(sweep_records)


def drawn(board: Board, *, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(board)
    return captured.get()


def test_plain_lines_tell_of_each_trial_that_ends(
    sweep_records: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    state = State()
    shown = Progress()
    for index, record in enumerate(sweep_records):
        apply(state, record)
        if index == 1:
            shown.begun(state, [])
        elif index > 1:
            shown.listen([record], summary_of(state))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "trial 0 succeeded loss=0.1235 [lr=0.01 kind=a], the best, 1/6",
        "trial 1 failed [lr=0.02 kind=a], best 0.1235 (trial 0), 2/6: ended with exit code 3",
        "  → read its log",
        "trial 2 infeasible loss=NaN [lr=0.03 kind=a], best 0.1235 (trial 0), 3/6: the objective 'loss' was nan",
    ]


def test_a_resumed_sweep_says_what_is_left_of_it(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    Progress().begun(state, ["the sweep file has changed: trials 6 → 8"])
    assert capsys.readouterr().err.splitlines() == [
        "notice: the sweep file has changed: trials 6 → 8",
        "resumed: 3 of 6 ended, 1 job still running",
    ]


def test_notices_endings_and_further_attempts_are_told(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress()
    shown.begun(state, [])
    capsys.readouterr()
    again: list[Record] = [
        Noticed(time=1.0, text="the optimizer was restarted"),
        Halted(time=1.0, cause="budget", reason="the time is used up"),
        Submitting(time=1.0, trial=1, attempt=1, job="x"),
    ]
    shown.listen(again, summary_of(state))
    assert capsys.readouterr().err.splitlines() == [
        "notice: the optimizer was restarted",
        "ending: the time is used up",
        "trial 1 is tried again after: ended with exit code 3",
    ]


def test_a_remedy_is_told_once(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress()
    shown.begun(state, [])
    concluded = TrialConcluded(time=1.0, trial=1, outcome=Outcome.FAILED)
    shown.listen([concluded, concluded], summary_of(state))
    assert capsys.readouterr().err.count("read its log") == 1


def test_a_reason_of_several_lines_takes_one(state: State) -> None:
    row = TrialRow(trial=5, outcome=Outcome.FAILED, objective="loss", reason="first\nsecond")
    assert ended_line(row, summary_of(state)).endswith("3/6: first")


def texts(said: list[tuple[str, str]]) -> list[str]:
    return [text for text, _ in said]


def test_the_last_words_group_failures_and_name_the_next_commands(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AXK8S_DIR", raising=False)
    summary = replace(summary_of(state), state="interrupted")
    said = texts(closing(summary, trial_rows(state), tmp_path, seconds=62.0))
    assert said == [
        "digits: interrupted, nothing is lost, after 1m 02s",
        "3 of 6 trials: 1 succeeded, 1 failed, 1 infeasible",
        "1 failed: ended with exit code 3 (trial 1)",
        "    boom",
        "    bang",
        "  → read its log",
        "1 infeasible: the objective 'loss' was nan (trial 2)",
        "best: loss=0.1235 in trial 0",
        "  lr=0.01 kind=a",
        f"  axk8s run digits --dir {tmp_path}              go on",
        f"  axk8s stop digits --dir {tmp_path}             end the 1 job still running",
        f"  axk8s logs digits --trial 1 --dir {tmp_path}   the output of the first failed trial",
        f"  axk8s best digits --dir {tmp_path}             the best trial",
        f"  axk8s trials digits --dir {tmp_path}           all of them",
    ]


def test_an_aborted_sweep_says_why_and_what_to_do(state: State) -> None:
    summary = replace(summary_of(state), state="aborted", reason="the first 3 trials failed alike", hint="try one")
    said = texts(closing(summary, [], None, seconds=1.0))
    assert said[0] == "digits: aborted after 1.0s"
    assert said[2:4] == ["the first 3 trials failed alike", "  → try one"]


def test_the_board_shows_progress_best_and_last_trials(state: State) -> None:
    board = Board(clock=lambda: 1160.0, began=1100.0, summary=summary_of(state))
    for row in trial_rows(state)[:3]:
        board.ended(row)
    picture = drawn(board)
    for part in ("digits  running  1m 00s", "3/6", "1 succeeded", "1 running", "best loss 0.1235", "NaN", "Ctrl-C"):
        assert part in picture


def test_the_board_keeps_to_the_width_of_the_terminal(state: State) -> None:
    board = Board(clock=lambda: 1160.0, began=1100.0, summary=summary_of(state))
    long = {f"parameter_{n}": 0.123 for n in range(30)}
    board.ended(TrialRow(trial=0, outcome=Outcome.SUCCEEDED, objective="loss", value=0.5, parameters=long))
    assert max(map(len, drawn(board, width=40).splitlines())) <= 40


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda s: replace(s, waiting="trial 3: no GPU is free"), "no GPU is free"),
        (lambda s: replace(s, suggested=0, phases={}), "first proposals"),
        (lambda s: replace(s, reason="ending: stopped by request"), "stopped by request"),
    ],
)
def test_the_board_says_what_is_waited_for(state: State, change: Callable[[Summary], Summary], part: str) -> None:
    assert part in drawn(Board(clock=lambda: 1160.0, began=1100.0, summary=change(summary_of(state))))


def test_the_board_remembers_the_last_five_trials_only() -> None:
    board = Board()
    for number in range(8):
        board.ended(TrialRow(trial=number, objective="loss"))
    assert [row.trial for row in board.recent] == [3, 4, 5, 6, 7]
