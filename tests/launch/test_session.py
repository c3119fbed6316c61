from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from axk8s.errors import SchedulerConfigError
from axk8s.launch.session import Session
from axk8s.spec.sweep import SweepSpec

Make = Callable[..., SweepSpec]
Write = Callable[[str, str], Path]


def config(spec: SweepSpec, **ours: object) -> dict[str, object]:
    return Session(spec).config(ours)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("scheduler: locl", "did you mean 'local'?"),
        ("scheduler_config: {grac: 3}", "did you mean 'grace'?"),
        ("scheduler_config: {grace: soon}", "the option grace is of type float, and this is 'soon'"),
        ("scheduler_config: {share_gpus: 3}", "the option share_gpus is of type bool"),
        ("scheduler_config: {name: mine}", "axk8s sets the option 'name'"),
        ("scheduler: aws_batch", "needs the option queue"),
    ],
)
def test_a_wrong_scheduler_or_option_names_the_line_and_the_remedy(sweep: Make, text: str, says: str) -> None:
    spec = sweep(f"command: prog {{lr}}\n{text}")

    with pytest.raises(SchedulerConfigError) as caught:
        config(spec, name="job")

    assert says in str(caught.value)
    assert "sweep.yaml:7: " in str(caught.value)


def test_words_become_the_type_of_the_option(sweep: Make) -> None:
    spec = sweep("command: prog {lr}\nscheduler_config: {grace: '3', share_gpus: 'true'}")

    assert config(spec) == {"grace": 3.0, "share_gpus": True}


def test_a_torchx_configuration_beside_the_sweep_file_applies_below_the_file_itself(sweep: Make, write: Write) -> None:
    write(".torchxconfig", "[local]\ngrace = 5\nshare_gpus = True\n[other]\nx = 1\n")
    spec = sweep("command: prog {lr}\nscheduler_config: {grace: 7}")

    assert config(spec, name="job") == {"grace": 7.0, "share_gpus": True, "name": "job"}


def test_an_unknown_option_in_a_torchx_configuration_names_that_file(sweep: Make, write: Write) -> None:
    path = write(".torchxconfig", "[local]\ngrac = 5\n")

    with pytest.raises(SchedulerConfigError) as caught:
        config(sweep("command: prog {lr}"))

    assert str(path) in str(caught.value)


def test_no_scheduler_of_torchx_takes_over_the_signals(sweep: Make) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    Session(sweep("command: prog {lr}\nscheduler: local_cwd"))

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
