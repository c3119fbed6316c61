from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchx.specs.builders import materialize_appdef
from torchx.specs.finder import get_component

from axk8s import names
from axk8s.training import Record, parse_line, parse_record

COMPONENTS = Path(__file__).parents[2] / "components"


def trainer(*arguments: str) -> Any:
    component = get_component(f"{COMPONENTS / 'digits.py'}:digits")
    (role,) = materialize_appdef(component.fn, list(arguments)).roles
    return role


def environment(**more: str) -> dict[str, str]:
    """This process's environment, without a sweep that it might run in itself, and with one thread."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AXK8S_")}
    return {**inherited, "OMP_NUM_THREADS": "1", **more}


def steps(output: str) -> dict[int | None, Mapping[str, float]]:
    records = [record for line in output.splitlines() for record in parse_line(line)]
    return {record.step: record.values for record in records if isinstance(record, Record)}


def test_torchx_makes_the_job_from_the_command_line() -> None:
    role = trainer("--lr", "0.01", "--hidden", "64", "--optimizer", "sgd", "--momentum", "0.9")

    assert (role.image, role.entrypoint) == ("", "python")
    assert role.args[0] == "digits_train.py"
    assert {"--lr=0.01", "--hidden=64", "--optimizer=sgd", "--momentum=0.9", "--epochs=30"} <= set(role.args)
    assert role.num_replicas == 1
    assert all(isinstance(argument, str) for argument in role.args)


def test_an_image_of_its_own_may_hold_the_script_elsewhere() -> None:
    role = trainer("--lr", "0.01", "--hidden", "64", "--image", "pytorch:2", "--script", "/app/digits_train.py")

    assert (role.image, role.entrypoint, role.args[0]) == ("pytorch:2", "python", "/app/digits_train.py")


def test_a_container_gets_what_one_training_needs() -> None:
    resource = trainer("--lr", "0.01", "--hidden", "64").resource

    assert (resource.cpu, resource.gpu, resource.memMB) == (1, 0, 1024)


def test_the_training_image_holds_no_code_and_runs_as_a_user_other_than_root() -> None:
    lines = (COMPONENTS / "Dockerfile").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith(("#", " "))]

    assert not {"COPY", "ADD"} & {instruction for instruction, *_ in words}
    assert ["USER", "1000"] in words


def test_the_job_learns_digits_and_reports_every_epoch(tmp_path: Path) -> None:
    role = trainer("--lr", "0.01", "--hidden", "128")
    metrics = tmp_path / "metrics.jsonl"

    subprocess.run(
        [sys.executable, "-W", "error", *role.args],
        cwd=COMPONENTS,
        env=environment(**{names.ENV_METRICS: str(metrics)}),
        check=True,
    )

    records = [parse_record(line) for line in metrics.read_text().splitlines()]
    assert all(isinstance(record, Record) and record.values.keys() == {"accuracy", "loss"} for record in records)
    assert [record.step for record in records if isinstance(record, Record)] == list(range(30))
    last = records[-1]
    assert isinstance(last, Record)
    assert last.values["accuracy"] >= 0.96


def test_a_resumed_training_goes_on_exactly_as_an_unbroken_one(tmp_path: Path) -> None:
    # One process for all trainings: importing torch takes longer than they do.
    driver = """
import json, os, sys
import digits_train
for checkpoints, epochs in json.loads(sys.argv[1]):
    os.environ["AXK8S_CHECKPOINT_DIR"] = checkpoints
    sys.argv = ["train", "--lr=0.05", "--hidden=16", "--optimizer=sgd", "--momentum=0.5", f"--epochs={epochs}"]
    print("training")
    digits_train.main()
"""
    broken, unbroken = str(tmp_path / "broken"), str(tmp_path / "unbroken")
    done = subprocess.run(
        [sys.executable, "-c", driver, json.dumps([(broken, 2), (broken, 4), (unbroken, 4), (unbroken, 4)])],
        cwd=COMPONENTS,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    _, *outputs = done.stdout.split("training\n")
    first, resumed, whole, finished = [steps(output) for output in outputs]
    assert list(first) == [0, 1]
    assert list(resumed) == [1, 2, 3]
    assert first | resumed == whole
    assert list(finished) == [3]
