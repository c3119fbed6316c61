"""The Ax face: runners and metrics for people who have Ax code, under Ax's own names.

They work in `ax.api.Client.run_trials` and in Ax's `Orchestrator`. Names are resolved when they are first used: Ax
takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axk8s.ax.backend_simulator import BackendSimulator, BackendSimulatorOptions
    from axk8s.ax.simulated_backend import SimulatedBackendRunner, sample_runtime_unif
    from axk8s.ax.simulated_metric import SimulatedMetric
    from axk8s.ax.single_running_trial_mixin import SingleRunningTrialMixin
    from axk8s.ax.storage import load, save
    from axk8s.ax.synthetic import SyntheticRunner
    from axk8s.ax.torchx_metric import TorchXMetric
    from axk8s.ax.torchx_runner import TorchXRunner

__all__ = [
    "BackendSimulator",
    "BackendSimulatorOptions",
    "SimulatedBackendRunner",
    "SimulatedMetric",
    "SingleRunningTrialMixin",
    "SyntheticRunner",
    "TorchXMetric",
    "TorchXRunner",
    "load",
    "sample_runtime_unif",
    "save",
]

_LAZY = {
    "BackendSimulator": "axk8s.ax.backend_simulator",
    "BackendSimulatorOptions": "axk8s.ax.backend_simulator",
    "SimulatedBackendRunner": "axk8s.ax.simulated_backend",
    "SimulatedMetric": "axk8s.ax.simulated_metric",
    "SingleRunningTrialMixin": "axk8s.ax.single_running_trial_mixin",
    "SyntheticRunner": "axk8s.ax.synthetic",
    "TorchXMetric": "axk8s.ax.torchx_metric",
    "TorchXRunner": "axk8s.ax.torchx_runner",
    "load": "axk8s.ax.storage",
    "sample_runtime_unif": "axk8s.ax.simulated_backend",
    "save": "axk8s.ax.storage",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'axk8s.ax' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
