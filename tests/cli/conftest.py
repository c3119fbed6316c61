"""A sweep on disk, made of journal records by the same code that a controller uses."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.folder import SweepFolder
from axk8s.journal import Journal
from axk8s.results.summary import summarize, write_summary
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.limits import Settings
from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Outcome, Phase
from axk8s.sweep.records import (
    AttemptDiagnosed,
    Began,
    ControllerStarted,
    Finished,
    PhaseChanged,
    Record,
    SubmittedJob,
    Submitting,
    Suggested,
    TrialConcluded,
)
from axk8s.sweep.state import fold

SPEC: dict[str, object] = {
    "command": "python train.py --lr {lr} --kind {kind}",
    "parameters": {
        "lr": {"type": "float", "min": 1e-4, "max": 1.0, "log": True},
        "kind": {"type": "choice", "values": ["a", "b"]},
    },
    "objectives": [{"metric": "loss", "direction": "minimize"}],
    "trials": 6,
    "parallelism": 2,
}


def records(name: str, base: Path) -> list[Record]:
    """Four trials: the best, a failed one, an infeasible one and one that runs."""
    spec = SweepSpec.from_mapping({"name": name, **SPEC}, base=base).to_json()
    made: list[Record] = [
        Began(time=1000.0, uid="a" * 32, name=name, spec=spec, base=str(base)),
        ControllerStarted(time=1000.0, pid=1, host="here"),
    ]
    ends: tuple[tuple[Outcome | None, Diagnosis | None, float | None], ...] = (
        (Outcome.SUCCEEDED, Diagnosis(Category.SUCCEEDED, ""), 0.123456),
        (
            Outcome.FAILED,
            Diagnosis(Category.USER_ERROR, "ended with exit code 3", hint="read its log", log_tail=("boom", "bang")),
            None,
        ),
        (Outcome.INFEASIBLE, Diagnosis(Category.NON_FINITE, "the objective 'loss' was nan"), math.nan),
        (None, None, None),
    )
    for number, (outcome, diagnosis, value) in enumerate(ends):
        start = 1001.0 + 10 * number
        values = {} if value is None else {"loss": value}
        made += [
            Suggested(time=start, trial=number, parameters={"lr": 0.01 * (number + 1), "kind": "a"}, generator="Sobol"),
            Submitting(time=start, trial=number, attempt=0, job=f"{name}-aaaaaa-t{number}-a0"),
            SubmittedJob(time=start, trial=number, attempt=0, handle=f"local://x/{number}"),
            PhaseChanged(time=start, trial=number, attempt=0, phase=Phase.RUNNING, started_at=start, pid=1),
        ]
        if outcome is None or diagnosis is None:
            continue
        end = start + 4.0
        made += [
            PhaseChanged(
                time=end, trial=number, attempt=0, phase=Phase.ENDED, ended_at=end, exit=ExitFacts("exited", code=0)
            ),
            AttemptDiagnosed(time=end, trial=number, attempt=0, diagnosis=diagnosis, values=values),
            TrialConcluded(time=end, trial=number, outcome=outcome, reason=diagnosis.summary, values=values),
        ]
    return made


MakeSweep = Callable[..., SweepFolder]


@pytest.fixture
def make_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeSweep:
    """Writes a sweep's folder; `AXK8S_DIR` points at where it lies."""
    directory = tmp_path / "sweeps"
    monkeypatch.setenv("AXK8S_DIR", str(directory))
    monkeypatch.chdir(tmp_path)

    def make(name: str = "digits", *, finished: bool = False, cached: bool = True) -> SweepFolder:
        folder = SweepFolder(directory / name)
        folder.path.mkdir(parents=True)
        made = records(name, tmp_path)
        if finished:
            made.append(Finished(time=1100.0))
        with Journal(folder.journal) as journal:
            for record in made:
                journal.append(record)
            journal.commit()
        if cached:
            settings = Settings(trials=6, parallelism=2, retries=1)
            write_summary(folder.status, summarize(fold(made), settings, 1100.0))
        return folder

    return make


@pytest.fixture
def sweep_records(tmp_path: Path) -> list[Record]:
    """The records of the sweep `digits`."""
    return records("digits", tmp_path)
