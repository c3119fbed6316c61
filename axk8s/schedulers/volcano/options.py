"""What may be said of TorchX's scheduler `kubernetes` with `-cfg` or `scheduler_config`: its own options, and ours."""

from __future__ import annotations

from axk8s.schedulers.kubernetes_job import options as jobs
from axk8s.schedulers.options import ClosedOptions

NAME = "kubernetes"
QUEUE = "default"
"""The queue that Volcano's scheduler makes for itself when it starts."""

ABSENT = "Volcano is not installed in this cluster, and the scheduler `kubernetes` is TorchX's for Volcano"
INSTALL = (
    "take the scheduler that needs nothing installed, `-s kubernetes_job`, "
    "or have Volcano installed: https://volcano.sh/en/docs/installation/"
)

_CHANGED = {
    "queue": (QUEUE, "the Volcano queue through which the Jobs wait; default: the one that every Volcano has"),
    "priority_class": (None, "PriorityClass of Job and pods"),
}
_ABSENT = ("service",)
"""Volcano's plugin `svc` makes one a Job."""


def run_opts() -> ClosedOptions:
    """The options with their help; TorchX adds those of its image workspaces, `image_repo` and `quiet`."""
    opts = ClosedOptions(NAME)
    for name, option in jobs.run_opts():
        if name not in _ABSENT:
            default, text = _CHANGED.get(name, (option.default, option.help))
            opts.add(name, type_=option.opt_type, default=default, help=text)
    return opts


def markdown() -> str:
    """The options in which it differs from `kubernetes_job`, as a table for the documentation."""
    rows = ["| option | default | meaning |", "|---|---|---|"]
    rows += [
        f"| `{name}` | {f'`{default}`' if default else '–'} | {text} |" for name, (default, text) in _CHANGED.items()
    ]
    return "\n".join(rows) + "\n"
