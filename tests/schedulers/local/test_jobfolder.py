"""A job's records appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

from axk8s.schedulers.local import jobfolder


def test_a_claim_succeeds_once(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    assert jobfolder.claim(path, {"first": True})
    assert not jobfolder.claim(path, {"second": True})
    assert jobfolder.read(path) == {"first": True}
    assert list(tmp_path.iterdir()) == [path]


def test_reserved_space_is_used_and_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"
    jobfolder.reserve(path)
    assert jobfolder.read(path) is None
    jobfolder.replace(path, {"code": 0}, durable=True)
    jobfolder.release(path)
    assert jobfolder.read(path) == {"code": 0}
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_absent_or_no_object_reads_as_none(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "list").write_text("[]")
    assert [jobfolder.read(tmp_path / name) for name in ("missing", "empty", "list", "empty/below")] == [None] * 4
