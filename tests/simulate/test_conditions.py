from __future__ import annotations

from pathlib import Path

import pytest

from axk8s.errors import SpecError, UsageError
from axk8s.simulate.conditions import Conditions


def test_without_a_word_all_goes_well() -> None:
    calm = Conditions.read([])

    assert calm == Conditions()
    assert not calm.failures
    assert calm.preemptions_per_hour == calm.node_losses_per_day == calm.api_faults == calm.outages_per_day == 0


def test_words_and_files_are_read_and_the_later_wins(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("slots: 8\nrun_time: 10m..2h\nfailures: {transient: 0.1}\n")

    found = Conditions.read([str(file), "slots=4,failures.user_error=0.05", "start_delay=30,checkpoint_every=15m"])

    assert (found.slots, found.run_time, found.start_delay) == (4, (600.0, 7200.0), (30.0, 30.0))
    assert found.failures == {"transient": 0.1, "user_error": 0.05}
    assert found.checkpoint_every == 900.0


def test_one_share_of_failures_is_of_user_errors() -> None:
    assert Conditions.read(["failures=0.1"]).failures == {"user_error": 0.1}
    assert Conditions.read(["failures=0.1,failures.lost=0.2"]).failures == {"user_error": 0.1, "lost": 0.2}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("run_tim=3", "did you mean 'run_time'"),
        ("run_time=2h..1h", "begins after its end"),
        ("run_time=1..2..3", "more than a range"),
        ("run_time=soon", "'soon' is not a duration"),
        ("slots=0", "at least 1"),
        ("failures.user_error=0.7,failures.no_metric=0.7", "add up to 1.4"),
        ("failures.bad_luck=0.1", "bad_luck"),
        ("preemptions_per_hour=-1", "at least 0"),
    ],
)
def test_a_wrong_condition_is_named_with_what_would_be_valid(word: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        Conditions.read([word])
    assert said in str(caught.value)


def test_a_mistake_in_a_file_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("slots: 8\nrun_time: never\n")

    with pytest.raises(SpecError, match=r"cluster\.yaml:2: run_time: 'never' is not a duration"):
        Conditions.read([str(file)])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.yaml"], "'nowhere.yaml' are no file"),
        (["slots=1,4"], "'4' in 'slots=1,4' gives no condition"),
        (["run_time=1h", "run_time.longest=3"], "run_time has no parts"),
    ],
)
def test_what_is_neither_a_file_nor_a_setting_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Conditions.read(words)
    assert said in str(caught.value)
