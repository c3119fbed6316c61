"""Beginning a sweep, or going on with one: from a spec and a folder to a state and an open journal."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from axk8s.controller.ports import Clock
from axk8s.errors import FolderError, JournalError
from axk8s.folder import SweepFolder
from axk8s.journal import Journal, fold_file, read
from axk8s.launch import workspace
from axk8s.launch.backend import Place
from axk8s.launch.workspace import Workspace
from axk8s.results.known import Known, each_once, said
from axk8s.results.sources import warm_start
from axk8s.spec.changes import Change, changes
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.limits import BUDGETS, Settings
from axk8s.sweep.model import LogRule
from axk8s.sweep.records import Attached, Began, Noticed, Placed, Record, SpecChanged
from axk8s.sweep.state import State, apply


@dataclass(frozen=True, slots=True)
class Opened:
    """A sweep that a controller can drive."""

    state: State
    journal: Journal
    resumed: bool
    notices: tuple[str, ...] = ()


def settings(spec: SweepSpec) -> Settings:
    """What the spec says about the course of the sweep."""
    return Settings(
        trials=spec.trials,
        parallelism=spec.parallelism,
        retries=spec.retries,
        max_failures=spec.max_failures,
        budgets={name: most for name in BUDGETS if (most := getattr(spec.budget, name)) is not None},
        prices=spec.budget.prices,
        baseline=spec.complete_parameters(spec.baseline) if spec.baseline is not None else None,
        patience=spec.budget.patience,
        drain=spec.budget.running == "drain",
        max_disruptions=spec.max_disruptions,
        max_queued=spec.max_queued,
        queued=bool(spec.scheduler_config.get("queue")),
        shared=spec.scheduler not in ("local", "local_cwd"),
        same_failures=spec.abort_after_same_failures,
        retry_exit_codes=spec.retry_exit_codes,
        infeasible_exit_codes=spec.infeasible_exit_codes,
        log_rules=tuple(LogRule(rule.pattern, rule.then) for rule in spec.log_rules),
    )


def has_begun(folder: SweepFolder) -> bool:
    """Whether the folder holds a sweep with at least its first record.

    Raises:
        JournalError: its first record is damaged.
    """
    return folder.exists() and next(read(folder.journal), None) is not None


def begin(spec: SweepSpec, folder: SweepFolder, *, clock: Clock, version: str) -> Opened:
    """Make the folder of a new sweep: pinned workspace, copy of the file, first record.

    Killed anywhere before that record is written, the next `begin` does it all again.

    Raises:
        FolderError: the folder holds files that are not a sweep's.
        JournalError: the journal cannot be written.
    """
    _refuse_foreign(folder)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        # Left by a beginning that was cut off: the code may have changed since.
        shutil.rmtree(folder.workspace, ignore_errors=True)
        folder.workspace_index.unlink(missing_ok=True)
        code = pin(spec, folder)
        if spec.file is not None and spec.file.resolve() != folder.spec.resolve():
            shutil.copyfile(spec.file, folder.spec)
    except OSError as error:
        raise FolderError(
            f"the sweep's folder {folder.path} cannot be written: {error.strerror}",
            hint="choose another one with --dir, or make room on the disk",
        ) from error
    uid, now = uuid.uuid4().hex, clock.now()
    known = each_once(warm_start(spec, folder.path.parent))
    opened = new(spec, folder, time=now, uid=uid, workspace=code.digest, version=version, known=known)
    return replace(opened, notices=tuple(text for each in known for text in said(each)))


def new(
    spec: SweepSpec,
    folder: SweepFolder,
    *,
    time: float,
    uid: str,
    workspace: str,
    version: str,
    simulated: bool = False,
    known: Sequence[Known] = (),
) -> Opened:
    """The journal of a new sweep, and its first record, in one write with what is known from elsewhere.

    Raises:
        JournalError: it cannot be written.
    """
    state = State()
    record = Began(
        time=time,
        uid=uid,
        name=folder.name,
        spec=spec.to_json(),
        base=str(spec.base),
        file=str(spec.file.resolve()) if spec.file else "",
        workspace=workspace,
        version=version,
        simulated=simulated,
    )
    journal = Journal(folder.journal)
    _write(journal, state, [record, *(Attached(time=time, source=each.source, trials=each.trials) for each in known)])
    return Opened(state, journal, resumed=False)


def resume(spec: SweepSpec, folder: SweepFolder, *, clock: Clock) -> Opened:
    """Go on with the sweep in the folder.

    Raises:
        FolderError: the spec has changed in a way that would make the results incomparable.
        JournalError: the journal is damaged.
    """
    state = fold_file(folder.journal)
    if state.simulated:
        raise FolderError(
            f"{folder.path} holds a simulation, whose trials never ran",
            hint="run the sweep file, with another --dir or --name",
        )
    begun = stored_spec(state)
    differences = changes(begun, spec)
    unsafe = [change for change in differences if not change.safe]
    if unsafe:
        raise FolderError(_changed(state, folder, spec, unsafe), hint=_CHANGED_HINT)
    notices: list[str] = []
    records: list[Record] = []
    if differences:
        texts = tuple(str(change) for change in differences)
        records.append(SpecChanged(time=clock.now(), spec=spec.to_json(), changes=texts))
        notices.append("the sweep file has changed: " + "; ".join(texts))
    text = _code_changed(pin(spec, folder), folder)
    if text:
        notices.append(text)
        if text not in {notice.text for notice in state.notices}:
            records.append(Noticed(time=clock.now(), text=text))
    # Lost when the machine went down in the middle of the first write.
    lost = tuple(text for text in spec.warm_start if text not in state.sources)
    found = each_once(warm_start(spec.model_copy(update={"warm_start": lost}), folder.path.parent), state.attached)
    records += [Attached(time=clock.now(), source=each.source, trials=each.trials) for each in found]
    journal = Journal(folder.journal)
    _write(journal, state, records)
    return Opened(state, journal, resumed=True, notices=tuple(notices))


def pin(spec: SweepSpec, folder: SweepFolder) -> Workspace:
    """The sweep's code, pinned now if it is not yet.

    Raises:
        UsageError: it cannot be found, read or copied.
    """
    from axk8s.launch import program  # loads TorchX, which looking at a sweep does not need

    return workspace.prepare(spec, folder, program.watched(spec))


def refuse_elsewhere(state: State, place: Place | None) -> None:
    """Refuse to go on with a sweep whose jobs are in another place: they would all seem lost.

    Raises:
        FolderError: the sweep has begun in another place.
    """
    known = state.place
    if place is None or known is None or known.uid == place.uid:
        return
    raise FolderError(
        f"the jobs of {state.name} are in {known.name}, and this is {place.name}"
        + (", which has been made anew since" if known.name == place.name else ""),
        hint="choose the cluster where it began (-cfg context=…,namespace=…), or begin anew here with --fresh",
    )


def settle(opened: Opened, place: Place | None, *, clock: Clock) -> None:
    """Note where the sweep's jobs are, the first time.

    Raises:
        FolderError: the sweep has begun in another place.
        JournalError: the journal cannot be written.
    """
    refuse_elsewhere(opened.state, place)
    if place is None or opened.state.place is not None:
        return
    _write(opened.journal, opened.state, [Placed(time=clock.now(), uid=place.uid, name=place.name)])


def _code_changed(code: Workspace, folder: SweepFolder) -> str:
    changed = workspace.changed_files(code, code.source, folder=folder)
    if not changed:
        return ""
    shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    if code.pinned:
        return f"since the sweep began: {shown}. Trials go on with the code as it was; --fresh starts anew with yours"
    return (
        f"since the sweep began: {shown}. Trials from now on run the new code, so their results may not compare; "
        f"--fresh starts anew, and `workspace: .` in the sweep file pins the code"
    )


def stored_spec(state: State) -> SweepSpec:
    """The spec as the journal has it."""
    return SweepSpec.from_mapping(state.spec, base=Path(state.base))


def set_aside(folder: SweepFolder) -> str:
    """Move a folder out of the way, keeping it; returns where it went."""
    kept = folder.path.parent / ".replaced"
    kept.mkdir(exist_ok=True)
    number = 1
    while (target := kept / f"{folder.name}-{number}").exists():
        number += 1
    folder.path.rename(target)
    return str(target)


_CHANGED_HINT = (
    "start anew with --fresh (the old folder is kept aside), or keep both with --name OTHER; "
    "trials, parallelism, retries, limits and budgets may change in a sweep under way"
)


def _changed(state: State, folder: SweepFolder, spec: SweepSpec, unsafe: list[Change]) -> str:
    lines = [f"  {spec.where(change.key)}: {change}" for change in unsafe]
    file = str(spec.file.resolve()) if spec.file else ""
    if state.file and file and state.file != file:
        head = f"{folder.path} holds another sweep, begun from {state.file}; this one differs:"
    else:
        head = f"the sweep {state.name!r} has begun with other settings; since then changed:"
    return "\n".join([head, *lines])


def _refuse_foreign(folder: SweepFolder) -> None:
    if not folder.path.exists():
        return
    ours = {folder.spec, folder.journal, folder.lock, folder.requests, folder.status, folder.workspace}
    ours |= {folder.controller_log, folder.optimizer_log, folder.trials, folder.support, folder.workspace_index}
    try:
        foreign = sorted(p.name for p in folder.path.iterdir() if p not in ours and not p.name.startswith("."))
    except NotADirectoryError as error:
        raise FolderError(f"{folder.path} is a file", hint="choose another --name or --dir") from error
    if foreign:
        raise FolderError(
            f"{folder.path} holds files that are not a sweep's: {', '.join(foreign[:5])}",
            hint="choose another --name or --dir",
        )


def _write(journal: Journal, state: State, records: list[Record]) -> None:
    try:
        for record in records:
            journal.append(record)
        journal.commit()
    except JournalError:
        journal.close()
        raise
    for record in records:
        apply(state, record)


def overridden(spec: SweepSpec, scheduler_config: Mapping[str, object] | None, **given: object) -> SweepSpec:
    """The spec with some keys given anew, on the command line or in Python; None leaves a key as it is.

    Raises:
        SpecError: a given value is wrong.
    """
    changed = {key: value for key, value in given.items() if value is not None}
    if scheduler_config:
        changed["scheduler_config"] = {**spec.scheduler_config, **scheduler_config}
    if not changed:
        return spec
    checked = SweepSpec.from_mapping({**spec.to_json(), **changed}, base=spec.base)
    return spec.model_copy(update={key: getattr(checked, key) for key in changed})
