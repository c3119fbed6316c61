from __future__ import annotations

import json

import pytest
from ruamel.yaml import YAML

from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Format

COLUMNS = [Column("trial", numeric=True), Column("name"), Column("", note=True)]


def test_a_table_in_a_pipe_is_aligned_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    write_table(COLUMNS, [["1", "a", long], ["10", "bcd", ""]], styles={0: "bold red"})
    assert capsys.readouterr().out.splitlines() == ["trial  name", f"    1  a     {long}", "   10  bcd"]


def test_square_brackets_in_a_cell_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    write_table([Column("a")], [["[red]x[/red] :smile:"]])
    assert capsys.readouterr().out.splitlines()[1] == "[red]x[/red] :smile:"


def test_a_cell_of_several_lines_stays_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    write_table([Column("a")], [["one\ntwo"]])
    assert capsys.readouterr().out.splitlines() == ["a", "one two"]


DATA = [{"trial": 0, "value": "nan", "parameters": {"z": 1e-5, "a": "é"}, "outcome": None}]


def test_json_reads_back_and_keeps_the_order_of_keys(capsys: pytest.CaptureFixture[str]) -> None:
    emit(DATA, Format.JSON)
    text = capsys.readouterr().out
    assert json.loads(text) == DATA
    assert text.index('"z"') < text.index('"a"')


def test_yaml_reads_back_and_keeps_the_order_of_keys(capsys: pytest.CaptureFixture[str]) -> None:
    emit(DATA, Format.YAML)
    text = capsys.readouterr().out
    assert YAML(typ="safe", pure=True).load(text) == DATA
    assert text.index("z:") < text.index("a:")
