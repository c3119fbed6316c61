"""TorchX schedulers that TorchX itself does not have; `factories()` has them all, beside TorchX's own.

Resolved when it is asked for: reading a local job's record must not load TorchX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axk8s.schedulers.catalog import factories

__all__ = ["factories"]


def __getattr__(name: str) -> object:
    if name != "factories":
        raise AttributeError(f"module 'axk8s.schedulers' has no attribute {name!r}; it has factories")
    from axk8s.schedulers import catalog

    return catalog.factories
