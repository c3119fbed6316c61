"""Several objectives, outcome constraints, standard errors and results from elsewhere, as the real Ax takes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

import pytest
from ax.core.experiment import Experiment
from ax.core.objective import Objective
from ax.core.optimization_config import MultiObjectiveOptimizationConfig, OptimizationConfig
from ax.core.outcome_constraint import OutcomeConstraint
from ax.exceptions.core import UserInputError

from axk8s.optimize.capability import check
from axk8s.optimize.experiment import Projection
from axk8s.optimize.protocol import Ask
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Outcome, Parameters, TrialFact, Values
from axk8s.sweep.state import ATTACHED, BASELINE
from tests.optimize.sweeps import LINE, Written, sweep

pytestmark = [
    # Ax then finds the outliers of each objective by itself.
    pytest.mark.filterwarnings("ignore:Encountered a .MultiObjective. without objective thresholds"),
]

SQUARE: Written = {"x": {"type": "float", "min": 0, "max": 1}, "y": {"type": "float", "min": 0, "max": 1}}
NETWORK: Written = {
    "rate": {"type": "float", "min": 0, "max": 1},
    "width": {"type": "int", "min": 1, "max": 16},
    "kind": {"type": "choice", "values": ["plain", "momentum"]},
    "momentum": {"type": "float", "min": 0, "max": 1, "when": {"kind": "momentum"}},
}
LOSS = {"metric": "val/loss", "direction": "minimize"}
SPEED = {"metric": "images per s", "direction": "maximize"}


def facts_of(spec: SweepSpec, count: int, measure: Callable[[Parameters], Values]) -> list[TrialFact]:
    """The sweep's own first trials, as they would have ended."""
    proposals = Projection(spec).answer(Ask(1, count), []).proposals
    return [
        TrialFact(trial, each.parameters, each.generator, Outcome.SUCCEEDED, measure(each.parameters))
        for trial, each in enumerate(proposals)
    ]


def bumpy(x: float, y: float) -> float:
    # Uneven, as results are: over a perfect bowl a proposal takes Ax ten times as long.
    return math.sin(37 * x + 11 * y) / 40


def measured(parameters: Parameters) -> dict[str, float]:
    """Low losses at x = 0.2, high speeds at x = 0.8; the size grows with y."""
    x, y = float(parameters["x"]), float(parameters["y"])
    return {
        "val/loss": (x - 0.2) ** 2 + y / 4 + bumpy(x, y),
        "images per s": 2 - (x - 0.8) ** 2 - y / 4 + bumpy(y, x),
        "size": 10 * x + y,
    }


def continued(spec: SweepSpec, facts: list[TrialFact], count: int, measure: Callable[[Parameters], Values]) -> None:
    """Add trials one after the other, each from the results before it."""
    for _ in range(count):
        (proposal,) = Projection(spec).answer(Ask(1, 1), facts).proposals
        assert spec.check_parameters(proposal.parameters) == []
        assert proposal.from_model
        facts.append(
            TrialFact(
                len(facts), proposal.parameters, proposal.generator, Outcome.SUCCEEDED, measure(proposal.parameters)
            )
        )


def config(experiment: Experiment) -> OptimizationConfig:
    found = experiment.optimization_config
    assert found is not None
    return found


def texts(limits: Sequence[OutcomeConstraint]) -> list[str]:
    return [limit.expression for limit in limits]


def shown(experiment: Experiment, column: str = "mean") -> dict[str, list[float]]:
    """By metric, what Ax has of it."""
    data = experiment.lookup_data().df
    return {name: list(rows[column]) for name, rows in data.groupby("metric_name")}


def spread(count: int) -> list[Parameters]:
    rng = Random(0)
    return [{"x": rng.random(), "y": rng.random()} for _ in range(count)]


def succeeded(trial: int, parameters: Parameters, values: Values, **more: object) -> TrialFact:
    return TrialFact(trial, parameters, "test", Outcome.SUCCEEDED, values, **more)  # type: ignore[arg-type]


RESULTS = [succeeded(trial, each, measured(each)) for trial, each in enumerate(spread(8))]


def test_the_model_proposes_along_the_front_of_two_objectives() -> None:
    spec = sweep(SQUARE, objectives=[LOSS, SPEED])
    facts = list(RESULTS)

    continued(spec, facts, 4, measured)

    goal = Projection(spec)._goal
    front = goal.front((fact.trial, fact.values) for fact in facts)
    assert max(front) >= len(RESULTS), "something new is on it"
    assert [float(fact.parameters["y"]) < 0.5 for fact in facts[len(RESULTS) :]].count(True) >= 3


