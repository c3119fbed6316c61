"""Whether a sweep's parameters and constants are what a function takes: found out before the first trial."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from axk8s.errors import Problem, suggestion
from axk8s.launch.signature import FILLED_IN, Argument, Signature
from axk8s.spec.parameters import FloatParameter, IntParameter, Parameter
from axk8s.spec.sweep import SweepSpec


def problems(signature: Signature, spec: SweepSpec, *, key: str, elsewhere: Collection[str] = ()) -> list[Problem]:
    """Everything that does not fit between `spec` and the function that its `key` names.

    Args:
        signature: of the function.
        spec: the sweep.
        key: `component` or `function`.
        elsewhere: parameters that reach the function another way (a placeholder in its `*args`).
    """
    return [
        *_parameters(signature, spec, key, elsewhere),
        *_constants(signature, spec, key),
        *_unfilled(signature, spec, key),
    ]


def _parameters(signature: Signature, spec: SweepSpec, key: str, elsewhere: Collection[str]) -> Iterator[Problem]:
    for name, parameter in spec.parameters.items():
        at, where = f"parameters.{name}", spec.where(f"parameters.{name}")
        argument = signature.arguments.get(name)
        if argument is None:
            if not signature.takes_any and name not in elsewhere:
                yield Problem(where, at, _not_taken(spec, key), _free(signature, spec, name))
            continue
        yield from _parameter(argument, parameter, spec, key)


def _parameter(argument: Argument, parameter: Parameter, spec: SweepSpec, key: str) -> Iterator[Problem]:
    at, where = f"parameters.{argument.name}", spec.where(f"parameters.{argument.name}")
    if parameter.when and argument.required:
        yield Problem(
            where,
            at,
            f"exists only in some trials (`when`), and the argument of {_target(spec, key)} has no default",
            f"give it one: {argument.name}=None",
        )
    refused = [value for value in _samples(parameter) if not argument.annotation.admits(value)]
    if refused:
        shown = repr(refused[0]) if parameter.type in ("choice", "fixed") else f"{parameter.type} values"
        message = f"{_target(spec, key)} declares it as {argument.annotation.text}, and it gets {shown}"
        yield Problem(where, at, message, _remedy(argument, parameter, type(refused[0]).__name__))


def _constants(signature: Signature, spec: SweepSpec, key: str) -> Iterator[Problem]:
    for name, value in spec.arguments.items():
        at, where = f"arguments.{name}", spec.where(f"arguments.{name}")
        argument = signature.arguments.get(name)
        if argument is None:
            if name == signature.rest:
                if not isinstance(value, list | str):
                    yield Problem(where, at, f"*{name} takes a list", f"write {name}: [{value}]")
            elif not signature.takes_any:
                yield Problem(where, at, _not_taken(spec, key), _free(signature, spec, name))
        elif not argument.annotation.admits(value):
            message = f"{_target(spec, key)} declares it as {argument.annotation.text}, and it gets {value!r}"
            yield Problem(where, at, message, f"give a value of type {argument.annotation.text}")


def _unfilled(signature: Signature, spec: SweepSpec, key: str) -> Iterator[Problem]:
    given = {*spec.parameters, *spec.arguments, *FILLED_IN}
    for name in signature.required:
        if name not in given:
            message = f"nothing fills the argument {name!r} of {_target(spec, key)}"
            hint = "name it under `parameters` to search it or under `arguments` to fix it, or give it a default"
            yield Problem(spec.where(key), key, message, hint)


def _samples(parameter: Parameter) -> list[object]:
    """Values of every type that the parameter can have, so that each can be held against an annotation."""
    if isinstance(parameter, FloatParameter):
        return [float(parameter.min)]
    return [parameter.min] if isinstance(parameter, IntParameter) else list(parameter.grid() or ())


def _remedy(argument: Argument, parameter: Parameter, kind: str) -> str:
    if argument.annotation.literals:
        return f"`{argument.annotation.text}` and the values of the parameter must be the same"
    if parameter.type == "float" and "int" in argument.annotation.kinds:
        return f"write `type: int`, or declare {argument.name}: float"
    hint = f"declare {argument.name}: {kind}"
    return (
        f"{hint}, and write str({argument.name}) where text is needed" if "str" in argument.annotation.kinds else hint
    )


def _not_taken(spec: SweepSpec, key: str) -> str:
    return f"{_target(spec, key)} takes no argument of this name"


def _target(spec: SweepSpec, key: str) -> str:
    return str(getattr(spec, key))


def _free(signature: Signature, spec: SweepSpec, name: str) -> str:
    """What the misplaced name may have been meant to be: an argument that nothing else fills."""
    taken = {*spec.parameters, *spec.arguments} - {name}
    free = [one for one in signature.arguments if one not in taken and one not in FILLED_IN]
    if signature.rest:
        way = f'or pass it in *{signature.rest}: `arguments: {{{signature.rest}: ["--{name}={{{name}}}"]}}`'
        return f"{suggestion(name, free)}; {way}" if free else way.removeprefix("or ")
    return suggestion(name, free) if free else "remove it, or let the function take it"
