"""When a sweep ends before its last trial: hours, costs, a target, patience; and what becomes of what runs."""

import pytest

from axk8s.sweep.decide import Cancel, Halt, OpenTrials, decide
from axk8s.sweep.encoding import from_line, to_line
from axk8s.sweep.limits import Settings, budget_ends, limit, spent
from axk8s.sweep.model import ExitFacts, Outcome, Phase
from axk8s.sweep.records import (
    Began,
    ControllerStarted,
    PhaseChanged,
    Record,
    SubmittedJob,
    Submitting,
    Suggested,
    TrialConcluded,
)
from axk8s.sweep.state import State, apply, fold

SPEC = {"objectives": [{"metric": "loss", "direction": "minimize"}]}
HELD = {"cpu": 8.0, "memory": 32.0, "gpu": 2.0, "nvidia.com/gpu": 2.0}
HOUR = 3600.0


def begun(*records: Record, spec: dict[str, object] | None = None) -> State:
    began = Began(time=0.0, uid="a" * 32, name="s", spec=spec or SPEC, base="/")
    lines = [to_line(one) for one in (began, ControllerStarted(time=0.0, pid=1), *records)]
    return fold(map(from_line, lines))


def sent(trial: int, time: float = 0.0) -> list[Record]:
    return [
        Suggested(time=time, trial=trial, parameters={}, generator="g"),
        Submitting(time=time, trial=trial, attempt=0, job=f"j{trial}", resources=HELD),
        SubmittedJob(time=time, trial=trial, attempt=0, handle=f"h{trial}"),
    ]


def seen(
    trial: int, phase: Phase, time: float, *, started: float | None = None, ended: float | None = None, evicted: int = 0
) -> Record:
    facts = ExitFacts("exited", 0) if phase is Phase.ENDED else None
    return PhaseChanged(
        time=time,
        trial=trial,
        attempt=0,
        phase=phase,
        started_at=started,
        ended_at=ended,
        exit=facts,
        restarts=evicted,
    )


def result(trial: int, value: float, outcome: Outcome = Outcome.SUCCEEDED) -> list[Record]:
    values = {"loss": value} if outcome is Outcome.SUCCEEDED else {}
    return [*sent(trial), TrialConcluded(time=1.0, trial=trial, outcome=outcome, values=values)]


def options(**more: object) -> Settings:
    return Settings(trials=99, parallelism=4, retries=0, **more)  # type: ignore[arg-type]


def test_hours_are_counted_while_jobs_run_as_often_as_they_have_gpus() -> None:
    chosen = options(budgets={"gpu_hours": 5.0})
    state = begun(*sent(0), seen(0, Phase.QUEUED, 10.0), seen(0, Phase.RUNNING, HOUR + 5, started=HOUR))
    assert spent(state, chosen, 1.5 * HOUR) == {"gpu_hours": pytest.approx(1.0)}
    assert budget_ends(state, chosen, 1.5 * HOUR) == pytest.approx(3.5 * HOUR)

    apply(state, seen(0, Phase.ENDED, 2 * HOUR + 9, started=HOUR, ended=2 * HOUR))
    assert spent(state, chosen, 9 * HOUR) == {"gpu_hours": pytest.approx(2.0)}
    assert budget_ends(state, chosen, 9 * HOUR) is None, "nothing runs"


def test_an_end_that_is_the_first_thing_heard_counts_from_its_start() -> None:
    state = begun(*sent(0), seen(0, Phase.ENDED, 9 * HOUR, started=HOUR, ended=2 * HOUR))

    assert state.used == {name: pytest.approx(amount) for name, amount in HELD.items()}


def test_what_waits_again_after_an_eviction_holds_nothing() -> None:
    state = begun(
        *sent(0),
        seen(0, Phase.RUNNING, 0.0, started=0.0),
        seen(0, Phase.QUEUED, HOUR, started=0.0, evicted=1),
        seen(0, Phase.RUNNING, 5 * HOUR, started=0.0, evicted=1),
        seen(0, Phase.ENDED, 6 * HOUR, started=0.0, ended=6 * HOUR, evicted=1),
    )

    assert state.used["gpu"] == pytest.approx(2 * 2)


def test_costs_follow_from_prices() -> None:
    chosen = options(budgets={"cost": 12.0}, prices={"gpu": 2.0, "memory": 0.0625, "example.com/fabric": 99.0})
    state = begun(*sent(0), seen(0, Phase.RUNNING, 0.0, started=0.0))

    assert spent(state, chosen, HOUR) == {"cost": pytest.approx(6.0)}
    assert budget_ends(state, chosen, HOUR) == pytest.approx(2 * HOUR)
    halted = limit(state, chosen, 2 * HOUR)
    assert halted is not None
    assert (halted.cause, halted.reason) == ("budget", "the budget of 12 in costs is used up")


@pytest.mark.parametrize("drain", [False, True])
def test_what_runs_is_ended_or_let_end_and_what_has_not_started_is_ended(drain: bool) -> None:
    chosen = options(budgets={"gpu_hours": 2.0}, drain=drain)
    state = begun(*sent(0), *sent(1), seen(0, Phase.RUNNING, 0.0, started=0.0))
    (halt,) = [action for action in decide(state, chosen, HOUR) if isinstance(action, Halt)]
    apply(state, from_line(to_line(halt.halted)))

    actions = decide(state, chosen, HOUR)

    assert {action.trial for action in actions if isinstance(action, Cancel)} == ({1} if drain else {0, 1})
    assert not any(isinstance(action, OpenTrials) for action in actions)


@pytest.mark.parametrize(
    ("direction", "values", "target", "reached"),
    [
        ("minimize", [0.5, 0.3], 0.3, True),
        ("minimize", [0.5, 0.31], 0.3, False),
        ("maximize", [0.5, 0.9], 0.9, True),
        ("maximize", [0.5], 0.9, False),
    ],
)
def test_a_target_that_is_reached_ends_it(direction: str, values: list[float], target: float, reached: bool) -> None:
    records = [record for trial, value in enumerate(values) for record in result(trial, value)]
    state = begun(*records, spec={"objectives": [{"metric": "loss", "direction": direction, "target": target}]})

    halted = limit(state, options(), 9.0)

    assert (halted is not None) is reached
    if halted is not None:
        assert halted.cause == "reached"
        assert f"trial {len(values) - 1} has reached the target" in halted.reason


def test_patience_is_over_after_so_many_trials_in_a_row_without_anything_better() -> None:
    chosen = options(patience=3)
    state = begun(
        *result(0, 0.0, Outcome.INFEASIBLE),
        *result(1, 0.5),
        *result(2, 0.6),
        *result(3, 0.0, Outcome.FAILED),
        *result(4, 0.5),
    )
    assert (state.since_best, limit(state, chosen, 9.0)) == (2, None), "a failure says nothing of the space"

    for record in result(5, 0.0, Outcome.INFEASIBLE):
        apply(state, record)
    halted = limit(state, chosen, 9.0)
    assert halted is not None
    assert (halted.cause, halted.reason) == ("converged", "3 trials in a row were no better than trial 1")

    for record in result(6, 0.4):
        apply(state, record)
    assert limit(state, chosen, 9.0) is None


def test_nothing_is_counted_that_has_no_limit() -> None:
    state = begun(*sent(0), seen(0, Phase.RUNNING, 0.0, started=0.0))

    assert spent(state, options(), 9 * HOUR) == {}
    assert budget_ends(state, options(), 9 * HOUR) is None
