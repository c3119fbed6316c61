"""How many results the model is shown, by times that the test decides."""

from __future__ import annotations

from dataclasses import dataclass

from axk8s.optimize.sight import LADDER, LEAST_SHOWN, MIDDLE, Sight
from tests.optimize.sweeps import fact


@dataclass
class Hands:
    """A clock that stands still unless it is told otherwise."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def experienced(*, results: int, every: float) -> tuple[Sight, Hands]:
    """A sweep with so many results, the last of which came at this pace."""
    hands = Hands()
    sight = Sight(hands)
    for trial in range(results):
        sight.told(fact(trial, {"x": 0.5}))
        hands.now += every
        sight.told(fact(trial, {"x": 0.5}, 1.0))
    return sight, hands


def answer(sight: Sight, hands: Hands, seconds: float, count: int = 1) -> int:
    sight.asked()
    hands.now += seconds
    sight.answered(count)
    return sight.most


def test_a_sweep_begins_in_the_middle_of_the_ladder() -> None:
    assert Sight().most == LADDER[MIDDLE] == 500


def test_a_proposal_that_takes_longer_than_results_take_to_come_is_the_last_of_its_size() -> None:
    sight, hands = experienced(results=600, every=4.0)

    assert [answer(sight, hands, 5.0) for _ in range(4)] == [300, 200, 200, 200]


def test_where_there_is_time_to_spare_more_is_shown() -> None:
    sight, hands = experienced(results=1200, every=60.0)

    assert [answer(sight, hands, 4.0) for _ in range(3)] == [1000, 1000, 1000]


def test_what_is_expected_to_take_too_long_is_not_tried() -> None:
    sight, hands = experienced(results=1200, every=30.0)

    assert answer(sight, hands, 4.0) == 500, "it would take 23 s of the 30 s"


def test_proposals_that_are_made_together_count_each_for_its_share() -> None:
    sight, hands = experienced(results=600, every=4.0)

    assert answer(sight, hands, 12.0, count=8) == 500
    assert answer(sight, hands, 12.0, count=2) == 300


def test_nothing_is_gained_by_looking_further_than_there_are_results() -> None:
    sight, hands = experienced(results=400, every=1000.0)

    assert answer(sight, hands, 0.1) == 500


def test_up_to_the_smallest_bound_no_time_changes_anything() -> None:
    sight, hands = experienced(results=LEAST_SHOWN, every=1.0)

    assert answer(sight, hands, 100.0) == 500


def test_the_pace_is_known_after_some_results_and_only_from_those_that_came_meanwhile() -> None:
    hands = Hands()
    sight = Sight(hands)
    for trial in range(300):
        sight.told(fact(trial, {"x": 0.5}, 1.0))
    unknown = sight.pace
    assert answer(sight, hands, 100.0) == 500, "they were there when this process began"

    for trial in range(300, 309):
        sight.told(fact(trial, {"x": 0.5}))
    for trial in range(300, 309):
        hands.now += 10.0
        sight.told(fact(trial, {"x": 0.5}, 1.0))

    assert (unknown, sight.pace) == (None, 10.0)
    assert answer(sight, hands, 9.0) == 300


def test_an_answer_without_a_proposal_says_nothing() -> None:
    sight, hands = experienced(results=600, every=4.0)

    assert answer(sight, hands, 100.0, count=0) == 500
