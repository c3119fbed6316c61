"""YAML 1.2 as people write it, and what they get told when it is not."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from axk8s.errors import SpecError, UsageError
from axk8s.spec.document import Source, dotted, parse, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("+1", 1),
        ("1_000", 1000),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("2h", "2h"),
        ('"0.1"', "0.1"),
        ("'true'", "true"),
        ("0x", "0x"),
        ("=", "="),
        ("!!str 5", "5"),
    ],
)
def test_scalars_are_read_as_yaml_1_2_means_them(text: str, value: object) -> None:
    read_value = parse(f"key: {text}\n", label="s.yaml").content["key"]
    assert read_value == value
    assert type(read_value) is type(value)


def test_nan_is_a_number() -> None:
    value = parse("key: .nan", label="s.yaml").content["key"]
    assert isinstance(value, float)
    assert math.isnan(value)


def test_an_integer_of_too_many_digits_stays_text() -> None:
    digits = "9" * 5000
    assert parse(f"key: {digits}", label="s.yaml").content["key"] == digits


def test_keys_are_always_text() -> None:
    assert parse("1: a\ntrue: b\nnull: c\n", label="s.yaml").content == {"1": "a", "true": "b", "null": "c"}


def test_every_key_and_item_has_its_line() -> None:
    source = parse("# comment\na:\n  b: 1\n  c:\n    - x\n    - d: 2\n", label="dir/s.yaml").source
    assert source.where("a") == "dir/s.yaml:2"
    assert source.where("a.b") == "dir/s.yaml:3"
    assert source.where("a.c[0]") == "dir/s.yaml:5"
    assert source.where("a.c[1].d") == "dir/s.yaml:6"
    assert source.where("a.c.1.d") == "dir/s.yaml:6"


def test_an_unknown_key_is_placed_at_the_nearest_one_above() -> None:
    source = parse("\na:\n  b: 1\n", label="s.yaml").source
    assert source.where("a.b.c.d") == "s.yaml:3"
    assert source.where("a.x[3]") == "s.yaml:2"
    assert source.where("zzz") == "s.yaml:2"
    assert source.where("") == "s.yaml:2"


def test_without_a_file_the_place_is_the_sweep() -> None:
    assert Source().where("parameters.lr") == "sweep"


def test_a_path_reads_as_people_write_it() -> None:
    assert dotted(("objectives", 0, "metric")) == "objectives[0].metric"


def test_aliases_and_merges_work_and_own_keys_win_with_their_lines() -> None:
    text = "base: &b {min: 0, max: 1}\nx:\n  max: 2\n  <<: *b\ny: *b\nz:\n  <<: [{max: 7}, *b]\n"
    document = parse(text, label="s.yaml")
    assert document.content["x"] == {"min": 0, "max": 2}
    assert document.content["y"] == {"min": 0, "max": 1}
    assert document.content["z"] == {"min": 0, "max": 7}
    assert document.source.where("x.max") == "s.yaml:3"
    assert document.source.where("x.min") == "s.yaml:1"


def test_a_duplicate_key_names_both_lines_and_reading_goes_on() -> None:
    document = parse("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", label="s.yaml")
    assert [(p.where, p.key) for p in document.problems] == [("s.yaml:4", "b.c"), ("s.yaml:5", "a")]
    assert "line 3" in document.problems[0].message
    assert "line 1" in document.problems[1].message
    assert document.content == {"a": 1, "b": {"c": 1}}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
        ("- a\n- b\n", 1, "list"),
        ("\nhello\n", 2, "single value"),
        ("a:\n\tb: 1\n", 2, "tab"),
        ("a: 1\nb: c: d\n", 2, "quotes"),
        ("a: 1\nb: @x\n", 2, "quotes"),
        ("a: [1, 2\nb: 3\n", 2, "bracket"),
        ("a: 1\nb: 'x\nc: 2\n", 2, "never closed"),
        ("a: *nope\n", 1, "begins with *"),
        ("a: 1\n---\nb: 2\n", 2, "one sweep"),
        ("a: 1\nb: \x01\n", 2, "not allowed"),
        ("# c\n%YAML 1.1\n---\na: no\n", 2, "YAML 1.2"),
        ("a:\n  b: 1\n c: 2\n", 3, "indentation"),
        ("a: 1\nb\nc: 2\n", 2, "key"),
        ("- !foo a\n", 1, "!foo"),
    ],
    ids=str,
)
def test_what_is_not_a_mapping_in_yaml_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(text, label="s.yaml")
    assert caught.value.problems[0].where == f"s.yaml:{line}"
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("a: 1\nb: !foo 1\n", "b", "!foo"),
        ("a: 1\nb: !!python/object:os.system x\n", "b", "python/object"),
        ("a: 1\nb: !!binary aGk=\n", "b", "!!binary"),
        ("a: 1\nb: &x [*x]\n", "b[0]", "own anchor"),
        ("a: 1\n? [1, 2]\n: 3\n", "", "single word"),
        ("a: 1\nb: {<<: 3}\n", "b", "merges a mapping"),
    ],
    ids=str,
)
def test_what_yaml_can_say_and_a_sweep_cannot_is_a_problem_on_its_line(text: str, key: str, words: str) -> None:
    (problem,) = parse(text, label="s.yaml").problems
    assert (problem.where, problem.key) == ("s.yaml:2", key)
    assert words in problem.message


def test_a_file_that_explodes_by_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(SpecError, match="more than 100,000 values"):
        parse("\n".join(lines), label="s.yaml")


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: x\r\nb: 1\r\n")
    assert read(file, label="s.yaml").content == {"name": "x", "b": 1}


def test_a_file_that_is_not_utf_8_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(b"name: x\nb: caf\xe9\n")
    with pytest.raises(SpecError, match=r"mine:2: the file is not UTF-8"):
        read(file, label="mine")


def test_a_missing_file_suggests_the_near_one(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text("name: x")
    with pytest.raises(UsageError, match=r"did you mean '.*/sweep\.yaml'"):
        read(tmp_path / "swep.yaml", label="swep.yaml")
    with pytest.raises(UsageError, match=r"files there: sweep\.yaml"):
        read(tmp_path / "qqqqqq", label="qqqqqq")
    with pytest.raises(UsageError, match="no folder"):
        read(tmp_path / "nowhere" / "sweep.yaml", label="x")


def test_without_any_sweep_file_the_way_to_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="axk8s init"):
        read(tmp_path / "sweep.yaml", label="sweep.yaml")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        read(tmp_path, label=str(tmp_path))
    (tmp_path / "sweep.yaml").write_text("name: x")
    with pytest.raises(UsageError, match=r"name the file in it: .*sweep\.yaml"):
        read(tmp_path, label=str(tmp_path))


def test_a_path_through_a_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(UsageError, match="a file itself"):
        read(tmp_path / "a" / "sweep.yaml", label="x")


def test_a_path_that_no_system_takes_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read(Path("a\0b"), label="x")
