"""Everything that the command line does, from Python; the place where the rooms below are put together.

from axk8s import Sweep

sweep = Sweep.from_yaml("sweep.yaml")
sweep.run()
print(sweep.best())

The names are resolved when they are first used: to look at sweeps (`glance`) needs little, to drive one needs all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axk8s.api.glance import sweeps
    from axk8s.api.sweep import Sweep
    from axk8s.api.view import version

__all__ = ["Sweep", "sweeps", "version"]

_LAZY = {"Sweep": "axk8s.api.sweep", "sweeps": "axk8s.api.glance", "version": "axk8s.api.view"}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'axk8s.api' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
