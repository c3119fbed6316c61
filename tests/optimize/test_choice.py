"""Which optimizer a sweep gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from axk8s.controller.ports import Optimizer
from axk8s.errors import SpecError
from axk8s.optimize.choice import optimizer
from axk8s.optimize.grid import GridOptimizer
from axk8s.optimize.process import AxOptimizer
from axk8s.optimize.random import RandomOptimizer
from tests.optimize.sweeps import LINE, SMALL_TREE, sweep


@pytest.mark.parametrize(("kind", "made"), [("ax", AxOptimizer), ("grid", GridOptimizer), ("random", RandomOptimizer)])
def test_a_sweep_gets_the_optimizer_that_it_names(kind: str, made: type, tmp_path: Path) -> None:
    chosen: Optimizer = optimizer(sweep(SMALL_TREE, optimizer=kind), log=tmp_path / "log")

    assert isinstance(chosen, made)
    assert list(tmp_path.iterdir()) == [], "something was started"


def test_a_sweep_that_names_none_gets_ax(tmp_path: Path) -> None:
    assert isinstance(optimizer(sweep(LINE), log=tmp_path / "log"), AxOptimizer)


def test_what_the_optimizer_cannot_do_is_refused_with_every_problem(tmp_path: Path) -> None:
    spec = sweep({**LINE, "y": {"type": "float", "min": 0, "max": 1}}, optimizer="grid")

    with pytest.raises(SpecError) as caught:
        optimizer(spec, log=tmp_path / "log")

    assert [problem.key for problem in caught.value.problems] == ["parameters.x", "parameters.y"]


def test_choosing_an_optimizer_does_not_import_ax() -> None:
    check = (
        "import sys, axk8s.optimize.choice, axk8s.optimize.child; "
        "print([name for name in ('ax', 'torch', 'pandas') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
