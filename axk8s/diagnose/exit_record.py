"""Why a process-based job ended, from its exit facts and the last lines that it printed. Pure.

Exit codes 64 and 75 are those of sysexits.h: EX_USAGE, the parameters can never work, and EX_TEMPFAIL, try again.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Collection, Sequence
from typing import Final

from axk8s.sweep.model import Category, Diagnosis, ExitFacts, Scalar

BAD_PARAMETERS_CODE: Final = 64
TRANSIENT_CODE: Final = 75

_TAIL: Final = 20
_LONGEST: Final = 300

_OUT_OF_MEMORY: Final = re.compile(
    r"CUDA out of memory|CUDA error: out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED|HIP out of memory"
    r"|MPS backend out of memory|^MemoryError\b|numpy\.core\._exceptions\._ArrayMemoryError|_ArrayMemoryError"
    r"|DefaultCPUAllocator: can't allocate memory|Cannot allocate memory|std::bad_alloc"
    r"|RESOURCE_EXHAUSTED: Out of memory",
)
_GPU_MEMORY: Final = re.compile(r"CUDA|CUBLAS|HIP|torch\.OutOfMemoryError|GPU")

_EXCEPTION: Final = re.compile(r"([A-Za-z_]\w*\.)*[A-Z]\w*(:\s|:?$)")
"""How the last line of a traceback begins: the name of a class, with its module's unless it is built in."""

_TOLD_TO_END: Final = {signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGINT}
"""Signals that come from outside; the others are raised by what the program itself does."""


def diagnose(
    exit: ExitFacts,  # noqa: A002 - it is one
    log_tail: Sequence[str],
    *,
    retry_codes: Collection[int] = (TRANSIENT_CODE,),
    infeasible_codes: Collection[int] = (BAD_PARAMETERS_CODE,),
) -> Diagnosis:
    """The diagnosis of an ended job.

    Args:
        exit: what the scheduler knows of the end.
        log_tail: the last lines of the replica that decided it, stderr last; empty when there are none.
        retry_codes: exit codes that ask for another try.
        infeasible_codes: exit codes that say: these parameters can never work.
    """
    tail = tuple(line.rstrip("\r\n") for line in log_tail)[-_TAIL:]
    if exit.cause == "exited" and exit.code is not None:
        who = exit.replica or "the job"
        if exit.code in infeasible_codes:
            said = _with_last(f"{who} refused its parameters (exit code {exit.code})", tail)
            return _diagnosis(exit, tail, Category.BAD_PARAMETERS, said)
        if exit.code in retry_codes:
            said = _with_last(f"{who} asked for another try (exit code {exit.code})", tail)
            return _diagnosis(exit, tail, Category.TRANSIENT, said)
    return _CAUSES[exit.cause](exit, tail)


def _exited(exit: ExitFacts, tail: tuple[str, ...]) -> Diagnosis:  # noqa: A002
    who = exit.replica or "the job"
    if exit.code == 0:
        return _diagnosis(exit, tail, Category.SUCCEEDED, "ended with exit code 0")
    memory = _memory(exit, tail)
    if memory is not None:
        return memory
    if exit.code is not None and exit.code < 0:
        return _signalled(exit, tail, who, -exit.code)
    if exit.code is None:
        # Some of TorchX's schedulers say that a job failed and no more.
        return _diagnosis(
            exit, tail, Category.USER_ERROR, _with_last(f"{who} failed; its exit code is not known", tail)
        )
    hint = _CODE_HINTS.get(exit.code, "")
    summary = f"{who} ended with exit code {exit.code}"
    if exit.code > 128 and (name := _signal_name(exit.code - 128)):
        summary += f" (a shell's word for {name})"
    return _diagnosis(exit, tail, Category.USER_ERROR, _with_last(summary, tail), hint)


_CODE_HINTS: Final = {
    2: "exit code 2 usually means that the program did not understand its arguments",
    126: "exit code 126 is a shell's word for: found, but not executable",
    127: "exit code 127 is a shell's word for: no such program",
}


def _signalled(exit: ExitFacts, tail: tuple[str, ...], who: str, number: int) -> Diagnosis:  # noqa: A002
    name = _signal_name(number) or f"signal {number}"
    if number in _TOLD_TO_END:
        hint = ""
        if number == signal.SIGKILL:
            hint = "if nobody killed it by hand, the machine ran out of memory: `dmesg` says so; try fewer at a time"
        return _diagnosis(exit, tail, Category.TRANSIENT, f"{who} was killed by {name} from outside", hint)
    hint = ""
    if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL):
        hint = "it crashed in native code: PYTHONFAULTHANDLER=1 in its environment shows the Python lines"
    return _diagnosis(exit, tail, Category.USER_ERROR, _with_last(f"{who} was killed by {name}", tail), hint)


