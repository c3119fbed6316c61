"""Results from elsewhere: what fits a sweep's space is taken, and what does not is told with its place."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from axk8s.errors import UsageError
from axk8s.folder import SweepFolder
from axk8s.journal import Journal
from axk8s.results.known import Known
from axk8s.results.sources import load, of_table, warm_start
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Outcome, Parameters
from axk8s.sweep.records import Began, KnownResult, Record, Suggested, TrialConcluded

PARAMETERS = {
    "lr": {"type": "float", "min": 1e-4, "max": 1.0, "log": True},
    "width": {"type": "int", "min": 8, "max": 64},
    "kind": {"type": "choice", "values": ["adam", "sgd"]},
    "momentum": {"type": "float", "min": 0.0, "max": 0.9, "when": {"kind": "sgd"}},
    "layers": {"type": "int", "min": 1, "max": 4, "when": {"kind": "sgd"}},
    "flag": {"type": "bool"},
    "seed": {"type": "fixed", "value": 7},
}
ROW = "lr,width,kind,momentum,layers,flag,loss,size\n"
FITTING = f"{ROW}0.1,16,adam,,,true,0.5,3\n0.2,32,sgd,0.5,2,false,0.25,4\n"


def spec(base: Path, **more: object) -> SweepSpec:
    content: dict[str, object] = {
        "name": "new",
        "command": "true {lr}",
        "parameters": PARAMETERS,
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "outcome_constraints": ["size <= 10"],
        "trials": 3,
        **more,
    }
    return SweepSpec.from_mapping(content, base=base)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Known]:
    def read(text: str, *, skip: bool = False, **more: object) -> Known:
        (tmp_path / "old.csv").write_text(text)
        return load(spec(tmp_path, **more), "old.csv", base=tmp_path, directory=tmp_path / "sweeps", skip=skip)

    return read


def test_a_csv_file_is_read_by_the_types_of_the_parameters(read: Callable[..., Known]) -> None:
    found = read(FITTING)

    assert found == Known(
        "old.csv",
        (
            KnownResult({"lr": 0.1, "width": 16, "kind": "adam", "flag": True, "seed": 7}, {"loss": 0.5, "size": 3.0}),
            KnownResult(
                {"lr": 0.2, "width": 32, "kind": "sgd", "momentum": 0.5, "layers": 2, "flag": False, "seed": 7},
                {"loss": 0.25, "size": 4.0},
            ),
        ),
    )
    assert [type(value) for value in found.trials[1].parameters.values()] == [float, int, str, float, int, bool, int]


def test_what_pandas_and_optuna_write_is_understood(read: Callable[..., Known]) -> None:
    found = read(
        "number,value,datetime_start,duration,params_flag,params_kind,params_layers,params_lr,params_momentum,"
        "params_width,user_attrs_size,user_attrs_size_sem,state\n"
        "0,0.5,2026-01-01,1s,True,sgd,2.0,0.1,0.5,16,3,0.25,COMPLETE\n"
        "1,,2026-01-01,1s,True,adam,,0.1,,16,,,FAIL\n",
    )

    assert [trial.parameters["layers"] for trial in found.trials] == [2]
    assert found.trials[0].values == {"loss": 0.5, "size": 3.0}
    assert found.trials[0].sems == {"size": 0.25}
    assert found.warnings == ("old.csv: left out, as their trials did not succeed: 1 of 2 rows",)


def test_what_ax_summarizes_is_understood(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "trial_index": [0, 1],
            "arm_name": ["0_0", "1_0"],
            "trial_status": ["COMPLETED", "FAILED"],
            "generation_node": ["Sobol", "BoTorch"],
            "loss": [0.5, np.nan],
            "size": [3.0, np.nan],
            "lr": [0.1, 0.2],
            "width": [16, 32],
            "kind": ["adam", "adam"],
            "flag": [True, False],
        }
    )

    found = of_table(spec(tmp_path), table, source="DataFrame")

    assert [trial.values for trial in found.trials] == [{"loss": 0.5, "size": 3.0}]
    assert found.warnings == ("DataFrame: left out, as their trials did not succeed: 1 of 2 rows",)


def test_a_list_of_mappings_is_a_table_too(tmp_path: Path) -> None:
    row = {
        "lr": np.float64(0.5),
        "width": np.int64(16),
        "kind": "adam",
        "momentum": np.float32("nan"),
        "flag": np.True_,
    }

    found = of_table(spec(tmp_path), [{**row, "loss": 1, "size": 2}], source="list")

    assert found.trials == (
        KnownResult({"lr": 0.5, "width": 16, "kind": "adam", "flag": True, "seed": 7}, {"loss": 1.0, "size": 2.0}),
    )


def test_several_objectives_of_optuna_go_by_their_places(read: Callable[..., Known]) -> None:
    two = [{"metric": "loss", "direction": "minimize"}, {"metric": "size", "direction": "minimize"}]
    found = read(
        "parameters.lr,parameters.width,parameters.kind,parameters.flag,values_0,values_1,values_1_sem\n"
        "0.1,16,adam,true,0.5,3,0.1\n",
        objectives=two,
        outcome_constraints=[],
    )

    assert found.trials[0].values == {"loss": 0.5, "size": 3.0}
    assert found.trials[0].sems == {"size": 0.1}


def test_columns_that_mean_nothing_are_ignored_and_named(read: Callable[..., Known]) -> None:
    found = read("lr,width,kind,flag,loss,size,note,epochs\n0.1,16,adam,true,0.5,3,good,10\n")

    assert len(found.trials) == 1
    assert found.warnings == ("old.csv: ignored, as they are no parameters or needed metrics of new: 'note', 'epochs'",)


def test_equal_rows_are_one_result(read: Callable[..., Known]) -> None:
    assert len(read(FITTING + FITTING.partition("\n")[2]).trials) == 2


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("5,16,adam,,,true,0.5,3", "old.csv:3: lr: '5' is not a number from 0.0001 to 1"),
        ("0.1,16.5,adam,,,true,0.5,3", "old.csv:3: width: '16.5' is not a whole number from 8 to 64"),
        ("0.1,16,rmsprop,,,true,0.5,3", "old.csv:3: kind: 'rmsprop' is not one of adam, sgd"),
        ("0.1,16,adam,0.5,,true,0.5,3", "old.csv:3: momentum: exists only when kind is sgd"),
        ("0.1,16,sgd,0.5,,true,0.5,3", "old.csv:3: layers: has no value"),
        ("0.1,,adam,,,true,0.5,3", "old.csv:3: width: has no value"),
        ("0.1,16,adam,,,maybe,0.5,3", "old.csv:3: flag: 'maybe' is not true or false"),
        ("0.1,16,adam,,,true,,3", "old.csv:3: loss: an empty cell is no finite number"),
        ("0.1,16,adam,,,true,nan,3", "old.csv:3: loss: 'nan' is no finite number"),
        ("0.1,16,adam,,,true,0.5,good", "old.csv:3: size: 'good' is no finite number"),
        ("0.1,16,adam,,,true,0.5,3,9", "old.csv:3: it has more cells than there are columns"),
        ("0.1,16,adam", "old.csv:3: flag: has no value"),
    ],
)
def test_a_row_that_does_not_fit_is_told_by_its_line(row: str, problem: str, read: Callable[..., Known]) -> None:
    with pytest.raises(UsageError) as raised:
        read(f"{ROW}0.1,16,adam,,,true,0.5,3\n{row}\n")

    assert raised.value.message.startswith("old.csv: 1 of 2 rows cannot be results of this sweep; 1 fit\n")
    assert problem in raised.value.message
    assert "axk8s attach new old.csv --skip" in raised.value.hint


def test_rows_that_do_not_fit_can_be_left_out(read: Callable[..., Known]) -> None:
    found = read(f"{FITTING}5,16,adam,,,true,0.5,3\n", skip=True)

    assert len(found.trials) == 2
    assert found.warnings[0].startswith(
        "old.csv: left out, as they do not fit: 1 of 3 rows; the first is old.csv:4: lr"
    )


@pytest.mark.parametrize("sem", ["-1", "nan", "inf", "small"])
def test_a_standard_error_is_a_number_from_0(sem: str, read: Callable[..., Known]) -> None:
    with pytest.raises(UsageError, match=f"loss_sem: '{sem}' is no standard error"):
        read(f"lr,width,kind,flag,loss,size,loss_sem\n0.1,16,adam,true,0.5,3,{sem}\n")


def test_a_constraint_on_parameters_holds_for_known_results_too(read: Callable[..., Known]) -> None:
    with pytest.raises(UsageError, match=r"old\.csv:3: these values break the constraint 'width <= 20'"):
        read(FITTING, parameter_constraints=["width <= 20"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "says nothing of 'lr', 'width', 'kind', 'flag', 'loss', 'size'"),
        ("lr,width,kind,loss\n0.1,16,adam,1\n", "old.csv says nothing of 'flag', 'size'"),
        (ROW, "old.csv has no result: it is empty"),
        ("lr,lr,width,kind,flag,loss,size\n", "old.csv:1: two columns are called 'lr'"),
        ("lr,params_lr,width,kind,flag,loss,size\n", "the columns 'lr' and 'params_lr' both are 'lr'"),
        (
            "state,lr,width,kind,flag,loss,size\nFAIL,1,16,adam,true,,\n",
            "old.csv has no result: no trial in it has succeeded",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(text: str, problem: str, read: Callable[..., Known]) -> None:
    with pytest.raises(UsageError) as raised:
        read(text)

    assert problem in raised.value.message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_bytes(b"\xff\xfe\x00\x01")

    with pytest.raises(UsageError, match=r"old\.csv cannot be read: it is no CSV file in UTF-8"):
        load(spec(tmp_path), "old.csv", base=tmp_path, directory=tmp_path)


def test_a_dataframe_is_read_with_the_gaps_and_numbers_of_pandas_and_numpy(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "lr": np.array([0.5, 1.0], dtype=np.float32),
            "width": np.array([16, 32]),
            "kind": ["adam", "sgd"],
            "momentum": [np.nan, 0.5],
            "layers": [math.nan, 2],
            "flag": [True, False],
            "loss": [1, 2],
            "size": [3.0, 4.0],
            "note": ["", "x"],
        }
    )

    found = of_table(spec(tmp_path), table, source="DataFrame")

    assert [dict(trial.parameters) for trial in found.trials] == [
        {"lr": 0.5, "width": 16, "kind": "adam", "flag": True, "seed": 7},
        {"lr": 1.0, "width": 32, "kind": "sgd", "momentum": 0.5, "layers": 2, "flag": False, "seed": 7},
    ]
    assert {type(value) for trial in found.trials for value in trial.parameters.values()} <= {float, int, str, bool}
    assert of_table(spec(tmp_path), table.convert_dtypes(), source="DataFrame").trials == found.trials
    with pytest.raises(UsageError, match=r"row 1: lr: 9 is not a number"):
        of_table(spec(tmp_path), table.assign(lr=[0.5, 9.0]), source="DataFrame")


def finished(folder: Path, base: Path, *losses: float | None, simulated: bool = False) -> SweepFolder:
    sweep = SweepFolder(folder)
    sweep.path.mkdir(parents=True)
    made: list[Record] = [
        Began(time=1.0, uid="b" * 32, name=folder.name, spec=spec(base).to_json(), base="/", simulated=simulated)
    ]
    for number, loss in enumerate(losses):
        parameters: Parameters = {"lr": 0.5, "width": 8 + number, "kind": "adam", "flag": True, "seed": 7}
        outcome = Outcome.FAILED if loss is None else Outcome.SUCCEEDED
        values = {} if loss is None else {"loss": loss, "size": 1.0, "other": 5.0}
        made += [
            Suggested(time=2.0, trial=number, parameters=parameters, generator="Sobol"),
            TrialConcluded(
                time=3.0, trial=number, outcome=outcome, values=values, sems={"loss": 0.1} if values else {}
            ),
        ]
    with Journal(sweep.journal) as journal:
        for record in made:
            journal.append(record)
        journal.commit()
    return sweep


@pytest.mark.parametrize("text", ["old", "sweeps/old", "./sweeps/old"])
def test_a_sweep_is_found_by_its_name_and_by_its_folder(text: str, tmp_path: Path) -> None:
    finished(tmp_path / "sweeps" / "old", tmp_path, 0.5, None, 0.25)

    (found,) = warm_start(spec(tmp_path, warm_start=[text]), tmp_path / "sweeps")

    assert found.source == text
    assert [(trial.parameters["width"], trial.values, trial.sems) for trial in found.trials] == [
        (8, {"loss": 0.5, "size": 1.0}, {"loss": 0.1}),
        (10, {"loss": 0.25, "size": 1.0}, {"loss": 0.1}),
    ]


def test_trials_of_a_sweep_that_do_not_fit_are_told_by_their_number(tmp_path: Path) -> None:
    finished(tmp_path / "sweeps" / "old", tmp_path, 0.5, 0.25)
    narrow = {**PARAMETERS, "width": {"type": "int", "min": 9, "max": 64}}

    with pytest.raises(UsageError, match="trial 0: width: 8 is not a whole number from 9 to 64"):
        load(spec(tmp_path, parameters=narrow), "old", base=tmp_path, directory=tmp_path / "sweeps")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("new", "a sweep knows its own results"),
        ("rehearsal", "is a simulation, whose results mean nothing"),
        ("failed", "none of its 1 trials has succeeded"),
        ("odl", "there is no file"),
        ("sweeps", "holds no sweep"),
    ],
)
def test_a_sweep_that_cannot_be_a_source_is_refused(source: str, problem: str, tmp_path: Path) -> None:
    for name, losses, simulated in (("new", [1.0], False), ("rehearsal", [1.0], True), ("failed", [None], False)):
        finished(tmp_path / "sweeps" / name, tmp_path, *losses, simulated=simulated)
    finished(tmp_path / "sweeps" / "old", tmp_path, 1.0)

    with pytest.raises(UsageError) as raised:
        load(spec(tmp_path), source, base=tmp_path, directory=tmp_path / "sweeps")

    assert problem in raised.value.message
    if source == "odl":
        assert "'old'" in raised.value.hint
