"""The search space as plain values: which points exist, which are the same, how many there are. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from axk8s.spec.parameters import FixedParameter, same
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Parameters, Scalar

Identity: TypeAlias = frozenset[tuple[str, bool, Scalar]]

_MOST_COUNTED: Final = 1_000_000
"""More combinations than this are not tried one by one just to know how many keep the constraints: that takes
seconds, and no sweep has so many trials."""


def identity(parameters: Parameters) -> Identity:
    """What makes two trials the same: equal values under equal names; 1 and 1.0 are equal, 1 and true are not."""
    return frozenset((name, isinstance(value, bool), value) for name, value in parameters.items())


def searched(spec: SweepSpec) -> tuple[str, ...]:
    """The parameters that can have more than one value, in the order of the file."""
    return tuple(name for name in spec.parameters if only_value(spec, name) is None)


def only_value(spec: SweepSpec, name: str) -> Scalar | None:
    """The value of a parameter that has just one, else None."""
    parameter = spec.parameters[name]
    if isinstance(parameter, FixedParameter):
        return parameter.value
    values = parameter.grid()
    return values[0] if values is not None and len(values) == 1 else None


def trial_parameters(spec: SweepSpec, values: Parameters) -> dict[str, Scalar]:
    """A trial's parameters made from a value for every searched one: the active ones, in the order of the file."""
    whole = {name: only for name in spec.parameters if (only := only_value(spec, name)) is not None}
    whole.update(values)
    return {name: whole[name] for name in spec.active_parameters(whole)}


def feasible(spec: SweepSpec, parameters: Parameters) -> bool:
    """Whether a trial's parameters keep every parameter constraint."""
    return all(constraint.satisfied(parameters) for constraint in spec.linear_constraints)


def parents_first(spec: SweepSpec) -> tuple[str, ...]:
    """The parameters in the order of the file, but none before those that its `when` names."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        for parent in spec.parameters[name].when or {}:
            visit(parent)
        order.setdefault(name)

    for name in spec.parameters:
        visit(name)
    return tuple(order)


def uncountable(spec: SweepSpec) -> tuple[str, ...]:
    """The parameters with a value between any two values: floats without `step`."""
    return tuple(name for name, parameter in spec.parameters.items() if parameter.grid() is None)


def points(spec: SweepSpec) -> Iterator[dict[str, Scalar]]:
    """Every trial there can be, each once: nested loops in the order of the file, the first parameter outermost.

    Values come in rising order, those of a choice as written, false before true. A parameter loops only where its
    `when` holds, and inside the parameters that it depends on wherever the file has them.

    Raises:
        ValueError: a parameter is continuous.
    """
    for values in _combinations(spec, parents_first(spec)):
        parameters = {name: values[name] for name in spec.parameters if name in values}
        if feasible(spec, parameters):
            yield parameters


def size(spec: SweepSpec) -> int | None:
    """How many different trials there can be, or None if a parameter is continuous.

    Exact, unless constraints are over more than a million combinations: then it counts those that break them too.
    """
    if uncountable(spec):
        return None
    parents = {parent for parameter in spec.parameters.values() for parent in parameter.when or {}}
    constrained = {name for constraint in spec.linear_constraints for name in constraint.coefficients}
    if constrained and _count(spec, parents | constrained, constrained=False, only=True) <= _MOST_COUNTED:
        return _count(spec, parents | constrained, constrained=True)
    return _count(spec, parents, constrained=False)


def _count(spec: SweepSpec, looped: set[str], *, constrained: bool, only: bool = False) -> int:
    """Loop over `looped` and multiply by the others; `only` counts the loop's own turns, without looping further."""
    order = parents_first(spec)
    if only:
        return math.prod(len(spec.parameters[name].grid() or ()) for name in looped)
    # What a looped parameter depends on is looped too, so whether the others are active is known in each turn.
    needed = _with_parents(spec, looped)
    free = [name for name in order if name not in needed]
    total = 0
    for values in _combinations(spec, [name for name in order if name in needed]):
        if constrained and not feasible(spec, values):
            continue
        total += math.prod(len(spec.parameters[name].grid() or ()) for name in free if _active(spec, name, values))
    return total


def _with_parents(spec: SweepSpec, names: set[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(spec.parameters[name].when or {})
    return found


def _combinations(spec: SweepSpec, names: Sequence[str]) -> Iterator[dict[str, Scalar]]:
    def extend(index: int, values: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
        if index == len(names):
            yield dict(values)
            return
        name = names[index]
        if not _active(spec, name, values):
            yield from extend(index + 1, values)
            return
        choices = spec.parameters[name].grid()
        if choices is None:
            raise ValueError(f"{name} is continuous: its values cannot be listed")
        for value in choices:
            yield from extend(index + 1, {**values, name: value})

    return extend(0, {})


def _active(spec: SweepSpec, name: str, values: Mapping[str, Scalar]) -> bool:
    """Whether a parameter exists where its parents have these values; an absent parent is an inactive one."""
    return all(
        parent in values and any(same(values[parent], each) for each in allowed)
        for parent, allowed in (spec.parameters[name].when or {}).items()
    )
