"""The optimizer's process: reads questions, answers them, and ends when nobody asks any more."""

from __future__ import annotations

import argparse
import os
import select
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from axk8s.optimize.protocol import Answer, Ask, Begin, Failed, Message, decode, encode
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import TrialFact

if TYPE_CHECKING:
    from axk8s.optimize.experiment import Projection

_LOOK: Final = 1.0
"""Seconds between looks at whether the controller is still the parent: for the case that another of its children
holds the pipe open, so that its end is not seen there."""
_NICENESS: Final = 5
"""A proposal may take a second longer; the trials beside it should not."""


def main(arguments: Sequence[str]) -> int:
    """Run the process; the arguments are file descriptors and the parent's process id."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--replies", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args(arguments)
    os.nice(_NICENESS)
    questions: SimpleQueue[bytes] = SimpleQueue()
    # A thread of its own, so that the end of the controller ends a fit that takes minutes.
    threading.Thread(target=_listen, args=(given.requests, given.parent, questions), daemon=True).start()
    print(f"optimizer process {os.getpid()} started", flush=True)
    try:
        return _serve(questions, given.replies)
    except BrokenPipeError:
        return 0


def _listen(requests: int, parent: int, questions: SimpleQueue[bytes]) -> None:
    rest = b""
    while os.getppid() == parent:
        if not select.select([requests], [], [], _LOOK)[0]:
            continue
        received = os.read(requests, 1 << 20)
        if not received:
            break
        *lines, rest = (rest + received).split(b"\n") if b"\n" in received else [rest + received]
        for line in lines:
            questions.put(line)
    # Not sys.exit: it would end this thread only, and there is nothing to save.
    os._exit(0)


def _serve(questions: SimpleQueue[bytes], replies: int) -> int:
    begin = decode(questions.get())
    assert isinstance(begin, Begin)
    try:
        projection = _projection(begin)
    except Exception as error:  # noqa: BLE001  (Ax raises what it likes for what it cannot take; its text is shown)
        return _fail(replies, error, hopeless=True)
    facts: dict[int, TrialFact] = {}
    while True:
        ask = decode(questions.get())
        assert isinstance(ask, Ask)
        facts.update((fact.trial, fact) for fact in ask.facts)
        try:
            reply = projection.answer(ask, [facts[trial] for trial in sorted(facts)])
        except Exception as error:  # noqa: BLE001  (as above; a new process gets another try)
            return _fail(replies, error)
        _send(replies, Answer(ask.number, reply))


def _projection(begin: Begin) -> Projection:
    import torch

    # More threads gain nothing at these sizes and take cores from the trials; one also makes results repeatable.
    torch.set_num_threads(1)
    from axk8s.optimize.experiment import Projection

    return Projection(SweepSpec.from_mapping(begin.spec, base=Path(begin.base)))


def _fail(replies: int, error: Exception, *, hopeless: bool = False) -> int:
    traceback.print_exc()
    sys.stderr.flush()
    _send(replies, Failed(" ".join(f"{type(error).__name__}: {error}".split())[:500], hopeless))
    return 1


def _send(replies: int, message: Message) -> None:
    line = encode(message)
    while line:
        line = line[os.write(replies, line) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
