"""The hypervolume is compared with the one of BoTorch, which Ax itself shows."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axk8s.results.hypervolume import hypervolume
from axk8s.sweep.goal import Aim, Goal

TWO = Goal((Aim("accuracy", maximize=True, threshold=0.5), Aim("size", threshold=10.0)))


@pytest.mark.parametrize(
    ("front", "volume"),
    [
        ([], 0.0),
        ([{"accuracy": 0.7, "size": 4.0}], 0.2 * 6),
        ([{"accuracy": 0.7, "size": 4.0}, {"accuracy": 0.9, "size": 8.0}], 0.2 * 6 + 0.2 * 2),
        ([{"accuracy": 0.5, "size": 1.0}], 0.0),
        ([{"accuracy": 0.7, "size": 4.0}] * 2, 0.2 * 6),
    ],
    ids=["nothing", "one", "two", "on the threshold", "equal ones"],
)
def test_it_is_the_space_between_the_front_and_the_thresholds(front: list[dict[str, float]], volume: float) -> None:
    measured = hypervolume(TWO, front)

    assert measured is not None
    assert math.isclose(measured, volume, abs_tol=1e-12)


@pytest.mark.parametrize(
    "goal",
    [
        Goal((Aim("loss", threshold=1.0),)),
        Goal((Aim("accuracy", maximize=True, threshold=0.5), Aim("size"))),
        Goal((Aim("loss", weight=1.0, threshold=1.0), Aim("size", weight=1.0, threshold=1.0))),
    ],
    ids=["one objective", "a threshold is missing", "a weighted sum"],
)
def test_it_is_not_measured_without_a_front_or_a_threshold_for_each_objective(goal: Goal) -> None:
    assert hypervolume(goal, [{"accuracy": 0.7, "size": 4.0, "loss": 0.0}]) is None


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 4).flatmap(
        lambda count: st.tuples(
            st.lists(st.booleans(), min_size=count, max_size=count),
            st.lists(
                st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=count, max_size=count),
                max_size=8,
                min_size=1,
            ),
        )
    )
)
def test_it_is_what_botorch_computes(drawn: tuple[list[bool], list[list[float]]]) -> None:
    import torch
    from botorch.utils.multi_objective.hypervolume import Hypervolume

    directions, points = drawn
    names = [f"m{index}" for index in range(len(directions))]
    # Thresholds at the worst corner of the unit cube.
    aims = [
        Aim(name, maximize, threshold=0.0 if maximize else 1.0)
        for name, maximize in zip(names, directions, strict=True)
    ]
    goal = Goal(tuple(aims))
    found = [dict(zip(names, point, strict=True)) for point in points]
    front = [found[number] for number in goal.front(enumerate(found))]
    signs = torch.tensor([1.0 if maximize else -1.0 for maximize in directions], dtype=torch.double)
    reference = torch.tensor([0.0 if maximize else -1.0 for maximize in directions], dtype=torch.double)
    exact = Hypervolume(reference).compute(
        torch.tensor([[p[n] for n in names] for p in front], dtype=torch.double) * signs
    )

    measured = hypervolume(goal, front)

    assert measured is not None
    assert math.isclose(measured, exact, rel_tol=1e-9, abs_tol=1e-12)


def test_more_trials_on_the_front_never_make_it_smaller() -> None:
    front = [{"accuracy": 0.5 + 0.04 * n, "size": 1.0 + 0.8 * n} for n in range(10)]
    volumes = [hypervolume(TWO, front[:count]) or 0.0 for count in range(len(front) + 1)]

    assert all(before <= after for before, after in pairwise(volumes))


def test_a_summary_without_thresholds_loads_no_numerics() -> None:
    program = (
        "import sys; from axk8s.results import summary, tables; from axk8s.results.hypervolume import hypervolume;"
        "from axk8s.sweep.goal import Aim, Goal; hypervolume(Goal((Aim('a'), Aim('b'))), [{'a': 1.0, 'b': 1.0}]);"
        "print([name for name in ('numpy', 'moocore', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
