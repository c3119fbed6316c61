"""The optimizer's process may die, hang or talk nonsense: the sweep gets its proposals, and is told what happened.

Most processes here are small scripts that speak the protocol; some are the real one, with Ax in it.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from textwrap import dedent
from typing import Any, TypeAlias

import pytest

from axk8s.controller.ports import Optimizer
from axk8s.optimize.process import AxOptimizer, child_command
from axk8s.optimize.space import identity
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import OptimizerReply
from tests.optimize.sweeps import LINE, SMALL_TREE, fact, sweep

SCRIPT = """
import json, os, signal, subprocess, sys

sys.path.pop(0)  # `-c` puts the current folder there
requests, replies = open(int(sys.argv[2]), "rb"), open(int(sys.argv[4]), "wb", buffering=0)
heard = {heard!r}

def receive():
    line = requests.readline()
    if not line:
        sys.exit(0)
    with open(heard, "a") as file:
        file.write(line.decode())
    return json.loads(line)

def send(**message):
    replies.write(json.dumps(message).encode() + b"\\n")

def answer(ask, *xs, **reply):
    proposals = [dict(parameters=dict(x=x), generator="script", from_model=False, results_seen=0) for x in xs]
    empty = dict(proposals=proposals, exhausted=False, notice="", error="")
    send(kind="answer", number=ask["number"], reply={{**empty, **reply}})

receive()
birth = sum('"kind":"begin"' in line for line in open(heard))
"""
"""What every script begins with; `birth` is how many of its kind were started, itself among them."""
WAIT = 60.0
"""Seconds after which a test fails instead of hanging."""


class Played:
    """An `AxOptimizer` over a script, what it replied, and what its processes were told."""

    def __init__(self, folder: Path, body: str, spec: SweepSpec, **options: Any) -> None:
        self.heard_file = folder / "heard.jsonl"
        self.log = folder / "optimizer.log"
        script = SCRIPT.format(heard=str(self.heard_file)) + dedent(body)
        options.setdefault("command", (sys.executable, "-S", "-c", script))
        self.ax = AxOptimizer(spec, log=self.log, **options)
        self.optimizer: Optimizer = self.ax
        self.replies: SimpleQueue[OptimizerReply] = SimpleQueue()
        self.optimizer.start(self.replies.put)

    def reply(self) -> OptimizerReply:
        return self.replies.get(timeout=WAIT)

    def proposed(self) -> list[float]:
        """The next answer, which must be one without any further word."""
        reply = self.reply()
        assert (reply.notice, reply.error, reply.exhausted) == ("", "", False)
        return [float(proposal.parameters["x"]) for proposal in reply.proposals]

    def heard(self, kind: str) -> list[Mapping[str, Any]]:
        messages = [json.loads(line) for line in self.heard_file.read_text().splitlines()]
        return [message for message in messages if message["kind"] == kind]

    def silent(self) -> bool:
        try:
            self.replies.get_nowait()
        except Empty:
            return True
        return False


Play: TypeAlias = Callable[..., Played]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Starts an optimizer over a script, and ends it with the test."""
    made: list[Played] = []

    def start(body: str, spec: SweepSpec | None = None, **options: Any) -> Played:
        made.append(Played(tmp_path, body, spec or sweep(LINE), **options))
        return made[-1]

    yield start
    for each in made:
        each.optimizer.close()


ANSWERS = """
while True:
    ask = receive()
    answer(ask, *[birth + ask["number"] / 100 + index / 1000 for index in range(ask["count"])])
"""


def test_a_model_that_is_slower_than_the_results_is_shown_fewer_of_them(play: Play) -> None:
    ticks = itertools.count()
    # A result comes with every tick, and an answer takes one.
    played = play(ANSWERS, clock=lambda: float(next(ticks)))
    for trial in range(250):
        played.optimizer.tell(fact(trial, {"x": trial / 1000}))
        played.optimizer.tell(fact(trial, {"x": trial / 1000}, 0.5))

    for _ in range(4):
        played.optimizer.ask(1)
        played.proposed()

    assert [each["most_results"] for each in played.heard("ask")] == [500, 300, 200, 200]


