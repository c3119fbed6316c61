"""Ax itself, asked through the projection: what it proposes, from which facts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from ax.core.experiment import Experiment

from axk8s.optimize.experiment import Projection
from axk8s.optimize.protocol import Ask
from axk8s.optimize.space import identity, points
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import OptimizerReply, Outcome, Parameters, TrialFact
from tests.optimize.sweeps import LINE, SMALL_TREE, TREE, Written, fact, sweep

SQUARE: Written = {"x": {"type": "float", "min": 0, "max": 1}, "y": {"type": "float", "min": 0, "max": 1}}
EVERYTHING: Written = {
    **TREE,
    "depth": {"type": "int", "min": 1, "max": 1000, "log": True},
    "dropout": {"type": "float", "min": 0.0, "max": 0.5, "step": 0.05},
    "pool": {"type": "choice", "values": [4, 1, 2]},
    "norm": {"type": "choice", "values": ["batch", "layer", "none"], "ordered": True},
    "loss": {"type": "choice", "values": [0.5, 1, 2], "ordered": False},
    "constant": {"type": "fixed", "value": "yes"},
    "only": {"type": "choice", "values": [7]},
    "tiny": {"type": "float", "min": 1e-9, "max": 3e-9},
}


def ask(count: int, *, number: int = 1, **more: Sequence[Parameters] | int) -> Ask:
    return Ask(number, count, **more)  # type: ignore[arg-type]  # the names decide which of the two


def answered(spec: SweepSpec, question: Ask, facts: Sequence[TrialFact] = ()) -> list[Parameters]:
    """The parameters of an answer that is complete and without any word."""
    reply = Projection(spec).answer(question, facts)
    assert (reply.notice, reply.error, reply.exhausted) == ("", "", False)
    assert len(reply.proposals) == question.count
    parameters = [proposal.parameters for proposal in reply.proposals]
    assert [spec.check_parameters(each) for each in parameters] == [[]] * len(parameters)
    assert [list(each) for each in parameters] == [
        [name for name in spec.parameters if name in each] for each in parameters
    ]
    assert len(set(map(identity, parameters))) == len(parameters)
    return parameters


def generators(reply: OptimizerReply) -> list[tuple[str, bool, int]]:
    return [(each.generator, each.from_model, each.results_seen) for each in reply.proposals]


def statuses(experiment: Experiment) -> list[str]:
    return [trial.status.name for trial in experiment.trials.values()]


def bowl(parameters: Parameters) -> float:
    return sum((float(value) - 0.3) ** 2 for value in parameters.values() if isinstance(value, float))


def tried(parameters: Sequence[Parameters]) -> list[TrialFact]:
    # Uneven, as results are: over a perfect bowl a proposal takes Ax ten times as long.
    return [fact(trial, each, bowl(each) + trial * 7 % 5 / 20) for trial, each in enumerate(parameters)]


SPREAD = [{"x": x / 8, "y": (x * 3 % 8) / 8} for x in range(8)]


def test_a_sweep_begins_in_the_middle_goes_on_quasi_randomly_and_then_with_the_model() -> None:
    projection = Projection(sweep(SQUARE))

    first = projection.answer(ask(5), [])
    second = projection.answer(ask(2), tried([each.parameters for each in first.proposals]))

    assert first.proposals[0].parameters == {"x": 0.5, "y": 0.5}
    assert generators(first) == [("Center", False, 0), *[("Sobol", False, 0)] * 4]
    assert generators(second) == [("BoTorch", True, 5)] * 2


def test_with_many_slots_there_is_an_initial_point_for_each() -> None:
    reply = Projection(sweep(SQUARE, parallelism=12)).answer(ask(12), [])

    assert [each.generator for each in reply.proposals] == ["Center", *["Sobol"] * 11]


def test_initial_points_are_the_same_whether_asked_together_or_one_after_the_other() -> None:
    spec = sweep(SQUARE, optimizer={"seed": 7})
    together = answered(spec, ask(5))

    singly: list[Parameters] = []
    for _ in range(5):
        singly += answered(spec, ask(1), [fact(trial, each) for trial, each in enumerate(singly)])

    assert singly == together


def test_of_many_proposals_the_model_hands_over_a_few_at_a_time_and_goes_on_the_same_way() -> None:
    spec, facts = sweep(SQUARE), tried(SPREAD)
    projection = Projection(spec)

    first = [each.parameters for each in projection.answer(ask(9), facts).proposals]
    second = [each.parameters for each in projection.answer(ask(1, outstanding=first[:3]), facts).proposals]

    assert len(first) == 4
    assert second == first[3:]


def test_the_same_seed_and_the_same_facts_give_the_same_proposals() -> None:
    facts = tried(SPREAD)
    one, other = (sweep(SQUARE, optimizer={"seed": seed}) for seed in (1, 2))

    assert answered(one, ask(2), facts) == answered(one, ask(2, number=9), facts)
    assert answered(one, ask(4)) == answered(one, ask(4))
    assert answered(one, ask(4))[1:] != answered(other, ask(4))[1:], "the middle needs no seed"


def test_what_ax_is_asked_on_the_way_does_not_change_its_next_proposal() -> None:
    spec, facts = sweep(SQUARE), tried(SPREAD)
    worn = Projection(spec)
    worn.answer(ask(2), facts[:6])
    worn.answer(ask(3), [])

    assert worn.answer(ask(1), facts) == Projection(spec).answer(ask(1), facts)


def test_a_question_that_killed_a_process_is_answered_with_another_point() -> None:
    spec, facts = sweep(SQUARE), tried(SPREAD)

    assert answered(spec, ask(1, again=1), facts) != answered(spec, ask(1), facts)


def test_the_model_goes_where_the_results_are_good() -> None:
    (found,) = answered(
        sweep(LINE), ask(1), [fact(trial, {"x": trial / 8}, abs(trial / 8 - 0.3)) for trial in range(9)]
    )

    assert abs(float(found["x"]) - 0.3) < 0.1


def test_maximizing_turns_the_direction_round() -> None:
    objectives = [{"metric": "loss", "direction": "maximize"}]
    facts = [fact(trial, {"x": trial / 8}, trial / 8) for trial in range(9) if trial != 8]

    (found,) = answered(sweep(LINE, objectives=objectives), ask(1), facts)

    assert float(found["x"]) > 0.8


def test_a_metric_may_have_a_name_that_ax_cannot_parse() -> None:
    spec = sweep(LINE, objectives=[{"metric": "val/loss - 95% (ä)", "direction": "minimize"}])
    facts = [
        TrialFact(trial, {"x": trial / 6}, "Sobol", Outcome.SUCCEEDED, {"val/loss - 95% (ä)": trial / 6})
        for trial in range(6)
    ]

    assert answered(spec, ask(1), facts)


def test_running_and_waiting_points_are_not_proposed_again() -> None:
    facts = tried(SPREAD)
    spec = sweep(SQUARE)
    (first,) = answered(spec, ask(1), facts)

    (beside_running,) = answered(spec, ask(1), [*facts, fact(8, first)])
    (beside_waiting,) = answered(spec, ask(1, outstanding=[first]), facts)
    (beside_barred,) = answered(spec, ask(1, barred=[first]), facts)

    assert beside_running == beside_waiting
    assert identity(first) not in {identity(each) for each in (beside_running, beside_barred)}


def test_failed_trials_are_kept_away_from_and_teach_nothing() -> None:
    spec = sweep(SQUARE)
    facts = [
        *tried(SPREAD),
        *(fact(8 + index, {"x": 0.3, "y": index / 10}, outcome=Outcome.FAILED) for index in (0, 1)),
    ]

    projection = Projection(spec)
    reply = projection.answer(ask(1), facts)
    experiment = projection._experiment(facts, [])

    assert generators(reply) == [("BoTorch", True, 10)]
    assert identity(reply.proposals[0].parameters) not in {identity(each.parameters) for each in facts}
    assert statuses(experiment) == ["COMPLETED"] * 8 + ["ABANDONED"] * 2
    assert len(experiment.lookup_data().df) == 8


def test_a_failed_trial_is_not_suggested_again_and_its_region_is() -> None:
    spec, facts = sweep(LINE), [fact(trial, {"x": trial / 8}, abs(trial / 8 - 0.3)) for trial in range(9)]
    (best,) = answered(spec, ask(1), facts)

    later = answered(spec, ask(2), [*facts, fact(9, best, outcome=Outcome.FAILED)])

    assert best not in later
    assert min(abs(float(each["x"]) - float(best["x"])) for each in later) < 0.1


def test_a_stopped_trial_costs_nothing_but_its_point() -> None:
    spec, facts = sweep(SQUARE), tried(SPREAD)
    elsewhere = fact(8, {"x": 0.3, "y": 0.9}, outcome=Outcome.STOPPED)
    (best,) = answered(spec, ask(1, again=0), facts)

    experiment = Projection(spec)._experiment([*facts, elsewhere], [])
    (later,) = answered(spec, ask(1), [*facts, fact(8, best, outcome=Outcome.STOPPED)])

    assert statuses(experiment) == ["COMPLETED"] * 8
    assert identity(later) != identity(best)


def half(sign: float = 1.0) -> list[TrialFact]:
    """Sixteen trials of a sweep whose right half is infeasible, with the best results in it, were there any."""
    rng = Random(1)
    facts = []
    for trial in range(16):
        x, y = rng.random(), rng.random()
        bad = Outcome.INFEASIBLE if x > 0.5 else None
        facts.append(fact(trial, {"x": x, "y": y}, None if bad else sign * (1 - x + (y - 0.4) ** 2), outcome=bad))
    return facts


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_a_region_of_infeasible_trials_is_kept_away_from_though_the_model_points_there(
    direction: str, sign: float
) -> None:
    spec = sweep(SQUARE, objectives=[{"metric": "loss", "direction": direction}])

    proposals = answered(spec, ask(4), half(sign))

    assert sum(float(each["x"]) <= 0.5 for each in proposals) >= 3
    assert max(float(each["x"]) for each in proposals if float(each["x"]) <= 0.5) > 0.35, "the best is at the border"


def test_infeasible_trials_are_results_to_ax_as_soon_as_there_are_others() -> None:
    projection = Projection(sweep(SQUARE))
    facts = half()
    infeasible = [each for each in facts if each.outcome is Outcome.INFEASIBLE]

    early, late = projection._experiment(infeasible, []), projection._experiment(facts, [])

    assert set(statuses(early)) == {"ABANDONED"}
    assert early.optimization_config is not None
    assert not early.optimization_config.outcome_constraints
    assert set(statuses(late)) == {"COMPLETED"}
    assert len(late.lookup_data().df) == 2 * len(facts)
    assert late.optimization_config is not None
    assert len(late.optimization_config.outcome_constraints) == 1


def test_without_infeasible_trials_ax_is_told_of_no_border() -> None:
    experiment = Projection(sweep(SQUARE))._experiment(tried(SPREAD), [])

    assert list(experiment.metrics) == ["m0"]
    assert experiment.optimization_config is not None
    assert not experiment.optimization_config.outcome_constraints


def test_a_sweep_in_which_everything_is_infeasible_goes_on() -> None:
    facts = [fact(trial, each, outcome=Outcome.INFEASIBLE) for trial, each in enumerate(SPREAD)]
    one_result = [*facts, fact(8, {"x": 0.9, "y": 0.1}, 1.0)]

    for each in (facts, one_result):
        reply = Projection(sweep(SQUARE)).answer(ask(3), each)
        assert len(reply.proposals) == 3
        assert not any(proposal.from_model for proposal in reply.proposals)


def test_the_border_is_the_same_to_a_process_that_was_restarted() -> None:
    spec, facts = sweep(SQUARE), half()
    worn = Projection(spec)
    worn.answer(ask(1), facts[:12])

    assert worn.answer(ask(1), facts) == Projection(spec).answer(ask(1), facts)


def test_infeasible_trials_and_results_at_one_point_are_no_obstacle() -> None:
    facts = tried(SPREAD)
    again = [fact(8 + each.trial, each.parameters, outcome=Outcome.INFEASIBLE) for each in facts[:3]]

    assert answered(sweep(SQUARE), ask(1), [*facts, *again])


def test_a_border_may_run_through_every_kind_of_parameter_and_beside_a_constraint() -> None:
    for spec in (sweep(EVERYTHING), sweep(SQUARE, "x + y <= 0.7")):
        facts = tried(answered(spec, ask(16)))
        facts[::4] = [fact(each.trial, each.parameters, outcome=Outcome.INFEASIBLE) for each in facts[::4]]

        reply = Projection(spec).answer(ask(1), facts)

        assert generators(reply) == [("BoTorch", True, 16)]


def test_of_too_many_infeasible_trials_the_model_sees_the_last_ones() -> None:
    facts = many(500)
    facts = [replace(each, outcome=Outcome.INFEASIBLE) if not each.values else each for each in facts]

    experiment = Projection(sweep(SQUARE), most_results=40)._experiment(facts, [])

    data = experiment.lookup_data().df
    assert statuses(experiment) == ["COMPLETED"] * 40
    assert (data[data["metric_name"] == "depth"]["mean"] < 0).sum() == 10


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_success_without_a_finite_value_teaches_nothing(value: float | None) -> None:
    spec = sweep(SQUARE)
    projection = Projection(spec)
    facts = [*tried(SPREAD), fact(8, {"x": 0.3, "y": 0.3}, value, outcome=Outcome.SUCCEEDED)]

    reply = projection.answer(ask(1), facts)

    assert generators(reply) == [("BoTorch", True, 9)]
    assert len(projection._experiment(facts, []).lookup_data().df) == 8


def test_a_trial_that_was_stopped_early_counts_with_the_value_that_it_had() -> None:
    projection = Projection(sweep(SQUARE))
    facts = [*tried(SPREAD), fact(8, {"x": 0.9, "y": 0.9}, 5.0, outcome=Outcome.EARLY_STOPPED)]

    experiment = projection._experiment(facts, [])

    assert experiment.trials[8].status.name == "COMPLETED", "Ax counts no others as results"
    assert len(experiment.lookup_data().df) == 9
    assert generators(projection.answer(ask(1), facts)) == [("BoTorch", True, 9)]


def test_a_sweep_in_which_everything_has_failed_goes_on() -> None:
    spec = sweep(SQUARE)
    facts = [fact(trial, each, outcome=Outcome.FAILED) for trial, each in enumerate(SPREAD)]

    reply = Projection(spec).answer(ask(3), facts)

    assert not reply.error
    assert len(reply.proposals) == 3
    assert not any(each.from_model for each in reply.proposals)


def test_equal_results_everywhere_are_no_obstacle() -> None:
    facts = [fact(trial, each, 1.0) for trial, each in enumerate(SPREAD)]

    assert answered(sweep(SQUARE), ask(1), facts)


def test_every_kind_of_parameter_comes_back_as_the_sweep_has_it() -> None:
    spec = sweep(EVERYTHING)

    initial = answered(spec, ask(24))
    modelled = answered(spec, ask(1), tried(initial))

    assert {each["kind"] for each in initial} == {"adam", "sgd", "plain"}
    assert {type(each["pool"]) for each in initial + modelled} == {int}
    assert {type(each["loss"]) for each in initial + modelled} == {float}
    assert {type(each["decay"]) for each in initial + modelled if "decay" in each} == {bool}
    assert {(each["constant"], each["only"]) for each in initial + modelled} == {("yes", 7)}
    assert min(int(each["depth"]) for each in initial) < 10 < 100 < max(int(each["depth"]) for each in initial)
    assert any("rate" in each for each in initial)
    assert any("rate" not in each for each in initial)


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "float", "min": -1e300, "max": 1e300},
        {"type": "float", "min": 1e-12, "max": 2e-12},
        {"type": "float", "min": 1e-30, "max": 1e30, "log": True},
        {"type": "int", "min": -(2**53), "max": 2**53},
        {"type": "int", "min": 1, "max": 10**12, "log": True},
        {"type": "float", "min": 0, "max": 100, "step": 0.001},
        {"type": "choice", "values": [10.0**power for power in range(-6, 3)]},
    ],
)
def test_ranges_at_the_edge_of_what_ax_takes_are_searched(parameter: dict[str, object]) -> None:
    spec = sweep({"x": parameter})
    initial = answered(spec, ask(6))
    facts = [fact(trial, each, float(trial)) for trial, each in enumerate(initial)]

    assert answered(spec, ask(1), facts)


# BoTorch fits around each value of a whole number in turn, and some of them leave no room.
@pytest.mark.filterwarnings("ignore:Candidate generation failed:botorch.exceptions.warnings.OptimizationWarning")
def test_constraints_are_kept_by_initial_points_whatever_they_are_about() -> None:
    numbers: Written = {
        **SQUARE,
        "n": {"type": "int", "min": 1, "max": 5},
        "s": {"type": "float", "min": 0.1, "max": 0.5, "step": 0.1},
        "z": {"type": "fixed", "value": 0.1},
    }

    assert answered(sweep(numbers, "x + y + z <= 0.8", "n <= 4 + 2*x", "s >= y"), ask(12))


def test_constraints_are_kept_by_the_model() -> None:
    # Of floats only: with a whole number among them Ax takes a quarter of a minute for one proposal.
    spec = sweep(SQUARE, "x + y <= 0.7")

    assert answered(spec, ask(1), tried(answered(spec, ask(6))))


def test_an_equality_of_floats_is_met() -> None:
    spec = sweep(SQUARE, "x + y == 1")

    initial = answered(spec, ask(6))

    assert answered(spec, ask(1), tried(initial))


def test_a_finite_space_is_proposed_to_its_last_point() -> None:
    spec = sweep(SMALL_TREE)
    projection = Projection(spec)
    facts: list[TrialFact] = []
    while True:
        reply = projection.answer(ask(2), facts)
        if reply.exhausted:
            break
        facts += [fact(len(facts) + index, each.parameters, index) for index, each in enumerate(reply.proposals)]

    assert reply == OptimizerReply(exhausted=True, notice="every point of the search space was tried")
    assert {identity(each.parameters) for each in facts} == {identity(point) for point in points(spec)}
    assert len(facts) == 6


def test_a_space_of_one_point_is_proposed_without_ax() -> None:
    spec = sweep({"x": {"type": "choice", "values": ["only"]}})
    projection = Projection(spec)

    first = projection.answer(ask(3), [])
    second = projection.answer(ask(3), [fact(0, {"x": "only"}, 1.0)])

    assert [each.parameters for each in first.proposals] == [{"x": "only"}]
    assert second.exhausted


def many(count: int) -> list[TrialFact]:
    rng = Random(0)
    made = [{"x": rng.random(), "y": rng.random()} for _ in range(count)]
    facts = [fact(trial, each, bowl(each)) for trial, each in enumerate(made)]
    failed = [fact(each.trial, each.parameters, outcome=Outcome.FAILED) for each in facts[::10]]
    return sorted([*(each for each in facts if each.trial % 10), *failed], key=lambda each: each.trial)


def test_a_sweep_of_ten_thousand_trials_is_rebuilt_and_asked() -> None:
    facts = many(10_000)
    projection = Projection(sweep(SQUARE), most_results=40)

    reply = projection.answer(ask(1), [*facts, fact(10_000, {"x": 0.25, "y": 0.25})])

    assert generators(reply) == [("BoTorch", True, 10_000)]
    whole = Projection(sweep(SQUARE), most_results=10_000)._experiment(facts, [])
    assert len(whole.trials) == 9_000 + 100
    assert len(whole.lookup_data().df) == 9_000


def test_of_too_many_results_the_model_sees_the_best_some_of_the_others_and_all_that_runs() -> None:
    facts = many(500)
    running = fact(500, {"x": 0.25, "y": 0.25})

    experiment = Projection(sweep(SQUARE), most_results=40)._experiment([*facts, running], [{"x": 0.5, "y": 0.75}])

    means = sorted(experiment.lookup_data().df["mean"])
    losses = sorted(each.values["loss"] for each in facts if each.values)
    assert len(means) == 40
    assert means[:20] == losses[:20]
    assert means[-1] > losses[len(losses) // 2]
    found = statuses(experiment)
    assert (found.count("RUNNING"), found.count("ABANDONED")) == (2, 50)
