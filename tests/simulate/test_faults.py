from __future__ import annotations

from itertools import islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from axk8s.simulate.conditions import Conditions
from axk8s.simulate.faults import Faults


def faults(*words: str, seed: int = 1) -> Faults:
    return Faults(Conditions.read(words), seed)


def test_a_fate_follows_from_seed_trial_and_attempt_alone() -> None:
    words = ("preemptions_per_hour=5", "failures=0.2")
    one, other = faults(*words), faults(*words)
    forward = [one.fate(trial, 0, run_time=one.run_time(trial)) for trial in range(30)]
    backward = [other.fate(trial, 0, run_time=other.run_time(trial)) for trial in reversed(range(30))]

    assert forward == backward[::-1]
    assert forward != [faults(*words, seed=2).fate(trial, 0, run_time=one.run_time(trial)) for trial in range(30)]


def test_a_change_of_one_condition_leaves_the_draws_of_the_others() -> None:
    calm, rough = faults(), faults("outages_per_day=5", "api_faults=0.5", "failures.transient=0.5")

    assert [calm.run_time(trial) for trial in range(20)] == [rough.run_time(trial) for trial in range(20)]


def test_shares_of_failures_are_kept_and_trials_fail_in_every_attempt() -> None:
    drawn = faults("failures=0.25")
    causes = [drawn.fate(trial, 0, run_time=60).cause for trial in range(2000)]

    assert 0.2 < causes.count("user_error") / 2000 < 0.3
    assert causes == [drawn.fate(trial, 3, run_time=60).cause for trial in range(2000)]


def test_what_strikes_an_attempt_need_not_strike_the_next() -> None:
    drawn = faults("failures.transient=0.5")

    assert {drawn.fate(7, attempt, run_time=60).cause for attempt in range(20)} == {None, "transient"}


def test_pre_emptions_come_by_the_hours_that_jobs_run() -> None:
    drawn = faults("preemptions_per_hour=1")
    short = [drawn.fate(trial, 0, run_time=60).exit.cause for trial in range(2000)]
    long = [drawn.fate(trial, 0, run_time=3600).exit.cause for trial in range(2000)]

    assert 0.01 < short.count("terminated") / 2000 < 0.03  # 1 - e^(-1/60) is 0.0165
    assert 0.60 < long.count("terminated") / 2000 < 0.67  # 1 - e^-1 is 0.632


def test_a_time_out_ends_what_runs_longer() -> None:
    fate = faults().fate(0, 0, run_time=100, timeout=30)

    assert (fate.run_time, fate.exit.cause) == (30, "deadline")
    assert faults().fate(0, 0, run_time=20, timeout=30).exit.code == 0


@given(st.integers(0, 1000))
def test_strikes_come_in_order_and_do_not_overlap(seed: int) -> None:
    found = list(islice(faults("outages_per_day=50", seed=seed).outages(), 20))

    assert all(one + lasts <= other for (one, lasts), (other, _) in pairwise(found))
    assert list(faults(seed=seed).outages()) == []


def test_a_faulty_call_takes_longer_and_half_of_them_had_their_effect() -> None:
    calm, rough = faults(), faults("api_faults=0.5")
    calls = [rough.call(number) for number in range(1000)]

    assert all(0.05 <= calm.call(number)[0] <= 0.2 for number in range(100))
    assert not any(calm.call(number)[1] for number in range(100))
    slow = [lost for taken, lost in calls if taken > 1]
    assert 0.4 < len(slow) / 1000 < 0.6
    assert 0.3 < sum(slow) / len(slow) < 0.8