def test_a_question_brings_the_facts_that_are_new_and_the_proposals_that_wait(play: Play) -> None:
    played = play(ANSWERS)

    played.optimizer.tell(fact(0, {"x": 0.5}))
    played.optimizer.ask(2)
    assert played.proposed() == [1.01, 1.011]
    played.optimizer.tell(fact(0, {"x": 0.5}, 0.25))
    played.optimizer.tell(fact(1, {"x": 1.01}))
    played.optimizer.ask(1)
    assert played.proposed() == [1.02]

    first, second = played.heard("ask")
    assert [(each["trial"], each["outcome"]) for each in first["facts"]] == [(0, None)]
    assert (first["outstanding"], first["barred"], first["again"]) == ([], [], 0)
    assert [(each["trial"], each["outcome"], each["values"]) for each in second["facts"]] == [
        (0, "succeeded", {"loss": 0.25}),
        (1, None, {}),
    ]
    assert second["outstanding"] == [{"x": 1.011}]


def test_the_process_is_told_the_sweep_as_it_is(play: Play) -> None:
    spec = sweep(SMALL_TREE)
    played = play("answer(receive(), 0.5)", spec)

    played.optimizer.ask(1)
    played.reply()

    (begin,) = played.heard("begin")
    assert SweepSpec.from_mapping(begin["spec"], base=Path(begin["base"])) == spec


def test_proposals_that_are_replaced_no_longer_count_as_running(play: Play) -> None:
    played = play(ANSWERS)
    played.optimizer.ask(2)
    played.proposed()
    played.optimizer.tell(fact(0, {"x": 1.01}))

    played.optimizer.ask(1, replace=True)
    assert played.proposed() == [1.02]
    played.optimizer.ask(1)
    played.proposed()

    _, second, third = played.heard("ask")
    assert (second["outstanding"], second["barred"]) == ([], [{"x": 1.011}])
    assert (third["outstanding"], third["barred"]) == ([{"x": 1.02}], [])


def test_a_process_that_dies_over_a_question_is_replaced_told_everything_and_asked_again(play: Play) -> None:
    played = play(
        """
        if birth == 1:
            answer(receive(), 0.1)
        ask = receive()
        if birth == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        answer(ask, 0.2)
        """
    )
    played.optimizer.tell(fact(0, {"x": 0.5}, 1.0))
    played.optimizer.ask(1)
    assert played.proposed() == [0.1]
    first = played.ax.pid

    played.optimizer.tell(fact(1, {"x": 0.6}))
    played.optimizer.ask(1)
    notice = played.reply().notice
    assert played.proposed() == [0.2]

    assert f"the optimizer process {first} ended (killed by SIGKILL)" in notice
    assert "a new one is told all results" in notice
    assert str(played.log) in notice
    asked = played.heard("ask")
    assert [[each["trial"] for each in ask["facts"]] for ask in asked] == [[0], [1], [0, 1]]
    assert [ask["again"] for ask in asked] == [0, 0, 1]
    assert asked[2]["outstanding"] == [{"x": 0.1}]


def test_the_successor_of_a_process_that_died_with_nothing_to_do_answers_as_that_one_would_have(play: Play) -> None:
    played = play(ANSWERS)
    played.optimizer.ask(1)
    played.proposed()
    assert played.ax.pid is not None

    os.kill(played.ax.pid, signal.SIGKILL)
    assert "killed by SIGKILL" in played.reply().notice
    played.optimizer.ask(1)
    played.proposed()

    assert [ask["again"] for ask in played.heard("ask")] == [0, 0]


DIES = """
ask = receive()
if birth in {births}:
    sys.exit(3)
answer(ask, 0.9)
while True:
    answer(receive(), 0.8)
"""


