"""Ax as a projection of the sweep: an experiment made anew from the facts for every question.

Making it is cheap (10,000 trials in under 2 s, 500 in 0.03 s) beside a proposal of the model, and a proposal then
depends on the facts and the seed alone: an optimizer process that was restarted goes on as if it had never died.
Runs in the optimizer's process only, because importing Ax takes seconds and hundreds of megabytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Final

import numpy as np
import pandas as pd
import torch
from ax.api.utils.generation_strategy_dispatch import choose_generation_strategy
from ax.api.utils.structs import GenerationStrategyDispatchStruct
from ax.core.arm import Arm
from ax.core.data import Data
from ax.core.experiment import Experiment
from ax.core.generator_run import GeneratorRun
from ax.core.metric import Metric
from ax.core.objective import Objective
from ax.core.optimization_config import MultiObjectiveOptimizationConfig, OptimizationConfig
from ax.core.outcome_constraint import OutcomeConstraint
from ax.core.parameter import ChoiceParameter, Parameter, ParameterType, RangeParameter
from ax.core.parameter_constraint import ParameterConstraint
from ax.core.search_space import SearchSpace
from ax.core.trial import Trial
from ax.exceptions.core import DataRequiredError, OptimizationComplete
from ax.exceptions.generation_strategy import AxGenerationException
from ax.generation_strategy.generation_strategy import GenerationStrategy
from botorch.exceptions.errors import InfeasibilityError

from axk8s.optimize.axis import Axis, axes, inward, outward, rewritten
from axk8s.optimize.feasibility import LEAST, Border, border
from axk8s.optimize.protocol import Ask
from axk8s.optimize.random import Exhausted, Unreachable, draw
from axk8s.optimize.space import Identity, feasible, identity, points, size, trial_parameters
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import OptimizerReply, Outcome, Parameters, Proposal, TrialFact

_LEAST_INITIAL: Final = 5
"""Ax's own default for trials before the model; with more slots than that, one for each slot."""
_MOST_RESULTS: Final = 500
"""Results that the model sees. On one core, with four parameters, a proposal takes 0.7 s with its fit at 100 results,
4 to 5 s at 500 and 22 s at 1,000; a second one 0.4 s and 2 s more: more results would only make slots wait."""
_MOST_ABANDONED: Final = 100
"""Failed trials that the model keeps away from; each costs as much as a running one."""
_INFEASIBLE_SHARE: Final = 0.25
"""How many of what the model sees may be infeasible trials: the last ones, which tend to lie nearest the border."""
_DEPTH: Final = "depth"
"""The metric that says where trials are feasible; no objective has this name, which are numbered."""
_MOST_TRIES: Final = 5
_TYPES: Final = {
    bool: ParameterType.BOOL,
    int: ParameterType.INT,
    float: ParameterType.FLOAT,
    str: ParameterType.STRING,
}
_NOTHING_NEW: Final = (OptimizationComplete, DataRequiredError, AxGenerationException, InfeasibilityError)
"""Ax's ways to say that it has no (new) point: the space is used up, the constraints leave hardly any room."""


