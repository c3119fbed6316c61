"""How several objectives, outcome constraints and a baseline are shown, wherever it is shown how a sweep stands."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from axk8s.cli.app import app
from axk8s.cli.board import Board
from axk8s.cli.progress import closing, ended_line
from axk8s.folder import SweepFolder
from axk8s.journal import Journal
from axk8s.results.summary import summarize, write_summary
from axk8s.results.tables import trial_rows
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.limits import Settings
from axk8s.sweep.model import Outcome
from axk8s.sweep.records import Attached, Began, Finished, KnownResult, Record, Suggested, TrialConcluded
from axk8s.sweep.state import BASELINE, State, fold

SPACE = {
    "command": "python train.py --lr {lr} --momentum {momentum}",
    "parameters": {
        "kind": {"type": "choice", "values": ["adam", "sgd"]},
        "lr": {"type": "float", "min": 0.0, "max": 1.0},
        "momentum": {"type": "float", "min": 0.0, "max": 1.0, "when": {"kind": "sgd"}},
    },
    "trials": 9,
}
TWO = [
    {"metric": "accuracy", "direction": "maximize", "threshold": 0.5},
    {"metric": "size", "direction": "minimize", "threshold": 10.0},
]
ONE = [{"metric": "accuracy", "direction": "maximize"}]
Make = Callable[..., SweepFolder]
SETTINGS = Settings(trials=9, parallelism=1, retries=0)


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), prog_name="axk8s")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A finished sweep with these results (accuracy, size); the first one may be the baseline's."""
    monkeypatch.setenv("AXK8S_DIR", str(tmp_path / "sweeps"))

    def make(
        results: Sequence[tuple[float, float]],
        *,
        objectives: Sequence[object] = tuple(TWO),
        constraints: Sequence[str] = (),
        baseline: bool = False,
        attached: int = 0,
    ) -> SweepFolder:
        keys = {"name": "s", "objectives": [*objectives], "outcome_constraints": [*constraints], **SPACE}
        if baseline:
            keys["baseline"] = {"kind": "adam", "lr": 0.0}
        spec = SweepSpec.from_mapping(keys, base=tmp_path).to_json()
        made: list[Record] = [Began(time=1.0, uid="a" * 32, name="s", spec=spec, base=str(tmp_path))]
        if attached:
            known = KnownResult({"kind": "adam", "lr": 0.5}, {"accuracy": 0.5, "size": 1.0})
            made.append(Attached(time=1.0, source="old.csv", trials=(known,) * attached))
        for number, (accuracy, size) in enumerate(results):
            sems = {"accuracy": 0.005} if number == 2 else {}
            made += [
                Suggested(
                    time=2.0,
                    trial=number,
                    parameters={"kind": "adam", "lr": 0.1 * number},
                    generator=BASELINE if baseline and number == 0 else "Sobol",
                ),
                TrialConcluded(
                    time=3.0,
                    trial=number,
                    outcome=Outcome.SUCCEEDED,
                    values={"accuracy": accuracy, "size": size},
                    sems=sems,
                ),
            ]
        made.append(Finished(time=9.0))
        folder = SweepFolder(tmp_path / "sweeps" / "s")
        folder.path.mkdir(parents=True)
        with Journal(folder.journal) as journal:
            for record in made:
                journal.append(record)
            journal.commit()
        write_summary(folder.status, summarize(fold(made), SETTINGS, 10.0))
        return folder

    return make


def words(text: str) -> str:
    return " ".join(text.split())


FRONT = [(0.6, 5.0), (0.7, 4.0), (0.9, 8.0)]


def test_best_shows_the_front_with_every_objective_and_all_digits(make: Make) -> None:
    make(FRONT)

    lines = invoke("best", "s").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["trial", "accuracy", "size", "kind", "lr", "momentum"],
        ["2", "0.9", "±", "0.005", "8", "adam", "0.2", "–"],
        ["1", "0.7", "4", "adam", "0.1", "–"],
    ]
    data = json.loads(invoke("best", "s", "-o", "json").stdout)
    assert [row["trial"] for row in data] == [1, 2]
    assert data[1]["sems"] == {"accuracy": 0.005}


def test_best_compares_the_front_with_the_baseline(make: Make) -> None:
    make([(0.6, 7.0), (0.7, 4.0), (0.9, 8.0)], baseline=True)

    result = invoke("best", "s")
    assert result.stdout.splitlines()[-1].split()[-1] == "baseline"
    assert result.stderr == (
        "better than the baseline (accuracy=0.6 size=7) in one objective, and worse in none: 1 of 2\n"
    )


@pytest.mark.parametrize(
    ("results", "line"),
    [
        ([(0.8, 1.0), (0.9, 1.0)], "baseline +0.1 (+12.5%), better, than 0.8 of trial 0"),
        ([(0.8, 1.0), (0.7, 1.0)], "baseline this is the baseline"),
    ],
)
def test_best_says_in_one_line_how_it_compares_with_the_baseline(
    results: list[tuple[float, float]], line: str, make: Make
) -> None:
    make(results, objectives=ONE, baseline=True)

    assert line in words(invoke("best", "s").stdout)
    assert "baseline" in invoke("trials", "s").stdout.splitlines()[1]


def test_best_says_by_how_much_the_nearest_breaks_the_constraints_where_all_do(make: Make) -> None:
    make([(0.6, 5.0), (0.7, 4.5)], objectives=ONE, constraints=["size <= 4"])

    result = invoke("best", "s")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        "2 trials of s succeeded, but all break an outcome constraint; the nearest, trial 1 (accuracy=0.7 size=4.5), "
        "breaks size <= 4 by 0.5\n"
    )
    assert invoke("best", "s", "-o", "json").stdout == "null\n"


