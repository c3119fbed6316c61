"""What a sweep runs, whichever way it was said."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torchx.specs import AppDef

from axk8s.errors import ComponentError, Problem
from axk8s.launch import command, component, function, workspace
from axk8s.launch.signature import Signature
from axk8s.launch.workspace import Workspace
from axk8s.spec.middle import completed
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Parameters, Scalar


class Program(Protocol):
    """A component, function or command, loaded or read."""

    @property
    def signature(self) -> Signature | None:
        """The arguments that it takes, where it is a function whose arguments are known."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names in the placeholders of its words, in their order."""

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
    return completed(spec, {})


def watched(spec: SweepSpec) -> tuple[Path, ...]:
    """The user's files that are known to run: the program's own, and those that a component's AppDef names.

    Where there is no `workspace`, these are the ones whose changes are reported.

    Raises:
        ComponentError, SpecError: as `load`.
    """
    code = workspace.in_place(spec)
    runs = load(spec, code)
    found = dict.fromkeys(runs.files)
    if spec.component is not None:
        filled = {"trial_idx": 0, "attempt": 0, "experiment_name": spec.name, "output_dir": "", "tracker_base": ""}
        # A component that refuses this point is reported where jobs are rendered.
        with contextlib.suppress(ComponentError):
            for role in runs.appdef(example(spec), filled).roles:
                paths = (code.source / str(word) for word in [role.entrypoint, *role.args] if word)
                found |= dict.fromkeys(path for path in paths if path.is_relative_to(code.source) and _is_file(path))
    return tuple(found)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a long text, or one with a NUL, is no path
        return False
