from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from axk8s.cli.app import app
from axk8s.cli.init import sweep_name
from axk8s.names import SWEEP_NAME
from axk8s.spec.sweep import SweepSpec


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), prog_name="axk8s")


def test_init_writes_a_valid_sweep_named_after_its_folder(tmp_path: Path) -> None:
    result = invoke("init", str(tmp_path / "My Model"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "axk8s run" in result.stderr
    spec = SweepSpec.load(tmp_path / "My Model" / "sweep.yaml")
    assert spec.name == "my-model"
    assert (tmp_path / "My Model" / "train.py").exists()


def test_init_writes_into_the_present_folder_without_an_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("init").exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"sweep.yaml", "train.py"}


@pytest.mark.parametrize("existing", ["sweep.yaml", "train.py"])
def test_init_overwrites_nothing(existing: str, tmp_path: Path) -> None:
    (tmp_path / existing).write_text("mine")
    result = invoke("init", str(tmp_path))
    assert result.exit_code == 2
    assert existing in result.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(existing, "mine")]


def test_a_file_in_place_of_the_folder_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = invoke("init", str(tmp_path / "file" / "inner"))
    assert result.exit_code == 1
    assert str(tmp_path / "file") in result.stderr


@pytest.mark.parametrize("text", ["", "-", "Ünï", "123", "1e5", "true", "a" * 80, "x/y z", "._a_."])
def test_any_folder_gives_a_valid_name_that_yaml_reads_as_text(text: str, tmp_path: Path) -> None:
    name = sweep_name(text)
    assert SWEEP_NAME.fullmatch(name)
    path = tmp_path / "sweep.yaml"
    path.write_text(
        f"name: {name}\ncommand: true {{x}}\nparameters: {{x: {{type: int, min: 1, max: 2}}}}\n"
        "objectives: [{metric: loss, direction: minimize}]\ntrials: 2\n"
    )
    assert SweepSpec.load(path).name == name