def test_best_says_that_nothing_is_within_the_thresholds(make: Make) -> None:
    make([(0.6, 11.0)])

    assert "none that keeps the constraints is within the objectives' thresholds" in invoke("best", "s").stderr
    assert invoke("best", "s", "-o", "json").stdout == "[]\n"
    assert "0 trials: none is within the thresholds" in invoke("status", "s").stdout


def test_status_tells_the_front_the_hypervolume_what_breaks_constraints_and_what_was_attached(make: Make) -> None:
    make([*FRONT, (0.95, 9.5)], constraints=["size <= 9"], attached=12)

    shown = words(invoke("status", "s").stdout)
    assert "front 2 trials: 1, 2 hypervolume 1.6 constraints 1 of 4 succeeded trials breaks them" in shown
    assert "attached 12 results of old.csv" in shown
    assert "ended 4 of 9 trials: 4 succeeded" in shown
    data = json.loads(invoke("status", "s", "-o", "json").stdout)
    assert (data["front"], data["unfit"], data["attached"]) == ([1, 2], 1, {"old.csv": 12})
    assert invoke("status", "s", "-w").stdout.endswith("front of 2 trials, hypervolume 1.6\n")


def test_status_says_why_there_is_no_hypervolume(make: Make) -> None:
    make(FRONT, objectives=[TWO[0], {"metric": "size", "direction": "minimize"}])

    assert "no hypervolume, as not every objective has a threshold" in invoke("status", "s").stdout
    assert json.loads(invoke("status", "s", "-o", "json").stdout)["hypervolume"] is None


def test_list_names_all_objectives_and_counts_the_front(make: Make) -> None:
    make(FRONT)

    row = words(invoke("list").stdout.splitlines()[1])
    assert "front of 2 accuracy, size local" in row


def test_trials_have_a_column_for_each_objective_and_name_what_breaks_a_constraint(make: Make) -> None:
    make([*FRONT, (0.95, 9.5)], constraints=["size <= 9"])

    head, *rows = invoke("trials", "s", "--sort", "value").stdout.splitlines()
    assert head.split()[:6] == ["trial", "state", "accuracy", "size", "kind", "lr"]
    assert [row.split()[0] for row in rows] == ["2", "1", "0", "3"]
    assert [row.rstrip().endswith("front") for row in rows] == [True, True, False, False]
    assert rows[3].endswith("breaks size <= 9 by 0.5")


def test_trials_of_one_objective_show_the_metrics_of_its_constraints(make: Make) -> None:
    make(FRONT, objectives=ONE, constraints=["size <= 6"])

    head, *rows = invoke("trials", "s").stdout.splitlines()
    assert head.split()[:4] == ["trial", "state", "accuracy", "size"]
    assert rows[1].rstrip().endswith("best")


def test_a_weighted_sum_is_shown_beside_its_parts(make: Make) -> None:
    weighted = [{**TWO[0], "weight": 1.0}, {**TWO[1], "weight": 0.1}]
    for each in weighted:
        each.pop("threshold")
    make(FRONT, objectives=weighted)

    lines = invoke("trials", "s").stdout.splitlines()
    assert lines[0].split()[2:7] == ["accuracy", "-", "0.1*size", "accuracy", "size"]
    assert lines[2].split()[2:5] == ["0.3", "0.7", "4"]
    assert "best accuracy - 0.1*size  0.3 (trial 1)" in invoke("status", "s").stdout


@pytest.fixture
def front(make: Make) -> State:
    folder = make([*FRONT, (0.95, 9.5)], constraints=["size <= 9"])
    from axk8s.journal import fold_file

    return fold_file(folder.journal)


def test_a_line_of_run_shows_every_objective_and_the_front(front: State) -> None:
    summary = summarize(front, SETTINGS, 10.0)
    lines = [ended_line(row, summary) for row in trial_rows(front)]

    assert lines == [
        "trial 0 succeeded accuracy=0.6 size=5 [kind=adam lr=0], front of 2, 4/9",
        "trial 1 succeeded accuracy=0.7 size=4 [kind=adam lr=0.1], on the front of 2, 4/9",
        "trial 2 succeeded accuracy=0.9 size=8 [kind=adam lr=0.2], on the front of 2, 4/9",
        "trial 3 succeeded accuracy=0.95 size=9.5 [kind=adam lr=0.3], breaks size <= 9 by 0.5, 4/9",
    ]


def test_the_last_words_of_run_hold_the_front(front: State) -> None:
    said = [text for text, _ in closing(summarize(front, SETTINGS, 10.0), trial_rows(front), None, seconds=3.0)]

    assert said[2:6] == [
        "front of 2 trials, hypervolume 1.6 in accuracy and size",
        "  trial 1: accuracy=0.7 size=4 [kind=adam lr=0.1]",
        "  trial 2: accuracy=0.9 size=8 [kind=adam lr=0.2]",
        "outcome constraints: 1 of 4 succeeded trials breaks them",
    ]
    assert any("axk8s best s" in text and "the front" in text for text in said)


def test_the_live_board_shows_the_front_and_a_column_for_each_objective(front: State) -> None:
    board = Board(clock=lambda: 10.0, began=1.0, summary=summarize(front, SETTINGS, 10.0))
    for row in trial_rows(front):
        board.ended(row)
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(board)

    drawn = words(captured.get())
    assert "front of 2 trials, hypervolume 1.6 trials 1, 2" in drawn
    assert "constraints 1 of 4 succeeded trials breaks them" in drawn
    assert "trial accuracy size time parameters" in drawn
