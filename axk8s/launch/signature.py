"""A function's arguments, read from the function or from its source, and whether a sweep can fill them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

FILLED_IN = ("trial_idx", "tracker_base", "experiment_name", "attempt", "output_dir")
"""Arguments that the sweep fills when a function declares them. The first three are Ax's own names for them."""

_NUMBERS = {"int": {"int"}, "float": {"float", "int"}, "complex": {"float", "int"}, "Real": {"float", "int"}}
_PLAIN = {
    **_NUMBERS,
    "str": {"str"},
    "bool": {"bool"},
    "None": {"None"},
    "NoneType": {"None"},
    "list": {"list"},
    "List": {"list"},
    "Sequence": {"list", "str"},
    "tuple": {"list"},
    "dict": {"dict"},
    "Dict": {"dict"},
    "Mapping": {"dict"},
}


@dataclass(frozen=True, slots=True)
class Annotation:
    """What an annotation admits, as far as a sweep's values go: names of plain types and single literals."""

    text: str
    kinds: frozenset[str] = frozenset()
    literals: tuple[object, ...] = ()
    known: bool = False
    """False when it says nothing that can be checked (absent, `Any`, a class of the user's)."""

    def admits(self, value: object) -> bool:
        if not self.known:
            return True
        kind = "None" if value is None else type(value).__name__
        return kind in self.kinds or any(value == one and type(value) is type(one) for one in self.literals)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument that can be given by name (or, positional-only, by place)."""

    name: str
    required: bool
    annotation: Annotation
    positional_only: bool = False
    default: str = ""
    """As it is written, or as Python shows it; empty when there is none."""


@dataclass(frozen=True, slots=True)
class Signature:
    """All arguments of a function."""

    arguments: Mapping[str, Argument] = field(default_factory=dict)
    rest: str | None = None
    """Name of `*args`, if there is one."""
    takes_any: bool = False
    """Whether there are `**kwargs`."""

    @property
    def required(self) -> Iterator[str]:
        return (name for name, argument in self.arguments.items() if argument.required)

    def filled_in(self, values: Mapping[str, object]) -> dict[str, object]:
        """Those of `values` that the function declares by name; `**kwargs` alone does not ask for them."""
        return {name: value for name, value in values.items() if name in self.arguments}


def of_callable(function: Callable[..., object]) -> Signature:
    """The signature of a function that is loaded.

    Raises:
        ValueError: the callable has none (some built-ins written in C).
    """
    arguments: dict[str, Argument] = {}
    rest: str | None = None
    takes_any = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = parameter.name
        elif parameter.kind is parameter.VAR_KEYWORD:
            takes_any = True
        else:
            absent = parameter.annotation is parameter.empty
            # A postponed annotation is its own source already.
            text = parameter.annotation if isinstance(parameter.annotation, str) else None
            text = "" if absent else text or inspect.formatannotation(parameter.annotation)
            arguments[parameter.name] = Argument(
                parameter.name,
                parameter.default is parameter.empty,
                read_annotation(text),
                parameter.kind is parameter.POSITIONAL_ONLY,
                "" if parameter.default is parameter.empty else repr(parameter.default),
            )
    return Signature(arguments, rest, takes_any)


def of_source(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
    """The signature of a function that is only read."""
    written = node.args
    arguments: dict[str, Argument] = {}
    ordered = [*written.posonlyargs, *written.args]
    defaults = [*[None] * (len(ordered) - len(written.defaults)), *written.defaults, *written.kw_defaults]
    for place, (argument, default) in enumerate(zip([*ordered, *written.kwonlyargs], defaults, strict=True)):
        arguments[argument.arg] = Argument(
            argument.arg,
            default is None,
            _annotation_of(argument),
            place < len(written.posonlyargs),
            "" if default is None else ast.unparse(default),
        )
    return Signature(arguments, written.vararg.arg if written.vararg else None, written.kwarg is not None)


def call(function: Callable[..., object], values: Mapping[str, object], rest: Iterable[object] = ()) -> object:
    """Call `function` with `values` by name, `rest` as its `*args`, positional-only ones by place."""
    places: list[object] = []
    names = dict(values)
    rest = list(rest)
    for parameter in inspect.signature(function).parameters.values():
        by_place = parameter.kind is parameter.POSITIONAL_ONLY
        # What precedes *args can only be given by place once *args are.
        by_place |= bool(rest) and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if by_place and (parameter.name in names or parameter.default is not parameter.empty):
            places.append(names.pop(parameter.name, parameter.default))
    return function(*places, *rest, **names)


def read_annotation(text: str) -> Annotation:
    """What the annotation written as `text` admits."""
    if not text:
        return Annotation("")
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return Annotation(text)
    kinds: set[str] = set()
    literals: list[object] = []
    known = _collect(node, kinds, literals)
    return Annotation(text, frozenset(kinds), tuple(literals), known)


def _annotation_of(argument: ast.arg) -> Annotation:
    return read_annotation(ast.unparse(argument.annotation) if argument.annotation else "")


def _collect(node: ast.expr, kinds: set[str], literals: list[object]) -> bool:
    """Add what `node` admits; False as soon as a part of it says nothing that can be checked."""
    match node:
        case ast.Constant(value=None):
            kinds.add("None")
            return True
        case ast.Constant(value=str(text)):
            quoted = read_annotation(text)
            kinds |= quoted.kinds
            literals += quoted.literals
            return quoted.known
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _collect(left, kinds, literals) and _collect(right, kinds, literals)
        case ast.Subscript(value=value, slice=inner):
            return _collect_generic(_last_name(value), inner, kinds, literals)
        case ast.Name() | ast.Attribute():
            plain = _PLAIN.get(_last_name(node))
            kinds |= plain or set()
            return plain is not None
        case _:
            return False


def _collect_generic(name: str, inner: ast.expr, kinds: set[str], literals: list[object]) -> bool:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    match name:
        case "Optional":
            kinds.add("None")
            return _collect(inner, kinds, literals)
        case "Union":
            return all(_collect(part, kinds, literals) for part in parts)
        case "Annotated":
            return _collect(parts[0], kinds, literals)
        case "Literal":
            literals += [part.value for part in parts if isinstance(part, ast.Constant)]
            return all(isinstance(part, ast.Constant) for part in parts)
        case _:
            plain = _PLAIN.get(name)
            kinds |= plain or set()
            return plain is not None


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
