"""The quality benchmark measures each contender once, goes on where it stopped, and compares seed by seed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from axk8s.optimize.protocol import Ask
from axk8s.sweep.model import Outcome, Parameters, TrialFact
from bench.quality.compare import Difference
from bench.quality.contenders import WITHOUT_EXTRAS, AxLoop
from bench.quality.problems import PROBLEMS, volume

ROOT = Path(__file__).parents[2]
BEST: list[tuple[str, Parameters]] = [
    ("branin", {"x": math.pi, "y": 2.275}),
    (
        "hartmann6",
        {"x0": 0.20169, "x1": 0.150011, "x2": 0.476874, "x3": 0.275332, "x4": 0.311652, "x5": 0.6573},
    ),
    ("gramacy", {"x": 0.19512270, "y": 0.40466536}),
]


def measure(output: Path, *options: str) -> tuple[dict[str, Any], str]:
    command = [sys.executable, "-m", "bench.quality", "--output", str(output), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return result, done.stdout


def test_every_contender_optimizes_every_problem_and_no_run_is_repeated(tmp_path: Path) -> None:
    output = tmp_path / "quality.json"
    options = ("--contender", *sorted(WITHOUT_EXTRAS), "--trials", "3", "--parallel", "2", "--seeds", "7")

    first, _ = measure(output, *options)
    again, table = measure(output, *options)

    runs = first["runs"]
    assert {(run["problem"], run["contender"]) for run in runs} == {
        (problem, contender) for problem in PROBLEMS for contender in WITHOUT_EXTRAS
    }
    assert all(run["seed"] == 7 and len(run["gaps"]) == 3 and run["from_model"] == 0 for run in runs)
    assert again == first
    assert {"date", "command", "machine", "versions"} <= first["sessions"][0].keys()
    assert "hartmann6: 3 trials, 2 at a time" in table


@pytest.mark.parametrize(("name", "best"), BEST, ids=[name for name, _ in BEST])
def test_the_best_point_leaves_no_gap(name: str, best: Parameters) -> None:
    problem = PROBLEMS[name]

    (gap,) = problem.gap([problem.evaluate(best)])

    assert gap == pytest.approx(0, abs=1e-6)


def test_a_trial_that_breaks_a_constraint_does_not_count() -> None:
    problem = PROBLEMS["gramacy"]

    gaps = problem.gap([problem.evaluate({"x": x, "y": x}) for x in (0.1, 0.5, 0.1)])

    assert gaps == [math.inf, pytest.approx(0.4, abs=0.01), pytest.approx(0.4, abs=0.01)]


def test_the_area_under_a_front_counts_no_point_twice() -> None:
    assert volume([(1, 3), (2, 2), (2, 3), (5, 0), (3, 1)], (4, 4)) == 3 + 2 + 1
    assert volume([], (4, 4)) == 0


def test_a_difference_pairs_the_seeds_that_both_have() -> None:
    difference = Difference.between({0: 1e-3, 1: 1e-2, 2: 1.0}, {0: 1e-2, 1: 1e-1, 3: 1.0})

    assert (difference.seeds, difference.mean, difference.low, difference.high) == (2, -1.0, -1.0, -1.0)


@pytest.mark.parametrize("name", ["branin", "branin-currin"])
def test_with_one_random_state_the_model_proposes_what_axs_own_loop_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from axk8s.optimize import experiment

    seed, trials, parallel = 8, 7, 4
    problem = PROBLEMS[name]
    spec = problem.spec(seed, trials=trials, parallel=parallel)
    # Ax's client begins anew with its one seed at each question.
    monkeypatch.setattr(experiment, "_seed", lambda *_: torch.manual_seed(seed))
    projection, theirs = experiment.Projection(spec), AxLoop(problem, spec)
    facts: list[TrialFact] = []
    compared = 0
    for trial in range(trials):
        oldest = trial - parallel
        if oldest >= 0:
            values = problem.evaluate(facts[oldest].parameters)
            theirs.tell(oldest, values)
            facts[oldest] = TrialFact(oldest, facts[oldest].parameters, "Ax", Outcome.SUCCEEDED, values)
        ours = projection.answer(Ask(trial, 1), facts).proposals[0]
        expected = theirs.propose()
        assert ours.from_model == expected.from_model
        if expected.from_model:
            assert ours.parameters == pytest.approx(expected.parameters, abs=1e-3)
            compared += 1
        facts.append(TrialFact(trial, expected.parameters, "Ax"))
    assert compared == 2