def test_after_three_deaths_on_the_same_results_proposals_are_random_until_there_is_a_new_one(play: Play) -> None:
    played = play(DIES.format(births=(1, 2, 3)))
    played.optimizer.tell(fact(0, {"x": 0.5}, 1.0))

    played.optimizer.ask(2)
    notices = [played.reply().notice for _ in range(3)]
    assert ["a new one is told all results" in notice for notice in notices] == [True, True, False]
    assert "(exit code 3), 3 times on the same results; going on with random points" in notices[2]
    assert "trying Ax again with the next result" in notices[2]
    first = played.reply().proposals
    played.optimizer.tell(fact(1, first[0].parameters))
    played.optimizer.ask(2)
    second = played.reply().proposals
    assert len(played.heard("begin")) == 3, "without a new result it would die again"

    assert {(each.generator, each.from_model, each.results_seen) for each in (*first, *second)} == {
        ("random-fallback", False, 1)
    }
    assert len({identity(each.parameters) for each in (*first, *second)}) == 4

    played.optimizer.tell(fact(1, first[0].parameters, 2.0))
    played.optimizer.ask(1)
    assert played.proposed() == [0.9]
    played.optimizer.ask(1)
    assert played.proposed() == [0.8]
    assert len(played.heard("begin")) == 4
    assert [each["trial"] for each in played.heard("ask")[3]["facts"]] == [0, 1]


def test_a_retry_that_dies_too_is_not_repeated_on_the_same_results(play: Play) -> None:
    played = play(DIES.format(births=(1, 2, 3, 4)))
    played.optimizer.ask(1)
    for _ in range(4):
        reply = played.reply()
    played.optimizer.tell(fact(0, reply.proposals[0].parameters, 1.0))

    played.optimizer.ask(1)

    assert "(exit code 3), once more on the same results" in played.reply().notice
    assert played.reply().proposals[0].generator == "random-fallback"
    assert len(played.heard("begin")) == 4


def test_processes_that_die_before_anything_is_asked_are_given_up_as_well(play: Play) -> None:
    played = play("sys.exit(3)")

    notices = [played.reply().notice for _ in range(3)]
    played.optimizer.ask(1)

    assert "3 times on the same results" in notices[2]
    assert played.reply().proposals[0].generator == "random-fallback"


def test_the_random_points_of_a_finite_space_end_with_it(play: Play) -> None:
    played = play("sys.exit(3)", sweep(SMALL_TREE))
    for _ in range(3):
        played.reply()

    played.optimizer.ask(4)
    first = played.reply()
    played.optimizer.ask(4, replace=True)
    second = played.reply()
    played.optimizer.ask(8)
    third = played.reply()

    assert [len(each.proposals) for each in (first, second, third)] == [4, 2, 4]
    assert not second.exhausted, "the four that were dropped can be proposed again"
    assert third.exhausted
    assert len({identity(each.parameters) for each in (*second.proposals, *third.proposals)}) == 6


def test_a_process_that_hangs_past_the_patience_is_killed_and_replaced(play: Play) -> None:
    played = play(
        """
        ask = receive()
        if birth == 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        answer(ask, 0.5)
        """,
        patience=2.0,
    )
    played.optimizer.ask(1)

    notice = played.reply().notice

    assert "did not answer in time; a new one is told all results" in notice
    assert played.reply().proposals[0].parameters == {"x": 0.5}
    assert [ask["again"] for ask in played.heard("ask")] == [0, 1]
    assert not alive(int(notice.split()[3]))


def test_a_process_that_does_not_read_is_killed_and_replaced(play: Play) -> None:
    played = play(
        """
        if birth == 1:
            while True:
                signal.pause()
        while True:
            answer(receive(), 0.5)
        """,
        patience=2.0,
    )
    for trial in range(3000):  # more than a pipe holds
        played.optimizer.tell(fact(trial, {"x": trial / 9000}, 1.0))
    played.optimizer.ask(1)

    assert "took in no question" in played.reply().notice
    assert played.proposed() == [0.5]
    assert len(played.heard("ask")[0]["facts"]) == 3000


def test_a_process_without_hope_is_not_started_again(play: Play) -> None:
    played = play(
        """
        receive()
        send(kind="failed", error="UserInputError: 1001 values", hopeless=True)
        receive()
        """
    )

    played.optimizer.ask(1)

    reply = played.reply()
    assert reply.error == f"Ax cannot work on this sweep: UserInputError: 1001 values (see {played.log})"
    assert played.ax.pid is None
    assert len(played.heard("begin")) == 1


