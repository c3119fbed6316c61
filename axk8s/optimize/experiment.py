"""Ax as a projection of the sweep: an experiment made anew from the facts for every question.

Making it is cheap (10,000 trials in under 2 s, 500 in 0.03 s) beside a proposal of the model, and a proposal then
depends on the facts and the seed alone: an optimizer process that was restarted goes on as if it had never died.
Runs in the optimizer's process only, because importing Ax takes seconds and hundreds of megabytes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
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
from ax.core.trial import Trial
from ax.exceptions.core import DataRequiredError, OptimizationComplete
from ax.exceptions.generation_strategy import AxGenerationException
from ax.generation_strategy.generation_strategy import GenerationStrategy
from botorch.exceptions.errors import InfeasibilityError

from axk8s.optimize.axis import axes, inward, outward
from axk8s.optimize.feasibility import LEAST, Border, border
from axk8s.optimize.partial import completed
from axk8s.optimize.problem import DEPTH, optimization_config, search_space
from axk8s.optimize.protocol import Ask
from axk8s.optimize.random import Exhausted, Unreachable, draw
from axk8s.optimize.sight import LADDER, MIDDLE
from axk8s.optimize.space import Identity, feasible, identity, points, size, trial_parameters
from axk8s.optimize.targets import Target, Targets, evenly, whole_errors
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.goal import Goal
from axk8s.sweep.model import OptimizerReply, Outcome, Parameters, Proposal, TrialFact
from axk8s.sweep.stopping import Rule

_LEAST_INITIAL: Final = 5
"""Ax's own default for trials before the model; with more slots than that, one for each slot."""
_MOST_ABANDONED: Final = 100
"""Failed trials that the model keeps away from; each costs as much as a running one."""
_INFEASIBLE_SHARE: Final = 0.25
"""How many of what the model sees may be infeasible trials: the last ones, which tend to lie nearest the border."""
_MOST_TRIES: Final = 5
_MOST_TOGETHER: Final = 4
"""Proposals of the model in one answer, however many were asked for: each takes a second or more, and slots that wait
should get theirs as they are made. The rest is asked for again, with what has come meanwhile; only the fit is repeated,
which takes about as long as one proposal."""
_NOTHING_NEW: Final = (OptimizationComplete, DataRequiredError, AxGenerationException, InfeasibilityError)
"""Ax's ways to say that it has no (new) point: the space is used up, the constraints leave hardly any room."""


