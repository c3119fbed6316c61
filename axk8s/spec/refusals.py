"""What the file format has, and this version does not carry out: each is refused with a sentence, never ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from axk8s.errors import Problem


@dataclass(frozen=True, slots=True)
class Refusal:
    """One key that is refused; `key` is where the sentence points."""

    key: str
    given: Callable[[object], bool]
    """Whether the value under the key asks for what is not there."""
    sentence: str
    hint: str


def _anything(value: object) -> bool:
    return value is not None


def _entries(value: object) -> bool:
    return value is not None and value != [] and value != ()


def _several(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 1


REFUSALS: Final = (
    Refusal(
        "early_stopping",
        _anything,
        "this version does not stop trials early",
        "remove it; `trial_timeout` bounds each trial, `budget.wall_time` the sweep",
    ),
    Refusal(
        "objectives[1]",
        _several,
        "this version optimizes one objective",
        "keep the most important one; all other reported metrics are kept and shown",
    ),
    Refusal(
        "outcome_constraints",
        _entries,
        "this version has no constraints on outcomes",
        "remove it; training code can call report_infeasible() for trials that break a limit",
    ),
)


def check(content: Mapping[str, object]) -> tuple[dict[str, object], list[Problem]]:
    """The content without what is refused for its mere presence, and a problem for each refusal."""
    kept = dict(content)
    problems = []
    for refusal in REFUSALS:
        if not refusal.given(_at(content, refusal.key.partition("[")[0])):
            continue
        problems.append(Problem("", refusal.key, refusal.sentence, refusal.hint))
        if not refusal.key.endswith("]"):
            kept = _without(kept, refusal.key)
    return kept, problems


def _at(content: object, key: str) -> object:
    for part in key.split("."):
        content = content.get(part) if isinstance(content, Mapping) else None
    return content


def _without(content: Mapping[str, object], key: str) -> dict[str, object]:
    head, _, rest = key.partition(".")
    inner = content.get(head)
    if rest and isinstance(inner, Mapping):
        return {**content, head: _without(inner, rest)}
    return {name: value for name, value in content.items() if name != head}
