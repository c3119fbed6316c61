"""What the model is told of trials that were stopped early."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from axk8s.optimize.partial import completed
from axk8s.optimize.protocol import Ask, decode, encode
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Outcome, TrialFact
from axk8s.sweep.stopping import Rule

RULE = Rule("asha", "loss")


def whole(trial: int, final: float, **reached: float) -> TrialFact:
    return _fact(trial, Outcome.SUCCEEDED, final, reached)


def stopped(trial: int, value: float, **reached: float) -> TrialFact:
    return _fact(trial, Outcome.EARLY_STOPPED, value, reached)


def _fact(trial: int, outcome: Outcome, value: float, reached: dict[str, float]) -> TrialFact:
    marks = {int(mark.removeprefix("at")): there for mark, there in reached.items()}
    return TrialFact(trial, {"x": trial / 20}, "Sobol", outcome, {"loss": value, "size": 7.0}, reached=marks)


def told(*facts: TrialFact, rule: Rule | None = RULE) -> float:
    """What is told of the last one."""
    return completed(facts, rule)[-1].values["loss"]


def test_the_last_value_moves_on_by_what_whole_trials_gained_from_there() -> None:
    # From rung 3 they gained 0.2, 0.3 and 0.5; their median final value is 0.2.
    peers = (whole(0, 0.1, at3=0.3), whole(1, 0.2, at3=0.5), whole(2, 0.3, at3=0.8))

    assert told(*peers, stopped(3, 0.9, at1=2.0, at3=0.9)) == pytest.approx(0.6)


def test_it_is_never_told_to_be_better_than_the_median_of_whole_trials() -> None:
    peers = (whole(0, 0.1, at3=0.3), whole(1, 0.2, at3=0.5), whole(2, 0.3, at3=0.8))

    assert told(*peers, stopped(3, 0.35, at3=0.35)) == 0.2
    larger = Rule("asha", "loss", maximize=True)
    assert told(whole(0, 0.8, at1=0.1), stopped(1, 0.5, at1=0.5), rule=larger) == 0.8


def test_without_whole_trials_at_its_mark_it_is_told_as_it_is() -> None:
    assert told(whole(0, 0.1, at1=0.3), stopped(1, 0.9, at3=0.9)) == 0.9
    assert told(whole(0, math.nan, at3=0.3), stopped(1, 0.9, at3=0.9)) == 0.9
    assert told(whole(0, 0.1, at3=0.3), stopped(1, 0.9)) == 0.9
    assert told(whole(0, 0.1, at3=0.3), stopped(1, 0.9, at3=0.9), rule=None) == 0.9


def test_other_metrics_and_other_trials_stay_as_they_are() -> None:
    facts = (whole(0, 0.1, at3=0.3), stopped(1, 0.9, at3=0.9))

    assert completed(facts, RULE)[0] is facts[0]
    assert completed(facts, RULE)[1].values["size"] == 7.0
    assert completed(facts, Rule("asha", "val_loss")) == list(facts)


def test_curves_pass_between_the_processes() -> None:
    ask = decode(encode(Ask(1, 1, [stopped(0, 0.9, at1=2.0, at3=0.9)])))

    assert isinstance(ask, Ask)
    assert ask.facts[0].reached == {1: 2.0, 3: 0.9}


def test_the_model_begins_though_most_trials_were_stopped_early(tmp_path: Path) -> None:
    from axk8s.optimize.experiment import Projection

    content = {
        "name": "partial",
        "command": "true {x}",
        "parameters": {"x": {"type": "float", "min": 0, "max": 1}},
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "early_stopping": "asha",
        "trials": 40,
    }
    facts = [whole(0, 0.1, at1=0.9), *(stopped(trial, 1.0 + trial, at1=1.0 + trial) for trial in range(1, 8))]
    reply = Projection(SweepSpec.from_mapping(content, base=tmp_path)).answer(Ask(1, 1), facts)

    assert [proposal.generator for proposal in reply.proposals] == ["BoTorch"]
