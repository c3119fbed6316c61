"""What a line in a failed job's last output says about what should follow. Pure.

Exit codes say little: whoever trains on many GPUs finds the cause in the log. The rules here are for what no parameter
can change; those of the sweep file come before them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from axk8s.sweep.model import Category, Diagnosis, LogRule

BUILT_IN: Final = (
    LogRule(
        r"uncorrectable (double bit )?ECC error|CUDA error: uncorrectable ECC|NVRM: Xid|\bXid \(PCI",
        "exclude_node",
        "the GPU is broken",
    ),
    LogRule(
        r"ncclSystemError|ncclRemoteError|ncclInternalError|NCCL WARN .*(Connection (closed|refused|reset)|Timeout)"
        r"|Watchdog caught collective operation timeout",
        "retry",
        "the replicas lost each other (NCCL)",
    ),
)
"""Words for memory that has run out are found by `exit_record`: they have a category of their own."""

_OWN_FAULTS = (Category.USER_ERROR, Category.TRANSIENT, Category.OUT_OF_MEMORY, Category.BAD_PARAMETERS)
"""Ends that the program itself brought about; what ended it from outside is no matter of its log."""
_SHOWN = 300


def ruled(diagnosis: Diagnosis, rules: Sequence[LogRule]) -> Diagnosis:
    """The diagnosis as the first rule that fits a line of the log has it; unchanged when none does."""
    if diagnosis.category not in _OWN_FAULTS:
        return diagnosis
    for rule in rules:
        line = next((line for line in reversed(diagnosis.log_tail) if _compiled(rule.pattern).search(line)), None)
        if line is not None:
            return _as_said(diagnosis, rule, line.strip()[:_SHOWN])
    return diagnosis


def _as_said(diagnosis: Diagnosis, rule: LogRule, line: str) -> Diagnosis:
    categories = {
        "retry": Category.TRANSIENT,
        "exclude_node": Category.TRANSIENT,
        "infeasible": Category.BAD_PARAMETERS,
        "fail": Category.USER_ERROR,
        "abort": Category.USER_ERROR,
    }
    summary = f"{rule.says}: {line}" if rule.says else f"its log says: {line}"
    evidence = {**diagnosis.evidence, "log_rule": rule.pattern}
    return replace(diagnosis, category=categories[rule.then], summary=summary, evidence=evidence, advice=rule.then)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
