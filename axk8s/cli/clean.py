"""`axk8s clean`: remove what a sweep left in the cluster."""

from __future__ import annotations

import sys

from axk8s.cli import talk, target
from axk8s.cli.options import Directory, OneName

EXAMPLE = """
axk8s clean digits
"""


def clean(name: OneName = None, directory: Directory = None) -> None:
    """Delete everything of a sweep that is still in the cluster; its folder, with all results, stays.

    Jobs are deleted anyway as trials end, and code with the sweep: this is for what a crash or an outage left there.
    Prints what was deleted. Where the folder is lost too: kubectl delete jobs,services,configmaps -l axk8s/sweep=NAME
    (and jobsets, where trials have several roles)
    """
    sweep = target.opened(target.only(name, directory, verb="clean"), directory)
    found = sweep.clean()
    for each in found:
        sys.stdout.write(f"{each}\n")
    talk.say("nothing was left" if not found else f"{len(found)} objects deleted")
