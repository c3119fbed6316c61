"""axk8s: sweeps of training jobs. Ax proposes, TorchX describes the job, this machine or Kubernetes runs it.

`report` and its like are what training code calls; they are standard library only and imported at once. Everything
else is resolved when it is first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from axk8s.training import checkpoint_dir, output_dir, parameters, report, report_infeasible

if TYPE_CHECKING:
    from axk8s.api import Sweep, sweeps
    from axk8s.errors import Axk8sError
    from axk8s.results.summary import Summary
    from axk8s.results.tables import TrialRow

__all__ = [
    "Axk8sError",
    "Summary",
    "Sweep",
    "TrialRow",
    "checkpoint_dir",
    "output_dir",
    "parameters",
    "report",
    "report_infeasible",
    "sweeps",
]

_LAZY = {
    "Axk8sError": "axk8s.errors",
    "Summary": "axk8s.results.summary",
    "Sweep": "axk8s.api",
    "TrialRow": "axk8s.results.tables",
    "sweeps": "axk8s.api",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'axk8s' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
