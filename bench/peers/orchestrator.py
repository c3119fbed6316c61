"""The same jobs driven by Ax's own `Orchestrator`: Sobol, one value a trial, jobs on the scheduler `local` by TorchX.

The runner does what Ax's TorchXRunner does - one `run` a trial, one `status` a running trial and poll - with the state
map that suits the Orchestrator best. Writes when the first job was submitted, as JSON.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import pandas as pd
from ax.adapter.registry import Generators
from ax.core.data import Data
from ax.core.experiment import Experiment
from ax.core.metric import Metric, MetricFetchE
from ax.core.objective import Objective
from ax.core.optimization_config import OptimizationConfig
from ax.core.parameter import ParameterType, RangeParameter
from ax.core.runner import Runner
from ax.core.search_space import SearchSpace
from ax.core.trial_status import TrialStatus
from ax.generation_strategy.generation_node import GenerationNode
from ax.generation_strategy.generation_strategy import GenerationStrategy
from ax.generation_strategy.generator_spec import GeneratorSpec
from ax.orchestration.orchestrator import Orchestrator
from ax.orchestration.orchestrator_options import OrchestratorOptions
from ax.utils.common.result import Err, Ok
from torchx.runner import Runner as TorchXSession
from torchx.specs import AppDef, AppState, Role

from axk8s.schedulers.catalog import factories
from axk8s.training import parse_line

METRIC = "loss"
ENDED = {
    AppState.SUCCEEDED: TrialStatus.COMPLETED,
    AppState.FAILED: TrialStatus.FAILED,
    AppState.CANCELLED: TrialStatus.ABANDONED,
}


class JobRunner(Runner):
    """Jobs of `program` on `local`, below `folder`."""

    def __init__(self, session, program, folder):
        self.session = session
        self.program = program
        self.folder = folder
        self.first_submit = None

    def run(self, trial):
        if self.first_submit is None:
            self.first_submit = time.time()
        x = str(trial.arm.parameters["x"])
        words = [word.replace("{x}", x) for word in self.program]
        role = Role(name="main", image="", entrypoint=words[0], args=words[1:], num_replicas=1)
        app = AppDef(name="slots", roles=[role])
        return {"handle": self.session.run(app, "local", {"log_dir": str(self.folder)})}

    def poll_trial_status(self, trials):
        found = {}
        for trial in trials:
            status = self.session.status(trial.run_metadata["handle"])
            state = TrialStatus.RUNNING if status is None else ENDED.get(status.state, TrialStatus.RUNNING)
            found.setdefault(state, set()).add(trial.index)
        return found


class PrintedMetric(Metric):
    """The value that the job printed, read through TorchX's log interface."""

    def __init__(self, name, session):
        super().__init__(name, lower_is_better=True)
        self.session = session

    def clone(self):
        return self

    def fetch_trial_data(self, trial, **_):
        for line in self.session.log_lines(trial.run_metadata["handle"], "main", 0):
            for record in parse_line(line):
                row = {
                    "trial_index": trial.index,
                    "arm_name": trial.arm.name,
                    "metric_name": self.name,
                    "metric_signature": self.signature,
                    "mean": record.values[self.name],
                    "sem": 0.0,
                }
                return Ok(Data(df=pd.DataFrame([row])))
        return Err(MetricFetchE(message="no value was printed", exception=None))


def options(kind, parallelism):
    """Ax's defaults, or the settings that make it as quick as its options allow."""
    if kind == "default":
        return OrchestratorOptions(max_pending_trials=parallelism, logging_level=logging.WARNING)
    return OrchestratorOptions(
        max_pending_trials=parallelism,
        logging_level=logging.WARNING,
        init_seconds_between_polls=0.1,
        min_seconds_before_poll=0.0,
        seconds_between_polls_backoff_factor=1.0,
        run_trials_in_batches=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--parallelism", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--settings", choices=["default", "tuned"], required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("program", nargs="+", help="the job's command line; {x} is the parameter")
    given = parser.parse_args()

    session = TorchXSession("bench", scheduler_factories=factories())
    runner = JobRunner(session, given.program, given.folder)
    metric = PrintedMetric(METRIC, session)
    experiment = Experiment(
        name="slots",
        search_space=SearchSpace([RangeParameter("x", ParameterType.FLOAT, 0.0, 1.0)]),
        optimization_config=OptimizationConfig(
            Objective(f"-{METRIC}", metric_name_to_signature={METRIC: metric.signature})
        ),
        metrics=[metric],
        runner=runner,
    )
    strategy = GenerationStrategy(
        name="Sobol", nodes=[GenerationNode(name="Sobol", generator_specs=[GeneratorSpec(Generators.SOBOL)])]
    )
    orchestrator = Orchestrator(experiment, strategy, options(given.settings, given.parallelism))
    orchestrator.run_n_trials(max_trials=given.trials)
    completed = sum(trial.status is TrialStatus.COMPLETED for trial in experiment.trials.values())
    values = len(experiment.lookup_data().df)
    given.output.write_text(
        json.dumps({"first_submit": runner.first_submit, "succeeded": completed, "values": values}), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