class Projection:
    """What a spec is to Ax; holds no results.

    Raises:
        AxError, ValueError: Ax refuses the search space (`capability.check` tells beforehand).
    """

    def __init__(self, spec: SweepSpec, *, most_results: int = LADDER[MIDDLE]) -> None:
        self._spec = spec
        self._most_results = most_results
        self._axes = axes(spec)
        self._size = size(spec)
        self._initial = max(_LEAST_INITIAL, spec.parallelism)
        self._goal = Goal.of(spec.to_json())
        self._rule = Rule.of(spec.to_json(), self._goal)
        self._targets = Targets.of(self._goal)
        self._search_space = search_space(spec, self._axes)

    def answer(self, ask: Ask, facts: Sequence[TrialFact]) -> OptimizerReply:
        """Proposals from these facts, all that are known, in the order of the trials; maybe fewer than asked for."""
        waiting = [*(fact.parameters for fact in facts), *ask.outstanding]
        taken = {identity(parameters) for parameters in (*waiting, *ask.barred)}
        count = ask.count
        if self._size is not None and len(taken) + count > self._size // 2:
            count = min(count, sum(1 for point in points(self._spec) if identity(point) not in taken))
            if not count:
                return OptimizerReply(exhausted=True, notice="every point of the search space was tried")
        if not self._axes:
            return self._drawn(ask, taken, ended=0)
        experiment = self._experiment(facts, ask.outstanding, most_results=ask.most_results)
        strategy = self._strategy(before=len(waiting))
        ended = sum(1 for fact in facts if fact.outcome is not None and fact.trial >= 0)
        proposals: list[Proposal] = []
        for index in range(count):
            _seed(self._spec.optimizer.seed, len(waiting) + index, ask.again)
            proposal = self._next(experiment, strategy, taken, ended)
            if proposal is not None and not proposal.from_model and len(waiting) + index >= self._initial:
                # Initial points enough are out already; the model begins once half as many results have come.
                half = max(1, self._initial // 2)
                proposal = replace(proposal, stale_at=half if ended < half else None)
            if proposal is None:
                drawn = self._drawn(ask, taken, ended=ended)
                if not drawn.proposals:
                    return OptimizerReply(tuple(proposals)) if proposals else drawn
                proposal = drawn.proposals[0]
            taken.add(identity(proposal.parameters))
            self._run(experiment, Arm(parameters=inward(self._axes, proposal.parameters)))
            proposals.append(proposal)
            if sum(each.from_model for each in proposals) == _MOST_TOGETHER:
                break
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
                initialization_budget=self._initial,
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

    def _experiment(
        self, facts: Sequence[TrialFact], outstanding: Sequence[Parameters], *, most_results: int | None = None
    ) -> Experiment:
        facts = completed(facts, self._rule)
        self._targets = Targets.of(self._goal, facts)
        relevant = self._relevant(facts, most_results or self._most_results)
        known = self._border(relevant)
        means = {fact.trial: self._means(fact, known) for fact in relevant if fact.outcome is not None}
        limits = [limit for limit in self._targets.limits if self._modelled(limit, means.values())]
        targets = (*self._targets.objectives, *limits)
        experiment = Experiment(
            name="sweep",
            search_space=self._search_space,
            optimization_config=optimization_config(
                self._targets.objectives, limits, margin=known.margin if known is not None else None
            ),
        )
        errors = {
            target.name: whole_errors(
                [trial for trial, each in means.items() if target.name in each],
                {fact.trial: target.error(fact.sems) for fact in relevant},
            )
            for target in targets
        }
        rows: list[dict[str, object]] = []
        for fact in relevant:
            trial = self._run(experiment, Arm(parameters=inward(self._axes, fact.parameters)))
            if fact.outcome is None:
                continue
            if not means[fact.trial]:
                trial.mark_abandoned(reason=fact.outcome.value)
                continue
            # Also one that was stopped early: Ax would not count it as a result, and wait for its model without end.
            trial.mark_completed()
            rows += (
                {
                    "trial_index": trial.index,
                    "arm_name": trial.arm.name,
                    "metric_name": name,
                    "metric_signature": name,
                    "mean": mean,
                    "sem": errors.get(name, {}).get(fact.trial, math.nan),
                }
                for name, mean in means[fact.trial].items()
                if name in experiment.metrics
            )
        if rows:
            experiment.attach_data(Data(df=pd.DataFrame(rows)))
        for parameters in outstanding:
            self._run(experiment, Arm(parameters=inward(self._axes, parameters)))
        return experiment

    def _border(self, facts: Sequence[TrialFact]) -> Border | None:
        results = [fact for fact in facts if self._counts(fact)]
        infeasible = [fact for fact in facts if fact.outcome is Outcome.INFEASIBLE]
        return border(self._axes, results, infeasible, self._targets)

    def _means(self, fact: TrialFact, known: Border | None) -> dict[str, float]:
        """Ax's metrics of an ended trial; empty where the model learns nothing from it."""
        if self._counts(fact):
            means = self._targets.means(fact.values)
        elif known is not None and fact.outcome is Outcome.INFEASIBLE:
            means = dict(known.values[fact.trial])
        else:
            return {}
        return means if known is None else {**means, DEPTH: known.depths[fact.trial]}

    def _modelled(self, limit: Target, means: Collection[Mapping[str, float]]) -> bool:
        """Whether there are results of a constraint: Ax refuses a metric without."""
        return sum(limit.name in each for each in means) >= LEAST

    def _run(self, experiment: Experiment, arm: Arm) -> Trial:
        trial = experiment.new_trial().add_arm(arm)
        trial.mark_running(no_runner_required=True)
        return trial

    def _counts(self, fact: TrialFact) -> bool:
        """Whether the model can learn from it."""
        if fact.outcome not in (Outcome.SUCCEEDED, Outcome.EARLY_STOPPED):
            return False
        return self._targets.measured(fact.values)

    def _relevant(self, facts: Sequence[TrialFact], most: int) -> Sequence[TrialFact]:
        """What the model is to see: all that run and all results; of too many the best and a share of the rest.

        A stopped trial is not among it: nothing is known of its point, so going near it is as good as it was before.
        """
        counting = [fact for fact in facts if self._counts(fact)]
        infeasible = [fact for fact in facts if fact.outcome is Outcome.INFEASIBLE]
        without = [
            fact
            for fact in facts
            if fact.outcome not in (None, Outcome.STOPPED) and not self._counts(fact) and fact.trial >= 0
        ]
        if len(counting) < LEAST:
            infeasible = []
        else:
            without = [fact for fact in without if fact.outcome is not Outcome.INFEASIBLE]
        infeasible = infeasible[-int(most * _INFEASIBLE_SHARE) :]
        kept = {fact.trial for fact in self._chosen(counting, most - len(infeasible))}
        kept.update(fact.trial for fact in infeasible)
        kept.update(fact.trial for fact in without[-_MOST_ABANDONED:])
        return [fact for fact in facts if fact.outcome is None or fact.trial in kept]

    def _chosen(self, counting: Sequence[TrialFact], most: int) -> Sequence[TrialFact]:
        if len(counting) <= most:
            return counting
        chosen = self._targets.best(counting, most // 2)
        # Evenly over the sweep: without bad results the model would think that everything is good.
        rest = [fact for fact in counting if fact.trial not in chosen]
        return [*chosen.values(), *evenly(rest, most - len(chosen))]


def _generator(run: GeneratorRun) -> str:
    """Ax's name of who made a point: `Center`, `Sobol`, `BoTorch`."""
    key = str(run._generator_key)  # noqa: SLF001  # Ax has no public accessor for it
    return {"CenterOfSearchSpace": "Center", "Fallback_Sobol": "Sobol"}.get(key, key)


def _seed(seed: int, index: int, again: int) -> None:
    mixed = Random(f"{seed}-{index}-{again}").getrandbits(32)
    torch.manual_seed(mixed)
    np.random.seed(mixed)  # what Ax's dependencies draw from
