from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.errors import FolderError, SpecError, UsageError
from axk8s.folder import SweepFolder
from axk8s.launch import workspace
from axk8s.spec.sweep import SweepSpec

Make = Callable[..., SweepSpec]
Write = Callable[[str, str], Path]


def names(root: Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir() or path.is_symlink()
    )


@pytest.fixture
def folder(project: Path) -> SweepFolder:
    return SweepFolder(project / "sweeps" / "tuning")


def test_git_ignore_rules_apply_nested_ones_and_those_of_the_repository(
    sweep: Make,
    write: Write,
    project: Path,
) -> None:
    write(".git/HEAD", "")
    write(".gitignore", "*.log\n/data/\n!keep.log\n")
    write("code/.gitignore", "local.py\n!again.log\n")
    for name in (
        "a.log",
        "keep.log",
        "again.log",
        "local.py",
        "train.py",
        "data/x",
        "__pycache__/t.pyc",
        ".venv/pyvenv.cfg",
    ):
        write(f"code/{name}", "")
    spec = sweep("command: prog {lr}\nworkspace: code")

    code = workspace.prepare(spec, SweepFolder(project / "code" / "sweeps" / "tuning"))

    assert sorted(code.files) == [".gitignore", "again.log", "data/x", "keep.log", "train.py"]
    assert names(code.root) == sorted(code.files)


def test_sweeps_and_virtual_environments_are_never_copied(
    sweep: Make,
    write: Write,
    project: Path,
    folder: SweepFolder,
) -> None:
    write("other/runs/one/journal.jsonl", "")
    write("env/pyvenv.cfg", "")
    write("train.py", "")

    code = workspace.prepare(sweep("command: prog {lr}\nworkspace: ."), folder)

    assert sorted(code.files) == ["sweep.yaml", "train.py"]


def test_the_copy_is_made_once_and_edits_are_reported(
    sweep: Make,
    write: Write,
    project: Path,
    folder: SweepFolder,
) -> None:
    write("train.py", "print(1)")
    write("old.py", "")
    spec = sweep("command: prog {lr}\nworkspace: .")
    first = workspace.prepare(spec, folder)
    write("train.py", "print(2)")
    write("new.py", "")
    (project / "old.py").unlink()

    again = workspace.prepare(spec, folder)

    assert again == first
    assert (again.root / "train.py").read_text() == "print(1)"
    assert workspace.changed_files(again, project, folder=folder) == ["new.py new", "old.py gone", "train.py changed"]


def test_files_that_jobs_write_into_the_copy_are_no_change(
    sweep: Make,
    write: Write,
    project: Path,
    folder: SweepFolder,
) -> None:
    write("train.py", "")
    code = workspace.prepare(sweep("command: prog {lr}\nworkspace: ."), folder)
    (code.root / "checkpoint.pt").write_text("")

    assert workspace.changed_files(code, project, folder=folder) == []


def test_the_digest_depends_on_names_contents_and_the_executable_bit(
    sweep: Make,
    write: Write,
    project: Path,
    tmp_path: Path,
) -> None:
    spec = sweep("command: prog {lr}\nworkspace: .")
    digests = []
    changes: list[Callable[[Path], object]] = [
        lambda path: path,
        lambda path: path.chmod(0o755),
        lambda path: path.write_text("x"),
        lambda path: path.unlink(),
    ]
    for index, change in enumerate(changes):
        path = write("run.sh", "")
        path.chmod(0o644)
        change(path)
        digests.append(workspace.prepare(spec, SweepFolder(tmp_path / str(index) / "s")).digest)

    assert len(set(digests)) == 4
    write("run.sh", "").chmod(0o644)
    assert workspace.prepare(spec, SweepFolder(tmp_path / "again" / "s")).digest == digests[0]


def test_the_executable_bit_is_kept(
    sweep: Make,
    write: Write,
    folder: SweepFolder,
) -> None:
    write("run.sh", "").chmod(0o755)

    code = workspace.prepare(sweep("command: ./run.sh {lr}\nworkspace: ."), folder)

    assert os.access(code.root / "run.sh", os.X_OK)


def test_links_to_files_become_files_and_links_to_folders_stay_links(
    sweep: Make,
    write: Write,
    project: Path,
    tmp_path: Path,
    folder: SweepFolder,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "x").write_text("big")
    (project / "data").symlink_to(data)
    (project / "x.py").symlink_to(data / "x")
    (project / ".#lock").symlink_to("nobody@nowhere")

    code = workspace.prepare(sweep("command: prog {lr}\nworkspace: ."), folder)

    assert (code.root / "data").readlink() == data
    assert (code.root / "x.py").read_text() == "big"
    assert not (code.root / "x.py").is_symlink()
    assert (code.root / ".#lock").is_symlink()


def test_without_a_workspace_nothing_is_copied_and_the_script_is_watched(
    sweep: Make,
    write: Write,
    project: Path,
    folder: SweepFolder,
) -> None:
    script = write("train.py", "1")

    code = workspace.prepare(sweep("command: prog {lr}"), folder, [script])
    write("other.py", "")
    write("train.py", "2")

    assert (code.root, code.pinned, sorted(code.files)) == (project, False, ["train.py"])
    assert not folder.workspace.exists()
    assert workspace.changed_files(code, project) == ["train.py changed"]


def test_a_folder_that_is_too_large_is_refused_with_its_largest_files(
    sweep: Make,
    project: Path,
    folder: SweepFolder,
) -> None:
    with (project / "weights.bin").open("wb") as file:
        file.truncate(workspace.LIMIT + 1)

    with pytest.raises(SpecError, match=r"weights\.bin \(1,024 MiB\)") as caught:
        workspace.prepare(sweep("command: prog {lr}\nworkspace: ."), folder)

    assert ".gitignore" in str(caught.value)
    assert not folder.workspace.exists()


def test_a_large_folder_is_worth_a_warning(
    sweep: Make,
    project: Path,
) -> None:
    with (project / "weights.bin").open("wb") as file:
        file.truncate(workspace.LARGE)

    assert "weights.bin" in workspace.warnings(sweep("command: prog {lr}\nworkspace: ."))[0]


def test_a_missing_workspace_names_the_line(
    sweep: Make,
) -> None:
    with pytest.raises(SpecError, match=r"sweep\.yaml:7: workspace: .*srcc does not exist"):
        workspace.in_place(sweep("command: prog {lr}\nworkspace: srcc"))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that even root cannot read")
def test_an_unreadable_file_is_named(sweep: Make, project: Path, folder: SweepFolder) -> None:
    (project / "secret.py").symlink_to("/proc/self/mem")

    with pytest.raises(UsageError, match=r"secret\.py cannot be copied"):
        workspace.prepare(sweep("command: prog {lr}\nworkspace: ."), folder)

    assert not folder.workspace.exists()


def test_a_copy_that_was_cut_short_is_made_anew(
    sweep: Make,
    write: Write,
    folder: SweepFolder,
) -> None:
    write("train.py", "")
    spec = sweep("command: prog {lr}\nworkspace: .")
    folder.path.mkdir(parents=True)
    folder.workspace_index.write_text(json.dumps({"half": "done"}))

    assert "train.py" in workspace.prepare(spec, folder).files


def test_a_damaged_list_of_files_is_an_error(
    sweep: Make,
    folder: SweepFolder,
) -> None:
    spec = sweep("command: prog {lr}")
    workspace.prepare(spec, folder)
    folder.workspace_index.write_text("{")

    with pytest.raises(FolderError, match="damaged"):
        workspace.prepare(spec, folder)
