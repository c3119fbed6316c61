"""A sweep at a glance: what `status`, `list` and the live table show, computed from the state, kept in `status.json`.

The file is a cache: the journal is the truth. Reading it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from axk8s.errors import JournalError
from axk8s.results.hypervolume import hypervolume
from axk8s.sweep.limits import Settings, spent
from axk8s.sweep.model import Outcome, Scalar
from axk8s.sweep.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One sweep at one moment; times are Unix seconds."""

    name: str
    uid: str
    state: str
    """`running`, `pausing`, `paused`, `interrupted`, `stopped`, `aborted`, `budget`, `exhausted`, `done`, `damaged`;
    `reached` its target, or `converged`: its patience is over."""
    reason: str = ""
    hint: str = ""
    trials: int
    """How many the sweep is to run."""
    suggested: int = 0
    ended: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)
    """Why attempts ended that did not succeed, by category; disruptions that cost nothing are among them."""
    phases: Mapping[str, int] = field(default_factory=dict)
    """Live attempts by phase."""
    waiting: str = ""
    """Why the first waiting attempt waits, in the scheduler's words."""
    parallelism: int = 1
    from_model: int = 0
    """How many trials the optimizer's model proposed (the others are initial or random points)."""
    objective: str = ""
    direction: str = "minimize"
    objectives: tuple[str, ...] = ()
    """The metrics of several objectives, which make a front; empty where there is one best trial."""
    front: tuple[int, ...] = ()
    """Of several objectives: the trials that no other beats in all of them."""
    hypervolume: float | None = None
    """Of the front, measured from the objectives' thresholds; None unless each has one."""
    unfit: int = 0
    """How many succeeded trials break an outcome constraint, or wait for the baseline to compare with."""
    baseline: int | None = None
    """The trial that others are compared with."""
    comparable: bool = True
    """Whether every constraint can be told: those that compare with the baseline need its result."""
    attached: Mapping[str, int] = field(default_factory=dict)
    """By source, how many results from elsewhere the optimizer learns from; they are no trials of this sweep."""
    best_trial: int | None = None
    best_value: float | None = None
    best_parameters: Mapping[str, Scalar] = field(default_factory=dict)
    began_at: float = 0.0
    updated_at: float = 0.0
    enqueued: int = 0
    """How many trials that somebody asked for are to come next."""
    budgets: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What may end the sweep early, as `used` and `limit`: `wall_time` in seconds, `gpu_hours`, `cost`, and `patience`
    in trials without anything better."""
    targets: Mapping[str, float] = field(default_factory=dict)
    """By metric, the value that ends the sweep; all of them, where there are several."""
    seconds_left: float | None = None
    """Estimate from the trials so far: remaining trials × mean duration / parallelism."""
    scheduler: str = ""
    simulated: bool = False
    """A dry run: no job was started, and times are virtual."""
    pid: int | None = None
    """Process of the controller that wrote this; it may be gone."""
    host: str = ""
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """As plain JSON values."""
        return asdict(self)


def summarize(state: State, settings: Settings, now: float, *, interrupted: bool = False) -> Summary:
    """The summary of a state; costs O(active trials)."""
    phases: Counter[str] = Counter()
    waiting = ""
    for trial in state.active.values():
        last = trial.last
        if last is not None and last.alive:
            phases[last.phase.value] += 1
            if not waiting and last.started_at is None and last.reason:
                waiting = f"trial {trial.number}: {last.reason}"
    best = state.trials[state.best] if state.best is not None else None
    controller = state.controller
    word, reason, hint = _word(state, sum(phases.values()), interrupted)
    return Summary(
        name=state.name,
        uid=state.uid,
        state=word,
        reason=reason,
        hint=hint,
        trials=settings.trials,
        suggested=len(state.trials),
        ended=state.ended,
        outcomes={outcome.value: state.counts[outcome] for outcome in Outcome if state.counts[outcome]},
        causes={category.value: count for category, count in state.causes.most_common()},
        phases=dict(phases),
        waiting=waiting,
        parallelism=settings.parallelism,
        from_model=state.from_model,
        objective=state.objective,
        direction="maximize" if state.maximize else "minimize",
        objectives=tuple(aim.metric for aim in state.goal.aims) if state.goal.several else (),
        front=tuple(state.front),
        hypervolume=hypervolume(state.goal, (state.trials[number].values for number in state.front)),
        unfit=state.unfit,
        baseline=state.baseline,
        comparable=not state.goal.relative or state.baseline_values is not None,
        attached=dict(state.sources),
        best_trial=best.number if best else None,
        best_value=state.goal.value(best.values) if best else None,
        best_parameters=dict(best.parameters) if best else {},
        began_at=state.began_at,
        updated_at=now,
        enqueued=len(state.enqueued),
        budgets=_budgets(state, settings, now),
        targets={aim.metric: aim.target for aim in state.goal.aims if aim.target is not None},
        seconds_left=_seconds_left(state, settings, word),
        scheduler=str(state.spec.get("scheduler", "local")),
        simulated=state.simulated,
        pid=controller.pid if controller else None,
        host=controller.host if controller else "",
        notices=tuple(notice.text for notice in state.notices[-3:]),
    )


def _word(state: State, alive: int, interrupted: bool) -> tuple[str, str, str]:
    halted = state.halted
    if state.finished is not None:
        return (halted.cause, halted.reason, halted.hint) if halted else ("done", "", "")
    if interrupted:
        return "interrupted", "", ""
    if halted is not None:
        return "running", f"ending: {halted.reason}", halted.hint
    if state.paused:
        return ("pausing" if alive else "paused"), "paused by request", "go on with: axk8s run"
    return "running", "", ""


def _budgets(state: State, settings: Settings, now: float) -> dict[str, dict[str, float]]:
    gone = spent(state, settings, now if state.finished is None else state.finished.time)
    found = {name: {"used": round(used, 6), "limit": settings.budgets[name]} for name, used in gone.items()}
    if settings.patience is not None:
        found["patience"] = {"used": float(state.since_best), "limit": float(settings.patience)}
    return found


def _seconds_left(state: State, settings: Settings, word: str) -> float | None:
    remaining = settings.trials - state.ended
    if word != "running" or not state.ended or not state.busy or state.halted is not None:
        return None
    mean = state.busy / state.ended
    return math.ceil(remaining * mean / min(settings.parallelism, max(remaining, 1)))


def write_summary(path: Path, summary: Summary) -> None:
    """Replace `status.json` atomically; not fsynced, for it can always be made again."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(summary.to_json(), allow_nan=False), encoding="utf-8")
    temporary.replace(path)


def read_summary(path: Path) -> Summary:
    """The cached summary.

    Raises:
        JournalError: there is none, or it was written by another version: fold the journal instead.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Summary(**{**data, **{name: tuple(data.get(name, ())) for name in ("notices", "objectives", "front")}})
    except (OSError, ValueError, TypeError) as error:
        raise JournalError(f"no usable {path.name} in {path.parent}: {error}") from error
