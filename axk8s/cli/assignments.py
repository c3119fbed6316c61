"""`name=value` words of the command line as mappings. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from axk8s.errors import UsageError

if TYPE_CHECKING:
    from axk8s.spec.parameters import Parameter
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


def parameters(spec: SweepSpec, words: Sequence[str]) -> tuple[dict[str, Scalar], list[str]]:
    """The parameters given as `name=value`, completed by middle values; also the names that were completed.

    Raises:
        UsageError: no such parameter, no such value, or a parameter given twice.
    """
    values: dict[str, Scalar] = {}
    for word in words:
        name, value = spec.parse_assignment(word)
        if name in values:
            raise UsageError(f"{name} is given twice")
        values[name] = value
    chosen: list[str] = []
    # A value chosen here may bring conditional parameters to life, which need one too.
    while missing := [name for name in spec.active_parameters(values) if name not in values]:
        for name in missing:
            values[name] = middle(spec.parameters[name])
        chosen += missing
    return {name: values[name] for name in spec.parameters if name in values}, chosen


def middle(parameter: Parameter) -> Scalar:
    """An ordinary value: the middle of a range (of its logarithm if that is the scale), the first of some choices."""
    grid = parameter.grid()
    if parameter.type not in ("float", "int"):
        assert grid, "what has no range has a list of values"
        return grid[0]
    low, high = parameter.min, parameter.max
    exact = math.sqrt(low * high) if parameter.log else (low + high) / 2
    if grid:
        # Counted, not searched: a whole number may range over billions.
        step = parameter.step or 1
        return grid[min(len(grid) - 1, round((exact - low) / step))]
    rounded = float(f"{exact:.3g}")
    return rounded if parameter.contains(rounded) and abs(rounded - exact) <= (high - low) / 100 else exact