def test_the_last_words_of_a_process_are_the_reason_in_the_notice(play: Play) -> None:
    played = play(
        """
        ask = receive()
        if birth == 1:
            send(kind="failed", error="RuntimeError: singular", hopeless=False)
            sys.exit(1)
        answer(ask, 0.5)
        """
    )

    played.optimizer.ask(1)

    assert "ended: RuntimeError: singular; a new one" in played.reply().notice
    assert played.proposed() == [0.5]


def test_a_process_that_talks_nonsense_is_replaced_and_the_nonsense_shown(play: Play) -> None:
    played = play(
        """
        ask = receive()
        if birth == 1:
            replies.write(b"Segmentation fault\\n")
            receive()
        answer(ask, 0.5)
        """
    )

    played.optimizer.ask(1)

    assert "sent what is no answer: not a message of the optimizer: b'Segmentation fault" in played.reply().notice
    assert played.proposed() == [0.5]


def test_an_answer_to_an_earlier_question_is_passed_over(play: Play) -> None:
    played = play(
        """
        ask = receive()
        answer(dict(number=ask["number"] + 7), 0.1)
        answer(ask, 0.2)
        """
    )

    played.optimizer.ask(1)

    assert played.proposed() == [0.2]


def test_a_program_that_is_not_there_is_an_error(play: Play, tmp_path: Path) -> None:
    played = play("", command=[str(tmp_path / "nowhere")])

    assert "the optimizer process cannot be started: " in played.reply().error


