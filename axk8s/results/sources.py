"""Where results from elsewhere are read from: CSV files, other sweeps, tables in memory."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from axk8s.errors import UsageError, suggestion
from axk8s.folder import SweepFolder, sweep_folders
from axk8s.journal import fold_file
from axk8s.results.known import PREFIXES, Known, Row, known
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Outcome
from axk8s.sweep.state import State


@runtime_checkable
class Table(Protocol):
    """A pandas DataFrame, by its shape: pandas is not needed to read one."""

    @property
    def columns(self) -> Iterable[object]: ...

    def to_dict(self, orient: str, /) -> Sequence[Mapping[str, object]]: ...


def warm_start(spec: SweepSpec, directory: Path) -> list[Known]:
    """Everything that the file's `warm_start` names, checked; `directory` holds the sweeps' folders.

    Raises:
        UsageError: a source cannot be read, or does not fit.
        JournalError: a sweep's journal is damaged.
    """
    return [load(spec, text, base=spec.base, directory=directory) for text in spec.warm_start]


def load(spec: SweepSpec, text: str, *, base: Path, directory: Path, skip: bool = False) -> Known:
    """What a CSV file, a sweep's folder or a sweep of that name holds; `base` is what paths are relative to.

    Raises:
        UsageError: there is none, it cannot be read, or it does not fit.
        JournalError: the sweep's journal is damaged.
    """
    path = base / Path(text).expanduser()
    named = SweepFolder(directory / text)
    if SweepFolder(path).exists():
        return of_sweep(spec, SweepFolder(path), source=text, own=directory / spec.name, skip=skip)
    if path.is_file() and (path.suffix.lower() == ".csv" or not named.exists()):
        return of_csv(spec, path, source=text, skip=skip)
    if named.exists():
        return of_sweep(spec, named, source=text, own=directory / spec.name, skip=skip)
    near = [folder.name for folder in sweep_folders(directory)]
    near += [str(file.relative_to(base)) for file in base.glob("*.csv")]
    what = f"{path} holds no sweep" if path.is_dir() else f"there is no file {path}, and no sweep of that name"
    raise UsageError(
        f"{text!r} cannot be a source of results: {what} in {directory}",
        hint=suggestion(text, near) if near else "give a CSV file, a sweep's name, or its folder",
    )


def of_csv(spec: SweepSpec, path: Path, *, source: str, skip: bool = False) -> Known:
    """What a CSV file holds: a column for each parameter and metric; an empty cell is a parameter that is absent.

    Raises:
        UsageError: it cannot be read, or does not fit.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [name.strip() for name in reader.fieldnames or ()]
            twice = sorted({name for name in columns if name and columns.count(name) > 1})
            if twice:
                raise UsageError(f"{source}:1: two columns are called {twice[0]!r}", hint="rename or remove one")
            reader.fieldnames = columns
            return known(spec, _rows(reader, source), columns, source=source, skip=skip)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is no CSV file in UTF-8: {error}"
        raise UsageError(f"{source} cannot be read: {why}") from error


def _rows(reader: csv.DictReader[str], source: str) -> Iterator[Row]:
    for cells in reader:
        yield Row(f"{source}:{reader.line_num}", cells)


def of_table(
    spec: SweepSpec, table: Table | Sequence[Mapping[str, object]], *, source: str, skip: bool = False
) -> Known:
    """What a pandas DataFrame, or a list of mappings, holds.

    Raises:
        UsageError: it does not fit.
    """
    found = table.to_dict("records") if isinstance(table, Table) else table
    columns = (
        [*map(str, table.columns)]
        if isinstance(table, Table)
        else [*dict.fromkeys(name for row in found for name in row)]
    )
    rows = (Row(f"row {number}", {str(name): cell for name, cell in each.items()}) for number, each in enumerate(found))
    return known(spec, rows, columns, source=source, skip=skip)


def of_sweep(spec: SweepSpec, folder: SweepFolder, *, source: str, own: Path, skip: bool = False) -> Known:
    """What the succeeded trials of another sweep brought; `own` is the folder of the sweep that learns it.

    Raises:
        UsageError: it is the same sweep or a simulation, or does not fit.
        JournalError: its journal is damaged.
    """
    if folder.path.resolve() == own.resolve():
        raise UsageError(
            f"{source}: a sweep knows its own results",
            hint="to begin another one from them, give it another name: axk8s run sweep.yaml --name OTHER",
        )
    state = fold_file(folder.journal)
    if state.simulated:
        raise UsageError(f"{source} is a simulation, whose results mean nothing")
    rows = [*_trials(state)]
    columns = list(dict.fromkeys(name for row in rows for name in row.cells))
    if not rows:
        raise UsageError(f"{source} has no result: none of its {len(state.trials)} trials has succeeded")
    return known(spec, rows, columns, source=source, skip=skip)


def _trials(state: State) -> Iterator[Row]:
    for trial in state.trials:
        if trial.outcome is Outcome.SUCCEEDED:
            cells: dict[str, object] = {f"{PREFIXES[0]}{name}": value for name, value in trial.parameters.items()}
            cells |= trial.values
            cells |= {f"{metric}_sem": sem for metric, sem in trial.sems.items()}
            yield Row(f"trial {trial.number}", cells)
