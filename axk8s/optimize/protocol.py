"""What the controller's process and the optimizer's say to each other: one JSON object a line. Pure.

NaN and infinities pass: both ends are Python, whose JSON has them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

from axk8s.sweep.model import OptimizerReply, Outcome, Parameters, Proposal, TrialFact


@dataclass(frozen=True, slots=True)
class Begin:
    """The first message to the optimizer's process: the sweep as plain JSON, and the folder its paths start from."""

    kind: ClassVar[str] = "begin"
    spec: Mapping[str, object]
    base: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, with all that changed since the one before."""

    kind: ClassVar[str] = "ask"
    number: int
    count: int
    facts: Sequence[TrialFact] = ()
    outstanding: Sequence[Parameters] = ()
    """Proposals that wait to become trials: points that the model counts as running."""
    barred: Sequence[Parameters] = ()
    """Proposals that are about to be dropped: not to be repeated, though the model may go near."""
    most_results: int | None = None
    """How many results the model is to see at most; None: as many as the process chooses."""
    again: int = 0
    """How often this question was asked before without an answer; changes the seed, so that a crash can be avoided."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the question of this number."""

    kind: ClassVar[str] = "answer"
    number: int
    reply: OptimizerReply


@dataclass(frozen=True, slots=True)
class Failed:
    """The process is about to end: `error` is the last line of the traceback that stands in the log."""

    kind: ClassVar[str] = "failed"
    error: str
    hopeless: bool = False
    """Another process would fail in the same way: Ax cannot be imported, or refuses the search space."""


Message: TypeAlias = Begin | Ask | Answer | Failed


def encode(message: Message) -> bytes:
    """One line."""
    return json.dumps({"kind": message.kind, **_plain(message)}, default=_plain, separators=(",", ":")).encode() + b"\n"


def _plain(value: Any) -> dict[str, Any]:
    # Not `asdict`, which copies everything below as well: that cost more than all else around a question.
    return {each.name: getattr(value, each.name) for each in fields(value)}


def decode(line: bytes) -> Message:
    """The message of a line.

    Raises:
        ValueError: it is none; names the line.
    """
    try:
        content = json.loads(line)
        return _DECODERS[content.pop("kind")](content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a message of the optimizer: {line[:200]!r}") from error


def _ask(content: dict[str, Any]) -> Ask:
    content["facts"] = [_fact(fact) for fact in content["facts"]]
    return Ask(**content)


def _fact(content: dict[str, Any]) -> TrialFact:
    outcome = content.pop("outcome")
    # JSON has texts for keys.
    content["reached"] = {int(mark): value for mark, value in content["reached"].items()}
    return TrialFact(**content, outcome=None if outcome is None else Outcome(outcome))


def _answer(content: dict[str, Any]) -> Answer:
    reply = content["reply"]
    reply["proposals"] = tuple(Proposal(**proposal) for proposal in reply["proposals"])
    return Answer(content["number"], OptimizerReply(**reply))


_DECODERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    Begin.kind: lambda content: Begin(**content),
    Ask.kind: _ask,
    Answer.kind: _answer,
    Failed.kind: lambda content: Failed(**content),
}