def test_thresholds_are_passed_and_the_others_left_to_ax() -> None:
    spec = sweep(SQUARE, objectives=[{**LOSS, "threshold": 0.4}, {**SPEED, "threshold": 1.5}, {**LOSS, "metric": "t"}])
    facts = [succeeded(each.trial, each.parameters, {**each.values, "t": each.trial % 3}) for each in RESULTS]
    projection = Projection(spec)

    found = config(projection._experiment(facts, []))

    assert isinstance(found, MultiObjectiveOptimizationConfig)
    assert found.objective.expression == "-m0, m1, -m2"
    assert texts(found.objective_thresholds) == ["m0 <= 0.4", "m1 >= 1.5"]
    assert projection.answer(Ask(1, 1), facts).proposals[0].from_model


def test_outcome_constraints_are_kept_mostly_on_a_conditional_space_with_two_objectives() -> None:
    def measure(parameters: Parameters) -> dict[str, float]:
        rate, width = float(parameters["rate"]), float(parameters["width"])
        extra = float(parameters.get("momentum", 0.5))
        return {
            "val/loss": (rate - 0.4) ** 2 + 1 / width + (extra - 0.7) ** 2 / 5 + bumpy(rate, width),
            "images per s": 20 - width + bumpy(rate, extra),
            "memory": width * (1 + rate / 2),
        }

    spec = sweep(NETWORK, objectives=[LOSS, SPEED], outcome_constraints=["memory <= 9", "'images per s' >= 8"])
    facts = facts_of(spec, 6, measure)

    continued(spec, facts, 6, measure)

    goal = Projection(spec)._goal
    assert sum(goal.feasible(fact.values, None) for fact in facts[6:]) >= 4


def test_a_constraint_is_approached_from_within() -> None:
    spec = sweep(SQUARE, objectives=[{**SPEED}], outcome_constraints=["size <= 5"])
    facts = list(RESULTS)

    continued(spec, facts, 4, measured)

    kept = [fact for fact in facts[8:] if fact.values["size"] <= 5]
    assert len(kept) >= 3
    assert max(fact.values["images per s"] for fact in kept) > max(
        fact.values["images per s"] for fact in RESULTS if fact.values["size"] <= 5
    )


def test_while_nothing_keeps_the_constraints_the_model_looks_for_what_does() -> None:
    spec = sweep(SQUARE, objectives=[SPEED], outcome_constraints=["size <= 0.8"])
    facts = [each for each in RESULTS if each.values["size"] > 2]

    (proposal,) = Projection(spec).answer(Ask(1, 1), facts).proposals

    assert proposal.from_model
    assert measured(proposal.parameters)["size"] < 1


def test_what_ax_takes_no_constraint_on_is_constrained_all_the_same() -> None:
    """On an objective, twice on one metric from one side, on a sum with an objective in it."""
    limits = ["val/loss <= 0.4", "size <= 8", "size <= 6", "size + 2*val/loss <= 9"]
    named = {"a": "a", "s": "s"}
    with pytest.raises(ValueError, match="Cannot constrain on objective metric"):
        OptimizationConfig(
            objective=Objective(expression="-a", metric_name_to_signature=named),
            outcome_constraints=[OutcomeConstraint("a <= 1", metric_name_to_signature=named)],
        )
    with pytest.raises(ValueError, match="Duplicate outcome constraints"):
        OptimizationConfig(
            objective=Objective(expression="-a", metric_name_to_signature=named),
            outcome_constraints=[OutcomeConstraint(f"s <= {each}", metric_name_to_signature=named) for each in (1, 2)],
        )
    spec = sweep(SQUARE, objectives=[LOSS], outcome_constraints=limits)
    projection = Projection(spec)

    found = config(projection._experiment(RESULTS, []))

    assert check(spec) == ()
    assert texts(found.outcome_constraints) == [f"c{index} <= 0.0" for index in range(4)]
    assert projection.answer(Ask(1, 1), RESULTS).proposals[0].from_model


