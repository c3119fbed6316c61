"""The code that jobs run: pinned when the sweep begins, so that an edit meanwhile does not change half of the trials.

With `workspace:` its files are copied into the sweep's folder and jobs run there. Without it jobs run where the sweep
file lies, nothing is copied (nobody asked for a copy of what may be a home directory), and only the digests of the
files that are known to run are kept, so that a changed script is noticed.

Git's ignore rules apply. Links to files are copied as files; links to folders stay links, because data sets are
reached by them; so do broken links.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from axk8s.errors import FolderError, Problem, SpecError, UsageError
from axk8s.folder import SweepFolder
from axk8s.spec.sweep import SweepSpec

LIMIT = 1 << 30
"""Bytes; a copy of more than 1 GiB for each sweep is data, not code."""
LARGE = 100 << 20
"""Bytes from which on a warning is due."""

_SKIPPED = {
    ".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv", ".tox", ".nox",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints",
}  # fmt: skip
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where the code comes from, where it runs, and what it was when the sweep began."""

    source: Path
    """The user's folder."""
    root: Path
    """The jobs' working directory: the pinned copy, or `source` itself."""
    files: Mapping[str, str]
    """Path below `source` to sha256 of the content (links: of the target); `+x` marks executables."""

    @property
    def pinned(self) -> bool:
        return self.root != self.source

    @property
    def digest(self) -> str:
        """sha256 over all paths, contents and executable bits."""
        whole = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            whole.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
        return f"sha256:{whole.hexdigest()}"

    def moved(self, path: Path) -> Path:
        """Where a file of `source` stands at run time."""
        return self.root / path.relative_to(self.source) if path.is_relative_to(self.source) else path


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    path: Path
    size: int = 0
    link: str = ""
    """What a link that stays one points to; absolute when it leads out of the workspace."""


def in_place(spec: SweepSpec) -> Workspace:
    """The code where the user has it, for checks before there is a sweep.

    Raises:
        SpecError: `workspace` is not a folder.
    """
    source = _source(spec)
    return Workspace(source, source, {})


