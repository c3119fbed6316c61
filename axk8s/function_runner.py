"""Calls the `function:` of a sweep file inside its job, and reports what it returns.

    python -m axk8s.function_runner train.py:train

Standard library only: it runs in the training image. A number that the function returns is the value of the sweep's
objective, a mapping holds the values of several metrics (each a number, or a tuple of a value and its standard error),
None says nothing (the function has called `report()` itself).
An exception ends the job as it would end any script, with its traceback and exit code 1; what cannot be a result, or
a function that cannot be found, with a sentence and exit code 2.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axk8s import training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

MISUSED = 2

# The environment of the job, and the arguments that are filled in from it when the function declares them.
_ARGUMENTS = "AXK8S_ARGUMENTS"
_OBJECTIVE = "AXK8S_OBJECTIVE"
_FILLED_IN: dict[str, tuple[str, Callable[[str], object]]] = {
    "trial_idx": ("AXK8S_TRIAL", int),
    "attempt": ("AXK8S_ATTEMPT", int),
    "experiment_name": ("AXK8S_SWEEP", str),
    "output_dir": ("AXK8S_OUTPUT_DIR", str),
    "tracker_base": ("AXK8S_TRACKER_BASE", str),
}


class MisuseError(Exception):
    """What the sweep file or the function's result got wrong, as a sentence."""


def main(argv: list[str]) -> int:
    """Run `argv[0]`, a reference to a function; the exit code."""
    if len(argv) != 1:
        return _misused("usage: python -m axk8s.function_runner path.py:function")
    try:
        function = load(argv[0])
        places, named = arguments(function)
    except MisuseError as error:
        return _misused(str(error))
    try:
        result = function(*places, **named)
    except Exception as error:  # noqa: BLE001  (the user's: shown as Python would, but without this file's frames)
        inner = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(inner), inner)
        return 1
    try:
        training.report(metrics(result, os.environ.get(_OBJECTIVE)))
    except (MisuseError, TypeError, ValueError) as error:
        return _misused(f"{argv[0]} returned what cannot be a result: {error}")
    return 0


def load(text: str) -> Callable[..., object]:
    """The function that `path.py:name` or `package.module:name` means."""
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise MisuseError(f"{text!r} is not path.py:function or package.module:function")
    module = _file(Path(place)) if place.endswith(".py") or os.sep in place else _module(place)
    function = getattr(module, name, None)
    if not callable(function):
        what = "no function" if function is None else f"a {type(function).__name__}, not a function,"
        raise MisuseError(f"{place} has {what} {name!r}")
    found: Callable[..., object] = function
    return found


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A module that the training code itself misses is the training code's own error, with its traceback.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise MisuseError(f"there is no module {error.name!r}; searched: {', '.join(sys.path)}") from error
        raise


def _file(path: Path) -> ModuleType:
    path = path.absolute()
    if not path.is_file():
        raise MisuseError(f"there is no file {path}")
    # As `python train.py` does: what lies beside the script can be imported.
    sys.path.insert(0, str(path.parent))
    # Its plain name, so that worker processes of a data loader can import it again; unless that is somebody else's.
    if path.stem.isidentifier() and path.stem not in sys.modules:
        found = importlib.util.find_spec(path.stem)
        if found is not None and found.origin is not None and Path(found.origin).absolute() == path:
            return importlib.import_module(path.stem)
    spec = importlib.util.spec_from_file_location(f"axk8s_function_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise MisuseError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def arguments(function: Callable[..., object]) -> tuple[list[object], dict[str, object]]:
    """Positional and keyword arguments: the trial's parameters, the sweep's constants, and what is filled in."""
    values = {**_object(_ARGUMENTS), **training.parameters()}
    try:
        declared = inspect.signature(function).parameters
    except ValueError:  # written in C, without a signature
        return [], values
    for name, (variable, kind) in _FILLED_IN.items():
        if name in declared and name not in values and variable in os.environ:
            values[name] = kind(os.environ[variable])
    places: list[object] = []
    for parameter in declared.values():
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.name in values:
            places.append(values.pop(parameter.name))
        elif parameter.kind is parameter.VAR_POSITIONAL and isinstance(values.get(parameter.name), list):
            places += [values.pop(one.name, one.default) for one in _before(declared, parameter.name, places)]
            places += values.pop(parameter.name)
    return places, values


def _before(declared: Mapping[str, inspect.Parameter], name: str, filled: list[object]) -> list[inspect.Parameter]:
    """The arguments that `*args` push into their places: those before it that have none yet."""
    ordered = list(declared.values())
    return ordered[len(filled) : [one.name for one in ordered].index(name)]


def metrics(result: Any, objective: str | None) -> Mapping[str, Any] | None:
    """What a function returned, as metric names and values; None when it returned nothing."""
    if result is None:
        return None
    if hasattr(result, "keys") and hasattr(result, "__getitem__"):
        return {name: result[name] for name in result.keys()}  # noqa: SIM118  (whatever is a mapping by shape)
    if isinstance(result, tuple) and len(result) == 2:
        # Not taken for a value and its standard error: as likely it is two metrics.
        name = objective or "loss"
        raise MisuseError(
            f"tuple {result!r:.60}; return a mapping: {{{name!r}: (value, standard error)}}, or each metric by its name"
        )
    if isinstance(result, (str, bytes, list, tuple, set)) or not hasattr(result, "__float__"):
        raise MisuseError(
            f"{type(result).__name__} {result!r:.60}; return a number, a mapping of metric names to numbers, or None"
        )
    if not objective:
        raise MisuseError(
            "one number, and the sweep has several objectives; return a mapping of metric names to numbers"
        )
    return {objective: result}


def _object(variable: str) -> dict[str, Any]:
    try:
        found = json.loads(os.environ.get(variable) or "{}")
    except ValueError as error:
        raise MisuseError(f"{variable} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise MisuseError(f"{variable} is not a JSON object")
    return found


def _misused(sentence: str) -> int:
    sys.stderr.write(f"axk8s: {sentence}\n")
    return MISUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
