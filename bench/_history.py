"""Sweeps that never ran, written through the product's own records and journal: large histories without the wait."""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from axk8s.controller.opening import settings
from axk8s.folder import SweepFolder
from axk8s.journal import Journal
from axk8s.names import job_name
from axk8s.results.summary import summarize, write_summary
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Outcome, Parameters, Phase
from axk8s.sweep.records import (
    AttemptDiagnosed,
    Began,
    ControllerStarted,
    Finished,
    JobDeleted,
    PhaseChanged,
    Record,
    SubmittedJob,
    Submitting,
    Suggested,
    TrialConcluded,
)
from axk8s.sweep.state import State, apply

BEGAN_AT = 1_790_000_000.0
RECORDS_A_TRIAL = 8
_GROUP = 1000
_FAILED_EVERY = 20
_TRACEBACK = (
    "Traceback (most recent call last):",
    *(
        f'  File "/workspace/training/module_{depth:02}.py", line {17 * depth}, in step\n    loss = model(batch).loss'
        for depth in range(1, 14)
    ),
    "RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x512 and 1024x10)",
)


def make_spec(name: str, *, trials: int, parallelism: int) -> SweepSpec:
    """A search space as people have it: six parameters, one of them conditional."""
    return SweepSpec.from_mapping(
        {
            "name": name,
            "command": "python train.py {params}",
            "parameters": {
                "lr": {"type": "float", "min": 1e-5, "max": 1e-1, "log": True},
                "weight_decay": {"type": "float", "min": 0.0, "max": 0.1},
                "hidden": {"type": "int", "min": 16, "max": 1024},
                "layers": {"type": "int", "min": 1, "max": 12},
                "optimizer": {"type": "choice", "values": ["adam", "sgd", "lion"]},
                "momentum": {"type": "float", "min": 0.0, "max": 0.99, "when": {"optimizer": "sgd"}},
            },
            "objectives": [{"metric": "accuracy", "direction": "maximize"}],
            "trials": trials,
            "parallelism": parallelism,
        },
        base=Path.cwd(),
    )


def records(spec: SweepSpec, *, ended: int, running: int, seed: int = 0) -> Iterator[Record]:
    """The journal of a sweep with `ended` concluded trials and then `running` live ones, eight records a trial.

    One trial in twenty failed and has a traceback in its diagnosis.
    """
    chance = random.Random(seed)
    uid = f"{chance.getrandbits(128):032x}"
    now = BEGAN_AT
    version = metadata.version("axk8s")
    yield Began(
        time=now,
        uid=uid,
        name=spec.name,
        spec=spec.to_json(),
        base=str(spec.base),
        workspace="0" * 64,
        version=version,
    )
    yield ControllerStarted(time=now + 0.1, pid=4711, host="workstation", version=version)
    for trial in range(ended + running):
        now += 1.0
        started = now + 0.2
        job = job_name(spec.name, uid, trial, 0)
        generator = "Sobol" if trial < spec.parallelism else "BoTorch"
        yield Suggested(
            time=now,
            trial=trial,
            parameters=_parameters(chance),
            generator=generator,
            from_model=generator == "BoTorch",
            results_seen=max(0, trial - spec.parallelism),
        )
        yield Submitting(time=now, trial=trial, attempt=0, job=job)
        yield SubmittedJob(time=now + 0.1, trial=trial, attempt=0, handle=f"local://{spec.name}/{job}")
        yield PhaseChanged(
            time=now + 0.25,
            trial=trial,
            attempt=0,
            phase=Phase.RUNNING,
            pid=chance.randrange(1000, 99999),
            started_at=started,
        )
        if trial < ended:
            yield from _end(trial, started, failed=trial % _FAILED_EVERY == _FAILED_EVERY - 1, chance=chance)


def _end(trial: int, started: float, *, failed: bool, chance: random.Random) -> Iterator[Record]:
    ended = started + chance.uniform(60, 180)
    code = 1 if failed else 0
    replica = "main-0" if failed else ""
    values = {} if failed else {name: chance.random() for name in ("accuracy", "loss", "latency_ms")}
    if failed:
        diagnosis = Diagnosis(
            category=Category.USER_ERROR,
            summary=f"main-0 ended with exit code 1: {_TRACEBACK[-1]}",
            evidence={"exit_code": 1, "replica": "main-0"},
            hint=f"its output: axk8s logs {trial}",
            log_tail=_TRACEBACK,
        )
    else:
        diagnosis = Diagnosis(category=Category.SUCCEEDED, summary="ended with exit code 0", evidence={"exit_code": 0})
    yield PhaseChanged(
        time=ended + 0.01,
        trial=trial,
        attempt=0,
        phase=Phase.ENDED,
        started_at=started,
        ended_at=ended,
        exit=ExitFacts(cause="exited", code=code, replica=replica),
    )
    yield AttemptDiagnosed(
        time=ended + 0.02, trial=trial, attempt=0, diagnosis=diagnosis, values=values, steps=0 if failed else 20
    )
    outcome = Outcome.FAILED if failed else Outcome.SUCCEEDED
    yield TrialConcluded(
        time=ended + 0.02, trial=trial, outcome=outcome, reason=diagnosis.summary if failed else "", values=values
    )
    yield JobDeleted(time=ended + 0.05, trial=trial, attempt=0)


def _parameters(chance: random.Random) -> Parameters:
    optimizer = chance.choice(["adam", "sgd", "lion"])
    parameters: dict[str, float | int | str] = {
        "lr": 10 ** chance.uniform(-5, -1),
        "weight_decay": chance.uniform(0.0, 0.1),
        "hidden": chance.randint(16, 1024),
        "layers": chance.randint(1, 12),
        "optimizer": optimizer,
    }
    if optimizer == "sgd":
        parameters["momentum"] = chance.uniform(0.0, 0.99)
    return parameters


def write_sweep(folder: SweepFolder, *, trials: int, parallelism: int = 16) -> State:
    """A finished sweep of so many trials: its journal and the cached summary."""
    spec = make_spec(folder.name, trials=trials, parallelism=parallelism)
    folder.path.mkdir(parents=True)
    state = State()
    with Journal(folder.journal) as journal:
        for number, record in enumerate(records(spec, ended=trials, running=0), start=1):
            journal.append(record)
            apply(state, record)
            if number % _GROUP == 0:
                journal.commit()
        finished = Finished(time=state.last_time)
        journal.append(finished)
        apply(state, finished)
        journal.commit()
    write_summary(folder.status, summarize(state, settings(spec), state.last_time))
    return state
