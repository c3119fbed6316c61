"""Ax's two loops around a runner, with Sobol points and no waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ax.api.client import Client
from ax.api.configs import RangeParameterConfig
from ax.core.experiment import Experiment
from ax.core.metric import Metric
from ax.core.runner import Runner
from ax.orchestration.orchestrator import Orchestrator
from ax.orchestration.orchestrator_options import OrchestratorOptions


def client(runner: Runner, metrics: Iterable[Metric], *, objective: str = "-loss") -> Client:
    made = Client()
    made.configure_experiment(
        parameters=[RangeParameterConfig(name="x", parameter_type="float", bounds=(0.0, 1.0))], name="tuning"
    )
    made.configure_optimization(objective=objective)
    made.configure_generation_strategy(method="random_search", initialization_random_seed=1)
    made.configure_runner(runner)
    made.configure_metrics(list(metrics))
    return made


def experiment(made: Client) -> Experiment:
    return made._experiment


def orchestrator(made: Client, **options: Any) -> Orchestrator:
    settings = {
        "init_seconds_between_polls": 0.02,
        "min_seconds_before_poll": 0.0,
        "seconds_between_polls_backoff_factor": 1.0,
        "max_pending_trials": 3,
        **options,
    }
    return Orchestrator(
        experiment=made._experiment,
        generation_strategy=made._generation_strategy_or_choose(),
        options=OrchestratorOptions(**settings),
    )


def statuses(made: Client | Orchestrator) -> dict[int, str]:
    found = made.experiment if isinstance(made, Orchestrator) else experiment(made)
    return {index: trial.status.name for index, trial in found.trials.items()}


Idle = Callable[[Orchestrator], None]
