"""Records survive the journal, whatever they hold."""

import json
import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axk8s.sweep.encoding import from_line, to_line
from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Outcome, Phase, Scalar
from axk8s.sweep.records import (
    KINDS,
    Attached,
    AttemptDiagnosed,
    Began,
    CancelDecided,
    ControllerStarted,
    Finished,
    Halted,
    JobDeleted,
    KnownResult,
    Noticed,
    PhaseChanged,
    Placed,
    Reached,
    Record,
    RequestApplied,
    Spared,
    SpecChanged,
    SubmittedJob,
    Submitting,
    Suggested,
    TrialConcluded,
)

ONE_OF_EACH: list[Record] = [
    Began(time=1.5, uid="ab" * 16, name="s", spec={"trials": 3, "parameters": {}}, base="/b", file="/b/s.yaml"),
    Placed(time=1.5, uid="5a0b", name="namespace ml on https://k8s.example:6443"),
    Attached(time=1.5, source="old.csv", trials=(KnownResult({"lr": 0.1}, {"loss": math.inf}, {"loss": 0.1}),)),
    ControllerStarted(time=2.0, pid=12, host="h", version="0.1.0"),
    SpecChanged(time=2.0, spec={"trials": 4}, changes=("trials: 3 → 4",)),
    Suggested(time=3.0, trial=0, parameters={"lr": 0.1, "on": True, "n": 3, "s": "a b"}, generator="Sobol"),
    Submitting(time=3.0, trial=0, attempt=0, job="s-ababab-t0-a0"),
    SubmittedJob(time=3.0, trial=0, attempt=0, handle="local://torchx/s-ababab-t0-a0", adopted=True),
    PhaseChanged(time=4.0, trial=0, attempt=0, phase=Phase.ENDED, pid=3, exit=ExitFacts("exited", 1, "m", "r-0")),
    AttemptDiagnosed(
        time=5.0,
        trial=0,
        attempt=0,
        diagnosis=Diagnosis(Category.USER_ERROR, "exit code 1", {"code": 1}, "look", ("last", "line")),
        values={"loss": math.inf, "acc": 0.5},
        steps=3,
    ),
    Reached(time=5.0, trial=0, attempt=0, step=3, value=-math.inf),
    Spared(time=5.0, trial=0, attempt=0, reason="r"),
    CancelDecided(time=5.0, trial=0, attempt=0, outcome=Outcome.STOPPED, reason="r"),
    TrialConcluded(time=6.0, trial=0, outcome=Outcome.FAILED, reason="r", values={"loss": -math.inf}),
    JobDeleted(time=6.0, trial=0, attempt=0),
    RequestApplied(time=6.0, id="x", verb="stop", trial=0),
    Halted(time=7.0, cause="aborted", reason="r", hint="h"),
    Finished(time=8.0, reason="r"),
    Noticed(time=8.0, text="n"),
]


def test_there_is_an_example_of_every_record() -> None:
    assert {type(record) for record in ONE_OF_EACH} == set(KINDS.values())


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda record: str(record.kind))
def test_a_record_is_read_back_as_it_was_written(record: Record) -> None:
    line = to_line(record)

    assert from_line(line) == record
    assert "\n" not in line
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@given(
    text=st.text(),
    number=st.floats(allow_nan=False),
    count=st.integers(),
    flag=st.booleans(),
)
def test_any_text_and_number_survives(text: str, number: float, count: int, flag: bool) -> None:
    parameters: dict[str, Scalar] = {"text": text, "number": number, "count": count, "flag": flag}
    if not math.isfinite(number):
        del parameters["number"]
    record = Suggested(time=0.0, trial=0, parameters=parameters, generator=text or "g")

    back = from_line(to_line(record))

    assert back == record
    assert isinstance(back, Suggested)
    assert type(back.parameters["flag"]) is bool


def test_nan_is_kept_as_evidence() -> None:
    back = from_line(to_line(TrialConcluded(time=0.0, trial=0, outcome=Outcome.INFEASIBLE, values={"x": math.nan})))

    assert isinstance(back, TrialConcluded)
    assert math.isnan(back.values["x"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[]", "not a JSON object"),
        ("{", "Expecting"),
        ('{"type": "sugested"}', "unknown record type 'sugested'"),
        ('{"type": "suggested", "time": 1}', "missing"),
        ('{"type": "phase", "time": 1, "trial": 0, "attempt": 0, "phase": "flying"}', "flying"),
        ('{"type": "diagnosed", "time": 1, "trial": 0, "attempt": 0, "diagnosis": {}}', "diagnosis"),
        ('{"type": "began", "time": 1, "format": 99, "uid": "a", "name": "s", "spec": {}, "base": "/"}', "format 99"),
    ],
)
def test_what_is_no_record_is_refused_with_the_cause(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_line(line)


def test_field_names_are_the_contract() -> None:
    names = {kind: [f.name for f in fields(cls)] for kind, cls in KINDS.items()}

    assert names["suggested"] == ["time", "trial", "parameters", "generator", "from_model", "results_seen"]
    assert names["submitting"] == ["time", "trial", "attempt", "job", "resources"]
    assert names["outcome"] == ["time", "trial", "outcome", "reason", "values", "sems"]


def test_a_transition_with_the_longest_texts_stays_below_four_kilobytes() -> None:
    diagnosis = Diagnosis(Category.USER_ERROR, "s" * 500, {"code": 1}, "h" * 500, ("l" * 100,) * 14)
    values = {f"a-metric-with-a-long-name-{i:02}": 0.1234567890123456 for i in range(24)}

    record = AttemptDiagnosed(time=1.7e9, trial=99_999, attempt=20, diagnosis=diagnosis, values=values, steps=10_000)

    assert len(to_line(record).encode()) <= 4096
