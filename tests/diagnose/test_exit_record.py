"""Exit facts and last lines in, one diagnosis out: literals only."""

from __future__ import annotations

import signal

import pytest

from axk8s.diagnose.exit_record import diagnose
from axk8s.sweep.model import Category, ExitFacts

TRACEBACK = (
    "epoch 3",
    "Traceback (most recent call last):",
    '  File "train.py", line 12, in <module>',
    "    train(lr=0.1)",
    "ValueError: learning rate 0.1 is too high",
)


def exited(code: int, message: str = "") -> ExitFacts:
    return ExitFacts("exited", code, message, "main-0" if code else "")


@pytest.mark.parametrize(
    ("facts", "tail", "category", "summary"),
    [
        (exited(0), ("done",), Category.SUCCEEDED, "ended with exit code 0"),
        (exited(0), ("CUDA out of memory, halving the batch",), Category.SUCCEEDED, "ended with exit code 0"),
        (exited(1), (), Category.USER_ERROR, "main-0 ended with exit code 1"),
        (
            exited(1), TRACEBACK, Category.USER_ERROR,
            "main-0 ended with exit code 1: ValueError: learning rate 0.1 is too high",
        ),
        (
            exited(1), (*TRACEBACK, "  more of the message", "cleaning up"), Category.USER_ERROR,
            "main-0 ended with exit code 1: ValueError: learning rate 0.1 is too high",
        ),
        (exited(2), ("usage: train.py", "error: no --lr", ""), Category.USER_ERROR,
            "main-0 ended with exit code 2: error: no --lr"),
        (exited(64), TRACEBACK, Category.BAD_PARAMETERS,
            "main-0 refused its parameters (exit code 64): ValueError: learning rate 0.1 is too high"),
        (exited(75), (), Category.TRANSIENT, "main-0 asked for another try (exit code 75)"),
        (exited(137), (), Category.USER_ERROR, "main-0 ended with exit code 137 (a shell's word for SIGKILL)"),
        (exited(-signal.SIGSEGV), (), Category.USER_ERROR, "main-0 was killed by SIGSEGV"),
        (exited(-signal.SIGKILL), (), Category.TRANSIENT, "main-0 was killed by SIGKILL from outside"),
        (exited(-signal.SIGTERM), (), Category.TRANSIENT, "main-0 was killed by SIGTERM from outside"),
        (
            exited(-signal.SIGKILL, "the kernel ran out of memory and killed it"), (), Category.OUT_OF_MEMORY,
            "main-0 was killed: the machine ran out of memory",
        ),
        (
            exited(1), ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",), Category.OUT_OF_MEMORY,
            "main-0 ran out of GPU memory: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
        ),
        (exited(1), ("MemoryError",), Category.OUT_OF_MEMORY, "main-0 ran out of memory: MemoryError"),
        (exited(-signal.SIGABRT), ("terminate called: std::bad_alloc",), Category.OUT_OF_MEMORY,
            "main-0 ran out of memory: terminate called: std::bad_alloc"),
        (exited(64), ("MemoryError",), Category.BAD_PARAMETERS,
            "main-0 refused its parameters (exit code 64): MemoryError"),
        (ExitFacts("exited"), (), Category.USER_ERROR, "the job failed; its exit code is not known"),
        (ExitFacts("cancelled", message="cancelled"), TRACEBACK, Category.STOPPED, "was stopped"),
        (ExitFacts("cancelled", message="its folder was deleted"), (), Category.STOPPED,
            "was stopped: its folder was deleted"),
        (ExitFacts("deadline", message="ran longer than 5 s"), (), Category.DEADLINE, "ran longer than 5 s"),
        (ExitFacts("deadline"), (), Category.DEADLINE, "ran longer than it was allowed to"),
        (ExitFacts("spawn_failed", message="no program 'pyhton'"), (), Category.CANNOT_START, "no program 'pyhton'"),
        (ExitFacts("terminated"), (), Category.DISRUPTED, "was told to end from outside"),
        (ExitFacts("rebooted"), (), Category.DISRUPTED, "the machine was restarted while it ran"),
        (ExitFacts("lost"), (), Category.LOST, "is gone, and nobody knows how it ended"),
    ],
)  # fmt: skip
def test_the_category_and_the_sentence(
    facts: ExitFacts, tail: tuple[str, ...], category: Category, summary: str
) -> None:
    found = diagnose(facts, tail)
    assert (found.category, found.summary) == (category, summary)


@pytest.mark.parametrize("at", range(len(TRACEBACK)))
@pytest.mark.parametrize("other", ["before the end", "step 3: loss 0.5", "[12:00] Loss of rank 0: 0.5"])
def test_what_is_printed_beside_a_traceback_is_not_taken_for_its_exception(at: int, other: str) -> None:
    tail = (*TRACEBACK[:at], other, *TRACEBACK[at:])
    assert diagnose(exited(1), tail).summary.endswith(": ValueError: learning rate 0.1 is too high")


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "torch.cuda.OutOfBounds: x", "my_pkg._errors.Bad:", "E: a b"])
def test_an_exception_is_known_by_its_class(name: str) -> None:
    assert diagnose(exited(1), (*TRACEBACK[:3], "before the end", name)).summary.endswith(f": {name}")


def test_the_evidence_is_what_the_sentence_rests_on() -> None:
    found = diagnose(exited(-signal.SIGKILL), [f"line {number}\n" for number in range(50)])
    assert found.evidence == {"cause": "exited", "exit_code": -9, "signal": "SIGKILL", "replica": "main-0"}
    assert found.log_tail == tuple(f"line {number}" for number in range(30, 50))
    assert "dmesg" in found.hint


def test_an_endless_line_is_cut() -> None:
    assert len(diagnose(exited(1), ["x" * 100_000]).summary) < 400


def test_a_signal_without_a_name_is_a_number() -> None:
    assert diagnose(exited(-77), ()).summary == "main-0 was killed by signal 77"
