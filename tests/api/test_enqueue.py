"""Trials that a person asks for, before and while the optimizer proposes its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.api import Sweep
from axk8s.errors import SpecError, UsageError
from axk8s.sweep.model import Outcome
from tests.api.driver import GATED, Driver, runs

Make = Callable[..., Sweep]


def test_what_is_enqueued_goes_before_proposals_and_counts_as_a_trial(make: Make, tmp_path: Path) -> None:
    driver = Driver(make(GATED))
    driver.until(runs, times=2)
    assert make(GATED).enqueue({"x": 0.125}).enqueued == 0, "it is the controller that takes it"
    driver.until(lambda record: record.kind == "request")
    with pytest.raises(UsageError, match="all 3 trials of small are taken"):
        make(GATED).enqueue({"x": 0.25})
    (tmp_path / "gate").touch()
    driver.join()

    rows = make(GATED).trials()
    assert [(row.generator, row.parameters["x"]) for row in rows][2:] == [("enqueued", 0.125)]
    assert [row.outcome for row in rows] == [Outcome.SUCCEEDED] * 3


def test_what_is_enqueued_without_a_controller_waits_for_the_next_one(make: Make) -> None:
    make().run()
    more = make(trials=5)
    more.enqueue({"x": 0.125})

    more.run()

    rows = more.trials()
    assert [row.generator for row in rows] == ["random", "random", "random", "enqueued", "random"]
    assert rows[3].values == {"loss": 0.125}


def test_what_cannot_be_a_trial_is_not_enqueued(make: Make) -> None:
    with pytest.raises(UsageError, match="small has not begun"):
        make().enqueue({"x": 0.5})
    make().run()
    with pytest.raises(SpecError, match="9"):
        make(trials=9).enqueue({"x": 9.0})
    with pytest.raises(SpecError, match="has no value"):
        make(trials=9).enqueue({})
