"""The grid: every combination, once, in order."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from axk8s.controller.ports import Optimizer
from axk8s.optimize.grid import GridOptimizer
from axk8s.optimize.space import points
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import OptimizerReply, Parameters
from tests.optimize.sweeps import SMALL_TREE, Written, fact, small_sweeps, sweep

THREE: Written = {"x": {"type": "int", "min": 1, "max": 3}}


def started(spec: SweepSpec) -> tuple[Optimizer, list[OptimizerReply]]:
    replies: list[OptimizerReply] = []
    optimizer: Optimizer = GridOptimizer(spec)
    optimizer.start(replies.append)
    return optimizer, replies


def parameters(*replies: OptimizerReply) -> list[Parameters]:
    return [proposal.parameters for proposal in chain.from_iterable(reply.proposals for reply in replies)]


@given(small_sweeps(), st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_every_combination_is_proposed_once_and_in_order(spec: SweepSpec, counts: list[int]) -> None:
    optimizer, replies = started(spec)

    while not replies or not replies[-1].exhausted:
        optimizer.ask(counts[len(replies) % len(counts)])
        for proposal in replies[-1].proposals:
            optimizer.tell(fact(len(parameters(*replies)), proposal.parameters))

    assert parameters(*replies) == list(points(spec))
    assert all(len(reply.proposals) > 0 for reply in replies[:-1])


@given(small_sweeps(), st.data())
def test_a_resumed_grid_proposes_what_is_left(spec: SweepSpec, data: st.DataObject) -> None:
    every = list(points(spec))
    tried = data.draw(st.lists(st.sampled_from(range(len(every))), unique=True))
    optimizer, replies = started(spec)
    for trial, index in enumerate(tried):
        optimizer.tell(fact(trial, every[index], 1.0))

    optimizer.ask(len(every) + 1)

    assert parameters(*replies) == [point for index, point in enumerate(every) if index not in tried]
    assert replies[-1].exhausted
    assert replies[-1].notice == f"the grid is complete: {len(every)} points"
    assert {proposal.results_seen for proposal in replies[-1].proposals} <= {len(tried)}


def test_the_last_point_says_that_it_is_the_last() -> None:
    optimizer, replies = started(sweep(THREE, optimizer="grid"))

    optimizer.ask(2)
    optimizer.ask(1)
    optimizer.ask(1)

    assert [(len(reply.proposals), reply.exhausted) for reply in replies] == [(2, False), (1, True), (0, True)]
    assert {(each.generator, each.from_model) for each in replies[0].proposals} == {("grid", False)}


def test_points_that_are_replaced_are_proposed_again_first() -> None:
    optimizer, replies = started(sweep(THREE, optimizer="grid"))
    optimizer.ask(2)
    optimizer.tell(fact(0, {"x": 1}))

    optimizer.ask(2, replace=True)

    assert parameters(replies[-1]) == [{"x": 2}, {"x": 3}]
    assert replies[-1].exhausted


def test_a_grid_is_not_complete_while_replaced_points_wait() -> None:
    optimizer, replies = started(sweep(THREE, optimizer="grid"))
    optimizer.ask(3)

    optimizer.ask(1, replace=True)

    assert parameters(replies[-1]) == [{"x": 1}]
    assert not replies[-1].exhausted


def test_a_point_that_was_enqueued_meanwhile_is_passed_over() -> None:
    optimizer, replies = started(sweep(SMALL_TREE, optimizer="grid"))
    optimizer.ask(1)
    optimizer.tell(fact(1, {"kind": "adam", "flag": True}))
    optimizer.tell(fact(2, {"flag": False, "kind": "sgd", "batch": 16}))

    optimizer.ask(1)

    assert parameters(replies[-1]) == [{"batch": 16, "kind": "sgd", "flag": True}]


def test_a_grid_without_a_point_says_so() -> None:
    optimizer, replies = started(sweep(THREE, "2*x == 3", optimizer="grid"))

    optimizer.ask(1)

    assert replies == [OptimizerReply(exhausted=True, notice="no point of the grid keeps the constraints")]


def test_results_from_elsewhere_leave_no_hole_in_the_grid() -> None:
    optimizer, replies = started(sweep(THREE, optimizer="grid"))
    optimizer.tell(fact(-1, {"x": 2}, 1.0))

    optimizer.ask(3)

    assert parameters(replies[-1]) == [{"x": 1}, {"x": 2}, {"x": 3}]
    assert {each.results_seen for each in replies[-1].proposals} == {0}


def test_nothing_is_answered_before_the_start_or_after_the_end() -> None:
    replies: list[OptimizerReply] = []
    optimizer = GridOptimizer(sweep(THREE, optimizer="grid"))

    optimizer.ask(1)
    optimizer.start(replies.append)
    optimizer.close()
    optimizer.ask(1)

    assert replies == []
