"""What is known of the border, from a few trials."""

from __future__ import annotations

import math

import pytest

from axk8s.optimize.axis import axes
from axk8s.optimize.feasibility import Border, border
from axk8s.optimize.targets import Targets
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.goal import Goal
from axk8s.sweep.model import Outcome, Parameters, TrialFact
from tests.optimize.sweeps import LINE, TREE, Written, fact, sweep


def known(spec: SweepSpec, results: list[TrialFact], infeasible: list[TrialFact]) -> Border | None:
    return border(axes(spec), results, infeasible, Targets.of(Goal.of(spec.to_json())))


def bad(trial: int, parameters: Parameters) -> TrialFact:
    return fact(trial, parameters, outcome=Outcome.INFEASIBLE)


def on_line(*losses: float) -> list[TrialFact]:
    """Results at 0, 0.1, 0.2 …"""
    return [fact(trial, {"x": trial / 10}, loss) for trial, loss in enumerate(losses)]


def test_there_is_no_border_without_an_infeasible_trial_or_with_hardly_any_result() -> None:
    assert known(sweep(LINE), on_line(1, 2, 3), []) is None
    assert known(sweep(LINE), on_line(1), [bad(9, {"x": 1.0})]) is None
    assert known(sweep(LINE), [], [bad(9, {"x": 1.0})]) is None
    assert known(sweep(LINE), on_line(1, 2), [bad(9, {"x": 1.0})]) is not None


def test_a_trial_lies_as_deep_as_the_nearest_of_the_other_kind_is_away() -> None:
    found = known(sweep(LINE), on_line(3, 2, 1), [bad(8, {"x": 0.3}), bad(9, {"x": 1.0})])

    assert found is not None
    assert found.depths == pytest.approx({0: 0.3, 1: 0.2, 2: 0.1, 8: -0.1, 9: -0.8})


def test_the_margin_shrinks_as_the_best_trial_comes_near_the_border_and_is_never_wide() -> None:
    margins = []
    for infeasible in (1.0, 0.24, 0.21, 0.2):
        found = known(sweep(LINE), on_line(3, 2, 1), [bad(9, {"x": infeasible})])
        assert found is not None
        margins.append(found.margin)

    assert margins[0] > margins[1] > margins[2] > margins[3] == 0
    assert margins[1:3] == pytest.approx([0.02, 0.005])
    assert margins[0] <= 0.1


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_infeasible_trials_count_from_the_median_at_the_border_to_the_worst_at_the_deepest(
    direction: str, sign: float
) -> None:
    spec = sweep(LINE, objectives=[{"metric": "loss", "direction": direction}])
    results = on_line(*(sign * loss for loss in (4.0, 0.0, 2.0, 6.0, 1.0)))

    found = known(spec, results, [bad(7, {"x": 0.4}), bad(8, {"x": 0.6}), bad(9, {"x": 0.8})])

    assert found is not None
    assert {trial: sign * each["m0"] for trial, each in found.values.items()} == pytest.approx({7: 2, 8: 4, 9: 6})


def test_infeasible_trials_and_results_at_the_same_points_count_with_the_median() -> None:
    found = known(sweep(LINE), on_line(1, 2, 3), [bad(8, {"x": 0.0}), bad(9, {"x": 0.1})])

    assert found is not None
    assert found.depths == pytest.approx({0: 0, 1: 0, 2: 0.1, 8: 0, 9: 0})
    assert {each["m0"] for each in found.values.values()} == {2}
    assert found.margin == 0


WIDE: Written = {
    "rate": {"type": "float", "min": 1e-300, "max": 1e300, "log": True},
    "huge": {"type": "float", "min": -1e300, "max": 1e300},
    "depth": {"type": "int", "min": -(2**53), "max": 2**53},
    "pool": {"type": "choice", "values": [4, 1, 2]},
    "kind": {"type": "choice", "values": ["a", "b", "c"]},
}
MIDDLE: Parameters = {"rate": 1.0, "huge": 0.0, "depth": 0, "pool": 2, "kind": "a"}


@pytest.mark.parametrize(
    ("other", "distance"),
    [
        ({"rate": 1e300}, 0.5),
        ({"huge": -1e300}, 0.5),
        ({"depth": 2**53}, 0.5),
        ({"pool": 4}, 0.5),
        ({"pool": 1}, 0.5),
        ({"kind": "b"}, 1.0),
        ({"kind": "c"}, 1.0),
        ({"rate": 1e300, "huge": -1e300, "kind": "c"}, math.sqrt(1.5)),
    ],
)
def test_each_parameter_is_one_wide_on_its_own_scale_and_words_are_all_as_far_apart(
    other: Parameters, distance: float
) -> None:
    results = [fact(0, MIDDLE, 1.0), fact(1, MIDDLE, 2.0)]

    found = known(sweep(WIDE), results, [bad(2, {**MIDDLE, **other})])

    assert found is not None
    assert found.depths == pytest.approx({0: distance, 1: distance, 2: -distance})


def test_an_absent_parameter_lies_in_the_middle() -> None:
    plain: Parameters = {"kind": "plain", "width": 8}
    adam: Parameters = {"kind": "adam", "decay": True, "rate": 0.01, "width": 8}

    found = known(sweep(TREE), [fact(0, plain, 1.0), fact(1, plain, 2.0)], [bad(2, adam)])

    assert found is not None
    assert found.depths[2] == pytest.approx(-1.0), "only the kind is another"
