"""Linear constraints on parameters, read from text such as `x + 2*y <= 1`."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pydantic, which looking at a sweep does not need
    from axk8s.spec.model import Scalar


@dataclass(frozen=True, slots=True)
class LinearConstraint:
    """`coefficients · values <= bound`, or `==` when `equality`."""

    text: str
    coefficients: Mapping[str, float]
    """Parameter to factor; none is zero."""
    bound: float
    equality: bool = False

    def satisfied(self, values: Mapping[str, Scalar], *, tolerance: float = 1e-8) -> bool:
        """Whether these values keep it; the tolerance is Ax's own.

        A constraint is about trials that have all of its parameters: where a conditional one is absent it holds.
        """
        total = -self.bound
        for name, factor in self.coefficients.items():
            value = values.get(name)
            if value is None or isinstance(value, str):
                return True
            total += factor * value
        return abs(total) <= tolerance if self.equality else total <= tolerance


def parse(text: str) -> LinearConstraint:
    """Read a linear inequality or equality.

    Raises:
        ValueError: it is neither; the text says why.
    """
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError("this is not an inequality such as `x + 2*y <= 1`") from error
    if not isinstance(body, ast.Compare):
        raise ValueError("a constraint compares two sides with <=, >= or ==, such as `x + 2*y <= 1`")
    if len(body.ops) > 1:
        raise ValueError("a constraint has one comparison: write two constraints")
    operator = body.ops[0]
    if isinstance(operator, (ast.Lt, ast.Gt)):
        raise ValueError("< and > are not possible: write <= or >=")
    if not isinstance(operator, (ast.LtE, ast.GtE, ast.Eq)):
        raise ValueError("the comparison must be <=, >= or ==")
    left, right = _linear(body.left), _linear(body.comparators[0])
    if isinstance(operator, ast.GtE):
        left, right = right, left
    difference = _sum(left, right, -1.0)
    bound = -difference.pop("", 0.0)
    coefficients = {name: factor for name, factor in difference.items() if factor}
    if not coefficients:
        raise ValueError("no parameter stands in it")
    if not all(map(math.isfinite, (bound, *coefficients.values()))):
        raise ValueError("a number in it is too large")
    return LinearConstraint(text, coefficients, bound, isinstance(operator, ast.Eq))


def _linear(node: ast.expr) -> dict[str, float]:
    """Factors by name; the constant is under the empty name."""
    match node:
        case ast.Constant(value=bool() | complex()):
            pass
        case ast.Constant(value=int() | float() as number):
            return {"": _float(number)}
        case ast.Name(id=name):
            return {name: 1.0}
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _linear(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _scaled(_linear(operand), -1.0)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _sum(_linear(left), _linear(right), 1.0)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _sum(_linear(left), _linear(right), -1.0)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            one, other = _linear(left), _linear(right)
            if set(one) <= {""}:
                return _scaled(other, one.get("", 0.0))
            if set(other) <= {""}:
                return _scaled(one, other.get("", 0.0))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            one, other = _linear(left), _linear(right)
            if set(other) <= {""}:
                if not other.get(""):
                    raise ValueError("it divides by zero")
                return _scaled(one, 1.0 / other[""])
    raise ValueError(f"`{ast.unparse(node)}` is not linear")


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError as error:
        raise ValueError("a number in it is too large") from error


def _scaled(terms: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: value * factor for name, value in terms.items()}


def _sum(one: Mapping[str, float], other: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: one.get(name, 0.0) + factor * other.get(name, 0.0) for name in {**one, **other}}
