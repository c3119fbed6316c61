"""What the two processes say to each other arrives as it was said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.optimize.protocol import Answer, Ask, Begin, Failed, Message, decode, encode
from axk8s.sweep.model import OptimizerReply, Outcome, Proposal, TrialFact

SCALARS = st.one_of(st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
PARAMETERS = st.dictionaries(st.text(), SCALARS, max_size=4)
FACTS = st.builds(
    TrialFact,
    st.integers(0),
    PARAMETERS,
    st.text(),
    st.none() | st.sampled_from(Outcome),
    st.dictionaries(st.text(), st.floats(), max_size=3),
)
REPLIES = st.builds(
    OptimizerReply,
    st.lists(st.builds(Proposal, PARAMETERS, st.text(), st.booleans(), st.integers(0)), max_size=3).map(tuple),
    st.booleans(),
    st.text(),
    st.text(),
)
JSON = st.recursive(
    SCALARS | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Begin, st.dictionaries(st.text(), JSON, max_size=3), st.text()),
    st.builds(
        Ask,
        st.integers(0),
        st.integers(1),
        st.lists(FACTS, max_size=3),
        st.lists(PARAMETERS, max_size=3),
        st.lists(PARAMETERS, max_size=3),
        st.integers(0),
    ),
    st.builds(Answer, st.integers(0), REPLIES),
    st.builds(Failed, st.text(), st.booleans()),
)


@given(MESSAGES)
def test_every_message_is_one_line_and_arrives_as_it_was_sent(message: Message) -> None:
    line = encode(message)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert type(decode(line)) is type(message)
    # By their text: to Python NaN is not NaN, and true is 1.
    assert repr(decode(line)) == repr(message)


def test_not_a_number_and_the_infinities_arrive() -> None:
    values = {"loss": math.nan, "low": -math.inf, "high": math.inf}

    heard = decode(encode(Ask(1, 1, [TrialFact(0, {"x": 0.5}, "Sobol", Outcome.FAILED, values)])))

    assert isinstance(heard, Ask)
    assert math.isnan(heard.facts[0].values["loss"])
    assert (heard.facts[0].values["low"], heard.facts[0].values["high"]) == (-math.inf, math.inf)
    assert heard.facts[0].outcome is Outcome.FAILED


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Traceback (most recent call last):",
        b'{"kind": "answer", "number": 1, "reply": {"proposals": [',
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"kind": "goodbye"}',
        b'{"kind": []}',
        b'{"kind": "failed"}',
        b'{"kind": "failed", "error": "", "colour": "red"}',
        b'{"kind": "answer", "number": 1, "reply": null}',
        b'{"kind": "ask", "number": 1, "count": 1, "facts": [{"trial": 0}]}',
    ],
)
def test_a_line_that_is_no_message_is_an_error_that_shows_it(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a message of the optimizer") as caught:
        decode(line)

    assert repr(line) in str(caught.value)


def test_of_a_long_line_the_beginning_is_shown() -> None:
    with pytest.raises(ValueError, match="not a message") as caught:
        decode(b"x" * 10_000)

    assert len(str(caught.value)) < 300


@given(st.binary())
def test_whatever_a_library_prints_is_a_message_or_a_value_error(line: bytes) -> None:
    try:
        decode(line)
    except ValueError as error:
        assert "not a message" in str(error)  # noqa: PT017  (a message would be as right)
