"""The real controller in simulated worlds: nothing that the world does changes how many trials end."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axk8s.simulate.conditions import Conditions
from axk8s.sweep.model import Category, Outcome
from tests.simulate.stage import Stage, spec

ROUGH = (
    "preemptions_per_hour=3,node_losses_per_day=30,nodes=3,outages_per_day=40,api_faults=0.3,"
    "failures=0.1,failures.transient=0.1,failures.lost=0.05,failures.no_metric=0.05,failures.non_finite=0.05"
)


def stage(folder: Path, *words: str, seed: int = 1, **changes: object) -> Stage:
    return Stage(folder, spec(folder, **changes), Conditions.read(words), seed=seed)


def test_a_calm_sweep_ends_with_every_trial_succeeded_and_nothing_left(tmp_path: Path) -> None:
    one = stage(tmp_path)

    assert one.run()
    assert one.state.counts == {Outcome.SUCCEEDED: 8}
    assert one.world.cluster.jobs == {}
    assert not list(one.folder.path.glob("trials/*"))


@pytest.mark.parametrize("words", ["", ROUGH])
def test_one_seed_writes_one_journal_byte_for_byte_and_another_another(tmp_path: Path, words: str) -> None:
    journals = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = tmp_path / name
        one = Stage(folder, spec(tmp_path), Conditions.read([words] if words else []), seed=seed)
        one.run()
        journals.append(one.folder.journal.read_bytes())

    assert journals[0] == journals[1] != journals[2]


def test_every_cause_is_diagnosed_as_a_real_one_would_be(tmp_path: Path) -> None:
    wanted = {
        "user_error": (Category.USER_ERROR, Outcome.FAILED),
        "out_of_memory": (Category.OUT_OF_MEMORY, Outcome.INFEASIBLE),
        "bad_parameters": (Category.BAD_PARAMETERS, Outcome.INFEASIBLE),
        "non_finite": (Category.NON_FINITE, Outcome.INFEASIBLE),
        "no_metric": (Category.NO_METRIC, Outcome.FAILED),
        "transient": (Category.TRANSIENT, Outcome.FAILED),
        "cannot_start": (Category.CANNOT_START, Outcome.FAILED),
        "lost": (Category.LOST, Outcome.STOPPED),
    }
    for cause, (category, outcome) in wanted.items():
        one = stage(tmp_path / cause, f"failures.{cause}=1", trials=1)
        one.run()
        trial = one.state.trials[0]
        assert (trial.diagnosis and trial.diagnosis.category, trial.outcome) == (category, outcome), cause


def test_a_time_out_of_the_sweep_holds_in_virtual_time(tmp_path: Path) -> None:
    one = stage(tmp_path, "run_time=2h", trials=2, trial_timeout="1h")
    one.run()

    assert [trial.diagnosis and trial.diagnosis.category for trial in one.state.trials] == [Category.DEADLINE] * 2
    assert 3600 < one.world.clock.now() < 3700


def test_a_wall_time_budget_ends_the_sweep_at_its_minute(tmp_path: Path) -> None:
    one = stage(tmp_path, "run_time=50m", trials=50, budget={"wall_time": "2h"})
    one.run()

    state = one.state
    assert state.halted is not None
    assert state.halted.time == 7200.0
    assert one.world.cluster.jobs == {}


def test_gpu_hours_end_the_sweep_at_their_minute_and_what_runs_may_end(tmp_path: Path) -> None:
    hour = Conditions.read(["run_time=1h,start_delay=0,api_latency=0"])
    one = Stage(tmp_path, spec(tmp_path, trials=50, budget={"gpu_hours": 5, "running": "drain"}), hour, gpus=1)
    one.run()

    state = one.state
    assert state.halted is not None
    assert state.halted.time == pytest.approx(100 * 60, abs=1.0), "three slots, five hours"
    assert state.used["gpu"] == pytest.approx(6.0, abs=0.01)
    assert state.counts == {Outcome.SUCCEEDED: 6}


def test_a_pre_empted_trial_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    words = "run_time=10h,preemptions_per_hour=0.5,start_delay=0,api_latency=0"
    again, on = (
        stage(tmp_path / name, words + more, trials=1, parallelism=1)
        for name, more in (("again", ""), ("on", ",checkpoint_every=10m"))
    )
    again.run()
    on.run()

    tried = on.state.trials[0].attempts
    assert on.state.counts == {Outcome.SUCCEEDED: 1}
    assert len(tried) > 1
    ran = sum((each.ended_at or 0) - (each.started_at or 0) for each in tried)
    assert ran == pytest.approx(36_000 + on.world.repeated_seconds)
    assert on.world.repeated_seconds < 600 * len(tried) < again.world.repeated_seconds


def test_jobs_go_on_in_an_outage_and_are_seen_after_it(tmp_path: Path) -> None:
    one = stage(tmp_path, "run_time=60,outages_per_day=200,outage=5m", trials=20)

    assert one.run()
    assert one.state.counts == {Outcome.SUCCEEDED: 20}


def killed(one: Stage, kills: list[int]) -> None:
    for records in kills:
        if one.run(dies_after=records):
            return
    assert one.run()


WORLDS = st.fixed_dictionaries(
    {
        "preemptions_per_hour": st.sampled_from([0, 2, 10]),
        "node_losses_per_day": st.sampled_from([0, 50]),
        "nodes": st.integers(1, 3),
        "slots": st.one_of(st.none(), st.integers(1, 3)),
        "outages_per_day": st.sampled_from([0, 100]),
        "api_faults": st.sampled_from([0.0, 0.5]),
        "failures": st.sampled_from(
            [{}, {"user_error": 0.3}, {"transient": 0.4, "lost": 0.2}, {"cannot_start": 0.3, "no_metric": 0.2}]
        ),
    }
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    conditions=WORLDS,
    seed=st.integers(0, 10_000),
    trials=st.integers(1, 8),
    parallelism=st.integers(1, 4),
    retries=st.integers(0, 2),
    kills=st.lists(st.integers(1, 25), max_size=8),
)
def test_exactly_the_trials_asked_for_end_in_any_world_and_after_any_kills(
    tmp_path_factory: pytest.TempPathFactory,
    conditions: dict[str, object],
    seed: int,
    trials: int,
    parallelism: int,
    retries: int,
    kills: list[int],
) -> None:
    folder = tmp_path_factory.mktemp("world")
    described = spec(folder, trials=trials, parallelism=parallelism, retries=retries)
    one = Stage(folder, described, Conditions.of(conditions), seed=seed)

    killed(one, kills)

    state = one.state
    assert state.finished is not None
    assert len(state.trials) <= trials
    if state.halted is None:
        assert state.ended == len(state.trials) == trials
    assert sum(state.counts.values()) == state.ended
    assert one.most_alive <= parallelism
    assert one.world.cluster.jobs == {}, "an orphan"
    assert not state.undeleted
    intents = [attempt.job for trial in state.trials for attempt in trial.attempts]
    assert len(set(intents)) == len(intents)
    assert len(set(one.created)) == len(one.created), "a job was created twice"
    assert set(one.created) <= set(intents), "a job without an intent"
    assert all(attempt.diagnosis is not None for trial in state.trials for attempt in trial.attempts)


def test_a_kill_after_every_record_changes_nothing_in_the_end(tmp_path: Path) -> None:
    whole = stage(tmp_path / "whole", trials=3, parallelism=2)
    whole.run()
    records = len(whole.folder.journal.read_text().splitlines())
    for count in range(1, records):
        one = stage(tmp_path / str(count), trials=3, parallelism=2)
        assert not one.run(dies_after=count)
        assert one.run()
        assert one.state.counts == {Outcome.SUCCEEDED: 3}
        assert sorted(one.created) == sorted(whole.created)
        assert one.world.cluster.jobs == {}
