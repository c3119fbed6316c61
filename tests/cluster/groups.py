"""Which tests one process runs, where there are several: a file, or all files that use a cluster in the same way."""

from __future__ import annotations

from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

HERE = Path(__file__).parent
NODES = "nodes"
GROUPS = {
    NODES: ("test_gang", "test_images", "test_preemption", "test_nodes"),
    "crash": ("test_crash", "test_ground", "test_observer", "test_sweep"),
    "trouble": ("test_trouble", "test_disruption"),
    "last": (
        *("test_volcano", "test_volcano_ax", "test_volcano_sweep"),
        *("test_early_stopping", "test_readme", "test_storage"),
    ),
    "others": (),
}
"""Modules by group, in their order; `others` are all that are not named. `nodes` has a cluster of its own, whose nodes
it fills and at last breaks, and the rest lives in another one, where each test has its namespace. Kueue's and JobSet's
kinds must not come and go under each other's tests, so these are in one group."""
ORDER = (NODES, "", "others", "crash", "trouble", "last")
"""In which they begin, with all that needs no cluster in between: `nodes` takes the longest, and mostly waits; `last`
is what its process has time for afterwards."""


def group(path: Path) -> str:
    """The group of a file; empty where no cluster is needed."""
    if path.parent.name != HERE.name:
        return ""
    return next((name for name, modules in GROUPS.items() if path.stem in modules), "others")


def place(path: Path) -> tuple[int, int]:
    """By which files are sorted: when their group begins, and their order in it."""
    name = group(path)
    modules = GROUPS.get(name, ())
    return ORDER.index(name), modules.index(path.stem) if path.stem in modules else 0


class Together(LoadScopeScheduling):
    """Hands out groups and files as wholes; marks of groups are lost between pytest 9.2 and xdist 3.8."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return group(Path(file)) or file
