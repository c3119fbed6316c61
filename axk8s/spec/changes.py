"""How two specs differ, and which differences a sweep in progress can take over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from axk8s.spec.sweep import SweepSpec

SAFE: Final = frozenset(
    {
        "trials",
        "parallelism",
        "retries",
        "max_failures",
        "trial_timeout",
        "start_timeout",
        "budget",
        "scheduler_config",
        "retry_exit_codes",
        "infeasible_exit_codes",
        "log_rules",
        "max_disruptions",
        "max_queued",
        "abort_after_same_failures",
        "early_stopping",
    }
)
"""Keys that say how far and how fast a sweep goes, not what it measures: results before and after compare.

Fewer trials than before are safe as well: what has run stays, and the sweep only ends earlier.
"""
_TARGET: Final = re.compile(r"objectives\[\d+\]\.target")


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs; None means that it was not said."""

    key: str
    old: object
    new: object
    safe: bool

    def __str__(self) -> str:
        return f"{self.key}: {_shown(self.old)} → {_shown(self.new)}"


def changes(old: SweepSpec, new: SweepSpec) -> tuple[Change, ...]:
    """Every key whose meaning differs, in the order of the file; lists are compared as a whole."""
    return tuple(_differences(old.to_json(), new.to_json(), ""))


def _differences(old: Mapping[str, object], new: Mapping[str, object], above: str) -> Iterator[Change]:
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        path = f"{above}.{key}" if above else key
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after, path)
        elif key == "objectives" and isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
            for index, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from _differences(one, other, f"{path}[{index}]")
        # By their JSON, because to Python true is 1 and 1 is 1.0, and to a training script they are not.
        elif json.dumps(before) != json.dumps(after):
            yield Change(path, before, after, path.partition(".")[0] in SAFE or bool(_TARGET.fullmatch(path)))


def _shown(value: object) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
