from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from axk8s.cli.app import app
from axk8s.folder import SweepFolder

MakeSweep = Callable[..., SweepFolder]


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), prog_name="axk8s")


@pytest.mark.parametrize("verb", ["status", "list", "trials", "best", "events"])
@pytest.mark.parametrize("cached", [True, False])
def test_every_listing_is_pure_json_on_stdout(verb: str, cached: bool, make_sweep: MakeSweep) -> None:
    make_sweep(cached=cached)
    result = invoke(verb, "-o", "json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data
    assert YAML(typ="safe", pure=True).load(invoke(verb, "--output", "yaml").stdout) == data


def test_the_output_format_can_come_from_the_environment(
    make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sweep()
    monkeypatch.setenv("AXK8S_OUTPUT", "json")
    assert json.loads(invoke("list").stdout)[0]["name"] == "digits"


def test_status_shows_a_sweep_whose_controller_is_gone_as_interrupted(make_sweep: MakeSweep) -> None:
    make_sweep()
    shown = invoke("status", "digits").stdout
    assert shown.split()[:2] == ["digits", "interrupted"]
    for part in ("3 of 6 trials: 1 succeeded, 1 failed, 1 infeasible", "0.1235 (trial 0)", "axk8s run digits"):
        assert part in shown


def test_status_counts_why_attempts_ended_that_did_not_succeed(make_sweep: MakeSweep) -> None:
    make_sweep()
    causes = json.loads(invoke("status", "-o", "json").stdout)["causes"]
    assert sum(causes.values()) == 2
    assert "succeeded" not in causes
    assert all(f"1 {cause.replace('_', ' ')}" in invoke("status").stdout for cause in causes)


def test_events_are_the_journal_in_order_of_all_trials_or_of_one(make_sweep: MakeSweep) -> None:
    make_sweep(finished=True)
    everything = json.loads(invoke("events", "-o", "json").stdout)
    assert [one["time"] for one in everything] == sorted(one["time"] for one in everything)
    assert (everything[0]["what"], everything[-1]["what"]) == ("began", "finished")

    first = json.loads(invoke("events", "-t", "0", "-o", "json").stdout)
    assert first == [one for one in everything if one["trial"] == 0]
    assert [one["what"] for one in first] == ["suggested", "submitting", "submitted", "running", "ended"] + [
        "succeeded"
    ] * 2
    assert invoke("events", "-f").stdout.count("\n") == len(everything), "nobody drives it, so nothing is waited for"
    assert invoke("events", "-t", "99").exit_code == 2


def test_status_of_a_finished_sweep_says_done(make_sweep: MakeSweep) -> None:
    make_sweep(finished=True)
    assert json.loads(invoke("status", "-o", "json").stdout)["state"] == "done"


def test_watching_a_sweep_that_nobody_drives_ends_at_once(make_sweep: MakeSweep) -> None:
    make_sweep()
    assert len(invoke("status", "-w").stdout.splitlines()) == 1
    assert json.loads(invoke("status", "-w", "-o", "json").stdout)["state"] == "interrupted"


def test_list_shows_each_sweep_in_natural_order(make_sweep: MakeSweep) -> None:
    for name in ("s10", "s9", "a"):
        make_sweep(name)
    lines = invoke("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["sweep", "a", "s9", "s10"]
    assert "3/6" in lines[1]


def test_list_without_any_sweep_is_empty_and_says_how_to_begin(tmp_path: Path) -> None:
    result = invoke("list", "--dir", str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "axk8s init" in result.stderr
    assert json.loads(invoke("list", "--dir", str(tmp_path), "-o", "json").stdout) == []


def test_trials_have_a_column_for_each_parameter_and_a_reason(make_sweep: MakeSweep) -> None:
    make_sweep()
    head, *rows = invoke("trials", "digits").stdout.splitlines()
    assert head.split() == ["trial", "state", "loss", "lr", "kind", "time", "attempts", "by"]
    assert rows[0].split() == ["0", "succeeded", "0.1235", "0.01", "a", "4.0s", "1", "Sobol", "best"]
    assert rows[1].endswith("Sobol  ended with exit code 3")
    assert rows[3].split()[1] == "running"


def test_trials_can_be_filtered_and_sorted(make_sweep: MakeSweep) -> None:
    make_sweep()
    chosen = json.loads(invoke("trials", "--outcome", "failed", "--outcome", "infeasible", "-o", "json").stdout)
    assert [row["trial"] for row in chosen] == [1, 2]
    by_value = json.loads(invoke("trials", "--sort", "value", "-o", "json").stdout)
    assert by_value[0]["trial"] == 0
    assert by_value[2]["value"] in ("nan", None)


def test_an_outcome_that_does_not_exist_is_refused_with_the_list(make_sweep: MakeSweep) -> None:
    make_sweep()
    result = invoke("trials", "--outcome", "broken")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "infeasible" in result.stderr


def test_best_shows_parameters_with_all_their_digits(make_sweep: MakeSweep) -> None:
    make_sweep()
    shown = invoke("best").stdout
    assert shown.splitlines()[1].split() == ["trial", "0"]
    assert "0.01" in shown
    assert json.loads(invoke("best", "-o", "json").stdout)["value"] == 0.123456


def test_without_a_name_the_sweep_that_changed_last_is_meant_and_named(make_sweep: MakeSweep) -> None:
    old, new = make_sweep("old"), make_sweep("new")
    for folder, when in ((old, 1_000_000.0), (new, 2_000_000.0)):
        for path in (folder.journal, folder.status):
            os.utime(path, (when, when))
    result = invoke("status", "-o", "json")
    assert json.loads(result.stdout)["name"] == "new"
    assert result.stderr == "sweep new, which changed last of 2\n"


@pytest.mark.parametrize("verb", ["status", "trials", "best", "logs", "stop", "pause", "run"])
def test_a_misspelt_sweep_gets_a_suggestion(verb: str, make_sweep: MakeSweep) -> None:
    make_sweep("digits")
    result = invoke(verb, "digist")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean 'digits'" in result.stderr


@pytest.mark.parametrize("verb", ["stop", "pause"])
def test_ending_something_needs_a_name_when_several_sweeps_could_be_meant(verb: str, make_sweep: MakeSweep) -> None:
    make_sweep("one")
    make_sweep("two")
    result = invoke(verb)
    assert result.exit_code == 2
    assert f"axk8s {verb} NAME" in result.stderr
    assert "one, two" in result.stderr


def test_a_sweep_file_means_the_sweep_of_its_name(make_sweep: MakeSweep, tmp_path: Path) -> None:
    make_sweep("digits")
    make_sweep("other")
    (tmp_path / "sweep.yaml").write_text(
        "name: digits\ncommand: true {x}\nparameters: {x: {type: int, min: 1, max: 2}}\n"
        "objectives: [{metric: loss, direction: minimize}]\ntrials: 2\n"
    )
    assert json.loads(invoke("status", "sweep.yaml", "-o", "json").stdout)["name"] == "digits"


def test_logs_of_a_trial_that_does_not_exist_say_how_many_there_are(make_sweep: MakeSweep) -> None:
    make_sweep()
    result = invoke("logs", "digits", "--trial", "9")
    assert result.exit_code == 2
    assert "it has 4, from 0" in result.stderr


def test_a_damaged_journal_is_an_error_that_names_the_line(make_sweep: MakeSweep) -> None:
    folder = make_sweep()
    lines = folder.journal.read_text().splitlines(keepends=True)
    lines[3] = "{broken\n"
    folder.journal.write_text("".join(lines))
    result = invoke("trials", "digits")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "journal.jsonl:4" in result.stderr