def test_ax_itself_does_not_take_every_metrics_name() -> None:
    with pytest.raises(ValueError, match="conflict with sympy"):
        Objective(expression="-beta", metric_name_to_signature={"beta": "beta"})
    with pytest.raises(UserInputError, match="non-linear term"):
        Objective(expression="-a % b", metric_name_to_signature={"a % b": "a % b"})
    spec = sweep(
        SQUARE,
        objectives=[{**LOSS, "metric": "a % b (ä)"}, {**LOSS, "metric": "beta"}],
        outcome_constraints=["'N' <= 5"],
    )
    facts = [
        succeeded(each.trial, each.parameters, dict(zip(("a % b (ä)", "beta", "N"), each.values.values(), strict=True)))
        for each in RESULTS
    ]

    assert check(spec) == ()
    assert Projection(spec).answer(Ask(1, 1), facts).proposals[0].from_model


def test_parameters_may_have_the_names_of_mathematical_functions() -> None:
    names = ("gamma", "beta", "N", "E", "lambda_")
    spec = sweep(dict.fromkeys(names, LINE["x"]), f"{' + '.join(names)} <= 1.5")

    reply = Projection(spec).answer(Ask(1, 3), [])

    assert [spec.check_parameters(each.parameters) for each in reply.proposals] == [[]] * 3


def test_more_objectives_than_a_volume_can_be_computed_of_are_no_obstacle() -> None:
    names = ["val/loss", "images per s", "size", "a", "b"]
    spec = sweep(SQUARE, objectives=[{**LOSS, "metric": name} for name in names])
    facts = [
        succeeded(each.trial, each.parameters, {**each.values, "a": each.trial % 3, "b": each.trial % 5})
        for each in RESULTS
    ]

    assert check(spec) == ()
    assert Projection(spec).answer(Ask(1, 1), facts).proposals[0].from_model


def test_a_relative_constraint_counts_from_the_baseline_trials_result_on() -> None:
    spec = sweep(
        SQUARE, objectives=[SPEED], outcome_constraints=["size <= 0.5 * baseline"], baseline={"x": 0.8, "y": 0.0}
    )
    baseline = TrialFact(0, {"x": 0.8, "y": 0.0}, BASELINE)
    others = [succeeded(each.trial + 1, each.parameters, each.values) for each in RESULTS]
    ended = TrialFact(0, baseline.parameters, BASELINE, Outcome.SUCCEEDED, measured(baseline.parameters))
    projection = Projection(spec)

    before = projection._experiment([baseline, *others], [])
    after = projection._experiment([ended, *others], [])
    (proposal,) = projection.answer(Ask(1, 1), [ended, *others]).proposals

    assert config(before).outcome_constraints == []
    assert set(shown(before)) == {"m0"}
    assert texts(config(after).outcome_constraints) == ["c0 <= 0.0"]
    assert shown(after)["c0"] == pytest.approx([fact.values["size"] - 4 for fact in (ended, *others)])
    assert measured(proposal.parameters)["size"] <= 4.5


def test_trials_without_a_constraints_metric_count_for_the_objective_alone() -> None:
    spec = sweep(SQUARE, objectives=[LOSS], outcome_constraints=["size <= 5"])
    facts = [
        each if each.trial % 2 else succeeded(each.trial, each.parameters, {"val/loss": each.values["val/loss"]})
        for each in RESULTS
    ]
    projection = Projection(spec)

    experiment = projection._experiment(facts, [])

    assert {name: len(values) for name, values in shown(experiment).items()} == {"m0": 8, "c0": 4}
    assert projection.answer(Ask(1, 1), facts).proposals[0].from_model


def test_a_constraint_of_which_nothing_is_known_is_left_out_until_something_is() -> None:
    spec = sweep(SQUARE, objectives=[LOSS], outcome_constraints=["size <= 5"])
    facts = [succeeded(each.trial, each.parameters, {"val/loss": each.values["val/loss"]}) for each in RESULTS]
    projection = Projection(spec)

    assert config(projection._experiment(facts, [])).outcome_constraints == []
    assert projection.answer(Ask(1, 1), facts).proposals[0].from_model


def test_standard_errors_are_passed() -> None:
    spec = sweep(SQUARE, objectives=[LOSS], outcome_constraints=["3*size <= 15"])
    facts = [
        succeeded(each.trial, each.parameters, each.values, sems={"val/loss": 0.02, "size": 0.1}) for each in RESULTS
    ]
    projection = Projection(spec)

    errors = shown(projection._experiment(facts, []), "sem")

    assert errors == {"m0": pytest.approx([0.02] * 8), "c0": pytest.approx([0.3] * 8)}
    assert projection.answer(Ask(1, 1), facts).proposals[0].from_model


