"""Who proposes: our optimizer, Ax's own loop, Optuna's TPE, and random points. All are asked in the same way."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Protocol

from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Outcome, Parameters, Scalar, TrialFact, Values
from bench.quality.problems import Problem

_TPE_STARTUP: Final = 10
"""Optuna's own default: so many trials must have ended before it looks at any."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The next trial's parameters, and whether a model of the results chose them."""

    parameters: Parameters
    from_model: bool


class Contender(Protocol):
    """Proposes trials, numbered from 0, and hears how they ended. Those it has not heard of are running."""

    def propose(self) -> Suggestion:
        """The next trial."""
        ...

    def tell(self, trial: int, values: Values) -> None:
        """How a trial ended."""
        ...


class Ours:
    """The product's optimizer, asked as its process is asked, without the process around it."""

    def __init__(self, problem: Problem, spec: SweepSpec) -> None:  # noqa: ARG002  (all contenders are made alike)
        from axk8s.optimize.experiment import Projection

        self._projection = Projection(spec)
        self._facts: list[TrialFact] = []

    def propose(self) -> Suggestion:
        """The next trial; it is running from then on."""
        from axk8s.optimize.protocol import Ask

        trial = len(self._facts)
        (proposal,) = self._projection.answer(Ask(trial, 1), self._facts).proposals
        self._facts.append(TrialFact(trial, proposal.parameters, proposal.generator))
        return Suggestion(proposal.parameters, proposal.from_model)

    def tell(self, trial: int, values: Values) -> None:
        """How a trial ended."""
        fact = self._facts[trial]
        self._facts[trial] = TrialFact(trial, fact.parameters, fact.generator, Outcome.SUCCEEDED, values)


class RandomSearch:
    """Independent draws, as a sweep with the optimizer `random` makes them."""

    def __init__(self, problem: Problem, spec: SweepSpec) -> None:  # noqa: ARG002  (all contenders are made alike)
        self._spec = spec
        self._rng = Random(spec.optimizer.seed)

    def propose(self) -> Suggestion:
        """The next trial."""
        from axk8s.optimize.random import draw

        return Suggestion(draw(self._spec, self._rng, taken=frozenset()), from_model=False)

    def tell(self, trial: int, values: Values) -> None:
        """Nothing is learnt."""


class AxLoop:
    """Ax's own client with its default generation strategy."""

    def __init__(self, problem: Problem, spec: SweepSpec) -> None:
        from ax.api.client import Client

        self._client = Client(random_seed=spec.optimizer.seed)
        self._client.configure_experiment(parameters=_ax_parameters(problem))
        objective = ", ".join(
            f"-{metric}" if direction == "minimize" else metric for metric, direction in problem.directions.items()
        )
        # Ax takes the thresholds of objectives as constraints on the same metrics.
        thresholds = [
            f"{each['metric']} {'<=' if each['direction'] == 'minimize' else '>='} {each['threshold']}"
            for each in problem.objectives
            if "threshold" in each
        ]
        self._client.configure_optimization(objective, [*problem.outcome_constraints, *thresholds])

    def propose(self) -> Suggestion:
        """The next trial; Ax counts it as running."""
        ((trial, parameters),) = self._client.get_next_trials(max_trials=1).items()
        run = self._client._experiment.trials[trial].generator_runs[0]  # noqa: SLF001  (the public summary takes longer)
        return Suggestion(parameters, from_model=run._generator_key == "BoTorch")  # noqa: SLF001

    def tell(self, trial: int, values: Values) -> None:
        """How a trial ended."""
        self._client.complete_trial(trial, dict(values))


def _ax_parameters(problem: Problem) -> list[Any]:
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    configs: list[Any] = []
    for name, parameter in problem.parameters.items():
        if parameter["type"] == "choice":
            values = _values(parameter)
            dependent = {value: _depending(problem, name, value) for value in values}
            configs.append(
                ChoiceParameterConfig(
                    name=name,
                    values=values,
                    parameter_type="str",
                    is_ordered=False,
                    dependent_parameters=dependent if any(dependent.values()) else None,
                )
            )
        else:
            configs.append(
                RangeParameterConfig(
                    name=name,
                    parameter_type=parameter["type"],
                    bounds=(parameter["min"], parameter["max"]),
                    scaling="log" if parameter.get("log") else "linear",
                )
            )
    return configs


def _values(parameter: Mapping[str, object]) -> list[str]:
    values = parameter["values"]
    assert isinstance(values, list)
    return values


def _depending(problem: Problem, name: str, value: str) -> list[str]:
    """The parameters that exist only where this one has this value."""
    return [other for other, each in problem.parameters.items() if each.get("when") == {name: value}]


class Tpe:
    """Optuna's TPE with its defaults; running trials count as bad ones (`constant_liar`), as its pages recommend."""

    def __init__(self, problem: Problem, spec: SweepSpec) -> None:
        try:
            self._optuna: Any = importlib.import_module("optuna")
        except ImportError as error:
            raise SystemExit(
                f"TPE is Optuna's, which is no dependency of this project ({error}): "
                "pip install -r bench/peers/requirements.txt, or leave `tpe` out with --contender"
            ) from None
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        self._problem = problem
        self._study: Any = self._optuna.create_study(
            sampler=self._optuna.samplers.TPESampler(
                seed=spec.optimizer.seed, n_startup_trials=_TPE_STARTUP, constant_liar=True
            ),
            directions=list(problem.directions.values()),
        )
        self._limits = [limit.removesuffix("<= 0").strip() for limit in problem.outcome_constraints]
        self._running: dict[int, Any] = {}
        self._ended = 0

    def propose(self) -> Suggestion:
        """The next trial; it is running from then on."""
        trial = self._study.ask()
        parameters: dict[str, Scalar] = {}
        for name, parameter in self._problem.parameters.items():
            if all(parameters[other] == value for other, value in _when(parameter).items()):
                parameters[name] = _suggested(trial, name, parameter)
        self._running[trial.number] = trial
        return Suggestion(parameters, from_model=self._ended >= _TPE_STARTUP)

    def tell(self, trial: int, values: Values) -> None:
        """How a trial ended."""
        running = self._running.pop(trial)
        for limit in self._limits:
            running.set_constraint(limit, values[limit])
        self._study.tell(running, [values[metric] for metric in self._problem.directions])
        self._ended += 1


def _when(parameter: Mapping[str, object]) -> Mapping[str, object]:
    condition = parameter.get("when", {})
    assert isinstance(condition, Mapping)
    return condition


def _suggested(trial: Any, name: str, parameter: Mapping[str, object]) -> Scalar:
    value: Scalar
    if parameter["type"] == "choice":
        value = trial.suggest_categorical(name, _values(parameter))
    else:
        suggest = trial.suggest_int if parameter["type"] == "int" else trial.suggest_float
        value = suggest(name, parameter["min"], parameter["max"], log=bool(parameter.get("log")))
    return value


CONTENDERS: Final[Mapping[str, Callable[[Problem, SweepSpec], Contender]]] = {
    "axk8s": Ours,
    "ax": AxLoop,
    "tpe": Tpe,
    "random": RandomSearch,
}
OURS: Final = "axk8s"
TITLES: Final = {"axk8s": "axk8s", "ax": "Ax's own loop", "tpe": "Optuna's TPE", "random": "random"}
WITHOUT_EXTRAS: Final[Set[str]] = frozenset({"axk8s", "ax", "random"})
"""Contenders that need no package beyond the project's own."""
