"""Any process finds a job's folder by its id, wherever it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from axk8s.errors import SubmitError
from axk8s.names import ENV_STATE_DIR
from axk8s.schedulers.local import registry


def test_the_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_STATE_DIR, "/own")
    assert registry.jobs_directory() == Path("/own/jobs")
    monkeypatch.delenv(ENV_STATE_DIR)
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert registry.jobs_directory() == Path("/xdg/axk8s/jobs")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert registry.jobs_directory() == Path("/home/somebody/.local/state/axk8s/jobs")


def test_entries_of_deleted_folders_are_cleaned(tmp_path: Path, state: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        registry.register(name, tmp_path / name)
    (tmp_path / "a").rmdir()
    assert registry.find("a") is None
    assert list(registry.entries()) == [("b", tmp_path / "b")]
    assert [path.name for path in (state / "jobs").iterdir()] == ["b"]


def test_the_last_folder_registered_wins_and_forgetting_leaves_it_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        registry.register("job", tmp_path / name)
    assert registry.find("job") == tmp_path / "two"
    registry.forget("job")
    registry.forget("job")
    assert registry.find("job") is None
    assert (tmp_path / "two").is_dir()


def test_names_that_lead_elsewhere_are_unknown() -> None:
    for name in ("..", ".", "", "a/b", "nul\0"):
        assert registry.find(name) is None
        registry.forget(name)


def test_a_register_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(ENV_STATE_DIR, str(tmp_path / "file"))
    with pytest.raises(SubmitError, match=f"set {ENV_STATE_DIR} to a folder of yours"):
        registry.register("job", tmp_path)


def test_a_folder_in_the_register_is_not_replaced_by_a_link(tmp_path: Path) -> None:
    registry.default_folder("job").mkdir(parents=True)
    with pytest.raises(SubmitError, match="is already a job in"):
        registry.register("job", tmp_path)
