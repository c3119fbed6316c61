"""What a line of the log says, and what comes of it."""

from __future__ import annotations

import pytest

from axk8s.diagnose.exit_record import diagnose
from axk8s.diagnose.log_rules import BUILT_IN, ruled
from axk8s.sweep.model import Advice, Category, Diagnosis, ExitFacts, LogRule


def failed(*lines: str, category: Category = Category.USER_ERROR) -> Diagnosis:
    return Diagnosis(category, "ended with exit code 1", {"exit_code": 1}, log_tail=lines)


@pytest.mark.parametrize(
    ("then", "category"),
    [
        ("retry", Category.TRANSIENT),
        ("infeasible", Category.BAD_PARAMETERS),
        ("fail", Category.USER_ERROR),
        ("abort", Category.USER_ERROR),
        ("exclude_node", Category.TRANSIENT),
    ],
)
def test_a_rule_decides_the_category_and_shows_its_line(then: Advice, category: Category) -> None:
    found = ruled(failed("begun", "  shard 17 is missing  ", "bye"), [LogRule(r"shard \d+ is missing", then)])

    assert found.category is category
    assert found.summary == "its log says: shard 17 is missing"
    assert found.advice == then
    assert found.evidence == {"exit_code": 1, "log_rule": r"shard \d+ is missing"}


def test_the_first_rule_that_fits_counts_and_the_last_line_of_it() -> None:
    rules = [LogRule("never", "abort"), LogRule("x=", "retry"), LogRule("x=2", "fail")]

    assert ruled(failed("x=1", "x=2"), rules).summary == "its log says: x=2"
    assert ruled(failed("x=1", "x=2"), rules).advice == "retry"


@pytest.mark.parametrize(
    "category", [Category.SUCCEEDED, Category.DISRUPTED, Category.STOPPED, Category.LOST, Category.DEADLINE]
)
def test_what_ended_otherwise_is_no_matter_of_its_log(category: Category) -> None:
    diagnosis = failed("x", category=category)

    assert ruled(diagnosis, [LogRule("x", "abort")]) is diagnosis


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("RuntimeError: CUDA error: uncorrectable ECC error encountered", "exclude_node"),
        ("[  91.2] NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.", "exclude_node"),
        ("torch.distributed.DistBackendError: NCCL error: ncclRemoteError", "retry"),
        ("[rank3]: Watchdog caught collective operation timeout: WorkNCCL(SeqNum=12)", "retry"),
        ("node-7:12:34 [0] NCCL WARN socketProgress: Connection closed by remote peer", "retry"),
        ("NCCL version 2.21.5+cuda12.4", None),
        ("ValueError: excid (PCI)", None),
    ],
)
def test_rules_that_are_built_in(line: str, advice: Advice | None) -> None:
    assert ruled(failed("Traceback …", line), BUILT_IN).advice == advice


@pytest.mark.parametrize(
    ("code", "category"), [(3, Category.TRANSIENT), (4, Category.BAD_PARAMETERS), (75, Category.USER_ERROR)]
)
def test_exit_codes_mean_what_the_sweep_file_says(code: int, category: Category) -> None:
    found = diagnose(ExitFacts("exited", code, replica="main-0"), ["bye"], retry_codes=(3,), infeasible_codes=(4,))

    assert found.category is category
    assert f"exit code {code}" in found.summary
