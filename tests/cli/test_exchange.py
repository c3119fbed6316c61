"""`attach` and `export`: results that come from elsewhere, and go elsewhere."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from axk8s.cli.app import app
from axk8s.controller.lock import SweepLock
from axk8s.folder import SweepFolder

MakeSweep = Callable[..., SweepFolder]


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), prog_name="axk8s")


@pytest.fixture
def old(make_sweep: MakeSweep, tmp_path: Path) -> Path:
    make_sweep(finished=True)
    path = tmp_path / "old.csv"
    path.write_text("lr,kind,loss\n0.1,a,0.5\n0.2,b,0.25\n")
    return path


def test_attach_says_what_is_new_and_status_shows_it(old: Path) -> None:
    result = invoke("attach", "digits", "old.csv")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        "digits: 2 results of old.csv attached",
        "  → go on with: axk8s run digits",
    ]
    again = invoke("attach", "digits", str(old.name))
    assert "digits: 0 results of old.csv attached, for all are attached already" in again.stderr

    assert "attached" in (shown := invoke("status", "digits").stdout)
    assert "2 results of old.csv" in shown
    assert "3 of 6 trials" in shown
    assert len(json.loads(invoke("trials", "digits", "-o", "json").stdout)) == 4
    assert "2 results of old.csv" in invoke("events", "digits").stdout


def test_attach_refuses_what_does_not_fit_and_leaves_it_out_when_asked(old: Path) -> None:
    old.write_text(f"{old.read_text()}7,a,0.5\n")

    refused = invoke("attach", "digits", "old.csv")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "old.csv:4: lr: '7' is not a number from 0.0001 to 1" in refused.stderr
    assert "axk8s attach digits old.csv --skip" in refused.stderr
    taken = invoke("attach", "digits", "old.csv", "--skip")
    assert taken.exit_code == 0
    assert "warning: old.csv: left out, as they do not fit: 1 of 3 rows" in taken.stderr


def test_attach_leaves_a_sweep_as_it_was_where_one_of_its_sources_is_refused(old: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("lr,kind,loss\n7,a,0.5\n")

    refused = invoke("attach", "digits", "old.csv", "bad.csv")
    assert refused.exit_code == 2
    assert "bad.csv:2: lr: '7' is not a number from 0.0001 to 1" in refused.stderr
    assert "attached" not in invoke("status", "digits").stdout

    taken = invoke("attach", "digits", "old.csv", str(old), "bad.csv", "--skip")
    assert taken.exit_code == 2, "no row of bad.csv fits"
    said = invoke("attach", "digits", "old.csv", str(old)).stderr.splitlines()
    assert said[:2] == [
        "digits: 2 results of old.csv attached",
        f"digits: 0 results of {old} attached, for all are attached already",
    ]


def test_attach_to_a_sweep_that_is_driven_says_to_pause_it(old: Path) -> None:
    with SweepLock(old.parent / "sweeps" / "digits" / "lock"):
        result = invoke("attach", "digits", "old.csv")

    assert result.exit_code == 1
    assert "axk8s pause digits" in result.stderr


def test_attach_names_what_is_near_a_source_that_is_not_there(old: Path) -> None:
    result = invoke("attach", "digits", "odl.csv")

    assert old.exists()
    assert result.exit_code == 2
    assert "old.csv" in result.stderr


def test_export_writes_a_table_to_stdout_or_a_file(old: Path, tmp_path: Path) -> None:
    assert old.exists()
    printed = invoke("export", "digits", "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(printed.stdout)))
    assert [row["outcome"] for row in rows] == ["succeeded", "failed", "infeasible", ""]
    assert rows[0]["loss"] == "0.123456"

    written = invoke("export", "digits", "--csv", "out.csv")
    assert (written.stdout, written.stderr) == ("", "out.csv written\n")
    assert (tmp_path / "out.csv").read_text() == printed.stdout
    refused = invoke("export", "digits", "--csv", "out.csv")
    assert (refused.exit_code, "out.csv exists already" in refused.stderr) == (2, True)
    assert invoke("export", "digits", "--csv", "out.csv", "--force").exit_code == 0


def test_export_without_anything_to_write_says_what_there_is(old: Path) -> None:
    assert old.exists()
    result = invoke("export", "digits")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--csv FILE, --ax FILE, --analyses FOLDER" in result.stderr


def test_export_says_what_ax_has_written(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert old.exists()

    def run_export(folder: SweepFolder, *, ax_file: Path | None, analyses: Path | None) -> list[Path]:
        assert folder.name == "digits"
        return [Path("digits.json"), Path("plots/a.html"), Path("plots/a.csv")]

    monkeypatch.setattr("axk8s.optimize.exporter.run_export", run_export)

    result = invoke("export", "digits", "--ax", "digits.json", "--analyses", "plots", "--csv", "-")
    assert result.exit_code == 0
    assert result.stdout.startswith("trial,outcome,")
    assert result.stderr == "digits.json written\nplots: 2 files written\n"
