"""The whole sweep as a client of Ax: trials, values and statuses under the names that the user knows.

Not what the model is shown (`experiment` makes that), but what a person goes on with in Ax: `summarize`,
`get_best_parameterization` or `get_pareto_frontier`, `compute_analyses`, `get_next_trials`. What Ax cannot hold is
changed as little as possible, and each change is a sentence in the experiment's description and in its properties
under `axk8s`, beside the names that had to be others there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import pandas as pd
from ax.api.client import Client
from ax.core.arm import Arm
from ax.core.data import Data
from ax.core.experiment import Experiment
from ax.core.generator_run import GeneratorRun
from ax.core.metric import Metric
from ax.core.objective import Objective
from ax.core.optimization_config import MultiObjectiveOptimizationConfig, OptimizationConfig
from ax.core.outcome_constraint import OutcomeConstraint
from ax.core.parameter import ChoiceParameter, FixedParameter, Parameter, ParameterType, RangeParameter
from ax.core.parameter_constraint import ParameterConstraint
from ax.core.search_space import SearchSpace
from ax.core.trial import Trial
from ax.exceptions.core import AxError

from axk8s.optimize.axis import Axis, axes
from axk8s.optimize.targets import Target, Targets, whole_errors
from axk8s.spec import parameters as written
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.goal import Goal
from axk8s.sweep.model import Outcome, Scalar, TrialFact

_MOST_LISTED: Final = 100
"""Values of a parameter with `step` that are listed to Ax; with more it is a plain range there."""
_TYPES: Final = {
    bool: ParameterType.BOOL,
    int: ParameterType.INT,
    float: ParameterType.FLOAT,
    str: ParameterType.STRING,
}
_REFUSALS: Final = (AxError, ValueError, TypeError, SyntaxError, AttributeError)
"""What Ax and the library that reads its expressions raise for a name or a constraint that they cannot take."""


class Portrait:
    """A sweep as Ax holds it.

    Raises:
        AxError: Ax refuses the search space even so.
    """

    def __init__(self, spec: SweepSpec, facts: Sequence[TrialFact]) -> None:
        """Take in a sweep; `facts` are its trials in their order, then what was attached from elsewhere."""
        self._spec = spec
        self._facts = sorted(facts, key=lambda fact: (fact.trial < 0, abs(fact.trial)))
        self.notes: list[str] = []
        """What is another in Ax than in the sweep, a sentence each."""
        self._targets = Targets.of(Goal.of(spec.to_json()), self._facts)
        self._axes = {axis.name: axis for axis in axes(spec)}
        self._tree = _tree(spec)
        named = [*spec.metrics, *(metric for fact in self._facts for metric in fact.values)]
        self.metrics = _metric_names(dict.fromkeys(named))
        """By metric, its name in Ax."""
        self._added: dict[str, Callable[[TrialFact], float]] = {}
        """Metrics that only Ax has, and their values."""

    def client(self) -> Client:
        """The client, with a strategy that goes on as the sweep would."""
        space = self._search_space()
        config = self._optimization_config()
        for metric, name in self.metrics.items():
            if metric != name:
                self.notes.append(f"metric {metric!r} is {name!r} here, because Ax cannot parse its name")
        experiment = Experiment(name=self._spec.name, search_space=space, optimization_config=config)
        for name in (*self.metrics.values(), *self._added):
            if name not in experiment.metrics:
                experiment.add_metric(Metric(name))
        self._add_trials(experiment)
        self._attach_data(experiment)
        experiment.description = "; ".join([f"axk8s sweep {self._spec.name}", *self.notes])
        experiment._properties["axk8s"] = {  # noqa: SLF001  # Ax takes properties at the beginning only
            "metrics": {name: metric for metric, name in self.metrics.items() if metric != name},
            "notes": list(self.notes),
        }
        client = Client()
        client.set_experiment(experiment)
        client.configure_generation_strategy(
            method="fast",
            initialization_random_seed=self._spec.optimizer.seed,
            # Ax would begin with the middle, and then with one quasi-random point, however many trials there are.
            initialize_with_center=not self._facts,
            use_existing_trials_for_initialization=True,
            allow_exceeding_initialization_budget=True,
        )
        return client

    # The search space.

    def _search_space(self) -> SearchSpace:
        parameters = [self._parameter(name) for name in self._spec.parameters]
        flat = [name for name, each in self._spec.parameters.items() if each.when and name not in self._tree]
        if flat:
            self.notes.append(
                f"Ax knows conditions only as a tree, so these have a value in every trial here, the middle one where "
                f"they had none: {', '.join(flat)}"
            )
        space = SearchSpace(parameters=parameters)
        kept: list[ParameterConstraint] = []
        for constraint in self._spec.linear_constraints:
            sides = " + ".join(
                f"{factor * self._scale(name)!r} * {name}" for name, factor in constraint.coefficients.items()
            )
            which = "equality" if constraint.equality else "inequality"
            text = f"{sides} {'==' if constraint.equality else '<='} {constraint.bound!r}"
            try:
                made = [*kept, ParameterConstraint(**{which: text})]
                space = SearchSpace(parameters=parameters, parameter_constraints=made)
            except _REFUSALS:
                self.notes.append(f"Ax cannot hold the parameter constraint {constraint.text!r}, which is left out")
            else:
                kept = made
        return space

    def _parameter(self, name: str) -> Parameter:
        parameter = self._spec.parameters[name]
        dependents = {
            value: children
            for value in parameter.grid() or ()
            if (children := [child for child, parent in self._tree.items() if parent == (name, value)])
        }
        axis = self._axes.get(name)
        if axis is None:
            (only,) = parameter.grid() or (None,)
            return FixedParameter(name, _TYPES[type(only)], only, dependents=dependents or None)
        if isinstance(parameter, (written.FloatParameter, written.IntParameter)):
            return self._range(axis, parameter)
        values = list(parameter.grid() or ())
        return ChoiceParameter(
            name,
            _TYPES[parameter.python_type],
            values,
            is_ordered=getattr(parameter, "is_ordered", True),
            sort_values=parameter.numeric and parameter.python_type in (int, float),
            dependents=dependents or None,
        )

    def _range(self, axis: Axis, parameter: written.FloatParameter | written.IntParameter) -> Parameter:
        kind = _TYPES[parameter.python_type]
        values = parameter.grid()
        if parameter.step is not None and values is not None and len(values) <= _MOST_LISTED:
            return ChoiceParameter(axis.name, kind, list(values), is_ordered=True, sort_values=True, log_scale=False)
        if parameter.step is not None:
            self.notes.append(f"the step of {axis.name} ({parameter.step:g}) is left out: its values are too many")
        low, high = parameter.min / self._scale(axis.name), parameter.max / self._scale(axis.name)
        if isinstance(parameter, written.IntParameter):
            return RangeParameter(axis.name, kind, parameter.min, parameter.max, log_scale=parameter.log)
        if axis.scale != 1.0 and not axis.stepped:
            self.notes.append(
                f"Ax takes no range as narrow or as wide as that of {axis.name}, which is divided by {axis.scale!r}"
            )
        return RangeParameter(axis.name, kind, float(low), float(high), log_scale=parameter.log)

    def _scale(self, name: str) -> float:
        axis = self._axes.get(name)
        return axis.scale if axis is not None and not axis.stepped else 1.0

    # Objectives and outcome constraints.

    def _optimization_config(self) -> OptimizationConfig:
        expressions = []
        for target in self._targets.objectives:
            names = [f"{target.sign * factor!r} * {self.metrics[metric]}" for metric, factor in target.factors.items()]
            only = self.metrics[next(iter(target.factors))]
            expressions.append(" + ".join(names) if len(names) > 1 else only if target.maximize else f"-{only}")
        objective = Objective(expression=", ".join(expressions), metric_name_to_signature=self._signatures())
        wanted = [target for target in self._targets.objectives if target.threshold is not None]
        if 0 < len(wanted) < len(self._targets.objectives):
            self.notes.append("the thresholds are left out: to Ax's front all objectives have one, or none")
            wanted = []
        thresholds = [
            self._limit(
                f"{self.metrics[next(iter(target.factors))]} {'>=' if target.maximize else '<='} {target.threshold!r}"
            )
            for target in wanted
        ]

        def made(limits: Sequence[OutcomeConstraint]) -> OptimizationConfig:
            if len(expressions) == 1:
                return OptimizationConfig(objective=objective, outcome_constraints=list(limits))
            return MultiObjectiveOptimizationConfig(
                objective=objective, outcome_constraints=list(limits), objective_thresholds=thresholds
            )

        kept: list[OutcomeConstraint] = []
        told = {target.name: target for target in self._targets.limits}
        for index, limit in enumerate(self._spec.limits):
            if f"c{index}" not in told:
                self.notes.append(f"{limit.text!r} is left out: the baseline trial has not succeeded")
                continue
            target = told[f"c{index}"]
            if limit.relative:
                self.notes.append(f"{limit.text!r} has the baseline's value as a number here")
            constraint = self._constraint(target, lambda found: made([*kept, found]))
            if constraint is None:
                name = _unused(f"over_limit_{index}", {*self.metrics.values(), *self._added})
                self._added[name] = lambda fact, target=target: target.value(fact.values)  # type: ignore[misc]
                self.notes.append(f"Ax cannot hold {limit.text!r}: metric {name!r} is the excess over its bound")
                constraint = self._limit(f"{name} <= 0")
            kept.append(constraint)
        return made(kept)

    def _constraint(self, target: Target, use: Callable[[OutcomeConstraint], object]) -> OutcomeConstraint | None:
        """The constraint in Ax's own terms; None where it has none, or cannot use it beside the others."""
        if len(target.factors) > 1:
            return None  # Ax's file keeps the first metric of a sum only
        ((metric, factor),) = target.factors.items()
        try:
            constraint = self._limit(f"{factor!r} * {self.metrics[metric]} <= {-target.offset!r}")
            use(constraint)
        except _REFUSALS:
            return None
        return constraint

    def _limit(self, text: str) -> OutcomeConstraint:
        return OutcomeConstraint(text, metric_name_to_signature=self._signatures())

    def _signatures(self) -> dict[str, str]:
        return {name: name for name in (*self.metrics.values(), *self._added)}

    # The trials.

    def _add_trials(self, experiment: Experiment) -> None:
        for fact in self._facts:
            arm = Arm(parameters=self._arm_parameters(fact))
            run = GeneratorRun(arms=[arm], generation_node_name=fact.generator)
            trial = experiment.new_trial(generator_run=run)
            trial.update_run_metadata({"axk8s": {"trial": fact.trial if fact.trial >= 0 else None}})
            trial.mark_running(no_runner_required=True)
            _end(trial, fact.outcome)

    def _arm_parameters(self, fact: TrialFact) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, parameter in self._spec.parameters.items():
            axis = self._axes.get(name)
            if name in fact.parameters:
                value: Scalar = fact.parameters[name]
            elif name in self._tree:
                continue
            else:
                value = axis.outward(axis.middle()) if axis is not None else (parameter.grid() or ("",))[0]
            scale = self._scale(name)
            found[name] = value if scale == 1.0 or isinstance(value, str) else value / scale
        return found

    def _attach_data(self, experiment: Experiment) -> None:
        lost = 0
        rows: list[dict[str, object]] = []
        for name, value_of, error_of in self._columns():
            values = {index: value_of(fact) for index, fact in enumerate(self._facts) if fact.outcome is not None}
            finite = {index: value for index, value in values.items() if math.isfinite(value)}
            lost += sum(math.isinf(value) for value in values.values())
            errors = whole_errors(list(finite), {index: error_of(self._facts[index]) for index in finite})
            rows += (
                {
                    "trial_index": index,
                    "arm_name": experiment.trials[index].arm.name,
                    "metric_name": name,
                    "metric_signature": name,
                    "mean": value,
                    "sem": errors.get(index, math.nan),
                }
                for index, value in finite.items()
            )
        if lost:
            self.notes.append(f"{lost} values that are infinite are left out")
        if rows:
            experiment.attach_data(Data(df=pd.DataFrame(rows)))

    def _columns(
        self,
    ) -> Iterable[tuple[str, Callable[[TrialFact], float], Callable[[TrialFact], float]]]:
        for metric, name in self.metrics.items():
            yield (
                name,
                lambda fact, metric=metric: fact.values.get(metric, math.nan),  # type: ignore[misc]
                lambda fact, metric=metric: fact.sems.get(metric, math.nan),  # type: ignore[misc]
            )
        for name, value_of in self._added.items():
            yield name, value_of, lambda _: math.nan