def _memory(exit: ExitFacts, tail: tuple[str, ...]) -> Diagnosis | None:  # noqa: A002
    who = exit.replica or "the job"
    line = next((line for line in reversed(tail) if _OUT_OF_MEMORY.search(line.strip())), None)
    if exit.code == -signal.SIGKILL and "out of memory" in exit.message:
        hint = "run fewer at a time, or bound what makes it large, such as the batch size"
        if exit.node:
            hint = "raise its memory in `resources`, or bound what makes it large, such as the batch size"
            return _diagnosis(exit, tail, Category.OUT_OF_MEMORY, f"{who} was killed: {exit.message}", hint)
        return _diagnosis(exit, tail, Category.OUT_OF_MEMORY, f"{who} was killed: the machine ran out of memory", hint)
    if line is None:
        return None
    where = "GPU memory" if _GPU_MEMORY.search(line) else "memory"
    hint = "bound what makes it large, such as the batch size or the width of the model"
    return _diagnosis(exit, tail, Category.OUT_OF_MEMORY, f"{who} ran out of {where}: {_shortened(line)}", hint)


def _cancelled(exit: ExitFacts, tail: tuple[str, ...]) -> Diagnosis:  # noqa: A002
    why = "" if exit.message in ("", "cancelled") else f": {exit.message}"
    return _diagnosis(exit, tail, Category.STOPPED, f"was stopped{why}")


def _deadline(exit: ExitFacts, tail: tuple[str, ...]) -> Diagnosis:  # noqa: A002
    summary = exit.message or "ran longer than it was allowed to"
    return _diagnosis(exit, tail, Category.DEADLINE, summary, "raise the time-out, or bound what makes it slow")


def _spawn_failed(exit: ExitFacts, tail: tuple[str, ...]) -> Diagnosis:  # noqa: A002
    hint = next((hint for words, hint in _START_HINTS if words in exit.message), "")
    return _diagnosis(exit, tail, Category.CANNOT_START, exit.message or "the program could not be started", hint)


_START_HINTS: Final = (
    ("doesn't exist", "name a queue that exists in `scheduler_config`, or have this one made; `axk8s doctor` looks"),
    ("never be admitted", "ask for less in `resources`, or have the queue's quota and flavors fit them"),
)


def _terminated(exit: ExitFacts, tail: tuple[str, ...]) -> Diagnosis:  # noqa: A002
    return _diagnosis(exit, tail, Category.DISRUPTED, exit.message or "was told to end from outside")


def _over_limit(exit: ExitFacts, tail: tuple[str, ...]) -> Diagnosis:  # noqa: A002
    summary = f"{exit.replica or 'the job'} went over a limit of its own: {exit.message}"
    hint = "raise the limit (a volume's sizeLimit, ephemeral-storage), or write less"
    return _diagnosis(exit, tail, Category.OVER_LIMIT, summary, hint)


def _rebooted(exit: ExitFacts, tail: tuple[str, ...]) -> Diagnosis:  # noqa: A002
    return _diagnosis(exit, tail, Category.DISRUPTED, exit.message or "the machine was restarted while it ran")


def _lost(exit: ExitFacts, tail: tuple[str, ...]) -> Diagnosis:  # noqa: A002
    return _diagnosis(exit, tail, Category.LOST, exit.message or "is gone, and nobody knows how it ended")


_CAUSES: Final[dict[str, Callable[[ExitFacts, tuple[str, ...]], Diagnosis]]] = {
    "exited": _exited,
    "cancelled": _cancelled,
    "deadline": _deadline,
    "spawn_failed": _spawn_failed,
    "terminated": _terminated,
    "over_limit": _over_limit,
    "rebooted": _rebooted,
    "lost": _lost,
}


def _diagnosis(
    exit: ExitFacts,  # noqa: A002
    tail: tuple[str, ...],
    category: Category,
    summary: str,
    hint: str = "",
) -> Diagnosis:
    evidence: dict[str, Scalar] = {"cause": exit.cause}
    if exit.code is not None:
        evidence["exit_code"] = exit.code
        if exit.code < 0 and (name := _signal_name(-exit.code)):
            evidence["signal"] = name
    if exit.replica:
        evidence["replica"] = exit.replica
    if exit.node:
        evidence["node"] = exit.node
    if exit.message:
        evidence["message"] = exit.message
    return Diagnosis(category, summary, evidence, hint, tail)


def _with_last(summary: str, tail: tuple[str, ...]) -> str:
    """The summary and the line that says most: the exception at the end of a traceback, else the last line."""
    lines = [line for line in tail if line.strip()]
    if not lines:
        return summary
    traces = [at for at, line in enumerate(lines) if line.startswith("Traceback (most recent call")]
    # A process may print more after its traceback; its frames are indented, the exception is not.
    after = [line for line in lines[traces[-1] + 1 :] if not line[0].isspace()] if traces else []
    # A container runtime writes two streams into one log: lines of stdout may come to lie between those of a traceback.
    exceptions = [line for line in after if _EXCEPTION.match(line)]
    said, *_ = *exceptions, *after, lines[-1]
    return f"{summary}: {_shortened(said)}"


def _shortened(line: str) -> str:
    line = line.strip()
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