class Projection:
    """What a spec is to Ax; holds no results.

    Raises:
        AxError, ValueError: Ax refuses the search space (`capability.check` tells beforehand).
    """

    def __init__(self, spec: SweepSpec, *, most_results: int = _MOST_RESULTS) -> None:
        self._spec = spec
        self._most_results = most_results
        self._axes = axes(spec)
        self._size = size(spec)
        self._metrics = {f"m{index}": objective for index, objective in enumerate(spec.objectives)}
        self._search_space = _search_space(spec, self._axes)

    def answer(self, ask: Ask, facts: Sequence[TrialFact]) -> OptimizerReply:
        """Proposals from these facts, all that are known, in the order of the trials."""
        waiting = [*(fact.parameters for fact in facts), *ask.outstanding]
        taken = {identity(parameters) for parameters in (*waiting, *ask.barred)}
        count = ask.count
        if self._size is not None and len(taken) + count > self._size // 2:
            count = min(count, sum(1 for point in points(self._spec) if identity(point) not in taken))
            if not count:
                return OptimizerReply(exhausted=True, notice="every point of the search space was tried")
        if not self._axes:
            return self._drawn(ask, taken, ended=0)
        experiment = self._experiment(facts, ask.outstanding)
        strategy = self._strategy(before=len(waiting))
        ended = sum(1 for fact in facts if fact.outcome is not None)
        proposals: list[Proposal] = []
        for index in range(count):
            _seed(self._spec.optimizer.seed, len(waiting) + index, ask.again)
            proposal = self._next(experiment, strategy, taken, ended)
            if proposal is None:
                drawn = self._drawn(ask, taken, ended=ended)
                if not drawn.proposals:
                    return OptimizerReply(tuple(proposals)) if proposals else drawn
                proposal = drawn.proposals[0]
            taken.add(identity(proposal.parameters))
            self._run(experiment, Arm(parameters=inward(self._axes, proposal.parameters)))
            proposals.append(proposal)
        return OptimizerReply(tuple(proposals))

    def _next(
        self, experiment: Experiment, strategy: GenerationStrategy, taken: set[Identity], ended: int
    ) -> Proposal | None:
        for _ in range(_MOST_TRIES):
            try:
                run = strategy.gen_single_trial(experiment)
            except _NOTHING_NEW as error:
                print(f"{type(error).__name__}: {error}", flush=True)
                return None
            values = run.arms[0].parameters
            parameters = trial_parameters(self._spec, outward(self._axes, values))
            if identity(parameters) not in taken and feasible(self._spec, parameters):
                generator = _generator(run)
                return Proposal(parameters, generator, from_model=generator == "BoTorch", results_seen=ended)
            # Known under other values of inactive parameters, or moved by rounding: as a pending point Ax leaves it.
            self._run(experiment, Arm(parameters=values)).mark_abandoned(reason="not new")
        return None

    def _drawn(self, ask: Ask, taken: set[Identity], *, ended: int) -> OptimizerReply:
        rng = Random(f"{self._spec.optimizer.seed}-{len(taken)}-{ask.again}")
        try:
            parameters = draw(self._spec, rng, taken=taken)
        except Exhausted:
            return OptimizerReply(exhausted=True, notice="every point of the search space was tried")
        except Unreachable as error:
            return OptimizerReply(error=f"Ax finds no new point, and {error}; widen the constraints")
        return OptimizerReply((Proposal(parameters, "random", results_seen=ended),))

    def _strategy(self, *, before: int) -> GenerationStrategy:
        strategy = choose_generation_strategy(
            GenerationStrategyDispatchStruct(
                method="fast",
                initialization_budget=max(_LEAST_INITIAL, self._spec.parallelism),
                initialization_random_seed=self._spec.optimizer.seed,
                # Ax takes one step in its graph for each point, so a centre node that is over would cost one more
                # quasi-random point each time.
                initialize_with_center=not before,
                use_existing_trials_for_initialization=True,
                allow_exceeding_initialization_budget=True,
            )
        )
        # Ax would begin its sequence anew and leave out known points, but does not know them again where a value was
        # rounded or is absent.
        for spec in strategy.nodes_by_name["Sobol"].generator_specs:
            spec.generator_kwargs["init_position"] = max(0, before - 1)
        return strategy

    def _experiment(self, facts: Sequence[TrialFact], outstanding: Sequence[Parameters]) -> Experiment:
        relevant = self._relevant(facts)
        known = self._border(relevant)
        experiment = Experiment(
            name="sweep", search_space=self._search_space, optimization_config=self._optimization_config(known)
        )
        for name in (*self._metrics, *([_DEPTH] if known is not None else [])):
            if name not in experiment.metrics:
                experiment.add_tracking_metric(Metric(name))
        rows: list[dict[str, object]] = []
        for fact in relevant:
            trial = self._run(experiment, Arm(parameters=inward(self._axes, fact.parameters)))
            if fact.outcome is None:
                continue
            means = self._means(fact, known)
            if not means:
                trial.mark_abandoned(reason=fact.outcome.value)
                continue
            if fact.outcome is Outcome.EARLY_STOPPED:
                trial.mark_early_stopped(unsafe=True)
            else:
                trial.mark_completed()
            rows += (
                {
                    "trial_index": trial.index,
                    "arm_name": trial.arm.name,
                    "metric_name": name,
                    "metric_signature": name,
                    "mean": mean,
                    "sem": math.nan,
                }
                for name, mean in means.items()
            )
        if rows:
            experiment.attach_data(Data(df=pd.DataFrame(rows)))
        for parameters in outstanding:
            self._run(experiment, Arm(parameters=inward(self._axes, parameters)))
        return experiment

    def _border(self, facts: Sequence[TrialFact]) -> Border | None:
        results = [fact for fact in facts if self._counts(fact)]
        infeasible = [fact for fact in facts if fact.outcome is Outcome.INFEASIBLE]
        return border(self._axes, results, infeasible, list(self._metrics.values()))

    def _means(self, fact: TrialFact, known: Border | None) -> dict[str, float]:
        """Ax's metrics of an ended trial; empty where the model learns nothing from it."""
        if self._counts(fact):
            means = {name: float(fact.values[objective.metric]) for name, objective in self._metrics.items()}
        elif known is not None and fact.outcome is Outcome.INFEASIBLE:
            means = {name: known.values[fact.trial][objective.metric] for name, objective in self._metrics.items()}
        else:
            return {}
        return means if known is None else {**means, _DEPTH: known.depths[fact.trial]}

    def _optimization_config(self, known: Border | None) -> OptimizationConfig:
        expression = ", ".join(
            f"-{name}" if objective.direction == "minimize" else name for name, objective in self._metrics.items()
        )
        # The names of metrics are the user's and need not be ones that Ax can parse.
        objective = Objective(expression=expression, metric_name_to_signature={name: name for name in self._metrics})
        limits = []
        if known is not None:
            limit = f"{_DEPTH} >= {known.margin!r}"
            limits.append(OutcomeConstraint(expression=limit, metric_name_to_signature={_DEPTH: _DEPTH}))
        kind = MultiObjectiveOptimizationConfig if len(self._metrics) > 1 else OptimizationConfig
        return kind(objective=objective, outcome_constraints=limits)

    def _run(self, experiment: Experiment, arm: Arm) -> Trial:
        trial = experiment.new_trial().add_arm(arm)
        trial.mark_running(no_runner_required=True)
        return trial

    def _counts(self, fact: TrialFact) -> bool:
        """Whether the model can learn from it."""
        if fact.outcome not in (Outcome.SUCCEEDED, Outcome.EARLY_STOPPED):
            return False
        values = (fact.values.get(objective.metric, math.nan) for objective in self._metrics.values())
        return all(map(math.isfinite, values))

    def _relevant(self, facts: Sequence[TrialFact]) -> Sequence[TrialFact]:
        """What the model is to see: all that run and all results; of too many the best and a share of the rest.

        A stopped trial is not among it: nothing is known of its point, so going near it is as good as it was before.
        """
        counting = [fact for fact in facts if self._counts(fact)]
        infeasible = [fact for fact in facts if fact.outcome is Outcome.INFEASIBLE]
        without = [fact for fact in facts if fact.outcome not in (None, Outcome.STOPPED) and not self._counts(fact)]
        if len(counting) < LEAST:
            infeasible = []
        else:
            without = [fact for fact in without if fact.outcome is not Outcome.INFEASIBLE]
        infeasible = infeasible[-int(self._most_results * _INFEASIBLE_SHARE) :]
        kept = {fact.trial for fact in self._chosen(counting, self._most_results - len(infeasible))}
        kept.update(fact.trial for fact in infeasible)
        kept.update(fact.trial for fact in without[-_MOST_ABANDONED:])
        return [fact for fact in facts if fact.outcome is None or fact.trial in kept]

    def _chosen(self, counting: Sequence[TrialFact], most: int) -> Sequence[TrialFact]:
        if len(counting) <= most:
            return counting
        chosen: dict[int, TrialFact] = {}
        share = most // (2 * len(self._metrics))
        for objective in self._metrics.values():
            sign = 1.0 if objective.direction == "minimize" else -1.0
            ranked = sorted(counting, key=lambda fact: sign * fact.values[objective.metric])  # used at once
            chosen.update((fact.trial, fact) for fact in ranked[:share])
        rest = [fact for fact in counting if fact.trial not in chosen]
        wanted = most - len(chosen)
        # Evenly over the sweep: without bad results the model would think that everything is good.
        picked = (rest[index * len(rest) // wanted] for index in range(wanted))
        return [*chosen.values(), *picked]


def _search_space(spec: SweepSpec, every: tuple[Axis, ...]) -> SearchSpace:
    constraints = []
    constrained: set[str] = set()
    for constraint in spec.linear_constraints:
        factors, bound = rewritten(spec, every, constraint)
        if not factors:
            continue
        constrained.update(factors)
        text = " + ".join(f"{factor!r} * {name}" for name, factor in factors.items())
        if constraint.equality:
            constraints.append(ParameterConstraint(equality=f"{text} == {bound!r}"))
        else:
            constraints.append(ParameterConstraint(inequality=f"{text} <= {bound!r}"))
    parameters = [_parameter(axis, linear=axis.name in constrained) for axis in every]
    return SearchSpace(parameters=parameters, parameter_constraints=constraints)


def _parameter(axis: Axis, *, linear: bool) -> Parameter:
    """Conditions are not told to Ax: it would fill in the middle for absent values too, and takes only trees.

    A parameter that depends on two others, or exists for two values of one, is no tree.
    """
    if axis.kind != "choice":
        kind = ParameterType.INT if axis.kind == "int" else ParameterType.FLOAT
        low, high = (int(axis.low), int(axis.high)) if axis.kind == "int" else (float(axis.low), float(axis.high))
        return RangeParameter(axis.name, kind, low, high, log_scale=axis.log)
    values = list(axis.parameter.grid() or ())
    python_type = axis.parameter.python_type
    numeric = python_type in (int, float)
    return ChoiceParameter(
        axis.name,
        _TYPES[python_type],
        values,
        is_ordered=getattr(axis.parameter, "is_ordered", True),
        sort_values=numeric,
        # Ax guesses a logarithmic scale from the values, and then refuses constraints on them.
        log_scale=False if linear else None,
    )


def _generator(run: GeneratorRun) -> str:
    """Ax's name of who made a point: `Center`, `Sobol`, `BoTorch`."""
    key = str(run._generator_key)  # noqa: SLF001  # Ax has no public accessor for it
    return {"CenterOfSearchSpace": "Center", "Fallback_Sobol": "Sobol"}.get(key, key)


def _seed(seed: int, index: int, again: int) -> None:
    mixed = Random(f"{seed}-{index}-{again}").getrandbits(32)
    torch.manual_seed(mixed)
    np.random.seed(mixed)  # what Ax's dependencies draw from