@pytest.mark.parametrize("known", [1, 3, 4, 7])
def test_standard_errors_of_some_results_are_passed_for_all_or_none(known: int) -> None:
    spec = sweep(SQUARE, objectives=[LOSS])
    facts = [
        succeeded(each.trial, each.parameters, each.values, sems={"val/loss": 0.02} if each.trial < known else {})
        for each in RESULTS
    ]
    projection = Projection(spec)

    errors = shown(projection._experiment(facts, []), "sem")["m0"]

    assert all(map(math.isnan, errors)) if known < 4 else errors == pytest.approx([0.02] * 8)
    assert projection.answer(Ask(1, 1), facts).proposals[0].from_model


def attached(count: int) -> list[TrialFact]:
    return [
        TrialFact(-1 - index, each, ATTACHED, Outcome.SUCCEEDED, measured(each))
        for index, each in enumerate(spread(count))
    ]


def test_with_enough_results_from_elsewhere_the_model_proposes_the_first_trial() -> None:
    spec = sweep(SQUARE, objectives=[LOSS])

    few, enough = (Projection(spec).answer(Ask(1, 2), attached(count)).proposals for count in (3, 5))

    assert [(each.from_model, each.results_seen) for each in few] == [(False, 0), (False, 0)]
    assert [(each.from_model, each.results_seen) for each in enough] == [(True, 0), (True, 0)]
    assert not {tuple(each.parameters.values()) for each in few} & {
        tuple(each.parameters.values()) for each in attached(3)
    }


def test_results_from_elsewhere_count_as_initial_trials() -> None:
    spec = sweep(SQUARE, objectives=[LOSS])

    reply = Projection(spec).answer(Ask(1, 1), [*attached(3), *RESULTS[:2]])

    assert [(each.from_model, each.results_seen) for each in reply.proposals] == [(True, 2)]


def test_the_border_of_the_infeasible_works_beside_constraints_and_several_objectives() -> None:
    spec = sweep(SQUARE, objectives=[LOSS, SPEED], outcome_constraints=["size <= 6"])
    facts = [
        TrialFact(each.trial, each.parameters, "test", Outcome.INFEASIBLE)
        if float(each.parameters["y"]) > 0.6
        else each
        for each in RESULTS
    ]
    projection = Projection(spec)

    experiment = projection._experiment(facts, [])

    lost = sum(fact.outcome is Outcome.INFEASIBLE for fact in facts)
    assert lost >= 2
    assert texts(config(experiment).outcome_constraints)[0] == "c0 <= 0.0"
    assert texts(config(experiment).outcome_constraints)[1].startswith("depth >= ")
    assert {name: len(values) for name, values in shown(experiment).items()} == {
        "m0": 8,
        "m1": 8,
        "c0": 8 - lost,
        "depth": 8,
    }
    assert projection.answer(Ask(1, 1), facts).proposals[0].from_model


def test_of_too_many_results_the_model_sees_the_whole_front() -> None:
    spec = sweep(SQUARE, objectives=[LOSS, SPEED], outcome_constraints=["size <= 8"])
    facts = [succeeded(trial, each, measured(each)) for trial, each in enumerate(spread(300))]
    projection = Projection(spec, most_results=40)

    losses = set(shown(projection._experiment(facts, []))["m0"])

    kept = [(fact.trial, fact.values) for fact in facts if fact.values["size"] <= 8]
    front = projection._goal.front(kept)
    assert len(losses) == 40
    assert len(front) <= 20
    assert {facts[trial].values["val/loss"] for trial in front} <= losses


def test_a_sequential_sweep_with_the_same_seed_makes_the_same_proposals() -> None:
    spec = sweep(SQUARE, objectives=[LOSS, SPEED], outcome_constraints=["size <= 8"], optimizer={"seed": 3})
    runs: list[list[Parameters]] = []
    for _ in range(2):
        facts: list[TrialFact] = []
        projection = Projection(spec)
        while len(facts) < 8:
            (proposal,) = projection.answer(Ask(len(facts) + 1, 1), facts).proposals
            facts.append(succeeded(len(facts), proposal.parameters, measured(proposal.parameters)))
        runs.append([fact.parameters for fact in facts])

    assert runs[0] == runs[1]