def _end(trial: Trial, outcome: Outcome | None) -> None:
    match outcome:
        case None:
            return
        case Outcome.SUCCEEDED:
            trial.mark_completed()
        case Outcome.EARLY_STOPPED:
            trial.mark_early_stopped(unsafe=True)
        case Outcome.FAILED:
            trial.mark_failed(reason=outcome.value)
        case _:
            trial.mark_abandoned(reason=outcome.value)


def _tree(spec: SweepSpec) -> Mapping[str, tuple[str, Scalar]]:
    """By conditional parameter that fits into a tree: the one parent and the one value that it exists for."""
    return {
        name: (parent, values[0])
        for name, parameter in spec.parameters.items()
        if len(parameter.when or {}) == 1
        for parent, values in (parameter.when or {}).items()
        if len(values) == 1
    }


def _metric_names(metrics: Iterable[str]) -> dict[str, str]:
    """By metric: its own name where Ax reads it in an expression as what it is, else a plain word like it."""
    metrics = list(metrics)
    names = {metric: metric for metric in metrics if _readable(metric)}
    for metric in metrics:
        if metric not in names:
            word = re.sub(r"\W+", "_", metric, flags=re.ASCII).strip("_") or "metric"
            word = word if _readable(word) else f"metric_{word}"
            names[metric] = _unused(word, set(names.values()))
    return names


def _readable(name: str) -> bool:
    signatures = {name: name}
    try:
        constraint = OutcomeConstraint(f"2.0 * {name} <= 1.5", metric_name_to_signature=signatures)
        objectives = [Objective(expression=text, metric_name_to_signature=signatures) for text in (name, f"-{name}")]
        weights = [each.metric_weights for each in objectives]
    except Exception:  # noqa: BLE001  # a name is read as code, and what code may raise is anything
        return False
    return weights == [[(name, 1.0)], [(name, -1.0)]] and constraint.metric_names == [name]


def _unused(name: str, taken: Iterable[str]) -> str:
    taken = set(taken)
    number, found = 2, name
    while found in taken:
        number, found = number + 1, f"{name}_{number}"
    return found
