"""Which tests one process runs, where there are several: a file, or files that must not run at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

HERE = Path(__file__).parent
SHARED = "shared"
"""The cluster of all groups but one, where each test has its namespace."""
NODES = "nodes"
"""The group that has a cluster of its own, whose nodes it fills and at last breaks."""
GROUPS = {
    NODES: ("test_gang", "test_images", "test_preemption", "test_nodes"),
    "queues": ("test_jobset", "test_kueue", "test_roles"),
    "volcano": ("test_volcano", "test_volcano_ax", "test_volcano_sweep"),
}
"""Modules by group, in their order; each other one is a group. Kinds that one installs must not come and go under the
tests of another."""
ORDER = (
    NODES,
    "test_trouble",
    "",
    "queues",
    "volcano",
    "test_bad_input",
    "test_crash",
    "test_sweep",
    "test_disruption",
)
"""In which they begin, the longest first, and then the rest. In the first two most of the time is waiting for what a
cluster does, and what needs no cluster keeps the cores busy meanwhile."""


def group(path: Path) -> str:
    """The group of a file; empty where no cluster is needed."""
    if path.parent.name != HERE.name:
        return ""
    return next((name for name, modules in GROUPS.items() if path.stem in modules), path.stem)


def place(path: Path) -> tuple[int, int]:
    """By which files are sorted: when their group begins, and their order in it."""
    name = group(path)
    modules = GROUPS.get(name, ())
    begins = ORDER.index(name) if name in ORDER else len(ORDER)
    return begins, modules.index(path.stem) if path.stem in modules else 0


class Together(LoadScopeScheduling):
    """Hands out groups and files as wholes; marks of groups are lost between pytest 9.2 and xdist 3.8."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return group(Path(file)) or file

    def _reschedule(self, node: WorkerController) -> None:
        # A process begins a test when it knows the next one: it hears of its next files before its last test, and not
        # before its last two, one of which may take minutes.
        if not self.workqueue or self._pending_of(self.assigned_work[node]) <= 1:
            super()._reschedule(node)