def test_what_was_told_while_the_question_was_thought_about_is_not_proposed(play: Play, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    played = play(
        f"""
        ask = receive()
        open({str(gate)!r}).read()
        answer(ask, 0.1, 0.2)
        ask = receive()
        open({str(gate)!r}).read()
        answer(ask, 0.3)
        answer(receive(), 0.4)
        """
    )

    played.optimizer.ask(2)
    played.optimizer.tell(fact(0, {"x": 0.1}))
    gate.write_text("go")
    assert played.proposed() == [0.2]
    played.optimizer.ask(1)
    played.optimizer.tell(fact(1, {"x": 0.3}))
    gate.write_text("go")
    assert played.proposed() == [0.4], "an answer without anything new is asked for again"

    assert [[each["trial"] for each in ask["facts"]] for ask in played.heard("ask")] == [[], [0], [1]]


def test_the_process_sees_no_gpu_has_one_thread_and_its_output_is_kept(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    played = play(
        """
        print("a word of a library", flush=True)
        print("a warning", file=sys.stderr, flush=True)
        answer(receive(), 0.5, notice=json.dumps(dict(os.environ)))
        """
    )

    played.optimizer.ask(1)

    environment = json.loads(played.reply().notice)
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert {environment[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")} == {"1"}
    assert environment["PATH"] == os.environ["PATH"]
    assert played.log.read_text() == "a word of a library\na warning\n"


def test_a_file_beside_the_training_script_does_not_hide_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "argparse.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)

    done = subprocess.run([*child_command(), "--help"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "--requests" in done.stdout


# The end of it. A log that is a FIFO ends when the last process that could write to it has ended.


def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


HELPER = (sys.executable, "-S", "-c", "import signal; print(flush=True); signal.pause()")


@pytest.mark.parametrize("then", ["receive()", "receive(); signal.pause()", "sys.exit(3)"])
def test_closing_leaves_no_process_and_nothing_is_replied_after_it(tmp_path: Path, then: str) -> None:
    log = fifo(tmp_path)
    script = SCRIPT.format(heard=str(tmp_path / "heard.jsonl")) + dedent(
        f"""
        if birth == 1:
            subprocess.Popen({HELPER!r}, stdout=subprocess.PIPE).stdout.readline()  # its stderr is the log
        answer(receive(), birth)
        if birth == 1:
            {then}
        receive()
        """
    )
    replies: SimpleQueue[OptimizerReply] = SimpleQueue()
    optimizer = AxOptimizer(sweep(LINE), log=log, command=(sys.executable, "-S", "-c", script))
    optimizer.start(replies.put)
    with log.open("rb") as reader:
        optimizer.ask(1)
        assert replies.get(timeout=WAIT).proposals
        if "exit" in then:
            assert "exit code 3" in replies.get(timeout=WAIT).notice

        optimizer.close()

        assert reader.read() == b""
    assert optimizer.pid is None
    assert replies.empty()
    optimizer.close()


def test_closing_at_once_says_nothing_about_a_process_that_was_never_needed(play: Play) -> None:
    played = play("receive()")
    for trial in range(3000):
        played.optimizer.tell(fact(trial, {"x": trial / 9000}, 1.0))
    played.optimizer.ask(1)

    played.optimizer.close()

    assert played.silent()
    assert played.ax.pid is None


def test_an_optimizer_that_was_never_started_can_be_closed(tmp_path: Path) -> None:
    AxOptimizer(sweep(LINE), log=tmp_path / "log").close()

    assert list(tmp_path.iterdir()) == []


PARENT = """
import os, subprocess, sys
from pathlib import Path
from axk8s.optimize.process import AxOptimizer
from axk8s.spec.sweep import SweepSpec

content = {{
    "name": "tuning",
    "command": "true",
    "parameters": {{"x": {{"type": "float", "min": 0, "max": 1}}}},
    "objectives": [{{"metric": "loss", "direction": "minimize"}}],
    "trials": 3,
}}
optimizer = AxOptimizer(SweepSpec.from_mapping(content, base=Path.cwd()), log=Path({log!r}))
optimizer.start(lambda reply: None)
sys.stdin.readline()
if {pipe_stays_open}:
    subprocess.Popen(["cat"], pass_fds=(optimizer._child._requests,))
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("pipe_stays_open", [False, True])
def test_the_process_ends_when_its_controller_is_gone(tmp_path: Path, pipe_stays_open: bool) -> None:
    log = fifo(tmp_path)
    script = PARENT.format(log=str(log), pipe_stays_open=pipe_stays_open)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        try:
            with log.open() as reader:
                assert reader.readline().startswith("optimizer process ")
                parent.stdin.write("go on\n")
                parent.stdin.flush()
                assert parent.stdout.readline() == "ready\n"
                parent.kill()

                reader.read()  # ends when the process has
        finally:
            parent.kill()
            parent.stdin.close()  # which ends `cat`


def test_ax_itself_dies_and_is_replaced_by_one_that_goes_on(tmp_path: Path) -> None:
    replies: SimpleQueue[OptimizerReply] = SimpleQueue()
    spec = sweep(LINE)
    optimizer = AxOptimizer(spec, log=tmp_path / "log")
    optimizer.start(replies.put)
    try:
        for trial in range(6):
            optimizer.tell(fact(trial, {"x": trial / 6}, (trial / 6 - 0.3) ** 2))
        optimizer.ask(1)
        (first,) = replies.get(timeout=WAIT).proposals
        assert (first.from_model, first.generator, first.results_seen) == (True, "BoTorch", 6)
        assert spec.check_parameters(first.parameters) == []
        assert optimizer.pid is not None
        os.kill(optimizer.pid, signal.SIGKILL)
        assert "killed by SIGKILL" in replies.get(timeout=WAIT).notice

        optimizer.ask(1, replace=True)

        (second,) = replies.get(timeout=WAIT).proposals
        assert second.from_model
        assert identity(second.parameters) != identity(first.parameters)
    finally:
        optimizer.close()


def test_a_space_that_ax_refuses_is_an_error_with_its_words(tmp_path: Path) -> None:
    replies: SimpleQueue[OptimizerReply] = SimpleQueue()
    words = [f"word{number}" for number in range(1001)]
    optimizer = AxOptimizer(sweep({"x": {"type": "choice", "values": words}}), log=tmp_path / "log")
    optimizer.start(replies.put)
    try:
        reply = replies.get(timeout=WAIT)
    finally:
        optimizer.close()

    assert "Ax cannot work on this sweep: UserInputError" in reply.error
    assert "Traceback" in (tmp_path / "log").read_text()
