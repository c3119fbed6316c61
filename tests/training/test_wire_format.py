from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.training import MARK, Malformed, Record, format_record, parse_line, parse_record

metric_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in ("step", "infeasible")
)
records = st.builds(
    Record,
    st.dictionaries(metric_names, st.floats(), max_size=4),
    st.none() | st.integers(0, 10**12),
    st.text(st.characters(exclude_categories=["Cs"])),
)
sems = st.floats(min_value=0, allow_infinity=False, allow_nan=False)


def same(left: object, right: Record) -> bool:
    return repr(left) == repr(right)  # NaN is not equal to itself, but is spelled alike


@given(st.dictionaries(metric_names, st.tuples(st.floats(), st.none() | sems)), st.none() | st.integers(0, 10**12))
def test_standard_errors_survive_the_file(pairs: dict[str, tuple[float, float | None]], step: int | None) -> None:
    record = Record(
        {name: value for name, (value, _) in pairs.items()},
        step,
        sems={name: sem for name, (_, sem) in pairs.items() if sem is not None},
    )

    assert same(parse_record(format_record(record)), record)
    (printed,) = parse_line(MARK + format_record(record))
    assert same(printed, record)


@pytest.mark.parametrize("pair", ["[0.2, -0.01]", '[0.2, "nan"]', "[0.2, NaN]", "[0.2, Infinity]", "[0.2, true]"])
def test_what_cannot_be_a_standard_error_is_told(pair: str) -> None:
    found = parse_record(f'{{"loss": {pair}}}')

    assert isinstance(found, Malformed)
    assert "the standard error of metric 'loss' is not a number from 0" in found.problem


@pytest.mark.parametrize("value", ["[0.2]", "[]", "[1, 2, 3]", '["a", 0.1]', "[[1, 2], 0.1]"])
def test_a_list_that_is_no_pair_of_numbers_is_no_value(value: str) -> None:
    found = parse_record(f'{{"loss": {value}}}')

    assert isinstance(found, Malformed)
    assert "is not a number" in found.problem


@given(records)
def test_a_record_survives_the_file(record: Record) -> None:
    line = format_record(record)

    assert "\n" not in line
    assert line.isascii()
    assert same(parse_record(line), record)


@given(records, st.text().filter(lambda text: "axk8s" not in text), st.text().filter(lambda text: "axk8s" not in text))
def test_a_record_survives_being_printed_between_other_text(record: Record, before: str, after: str) -> None:
    (found,) = parse_line(before + MARK + format_record(record) + after)

    assert same(found, record)


@given(st.lists(records, max_size=4))
def test_records_in_one_line_are_all_found(many: list[Record]) -> None:
    found = parse_line("".join(MARK + format_record(record) for record in many))

    assert repr(list(found)) == repr(many)


@given(records, st.data())
def test_a_torn_record_is_malformed_and_never_another_one(record: Record, data: st.DataObject) -> None:
    line = format_record(record)
    torn = line[: data.draw(st.integers(1, len(line) - 1))]

    assert isinstance(parse_record(torn), Malformed)
    assert all(isinstance(found, Malformed) for found in parse_line(MARK + torn))


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    parse_record(text)
    parse_line(text)
    parse_line(MARK + "{" + text)


@pytest.mark.parametrize(
    "line",
    [
        'axk8s: {"step": 3, "loss": 0.2}',
        'axk8s:{"step":3,"loss":0.2}',
        '2026-01-01T00:00:00Z INFO axk8s: {"step": 3, "loss": 0.2}',
        '\r 50%|█████     | 3/6 [00:01<00:01, 2.9it/s]axk8s: {"step": 3, "loss": 0.2}\x1b[0m\r',
        '[trainer]:axk8s:   {"loss": 2e-1, "step": 3} (rank 0)',
    ],
)
def test_printed_records_are_found_wherever_they_stand(line: str) -> None:
    assert parse_line(line) == (Record({"loss": 0.2}, 3),)


@pytest.mark.parametrize("line", ["", "loss 0.2", "axk8s: hello", '{"loss": 0.2}', "axk8s", "axk8s: [1]"])
def test_other_lines_are_no_records(line: str) -> None:
    assert parse_line(line) == ()


def test_a_good_record_after_a_damaged_one_is_found() -> None:
    damaged, whole = parse_line('axk8s: {"loss": axk8s: {"loss": 1}')

    assert isinstance(damaged, Malformed)
    assert whole == Record({"loss": 1.0})


def test_pythons_own_spelling_of_non_finite_numbers_is_read() -> None:
    record = parse_record('{"a": NaN, "b": Infinity, "c": -Infinity, "d": 1e999}')

    assert isinstance(record, Record)
    assert math.isnan(record.values["a"])
    assert [record.values[name] for name in "bcd"] == [math.inf, -math.inf, math.inf]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 200_000, "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"step": 1.5}', "step is not a whole number"),
        ('{"step": -1}', "step is not a whole number"),
        ('{"step": true}', "step is not a whole number"),
        ('{"loss": "low"}', "'loss' is not a number: 'low'"),
        ('{"loss": null}', "'loss' is not a number: None"),
        ('{"loss": [1]}', "'loss' is not a number"),
        (json.dumps({"loss": 10**400}), "'loss' is too large"),
        ('{"": 1}', "not a metric name"),
        ('{"\\ud800": 1}', "not a metric name"),
        ('{"infeasible": 1}', "infeasible is not a text"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_wrong_with_a_record_is_said(text: str, words: str) -> None:
    found = parse_record(text)

    assert isinstance(found, Malformed)
    assert words in found.problem
