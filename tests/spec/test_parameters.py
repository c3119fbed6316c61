"""What each kind of parameter may be given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.spec.parameters import (
    BoolParameter,
    ChoiceParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    same,
)

LR = FloatParameter(min=0.0, max=1.0)
STEPPED = FloatParameter(min=0.1, max=0.7, step=0.1)
WIDTH = IntParameter(min=8, max=64, step=8)
WORDS = ChoiceParameter(values=("adam", "sgd"))
SIZES = ChoiceParameter(values=(16, 64))
MIXED = ChoiceParameter(values=(1, 2.5))
FLAG = BoolParameter()
FIXED = FixedParameter(value=3)


@pytest.mark.parametrize(
    ("parameter", "value", "inside"),
    [
        (LR, 0.0, True),
        (LR, 1, True),
        (LR, 1.01, False),
        (LR, True, False),
        (LR, "0.5", False),
        (LR, float("nan"), False),
        (LR, 10**400, False),
        (LR, None, False),
        (STEPPED, 0.30000000000000004, True),
        (STEPPED, 0.35, False),
        (WIDTH, 16, True),
        (WIDTH, 17, False),
        (WIDTH, 16.0, False),
        (WIDTH, True, False),
        (WORDS, "sgd", True),
        (WORDS, "SGD", False),
        (SIZES, 16.0, True),
        (MIXED, 1, True),
        (FLAG, False, True),
        (FLAG, 0, False),
        (FIXED, 3, True),
        (FIXED, True, False),
        (FixedParameter(value=True), 1, False),
        (WORDS, ["sgd"], False),
    ],
)
def test_a_parameter_knows_its_values(parameter: Parameter, value: object, inside: bool) -> None:
    assert parameter.contains(value) is inside


@pytest.mark.parametrize(
    ("parameter", "python_type", "numeric"),
    [
        (LR, float, True),
        (WIDTH, int, True),
        (WORDS, str, False),
        (SIZES, int, True),
        (MIXED, float, True),
        (FLAG, bool, False),
        (FIXED, int, True),
    ],
)
def test_a_parameter_knows_its_python_type(parameter: Parameter, python_type: type, numeric: bool) -> None:
    assert parameter.python_type is python_type
    assert parameter.numeric is numeric


def test_countable_parameters_list_their_values() -> None:
    assert LR.grid() is None
    assert STEPPED.grid() == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    assert list(WIDTH.grid() or ()) == [8, 16, 24, 32, 40, 48, 56, 64]
    assert WORDS.grid() == ("adam", "sgd")
    assert FLAG.grid() == (False, True)
    assert FIXED.grid() == (3,)


@given(low=st.integers(-1000, 1000), count=st.integers(1, 200), step=st.sampled_from([0.1, 0.25, 0.3, 1e-3, 7.0]))
def test_every_value_of_a_stepped_float_is_inside_it(low: int, count: int, step: float) -> None:
    parameter = FloatParameter(min=low * step, max=low * step + count * step, step=step)
    grid = parameter.grid()
    assert grid is not None
    assert len(grid) == count + 1
    assert all(map(parameter.contains, grid))


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (LR, "1e-2", 0.01),
        (LR, "1", 1.0),
        (WIDTH, "16", 16),
        (WORDS, "sgd", "sgd"),
        (SIZES, "16", 16),
        (SIZES, "16.0", 16),
        (MIXED, "1", 1.0),
        (FLAG, "True", True),
        (FLAG, "false", False),
        (FIXED, "3", 3),
        (ChoiceParameter(values=(True, False)), "false", False),
        (ChoiceParameter(values=("1", "2")), "1", "1"),
    ],
)
def test_words_of_the_command_line_become_values(parameter: Parameter, text: str, value: object) -> None:
    parsed = parameter.parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("parameter", "text", "words"),
    [
        (LR, "2", "a number from 0 to 1"),
        (LR, "fast", "a number from 0 to 1"),
        (LR, "nan", "a number from 0 to 1"),
        (STEPPED, "0.15", "in steps of 0.1"),
        (WIDTH, "16.0", "a whole number from 8 to 64 in steps of 8"),
        (WIDTH, "17", "in steps of 8"),
        (WORDS, "adm", "one of adam, sgd"),
        (SIZES, "32", "one of 16, 64"),
        (FLAG, "yes", "true or false"),
        (FIXED, "4", "3: it is fixed"),
    ],
)
def test_a_word_that_is_no_value_says_which_are(parameter: Parameter, text: str, words: str) -> None:
    with pytest.raises(ValueError, match="is not") as caught:
        parameter.parse(text)
    assert words in str(caught.value)


def test_numbers_are_ordered_and_words_are_not_unless_said() -> None:
    assert SIZES.is_ordered
    assert not WORDS.is_ordered
    assert ChoiceParameter(values=("s", "m", "l"), ordered=True).is_ordered


def test_numbers_of_two_kinds_are_all_floats() -> None:
    assert [type(value) for value in MIXED.values] == [float, float]


def test_one_and_true_are_not_the_same() -> None:
    assert same(1, 1.0)
    assert not same(1, True)
    assert same(True, True)