def prepare(spec: SweepSpec, folder: SweepFolder, known: Iterable[Path] = ()) -> Workspace:
    """The pinned code of the sweep in `folder`: made the first time, found again afterwards.

    Args:
        spec: the sweep.
        folder: the sweep's folder.
        known: files that will run, watched where nothing is copied.

    Raises:
        SpecError: `workspace` is not a folder, or holds more than `LIMIT`.
        UsageError: a file in it cannot be read.
        FolderError: the list of pinned files is damaged.
    """
    source = _source(spec)
    root = source if spec.workspace is None else folder.workspace
    if folder.workspace_index.exists() and root.is_dir():
        return Workspace(source, root, _read_index(folder))
    folder.path.mkdir(parents=True, exist_ok=True)
    if spec.workspace is None:
        files = {_below(path, source): _digest(path) for path in sorted(set(known)) if path.is_file()}
        _write_index(folder, files)
        return Workspace(source, root, files)
    entries = _entries(source, folder)
    _check_size(spec, source, entries)
    fresh = folder.workspace.with_name(f".{folder.workspace.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        files = {entry.name: _copy(entry, fresh) for entry in entries}
        _write_index(folder, files)
        shutil.rmtree(folder.workspace, ignore_errors=True)
        fresh.replace(folder.workspace)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Workspace(source, root, files)


def contents(code: Workspace) -> tuple[dict[str, bytes], list[str]]:
    """All files by their path, and the links that stay links: those to folders.

    Raises:
        UsageError: a file cannot be read.
    """
    names = list(code.files) if code.pinned else [entry.name for entry in _entries(code.source, None)]
    files: dict[str, bytes] = {}
    links = []
    for name in sorted(names):
        path = code.root / name
        if path.is_symlink() and not path.is_file():
            links.append(name)
            continue
        try:
            files[name] = path.read_bytes()
        except OSError as error:
            raise _unreadable(path, error) from error
    return files, links


def changed_files(pinned: Workspace, source: Path, *, folder: SweepFolder | None = None) -> list[str]:
    """How `source` differs from what was pinned: `train.py changed`, `model.py new`, `old.py gone`; sorted.

    Without a copy only the watched files are compared: nothing else was ever promised to stay.
    """
    if pinned.pinned:
        now = {entry.name: _entry_digest(entry) for entry in _entries(source, folder)}
    else:
        paths = {name: source / name for name in pinned.files}
        now = {name: _digest(path) for name, path in paths.items() if path.is_file()}
    changes = dict.fromkeys(now.keys() - pinned.files.keys(), "new")
    changes |= dict.fromkeys(pinned.files.keys() - now.keys(), "gone")
    changes |= {name: "changed" for name in now.keys() & pinned.files.keys() if now[name] != pinned.files[name]}
    return [f"{name} {what}" for name, what in sorted(changes.items())]


def warnings(spec: SweepSpec, *, folder: SweepFolder | None = None) -> list[str]:
    """What a person should know of the workspace before it is copied.

    Raises:
        SpecError: it is not a folder, or holds more than `LIMIT`.
    """
    source = _source(spec)
    if spec.workspace is None:
        return []
    entries = _entries(source, folder)
    _check_size(spec, source, entries)
    total = sum(entry.size for entry in entries)
    if total < LARGE:
        return []
    where = spec.where("workspace")
    return [f"{where}: the workspace holds {_mib(total)}, which is copied for each sweep; most in {_largest(entries)}"]


def _source(spec: SweepSpec) -> Path:
    path = (spec.base / Path(spec.workspace or ".").expanduser()).resolve()
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        hint = f"paths are relative to {spec.base}; `workspace: .` is that folder itself"
        raise SpecError([Problem(spec.where("workspace"), "workspace", f"{path} {what}", hint)])
    return path


def _entries(source: Path, folder: SweepFolder | None) -> list[_Entry]:
    """All that is copied, sorted by name."""
    sweeps = folder.path.parent.resolve() if folder is not None else None
    return sorted(_walk(source, source, _rules_above(source), sweeps), key=lambda entry: entry.name)


def _walk(source: Path, place: Path, rules: list[tuple[Path, GitIgnoreSpec]], sweeps: Path | None) -> Iterator[_Entry]:
    own = _rules(place)
    rules = [*rules, (place, own)] if own is not None else rules
    try:
        found = sorted(os.scandir(place), key=lambda item: item.name)
    except OSError as error:
        raise _unreadable(place, error) from error
    for item in found:
        path = Path(item.path)
        is_folder = item.is_dir(follow_symlinks=False)
        # Names with two dots are the kubelet's, in a workspace that is itself a mounted ConfigMap.
        if (
            item.name in _SKIPPED
            or item.name.startswith("..")
            or _ignored(path, is_folder, rules)
            or (is_folder and _not_code(path, sweeps))
        ):
            continue
        name = path.relative_to(source).as_posix()
        if item.is_symlink() and not path.is_file():
            target = path.resolve()
            inside = target.is_relative_to(source) and not path.readlink().is_absolute()
            yield _Entry(name, path, link=str(path.readlink() if inside else target))
        elif is_folder:
            yield from _walk(source, path, rules, sweeps)
        elif stat.S_ISREG(item.stat().st_mode):
            yield _Entry(name, path, item.stat().st_size)


def _not_code(path: Path, sweeps: Path | None) -> bool:
    return path == sweeps or (path / "pyvenv.cfg").exists() or any(path.glob("*/journal.jsonl"))


def _rules(place: Path) -> GitIgnoreSpec | None:
    try:
        text = (place / ".gitignore").read_text("utf-8", "replace")
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(place / ".gitignore", error) from error
    return GitIgnoreSpec.from_lines(text.splitlines())


def _rules_above(source: Path) -> list[tuple[Path, GitIgnoreSpec]]:
    """Rules of the enclosing folders, outermost first, up to the repository's own."""
    above: list[tuple[Path, GitIgnoreSpec]] = []
    if (source / ".git").exists():
        return above
    for place in source.parents:
        rules = _rules(place)
        if rules is not None:
            above.insert(0, (place, rules))
        if (place / ".git").exists():
            return above
    return []


def _ignored(path: Path, is_folder: bool, rules: list[tuple[Path, GitIgnoreSpec]]) -> bool:
    """Git's order: the innermost file that says anything decides."""
    for place, spec in reversed(rules):
        verdict = spec.check_file(path.relative_to(place).as_posix() + ("/" if is_folder else "")).include
        if verdict is not None:
            return verdict
    return False


def _check_size(spec: SweepSpec, source: Path, entries: list[_Entry]) -> None:
    total = sum(entry.size for entry in entries)
    if total > LIMIT:
        message = f"{source} holds {_mib(total)}, and at most {_mib(LIMIT)} are copied; most in {_largest(entries)}"
        hint = "name data in .gitignore, reach it by an absolute path, or choose a smaller folder"
        raise SpecError([Problem(spec.where("workspace"), "workspace", message, hint)])


def _largest(entries: list[_Entry]) -> str:
    largest = sorted(entries, key=lambda entry: -entry.size)[:3]
    return ", ".join(f"{entry.name} ({_mib(entry.size)})" for entry in largest)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"


def _copy(entry: _Entry, root: Path) -> str:
    target = root / entry.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if entry.link:
        target.symlink_to(entry.link)
        return _entry_digest(entry)
    try:
        shutil.copy2(entry.path, target)
    except OSError as error:
        raise _unreadable(entry.path, error) from error
    # Of the copy: the original may be saved again while this runs.
    return _digest(target)


def _entry_digest(entry: _Entry) -> str:
    return f"link:{hashlib.sha256(os.fsencode(entry.link)).hexdigest()}" if entry.link else _digest(entry.path)


def _digest(path: Path) -> str:
    content = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                content.update(block)
            executable = os.fstat(file.fileno()).st_mode & stat.S_IXUSR
    except OSError as error:
        raise _unreadable(path, error) from error
    return content.hexdigest() + ("+x" if executable else "")


def _below(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else str(path)


def _write_index(folder: SweepFolder, files: Mapping[str, str]) -> None:
    fresh = folder.workspace_index.with_suffix(f".{os.getpid()}.part")
    try:
        fresh.write_text(json.dumps(files, indent=1), "utf-8")
        fresh.replace(folder.workspace_index)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()


def _read_index(folder: SweepFolder) -> dict[str, str]:
    try:
        return {
            str(name): str(content) for name, content in json.loads(folder.workspace_index.read_text("utf-8")).items()
        }
    except (ValueError, AttributeError) as error:
        raise FolderError(f"{folder.workspace_index} is damaged", hint="begin anew with --fresh") from error


def _unreadable(path: Path, error: OSError) -> UsageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = (
        "make room on the disk, or choose another --dir" if full else "change its permissions, or name it in .gitignore"
    )
    return UsageError(f"{path} cannot be copied into the sweep: {error.strerror or error}", hint=hint)
