"""What a sweep runs, whichever way it was said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torchx.specs import AppDef

from axk8s.errors import Problem
from axk8s.launch import command, component, function
from axk8s.launch.workspace import Workspace
from axk8s.spec.parameters import FloatParameter, IntParameter
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Parameters, Scalar


class Program(Protocol):
    """A component, function or command, loaded or read."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The user's files that are known to run."""

    def problems(self) -> list[Problem]:
        """Everything that keeps it from running with this search space."""

    def warnings(self) -> list[str]:
        """What would probably surprise the user."""

    def appdef(self, parameters: Parameters, filled: Mapping[str, object]) -> AppDef:
        """The job for these parameters, before the sweep's own environment and labels.

        Raises:
            ComponentError: the user's component refuses them.
        """


def load(spec: SweepSpec, workspace: Workspace) -> Program:
    """The program of `spec`, taken from where it runs in `workspace`.

    Raises:
        ComponentError: it cannot be found or loaded.
        SpecError: the command line is wrong in itself.
    """
    if spec.component is not None:
        return component.load(spec, workspace)
    return function.load(spec, workspace) if spec.function is not None else command.load(spec, workspace)


def example(spec: SweepSpec) -> dict[str, Scalar]:
    """One point of the search space, to try a program with: the middle of ranges, the first of choices."""
    values: dict[str, Scalar] = {}
    for name, parameter in spec.parameters.items():
        grid = parameter.grid()
        if isinstance(parameter, FloatParameter | IntParameter) and parameter.step is None:
            middle = (parameter.min * parameter.max) ** 0.5 if parameter.log else (parameter.min + parameter.max) / 2
            values[name] = round(middle) if isinstance(parameter, IntParameter) else middle
        elif grid:
            values[name] = grid[0]
    active = spec.active_parameters(values)
    return {name: value for name, value in values.items() if name in active}
