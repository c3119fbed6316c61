"""A sweep's trials as a table, in memory and as files; what was exported can begin another sweep."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.api import Sweep
from axk8s.errors import UsageError
from axk8s.results.export import table, to_csv
from axk8s.results.tables import TrialRow
from axk8s.sweep.model import Outcome

Make = Callable[..., Sweep]
PARAMETERS = (
    "{x: {type: float, min: 0, max: 1}, seconds: {type: int, min: 1, max: 9}, "
    "kind: {type: choice, values: [a, b]}, y: {type: bool, when: {kind: b}}}"
)
TRAIN = """\
def train(x, seconds, kind, y=False):
    if seconds > 8:
        raise RuntimeError("too long, and\\nover two lines")
    return {"loss": (x / 3, 0.01), "reason": float(seconds)}
"""


def test_a_sweep_that_was_exported_is_another_ones_warm_start(make: Make, tmp_path: Path) -> None:
    keys = {"parameters": PARAMETERS, "retries": "0", "outcome_constraints": "['reason <= 8']"}
    first = make(TRAIN, name="first", trials="12", **keys)
    first.run()
    assert {row.outcome for row in first.trials()} == {Outcome.SUCCEEDED, Outcome.FAILED}

    assert first.export(csv=tmp_path / "made" / "first.csv") == [tmp_path / "made" / "first.csv"]
    second = make(TRAIN, name="second", warm_start="[made/first.csv]", **keys)
    assert second.validate() == ["made/first.csv: left out, as their trials did not succeed: 1 of 12 rows"]
    second.run()

    succeeded = [row for row in first.trials() if row.outcome is Outcome.SUCCEEDED]
    attached = second.state().attached
    assert [dict(fact.parameters) for fact in attached] == [dict(row.parameters) for row in succeeded]
    assert [fact.values for fact in attached] == [row.values for row in succeeded]
    assert [fact.sems for fact in attached] == [{"loss": 0.01}] * len(succeeded)


def test_the_table_has_a_row_for_each_trial_and_names_that_never_collide(make: Make) -> None:
    sweep = make(TRAIN, trials="4", parameters=PARAMETERS)
    sweep.run()

    columns, rows = sweep.table()
    assert columns == [
        *("trial", "outcome", "generator", "x", "param.seconds", "kind", "y", "loss", "reason", "loss_sem"),
        *("feasible", "front", "seconds", "attempts", "trial.reason"),
    ]
    trials = sweep.trials()
    assert [row[columns.index("param.seconds")] for row in rows] == [row.parameters["seconds"] for row in trials]
    assert [row[columns.index("front")] for row in rows] == [row.best for row in trials]
    frame = sweep.dataframe()
    assert list(frame.columns) == columns
    assert list(frame["loss"].dropna()) == [row.value for row in trials if row.value is not None]


def test_numbers_keep_all_their_digits_and_what_is_unknown_is_empty() -> None:
    rows = [
        TrialRow(
            trial=0, outcome=Outcome.SUCCEEDED, parameters={"lr": 0.1 + 0.2}, values={"loss": math.nan}, feasible=True
        ),
        TrialRow(trial=1, parameters={"lr": 1e-7}, reason="waits, for\nroom"),
    ]

    text = to_csv(*table(rows, ["lr", "momentum"]))

    first, second = csv.DictReader(io.StringIO(text))
    assert (first["lr"], first["loss"], first["momentum"], first["feasible"]) == (
        "0.30000000000000004",
        "nan",
        "",
        "true",
    )
    assert (second["lr"], second["loss"], second["feasible"], second["reason"]) == ("1e-07", "", "", "waits, for\nroom")
    assert text.splitlines()[0].startswith("trial,outcome,generator,lr,momentum,loss,feasible")


def test_an_export_writes_over_nothing_unless_it_is_told_to(make: Make, tmp_path: Path) -> None:
    sweep = make()
    sweep.run()
    target = tmp_path / "out.csv"
    target.write_text("precious")

    with pytest.raises(UsageError, match=r"out\.csv exists already") as raised:
        sweep.export(csv=target)
    assert "--force" in raised.value.hint
    with pytest.raises(UsageError, match="nothing to export"):
        sweep.export()
    assert target.read_text() == "precious"
    sweep.export(csv=target, force=True)
    assert target.read_text().count("\n") == 4
    with pytest.raises(UsageError, match="cannot be written"):
        sweep.export(csv=target / "below.csv")


def test_what_ax_writes_is_asked_of_ax(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def run_export(folder: object, *, ax_file: Path | None, analyses: Path | None) -> list[Path]:
        asked.append((folder, ax_file, analyses))
        return [tmp_path / "ax.json"]

    monkeypatch.setattr("axk8s.optimize.exporter.run_export", run_export)
    sweep = make()
    sweep.run()
    (tmp_path / "plots").mkdir()

    written = sweep.export(ax=tmp_path / "ax.json", analyses=tmp_path / "plots")

    assert written == [tmp_path / "ax.json"]
    assert asked == [(sweep.folder, tmp_path / "ax.json", tmp_path / "plots")]
