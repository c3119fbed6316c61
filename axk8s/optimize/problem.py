"""The sweep's question in Ax's words: what is searched, what is wanted, what must be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ax.core.objective import Objective
from ax.core.optimization_config import MultiObjectiveOptimizationConfig, OptimizationConfig
from ax.core.outcome_constraint import OutcomeConstraint
from ax.core.parameter import ChoiceParameter, Parameter, ParameterType, RangeParameter
from ax.core.parameter_constraint import ParameterConstraint
from ax.core.search_space import SearchSpace

from axk8s.optimize.axis import Axis, rewritten
from axk8s.optimize.targets import Target
from axk8s.spec.sweep import SweepSpec

DEPTH: Final = "depth"
"""The metric that says where trials are feasible; no other has this name."""
_TYPES: Final = {
    bool: ParameterType.BOOL,
    int: ParameterType.INT,
    float: ParameterType.FLOAT,
    str: ParameterType.STRING,
}


def search_space(spec: SweepSpec, every: tuple[Axis, ...]) -> SearchSpace:
    """All that is searched, and the constraints on it.

    Raises:
        AxError, ValueError: Ax refuses it (`capability.check` tells beforehand).
    """
    constraints = []
    constrained: set[str] = set()
    for constraint in spec.linear_constraints:
        factors, bound = rewritten(spec, every, constraint)
        if not factors:
            continue
        constrained.update(factors)
        text = " + ".join(f"{factor!r} * {key}" for key, factor in factors.items())
        if constraint.equality:
            constraints.append(ParameterConstraint(equality=f"{text} == {bound!r}"))
        else:
            constraints.append(ParameterConstraint(inequality=f"{text} <= {bound!r}"))
    parameters = [_parameter(axis, linear=axis.key in constrained) for axis in every]
    return SearchSpace(parameters=parameters, parameter_constraints=constraints)


def _parameter(axis: Axis, *, linear: bool) -> Parameter:
    """Conditions are not told to Ax: it would fill in the middle for absent values too, and takes only trees.

    A parameter that depends on two others, or exists for two values of one, is no tree.
    """
    if axis.kind != "choice":
        kind = ParameterType.INT if axis.kind == "int" else ParameterType.FLOAT
        low, high = (int(axis.low), int(axis.high)) if axis.kind == "int" else (float(axis.low), float(axis.high))
        return RangeParameter(axis.key, kind, low, high, log_scale=axis.log)
    values = list(axis.parameter.grid() or ())
    python_type = axis.parameter.python_type
    numeric = python_type in (int, float)
    return ChoiceParameter(
        axis.key,
        _TYPES[python_type],
        values,
        is_ordered=getattr(axis.parameter, "is_ordered", True),
        sort_values=numeric,
        # Ax guesses a logarithmic scale from the values, and then refuses constraints on them.
        log_scale=False if linear else None,
    )


def optimization_config(
    objectives: Sequence[Target], limits: Sequence[Target], *, margin: float | None
) -> OptimizationConfig:
    """What Ax is to look for, and what results have to keep.

    Args:
        objectives: One, or several whose front is wanted; Ax infers a threshold where one has none.
        limits: What must not be above 0.
        margin: The depth behind the border of the infeasible that a trial should have; None: there is no border.
    """
    expression = ", ".join(target.name if target.maximize else f"-{target.name}" for target in objectives)
    objective = Objective(
        expression=expression, metric_name_to_signature={target.name: target.name for target in objectives}
    )
    kept = [_limit(target.name, "<=", 0.0) for target in limits]
    if margin is not None:
        kept.append(_limit(DEPTH, ">=", margin))
    if len(objectives) == 1:
        return OptimizationConfig(objective=objective, outcome_constraints=kept)
    thresholds = [
        _limit(target.name, ">=" if target.maximize else "<=", target.threshold)
        for target in objectives
        if target.threshold is not None
    ]
    return MultiObjectiveOptimizationConfig(
        objective=objective, outcome_constraints=kept, objective_thresholds=thresholds
    )


def _limit(name: str, comparison: str, bound: float) -> OutcomeConstraint:
    return OutcomeConstraint(f"{name} {comparison} {bound!r}", metric_name_to_signature={name: name})
