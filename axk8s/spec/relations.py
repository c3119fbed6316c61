"""What must fit together across the keys of a spec; each function finds everything wrong, and raises nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from axk8s.errors import Problem, suggestion
from axk8s.spec import outcomes
from axk8s.spec.constraints import LinearConstraint, parse
from axk8s.spec.draft import Draft
from axk8s.spec.outcomes import OutcomeConstraint
from axk8s.spec.parameters import (
    BoolParameter,
    ChoiceParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    word,
)

PROGRAMS: Final = ("component", "function", "command")
FILLED_IN: Final = frozenset({"trial_idx", "tracker_base", "experiment_name", "attempt", "output_dir"})
"""Arguments that axk8s fills in itself when a component or function declares them."""

_TOLERANCE: Final = 1e-8


def check(draft: Draft) -> list[Problem]:
    """Everything that does not fit together; `where` is left empty for who knows the lines."""
    return [
        *_program(draft),
        *_names(draft),
        *_objectives(draft),
        *_limits(draft),
        *_stopping(draft),
        *_search(draft),
        *_conditions(draft),
        *_constraints(draft),
    ]


def _program(draft: Draft) -> Iterator[Problem]:
    given = [key for key in PROGRAMS if key in draft.said]
    if not given:
        hint = "component: train.py:component, function: train.py:train, or command: python train.py --lr {lr}"
        yield Problem("", "", "nothing says what runs: `component`, `function` or `command` is missing", hint)
    for extra in given[1:]:
        yield Problem("", extra, f"`{given[0]}` already says what runs", "keep one of them")
    if given == ["component"]:
        for key in ("image", "resources", "env"):
            if key in draft.said:
                hint = "set it in the component, or pass it through `arguments` if the component takes it"
                yield Problem(
                    "", key, f"a component brings its own {key}; this key is for `function` and `command`", hint
                )
    if given == ["command"] and "arguments" in draft.said:
        yield Problem("", "arguments", "a command has no arguments", "write the constants into the command line")


def _names(draft: Draft) -> Iterator[Problem]:
    for name in sorted(draft.names & FILLED_IN):
        yield Problem("", f"parameters.{name}", "axk8s fills in the argument of this name", "choose another name")
    for name in sorted(draft.names & draft.arguments):
        hint = "keep it under `parameters` to search it, under `arguments` to fix it"
        yield Problem("", f"arguments.{name}", f"{name!r} is a parameter as well", hint)
    for name in sorted(draft.arguments & FILLED_IN):
        yield Problem("", f"arguments.{name}", "axk8s fills in the argument of this name", "remove it")
    for name in sorted(draft.env):
        if name.startswith("AXK8S_"):
            hint = "choose a name that does not begin with AXK8S_"
            yield Problem("", f"env.{name}", "axk8s sets the variables of this name itself", hint)


def _objectives(draft: Draft) -> Iterator[Problem]:
    metrics = [objective.metric for objective in draft.objectives]
    weighted = [objective.weight is not None for objective in draft.objectives]
    for index, objective in enumerate(draft.objectives):
        key = f"objectives[{index}]"
        if objective.metric in metrics[:index]:
            yield Problem("", f"{key}.metric", f"{objective.metric!r} is already an objective", "remove one")
        if len(metrics) == 1 and objective.weight is not None:
            yield Problem("", f"{key}.weight", "one objective is no sum", "remove it, or add the other objectives")
        if len(metrics) == 1 and objective.threshold is not None:
            hint = "to end the sweep at a value write `target`; to rule values out, an outcome constraint"
            yield Problem("", f"{key}.threshold", "a threshold is for the front of several objectives", hint)
        if len(metrics) > 1 and any(weighted) and objective.weight is None:
            hint = "give it a weight, or remove the others' to search the front"
            yield Problem("", key, f"other objectives have a weight, and {objective.metric!r} has none", hint)
        if len(metrics) > 1 and any(weighted) and objective.threshold is not None:
            hint = "remove the threshold, or all weights to search the front"
            yield Problem("", f"{key}.threshold", "objectives with weights are one sum, which has no front", hint)


def _limits(draft: Draft) -> Iterator[Problem]:
    known: list[OutcomeConstraint] = []
    for index, text in enumerate(draft.limits):
        key = f"outcome_constraints[{index}]"
        if not text.strip():
            continue  # wrong in itself, and reported as such
        try:
            limit = outcomes.parse(text)
        except ValueError as error:
            hint = "a metric and its bound, as in `latency_ms <= 20` or `accuracy >= 0.98 * baseline`"
            yield Problem("", key, f"{text!r}: {error}", hint)
            continue
        for name in sorted(limit.coefficients.keys() & draft.names - {each.metric for each in draft.objectives}):
            hint = "if it is about the parameter, move it to parameter_constraints"
            yield Problem("", key, f"{text!r}: {name!r} is a parameter, and this is about metrics", hint)
        if limit.relative and not draft.has_baseline:
            hint = "add `baseline:` with the parameters of the trial to compare with"
            yield Problem("", key, f"{text!r} is relative to a baseline, and the sweep has none", hint)
        other = next((each for each in known if outcomes.contradiction(each, limit)), None)
        if other is not None:
            message = f"{text!r} and {other.text!r}: no trial can keep both"
            yield Problem("", key, message, "remove or widen one of them")
        known.append(limit)


def _stopping(draft: Draft) -> Iterator[Problem]:
    stopping, objectives = draft.stopping, draft.objectives
    if stopping is None or not objectives:
        return
    key = "early_stopping"
    metrics = {objective.metric: objective.direction for objective in objectives}
    if stopping.metric is None and len(objectives) > 1:
        hint = f"write early_stopping.metric: one of {', '.join(metrics)}, or another that tells good trials early"
        yield Problem("", key, "the sweep has several objectives, and nothing says which decides", hint)
    elif stopping.metric in metrics:
        if stopping.direction not in (None, metrics[stopping.metric]):
            message = f"the objective {stopping.metric!r} says {metrics[stopping.metric]}"
            yield Problem("", f"{key}.direction", message, "remove it here")
    elif stopping.metric is not None and stopping.direction is None:
        hint = f"add `direction: minimize` or `maximize` ({stopping.metric!r} is no objective)"
        yield Problem("", f"{key}.metric", f"nothing says which way {stopping.metric!r} is better", hint)


def _search(draft: Draft) -> Iterator[Problem]:
    # Only when all are right: a broken one may be the one that is searched.
    right = bool(draft.names) and draft.names == frozenset(draft.parameters)
    if right and all(isinstance(parameter, FixedParameter) for parameter in draft.parameters.values()):
        hint = "give at least one parameter a range or several values"
        yield Problem("", "parameters", "every parameter is fixed: there is nothing to search", hint)


def _conditions(draft: Draft) -> Iterator[Problem]:
    for name, parameter in draft.parameters.items():
        for parent, values in (parameter.when or {}).items():
            yield from _condition(draft, name, parent, values)
    yield from _cycles(draft)


def _condition(draft: Draft, name: str, parent: str, values: Sequence[object]) -> Iterator[Problem]:
    key = f"parameters.{name}.when.{parent}"
    if parent == name:
        yield Problem("", key, "a parameter cannot depend on itself", "name another parameter")
        return
    if parent not in draft.names:
        hint = suggestion(parent, draft.names - {name})
        yield Problem("", key, f"there is no parameter {parent!r}", hint)
        return
    other = draft.parameters.get(parent)
    if other is None:
        return
    if isinstance(other, (FloatParameter, IntParameter)):
        hint = f"make {parent!r} a choice with `values`"
        yield Problem("", key, f"a condition needs a choice, bool or fixed parameter; {parent!r} is {other.type}", hint)
        return
    for value in values:
        if not other.contains(value):
            shown = word(value) if isinstance(value, (str, int, float)) else repr(value)
            hint = f"valid: {_choices(other)}"
            if isinstance(value, str) and isinstance(other, ChoiceParameter):
                hint = suggestion(value, map(word, other.values))
            yield Problem("", key, f"{parent!r} is never {shown}", hint)


def _choices(parameter: ChoiceParameter | BoolParameter | FixedParameter) -> str:
    return ", ".join(word(value) for value in parameter.grid() or ())


def _cycles(draft: Draft) -> Iterator[Problem]:
    done: set[str] = set()
    for start in draft.parameters:
        trail: list[str] = []
        yield from _follow(draft, start, trail, done)


def _follow(draft: Draft, name: str, trail: list[str], done: set[str]) -> Iterator[Problem]:
    if name in trail:
        circle = [*trail[trail.index(name) :], name]
        message = f"the conditions go in a circle: {' → '.join(circle)}"
        yield Problem("", f"parameters.{trail[-1]}.when.{name}", message, "remove one of the conditions")
        return
    parameter = draft.parameters.get(name)
    if name in done or parameter is None:
        return
    trail.append(name)
    for parent in parameter.when or {}:
        if parent != name:
            yield from _follow(draft, parent, trail, done)
    trail.pop()
    done.add(name)


def _constraints(draft: Draft) -> Iterator[Problem]:
    for index, text in enumerate(draft.constraints):
        key = f"parameter_constraints[{index}]"
        if not text.strip():
            continue  # wrong in itself, and reported as such
        try:
            constraint = parse(text)
        except ValueError as error:
            yield Problem("", key, f"{text!r}: {error}", "sums of numbers times parameters, as in `x + 2*y <= 1`")
            continue
        yield from _constraint(draft, constraint, key)


def _constraint(draft: Draft, constraint: LinearConstraint, key: str) -> Iterator[Problem]:
    low = high = 0.0
    known = True
    for name, factor in constraint.coefficients.items():
        if name not in draft.names:
            yield Problem(
                "", key, f"{constraint.text!r}: there is no parameter {name!r}", suggestion(name, draft.names)
            )
        parameter = draft.parameters.get(name)
        if parameter is None:
            known = False
            continue
        if not parameter.numeric:
            numbers = sorted(each for each, other in draft.parameters.items() if other.numeric)
            message = f"{constraint.text!r}: {name!r} is not a number"
            hint = f"parameters with numbers: {', '.join(numbers)}" if numbers else "no parameter here is a number"
            yield Problem("", key, message, hint)
            known = False
            continue
        ends = [factor * end for end in _ends(parameter)]
        low, high = low + min(ends), high + max(ends)
    never = low > constraint.bound + _TOLERANCE or (constraint.equality and high < constraint.bound - _TOLERANCE)
    if known and never:
        yield Problem("", key, f"{constraint.text!r}: no trial can satisfy it", "widen the ranges or the constraint")


def _ends(parameter: Parameter) -> tuple[float, float]:
    if isinstance(parameter, (FloatParameter, IntParameter)):
        return parameter.min, parameter.max
    numbers = [value for value in parameter.grid() or () if not isinstance(value, str)]
    return min(numbers), max(numbers)
