"""Warm starts: what is known from elsewhere reaches the optimizer of a sweep of real processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from axk8s.api import Sweep
from axk8s.errors import LockedError, UsageError
from axk8s.journal import read
from axk8s.sweep.records import Attached
from tests.api.driver import GATED, Driver, runs

Make = Callable[..., Sweep]
KNOWN = "x,loss\n0.25,0.25\n0.75,0.75\n"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.csv"
    path.write_text(KNOWN)
    return path


def journaled(sweep: Sweep) -> list[tuple[str, int]]:
    return [(one.source, len(one.trials)) for one in read(sweep.folder.journal) if isinstance(one, Attached)]


@pytest.mark.parametrize("kind", ["random", "grid"])
def test_a_sweep_begins_with_what_its_file_names_and_counts_none_of_it(kind: str, make: Make, old: Path) -> None:
    space = "{x: {type: float, min: 0, max: 1, step: 0.25}}"
    sweep = make(warm_start=f"[{old.name}]", optimizer=kind, parameters=space)
    notices: list[str] = []

    sweep.run(started=lambda _, said: notices.extend(said))

    assert notices == ["2 results of old.csv attached"]
    summary = sweep.summary()
    assert (summary.attached, summary.ended, summary.suggested) == ({"old.csv": 2}, 3, 3)
    assert [fact.values for fact in sweep.state().attached] == [{"loss": 0.25}, {"loss": 0.75}]
    assert [row.trial for row in sweep.trials()] == [0, 1, 2]
    again = make(warm_start=f"[{old.name}]", optimizer=kind, parameters=space, trials="4")
    old.unlink()
    again.run()
    assert journaled(again) == [("old.csv", 2)], "it is read once"


def test_the_model_is_told_of_them_before_it_proposes(make: Make, tmp_path: Path) -> None:
    rows = "".join(f"{x / 10},{(x / 10 - 0.3) ** 2}\n" for x in range(11))
    (tmp_path / "old.csv").write_text(f"x,loss\n{rows}")
    train = "def train(x):\n    return (x - 0.3) ** 2\n"

    sweep = make(train, warm_start="[old.csv]", optimizer="ax")
    sweep.run()

    rows_of_it = sweep.trials()
    assert all(row.from_model for row in rows_of_it), "eleven results are more than an initialization needs"
    best = sweep.best()
    assert best is not None
    assert best.value is not None
    assert best.value < 0.005


def test_a_source_that_does_not_fit_stops_a_sweep_before_anything_begins(make: Make, old: Path) -> None:
    old.write_text(f"{KNOWN}2.5,0.1\n")
    sweep = make(warm_start="[old.csv]")

    for act in (sweep.validate, sweep.run, sweep.detach):
        with pytest.raises(UsageError, match=r"old\.csv: 1 of 3 rows cannot be results of this sweep; 2 fit"):
            act()
    assert not sweep.folder.path.exists()


def test_validate_warns_of_columns_that_mean_nothing(make: Make, old: Path) -> None:
    old.write_text("x,loss,note\n0.25,0.25,hm\n")

    assert any("'note'" in said for said in make(warm_start="[old.csv]").validate())


def test_another_sweep_is_a_source_and_a_sweep_is_none_of_itself(make: Make, tmp_path: Path) -> None:
    first = make(name="first")
    first.run()
    second = make(name="second", warm_start="[first]")
    second.run()

    values = [row.values["loss"] for row in first.trials()]
    assert sorted(fact.values["loss"] for fact in second.state().attached) == sorted(values)
    with pytest.raises(UsageError, match="a sweep knows its own results"):
        first.attach(first)
    found = first.attach(second, label="the second one")
    assert (found.source, len(found.trials)) == ("the second one", 3)
    assert first.attach(tmp_path / "sweeps" / "second").source == str(tmp_path / "sweeps" / "second")


def test_a_sweep_by_name_and_by_folder_is_one_source_and_what_is_pending_counts_once(make: Make, old: Path) -> None:
    make(name="first").run()
    second = make(name="second", warm_start="[first, sweeps/first]")
    assert len(second.attach(old).trials) == 2
    assert len(second.attach(pd.read_csv(old)).trials) == 0

    second.run()

    assert second.summary().attached == {"first": 3, "sweeps/first": 0, str(old): 2}


def test_what_is_attached_before_the_sweep_begins_is_kept_for_the_run(make: Make, old: Path) -> None:
    sweep = make()
    assert len(sweep.attach(old).trials) == 2
    assert len(sweep.attach(old).trials) == 0
    sweep.attach(pd.DataFrame({"x": [0.5], "loss": [0.5], "loss_sem": [0.125]}))
    assert not sweep.folder.path.exists()

    sweep.run()

    assert sweep.summary().attached == {str(old): 2, "DataFrame": 1}
    assert sweep.state().attached[2].sems == {"loss": 0.125}


def test_nothing_is_attached_twice_also_where_sources_overlap(make: Make, old: Path) -> None:
    sweep = make()
    sweep.run()
    assert len(sweep.attach(old).trials) == 2
    old.write_text(f"{KNOWN}0.5,0.5\n")

    assert [trial.values for trial in sweep.attach(old).trials] == [{"loss": 0.5}]
    rows = [{"x": 0.5, "loss": 0.5}, {"x": 0.5, "loss": 0.25}]
    assert [trial.values for trial in sweep.attach(rows, label="by hand").trials] == [{"loss": 0.25}]
    assert sweep.attach(sweep.known(old)).trials == ()
    assert sweep.summary().attached == {str(old): 3, "by hand": 1}
    assert make(trials="4").run().exit_code == 0


def test_rows_that_do_not_fit_are_left_out_when_asked(make: Make, old: Path) -> None:
    old.write_text(f"{KNOWN}2.5,0.1\n")
    sweep = make()
    sweep.run()
    with pytest.raises(UsageError, match=r"old\.csv:4: x: '2\.5' is not a number from 0 to 1"):
        sweep.attach(old)

    found = sweep.attach(old, skip=True)
    assert len(found.trials) == 2
    assert "1 of 3 rows" in found.warnings[0]


def test_a_sweep_that_is_driven_must_be_paused_first(make: Make, old: Path, tmp_path: Path) -> None:
    driver = Driver(make(GATED))
    driver.until(runs, times=2)
    with pytest.raises(LockedError) as raised:
        make(GATED).attach(old)
    (tmp_path / "gate").touch()
    driver.join()

    assert "axk8s pause small" in raised.value.hint
    assert journaled(make(GATED)) == []


def test_what_a_power_cut_took_is_read_again(make: Make, old: Path) -> None:
    sweep = make(warm_start="[old.csv]")
    sweep.run()
    lines = sweep.folder.journal.read_text().splitlines(keepends=True)
    assert '"attached"' in lines[1]
    sweep.folder.journal.write_text(lines[0] + lines[1][:20])
    sweep.folder.status.unlink()

    again = make(warm_start="[old.csv]")
    again.run()

    assert journaled(again) == [("old.csv", 2)]
