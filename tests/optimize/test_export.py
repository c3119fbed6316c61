"""A sweep as Ax has it: what its own client says of the exported file."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from ax.api.client import Client

from axk8s.errors import OptimizerError
from axk8s.folder import SweepFolder
from axk8s.journal import Journal
from axk8s.optimize.client import Portrait
from axk8s.optimize.export import export_analyses, export_ax
from axk8s.optimize.exporter import run_export
from axk8s.optimize.random import Drawer
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Outcome, Parameters, TrialFact, Values
from axk8s.sweep.records import Attached, Began, KnownResult, Suggested, TrialConcluded
from axk8s.sweep.state import ATTACHED, BASELINE
from tests.optimize.sweeps import LINE, TREE, Written, sweep

SQUARE: Written = {"x": {"type": "float", "min": 0, "max": 1}, "y": {"type": "float", "min": 0, "max": 1}}
LOSS = {"metric": "val/loss", "direction": "minimize"}
ACCURACY = {"metric": "top-1", "direction": "maximize"}


def exported(spec: SweepSpec, facts: Sequence[TrialFact], folder: Path) -> Client:
    file = folder / "ax.json"
    export_ax(spec, facts, file)
    return Client.load_from_json_file(str(file))


def properties(client: Client) -> dict[str, object]:
    found: dict[str, object] = client._experiment._properties["axk8s"]
    return found


def succeeded(trial: int, parameters: Parameters, values: Values, **more: object) -> TrialFact:
    return TrialFact(trial, parameters, "Sobol", Outcome.SUCCEEDED, values, **more)  # type: ignore[arg-type]


def measured(x: float, y: float) -> dict[str, float]:
    return {"val/loss": (x - 0.2) ** 2 + y / 4, "top-1": 1 - (x - 0.8) ** 2, "size": 10 * x}


def results(count: int) -> list[TrialFact]:
    rng = Random(0)
    points = [(rng.random(), rng.random()) for _ in range(count)]
    return [succeeded(trial, {"x": x, "y": y}, measured(x, y)) for trial, (x, y) in enumerate(points)]


def test_every_trial_is_there_with_its_number_values_and_status(tmp_path: Path) -> None:
    facts = [
        succeeded(0, {"x": 0.1, "y": 0.25}, {"val/loss": 1.5, "epochs": 3.0}, sems={"val/loss": 0.25}),
        TrialFact(1, {"x": 0.2, "y": 0.5}, "BoTorch", Outcome.FAILED),
        TrialFact(2, {"x": 0.3, "y": 0.5}, "BoTorch", Outcome.INFEASIBLE),
        TrialFact(3, {"x": 0.4, "y": 0.5}, "BoTorch", Outcome.EARLY_STOPPED, {"val/loss": 3.0}, {"val/loss": 0.5}),
        TrialFact(4, {"x": 0.5, "y": 0.5}, "enqueued", Outcome.STOPPED),
        TrialFact(5, {"x": 0.6, "y": 0.5}, "BoTorch"),
        TrialFact(-1, {"x": 0.7, "y": 0.5}, ATTACHED, Outcome.SUCCEEDED, {"val/loss": 2.0}),
    ]

    client = exported(sweep(SQUARE, objectives=[LOSS], optimizer={"seed": 3}), facts, tmp_path)

    table = client.summarize().set_index("trial_index")
    assert list(table["trial_status"]) == [
        "COMPLETED",
        "FAILED",
        "ABANDONED",
        "EARLY_STOPPED",
        "ABANDONED",
        "RUNNING",
        "COMPLETED",
    ]
    assert list(table["generation_node"]) == [fact.generator for fact in facts]
    assert list(table["x"]) == [fact.parameters["x"] for fact in facts]
    assert [None if math.isnan(each) else each for each in table["val/loss"]] == [1.5, None, None, 3, None, None, 2]
    assert table["epochs"][0] == 3.0
    data = client._experiment.lookup_data().df
    assert sorted(data[data["metric_name"] == "val/loss"]["sem"]) == [0.25, 0.375, 0.5]
    parameters, values, index, _ = client.get_best_parameterization(use_model_predictions=False)
    assert (parameters, index) == ({"x": 0.1, "y": 0.25}, 0)
    assert values["val/loss"] == (1.5, pytest.approx(0.25**2)), "the variance"


def test_ax_goes_on_from_the_file_with_its_model(tmp_path: Path) -> None:
    client = exported(sweep(SQUARE, "x + y <= 1.5", objectives=[LOSS]), results(6), tmp_path)

    ((index, parameters),) = client.get_next_trials(max_trials=1).items()

    assert index == 6
    assert float(parameters["x"]) + float(parameters["y"]) <= 1.5 + 1e-6
    assert client._experiment.trials[6].generator_runs[0]._generator_key == "BoTorch"


@pytest.mark.filterwarnings("ignore:Encountered a .MultiObjective. without objective thresholds")
def test_the_front_of_several_objectives_is_what_ax_finds(tmp_path: Path) -> None:
    spec = sweep(SQUARE, objectives=[{**LOSS, "threshold": 0.6}, {**ACCURACY, "threshold": 0.5}])
    facts = results(8)

    client = exported(spec, facts, tmp_path)

    front = client.get_pareto_frontier(use_model_predictions=False)
    goal = Portrait(spec, facts)._targets.goal
    useful = [(fact.trial, fact.values) for fact in facts if goal.within_thresholds(fact.values)]
    assert sorted(index for _, _, index, _ in front) == goal.front(useful)
    assert properties(client)["notes"] == []


@pytest.mark.filterwarnings("ignore:Encountered a .MultiObjective. without objective thresholds")
def test_thresholds_of_some_objectives_are_left_out_because_axs_front_would_be_empty(tmp_path: Path) -> None:
    spec = sweep(SQUARE, objectives=[{**LOSS, "threshold": 0.6}, ACCURACY])

    client = exported(spec, results(8), tmp_path)

    assert client.get_pareto_frontier(use_model_predictions=False)
    assert any("thresholds are left out" in str(note) for note in properties(client)["notes"])  # type: ignore[attr-defined]


def test_a_weighted_sum_is_one_objective_with_both_metrics(tmp_path: Path) -> None:
    spec = sweep(SQUARE, objectives=[{**LOSS, "weight": 2.0}, {**ACCURACY, "weight": 0.5}])
    facts = results(6)

    client = exported(spec, facts, tmp_path)

    goal = Portrait(spec, facts)._targets.goal
    best = max(facts, key=lambda fact: goal.value(fact.values) or 0.0)
    objective = client._experiment.optimization_config.objective
    assert dict(objective.metric_weights) == {"val/loss": -2.0, "top-1": 0.5}
    assert client.get_best_parameterization(use_model_predictions=False)[2] == best.trial


def test_outcome_constraints_are_kept_by_the_best_whatever_ax_makes_of_them(tmp_path: Path) -> None:
    limits = ["size <= 4", "size <= 6", "val/loss >= 0.05", "size + 10*'top-1' <= 13", "size >= 0.2 * baseline"]
    spec = sweep(SQUARE, objectives=[LOSS], outcome_constraints=limits, baseline={"x": 0.5, "y": 0.5})
    first = TrialFact(0, {"x": 0.5, "y": 0.5}, BASELINE, Outcome.SUCCEEDED, measured(0.5, 0.5))
    facts = [first, *(succeeded(each.trial + 1, each.parameters, each.values) for each in results(30))]

    client = exported(spec, facts, tmp_path)

    goal = Portrait(spec, facts)._targets.goal
    kept = [fact for fact in facts if goal.feasible(fact.values, first.values)]
    best = min(kept, key=lambda fact: fact.values["val/loss"])
    assert client.get_best_parameterization(use_model_predictions=False)[2] == best.trial
    notes = properties(client)["notes"]
    assert notes == [
        "Ax cannot hold 'size <= 6': metric 'over_limit_1' is the excess over its bound",
        "Ax cannot hold 'val/loss >= 0.05': metric 'over_limit_2' is the excess over its bound",
        "Ax cannot hold \"size + 10*'top-1' <= 13\": metric 'over_limit_3' is the excess over its bound",
        "'size >= 0.2 * baseline' has the baseline's value as a number here",
    ]
    assert all(note in client._experiment.description for note in notes)


def test_metrics_whose_names_ax_cannot_parse_get_others(tmp_path: Path) -> None:
    spec = sweep(LINE, objectives=[{**LOSS, "metric": "a % b"}], outcome_constraints=["beta <= 3", "'µs/step' <= 9"])
    facts = [
        succeeded(trial, {"x": trial / 4}, {"a % b": trial, "beta": 1.0, "µs/step": 2.0, "a_b": 4.0, "lost": math.inf})
        for trial in range(3)
    ]

    client = exported(spec, facts, tmp_path)

    names = properties(client)["metrics"]
    assert isinstance(names, dict)
    assert names["metric_beta"] == "beta"
    assert "a % b" in names.values()
    assert client.get_best_parameterization(use_model_predictions=False)[2] == 0
    assert len(client.summarize()) == 3
    assert "3 values that are infinite are left out" in properties(client)["notes"]  # type: ignore[operator]


def test_conditions_are_held_where_they_are_a_tree(tmp_path: Path) -> None:
    spec = sweep({**TREE, "tiny": {"type": "float", "min": 1e-9, "max": 3e-9}, "gone": {"type": "fixed", "value": 3}})
    proposals = Drawer(spec, generator="random").propose(8, taken=set(), before=0, results=0).proposals
    facts = [succeeded(trial, each.parameters, {"loss": trial}) for trial, each in enumerate(proposals)]

    client = exported(spec, facts, tmp_path)

    space = client._experiment.search_space
    assert space.parameters["kind"].dependents == {"sgd": ["momentum"]}
    assert space.parameters["decay"].dependents == {True: ["rate"]}
    for fact, trial in zip(facts, client._experiment.trials.values(), strict=True):
        held = trial.arm.parameters
        assert {name: held[name] for name in fact.parameters if name != "tiny"} == {
            name: value for name, value in fact.parameters.items() if name != "tiny"
        }
        assert held.keys() - fact.parameters.keys() <= {"decay"}
        assert ("momentum" in held) == ("momentum" in fact.parameters)
    notes = " ".join(properties(client)["notes"])  # type: ignore[arg-type]
    assert "they had none: decay" in notes
    assert "that of tiny, which is divided by" in notes


def test_parameter_constraints_that_ax_cannot_hold_are_left_out_by_name(tmp_path: Path) -> None:
    numbers: Written = {
        **SQUARE,
        "gamma": {"type": "float", "min": 0, "max": 1},
        "log": {"type": "float", "min": 0.1, "max": 1, "log": True},
    }
    spec = sweep(numbers, "x + y <= 1.5", "gamma + x <= 1.5", "log + y <= 1.5", optimizer="random")

    client = exported(spec, [], tmp_path)

    assert len(client._experiment.search_space.parameter_constraints) == 1
    assert [note.split("'")[1] for note in properties(client)["notes"]] == [  # type: ignore[attr-defined]
        "gamma + x <= 1.5",
        "log + y <= 1.5",
    ]


def test_analyses_are_pages_with_their_data_beside_them(tmp_path: Path) -> None:
    client = Portrait(
        sweep(LINE, objectives=[LOSS]),
        [
            succeeded(trial, {"x": trial / 8}, {"val/loss": (trial / 8 - 0.3) ** 2 + trial % 3 / 20})
            for trial in range(8)
        ],
    ).client()

    written = export_analyses(client, tmp_path / "analyses")

    pages = [path for path in written if path.suffix == ".html"]
    tables = [path for path in written if path.suffix == ".csv"]
    assert [path.name for path in pages] == ["results.html", "insights.html", "diagnostics.html"]
    assert all(path.exists() for path in written)
    assert "plotly" in pages[0].read_text(encoding="utf-8")
    summary = next(path for path in tables if path.name.startswith("results") and "summary" in path.name)
    with summary.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["x"]) for row in rows] == [trial / 8 for trial in range(8)]


def journaled(folder: SweepFolder, spec: SweepSpec) -> None:
    folder.path.mkdir(parents=True)
    with Journal(folder.journal) as journal:
        journal.append(Began(time=0.0, uid="1", name=spec.name, spec=spec.to_json(), base=str(spec.base)))
        journal.append(
            Attached(time=0.5, source="x", trials=(KnownResult(parameters={"x": 0.9}, values={"loss": 3.0}),))
        )
        for trial in range(3):
            journal.append(Suggested(time=1.0, trial=trial, parameters={"x": trial / 4}, generator="Sobol"))
        for trial in range(2):
            journal.append(
                TrialConcluded(time=2.0, trial=trial, outcome=Outcome.SUCCEEDED, values={"loss": 2.0 - trial})
            )
        journal.commit()


def test_a_process_of_its_own_writes_what_was_asked_for(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "sweeps" / "tuning")
    journaled(folder, sweep(LINE))
    file = tmp_path / "new" / "ax.json"

    assert run_export(folder, ax_file=None, analyses=None) == []
    assert run_export(folder, ax_file=file, analyses=None) == [file]

    client = Client.load_from_json_file(str(file))
    assert list(client.summarize()["trial_status"]) == ["COMPLETED", "COMPLETED", "RUNNING", "COMPLETED"]
    assert client.get_best_parameterization(use_model_predictions=False)[2] == 1
    assert json.loads(file.read_text(encoding="utf-8"))["_type"] == "Client"


def test_why_nothing_was_written_is_what_the_process_said_last(tmp_path: Path) -> None:
    with pytest.raises(OptimizerError, match="could not be exported for Ax: there is no journal at"):
        run_export(SweepFolder(tmp_path), ax_file=tmp_path / "ax.json", analyses=None)
