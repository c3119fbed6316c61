"""Random draws: distinct, repeatable, and only what may be a trial."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axk8s.controller.ports import Optimizer
from axk8s.optimize.random import Drawer, Exhausted, RandomOptimizer, Unreachable, draw
from axk8s.optimize.space import identity, points, size
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import OptimizerReply, Parameters, Proposal
from tests.optimize.sweeps import LINE, SMALL_TREE, TREE, Written, fact, small_sweeps, sweep

SQUARE: Written = {"x": {"type": "float", "min": 0, "max": 1}, "y": {"type": "float", "min": 0, "max": 1}}


def started(spec: SweepSpec) -> tuple[Optimizer, list[OptimizerReply]]:
    replies: list[OptimizerReply] = []
    optimizer: Optimizer = RandomOptimizer(spec)
    optimizer.start(replies.append)
    return optimizer, replies


def drawn(spec: SweepSpec, counts: Sequence[int]) -> list[Parameters]:
    """What a sweep would try, asking so many at a time; each proposal becomes a trial at once."""
    optimizer, replies = started(spec)
    found: list[Parameters] = []
    for count in counts:
        optimizer.ask(count)
        for proposal in replies[-1].proposals:
            optimizer.tell(fact(len(found), proposal.parameters))
            found.append(proposal.parameters)
    return found


@settings(max_examples=20)
@given(small_sweeps(), st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_a_space_is_drawn_without_repetition_until_nothing_is_left(spec: SweepSpec, counts: list[int]) -> None:
    optimizer, replies = started(spec)
    found: list[Proposal] = []
    while not replies or not replies[-1].exhausted:
        optimizer.ask(counts[len(replies) % len(counts)])
        found += replies[-1].proposals
        assert len(replies) <= len(found) + 1

    assert [spec.check_parameters(proposal.parameters) for proposal in found] == [[]] * len(found)
    assert {identity(proposal.parameters) for proposal in found} == {identity(point) for point in points(spec)}
    assert len(found) == size(spec)
    assert replies[-1].notice == "every point of the search space was tried"


@settings(max_examples=10)
@given(small_sweeps(), st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_the_same_seed_draws_the_same_however_many_are_asked_at_a_time(spec: SweepSpec, counts: list[int]) -> None:
    assert drawn(spec, [sum(counts)]) == drawn(spec, counts)


@pytest.mark.parametrize("counts", [[1] * 12, [5, 7], [1, 2, 3, 6]])
def test_batches_of_any_size_are_cut_from_one_sequence(counts: list[int]) -> None:
    spec = sweep(TREE, optimizer={"kind": "random", "seed": 3})

    assert drawn(spec, counts) == drawn(spec, [12])


def test_another_seed_draws_something_else() -> None:
    one, other = (sweep(LINE, optimizer={"kind": "random", "seed": seed}) for seed in (1, 2))

    assert drawn(one, [5]) == drawn(one, [5])
    assert not set(map(identity, drawn(one, [5]))) & set(map(identity, drawn(other, [5])))


def test_a_resumed_sweep_goes_on_where_it_was() -> None:
    spec = sweep(TREE, optimizer="random")
    whole = drawn(spec, [20])
    optimizer, replies = started(spec)
    for trial, parameters in enumerate(whole[:12]):
        optimizer.tell(fact(trial, parameters, 0.5))

    optimizer.ask(8)

    assert [proposal.parameters for proposal in replies[-1].proposals] == whole[12:]
    assert {proposal.results_seen for proposal in replies[-1].proposals} == {12}
    assert {(each.generator, each.from_model) for each in replies[-1].proposals} == {("random", False)}


def test_conditional_parameters_are_there_exactly_when_their_condition_holds() -> None:
    spec = sweep(TREE, optimizer="random")
    found = drawn(spec, [200])

    assert [spec.check_parameters(parameters) for parameters in found] == [[]] * 200
    assert {frozenset(parameters) for parameters in found} == {
        frozenset({"kind", "width"}),
        frozenset({"kind", "width", "decay"}),
        frozenset({"kind", "width", "decay", "rate"}),
        frozenset({"kind", "width", "decay", "momentum"}),
        frozenset({"kind", "width", "decay", "rate", "momentum"}),
    }


def test_constraints_are_kept() -> None:
    spec = sweep(SQUARE, "x + y <= 0.2", "x >= y", optimizer="random")

    found = drawn(spec, [50])

    assert len(found) == 50
    assert [spec.check_parameters(parameters) for parameters in found] == [[]] * 50


def test_a_logarithmic_scale_gives_each_order_of_magnitude_its_share() -> None:
    spec = sweep({"lr": {"type": "float", "min": 1e-6, "max": 1.0, "log": True}}, optimizer="random")

    values = [float(parameters["lr"]) for parameters in drawn(spec, [600])]

    assert all(sum(10.0**power <= value < 10.0 ** (power + 1) for value in values) >= 60 for power in range(-6, 0))


def test_whole_numbers_on_a_logarithmic_scale_reach_both_ends() -> None:
    spec = sweep({"n": {"type": "int", "min": 1, "max": 9, "log": True}}, optimizer="random")

    rng = Random(0)
    values = [draw(spec, rng, taken=frozenset())["n"] for _ in range(300)]

    assert set(values) == set(range(1, 10))
    assert values.count(1) > values.count(9) > 0


@pytest.mark.parametrize("log", [True, False])
def test_the_widest_ranges_do_not_overflow(log: bool) -> None:
    low = 1e-300 if log else -1.7e308
    spec = sweep({"x": {"type": "float", "min": low, "max": 1.7e308, "log": log}}, optimizer="random")

    found = drawn(spec, [50])

    assert [spec.check_parameters(parameters) for parameters in found] == [[]] * 50


def test_the_last_points_are_found_where_drawing_would_hardly_meet_them() -> None:
    spec = sweep(
        {"a": {"type": "int", "min": 0, "max": 400}, "b": {"type": "int", "min": 0, "max": 400}},
        "a + b <= 1",
        optimizer="random",
    )
    optimizer, replies = started(spec)

    optimizer.ask(4)

    assert len(replies[-1].proposals) == 3
    assert replies[-1].exhausted


def test_draws_that_never_keep_the_constraints_end_with_an_error_that_says_what_to_do() -> None:
    optimizer, replies = started(sweep(SQUARE, "x + y <= 1e-6", optimizer="random"))

    optimizer.ask(2)

    assert replies[-1].proposals == ()
    assert "not one kept the parameter constraints: x + y <= 1e-6" in replies[-1].error
    assert "widen the constraints" in replies[-1].error


def test_a_draw_says_which_of_the_two_ends_it_met() -> None:
    tree = sweep(SMALL_TREE, optimizer="random")
    with pytest.raises(Exhausted):
        draw(tree, Random(0), taken={identity(point) for point in points(tree)})
    with pytest.raises(Unreachable, match="kept the parameter constraints"):
        draw(sweep(SQUARE, "x + y <= 1e-6"), Random(0), taken=frozenset())


def test_proposals_that_are_not_trials_yet_are_not_repeated_unless_they_are_replaced() -> None:
    spec = sweep(SMALL_TREE, optimizer="random")
    optimizer, replies = started(spec)

    optimizer.ask(4)
    optimizer.ask(4)
    optimizer.ask(6, replace=True)

    first, second, third = ({identity(each.parameters) for each in reply.proposals} for reply in replies)
    assert not first & second
    assert len(second) == 2
    assert third == first | second


def test_results_from_elsewhere_change_no_draw() -> None:
    spec = sweep(LINE, optimizer="random")
    (one, first), (other, second) = started(spec), started(spec)
    other.tell(fact(-1, {"x": 0.5}, 1.0))

    one.ask(3)
    other.ask(3)

    assert first == second


def test_nothing_is_answered_before_the_start_or_after_the_end() -> None:
    replies: list[OptimizerReply] = []
    optimizer = RandomOptimizer(sweep(LINE, optimizer="random"))

    optimizer.ask(1)
    optimizer.start(replies.append)
    optimizer.close()
    optimizer.ask(1)

    assert replies == []


def test_a_drawer_signs_its_proposals_with_the_name_that_it_was_given() -> None:
    reply = Drawer(sweep(LINE), generator="random-fallback").propose(2, taken=set(), before=0, results=7)

    assert [(each.generator, each.results_seen) for each in reply.proposals] == [("random-fallback", 7)] * 2
