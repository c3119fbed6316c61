"""`name=value` words of the command line as mappings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from axk8s.errors import UsageError

if TYPE_CHECKING:
    from axk8s.spec.sweep import SweepSpec
    from axk8s.sweep.model import Scalar


def scheduler_config(words: Iterable[str] | None) -> dict[str, str]:
    """`a=1,b=x;y` as TorchX's `-cfg` reads it: commas between options; a part without `=` belongs to the one before.

    Raises:
        UsageError: a word without any `=`.
    """
    config: dict[str, str] = {}
    for word in words or ():
        last = ""
        for part in word.split(","):
            name, equals, value = part.partition("=")
            if equals and re.fullmatch(r"\s*[A-Za-z_][\w.-]*\s*", name):
                last = name.strip()
                config[last] = value
            elif last:
                config[last] += f",{part}"
            else:
                raise UsageError(f"-cfg {word}: {part!r} gives no option", hint="write -cfg name=value,name=value")
    return config


def assigned(spec: SweepSpec, words: Sequence[str]) -> dict[str, Scalar]:
    """The parameters given as `name=value`.

    Raises:
        UsageError: no such parameter, no such value, or a parameter given twice.
    """
    values: dict[str, Scalar] = {}
    for word in words:
        name, value = spec.parse_assignment(word)
        if name in values:
            raise UsageError(f"{name} is given twice")
        values[name] = value
    return values


def parameters(spec: SweepSpec, words: Sequence[str]) -> tuple[dict[str, Scalar], list[str]]:
    """The parameters given as `name=value`, completed by middle values; also the names that were completed.

    Raises:
        UsageError: no such parameter, no such value, or a parameter given twice.
    """
    from axk8s.spec.middle import completed

    values = assigned(spec, words)
    complete = completed(spec, values)
    return complete, [name for name in complete if name not in values]
