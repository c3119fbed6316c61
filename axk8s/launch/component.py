"""`component:` a function from arguments to a TorchX `AppDef`, called in the controller for each attempt."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import shlex
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from torchx.specs import AppDef
from torchx.specs.finder import ComponentNotFoundException, ComponentValidationException, get_component, get_components

from axk8s.errors import ComponentError, Problem, SpecError, suggestion
from axk8s.launch import appdef, command, fit, reference, signature
from axk8s.launch.command import MalformedError, Word
from axk8s.launch.reference import Reference
from axk8s.launch.signature import Signature
from axk8s.launch.workspace import Workspace
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Parameters

_IMPORTING = threading.RLock()
"""`sys.path` and `sys.modules` belong to the whole process."""


@dataclass(frozen=True, slots=True)
class ComponentProgram:
    """A component as what runs."""

    spec: SweepSpec
    workspace: Workspace
    reference: Reference
    function: Callable[..., object]
    signature: Signature
    rest: tuple[Word, ...]
    """What its `*args` get: words with placeholders, as in `command:`."""
    places: tuple[Path, ...]
    """Folders that its imports may use."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(name for one in self.rest for name in one.names)

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.reference.file,) if self.reference.file is not None else ()

    def problems(self) -> list[Problem]:
        used = set(self.placeholders)
        elsewhere = set(self.spec.parameters) if command.ALL in used else used
        return [
            *fit.problems(self.signature, self.spec, key="component", elsewhere=elsewhere),
            *command.problems(self.rest, self.spec, key=f"arguments.{self.signature.rest}"),
        ]

    def warnings(self) -> list[str]:
        said = []
        where = self.spec.where("component")
        file = self.reference.file
        if self.workspace.pinned and file is not None and not file.is_relative_to(self.workspace.source):
            said.append(f"{where}: {file} lies outside the workspace, so an edit changes later trials")
        if self.spec.scheduler == "local_cwd" and Path.cwd() != self.workspace.root:
            said.append(f"{where}: local_cwd runs jobs in {Path.cwd()}, not in {self.workspace.root}")
        return said

    def appdef(self, parameters: Parameters, filled: Mapping[str, object]) -> AppDef:
        where = self.spec.where("component")
        constants = {name: value for name, value in self.spec.arguments.items() if name != self.signature.rest}
        taken = self.signature.arguments
        own = {name: value for name, value in parameters.items() if self.signature.takes_any or name in taken}
        rest = command.fill(self.rest, parameters, filled)
        values = {**constants, **self.signature.filled_in(filled), **own}
        with _imports(self.places):
            try:
                app = signature.call(self.function, values, rest)
            # The component is the user's: whatever it raises means that it refuses these values.
            except Exception as error:
                shown = ", ".join(f"{name}={value!r}" for name, value in own.items())
                raise ComponentError(
                    f"{where}: {self.reference.text} failed for {shown}: {_last_line(error)}",
                    hint="a component must accept every point of the search space",
                ) from error
        if not isinstance(app, AppDef):
            raise ComponentError(
                f"{where}: {self.reference.text} returned {type(app).__name__}, not an AppDef",
                hint="return torchx.specs.AppDef(...); a function that trains itself is a `function:`",
            )
        appdef.keep_values(app, [*values.values(), *rest])
        return app


def load(spec: SweepSpec, workspace: Workspace) -> ComponentProgram:
    """Import the component of `spec` and read its signature.

    Raises:
        ComponentError: it cannot be found or imported, or is not a function.
        SpecError: the constants for its `*args` have broken placeholders.
    """
    assert spec.component is not None
    where = spec.where("component")
    found = reference.parse(spec.component, base=spec.base, where=where, builtins=True)
    places = tuple(
        dict.fromkeys([*([workspace.moved(found.file).parent] if found.file else []), workspace.root, spec.base])
    )
    file = workspace.moved(found.file) if found.file is not None else None
    function = function_of(found, places, where=where, file=file)
    shape = signature.of_callable(function)
    return ComponentProgram(spec, workspace, found, function, shape, _rest(spec, shape), places)


def function_of(
    found: Reference, places: Sequence[Path], *, where: str, file: Path | None = None
) -> Callable[..., object]:
    """The function that a reference names, imported.

    Args:
        found: the reference.
        places: folders that its imports may use, beside `sys.path`.
        where: what every message starts with.
        file: a copy to import instead of the file itself.

    Raises:
        ComponentError: it cannot be found or imported, or is not a function.
    """
    if found.builtin:
        return _builtin(found.text, where=where)
    if found.file is not None:
        return _function(_load_file(file or found.file, places, where=where), found, where=where)
    return _function(_load_module(found, places, where=where), found, where=where)


def _builtin(name: str, *, where: str) -> Callable[..., object]:
    try:
        function: Callable[..., object] = get_component(name).fn
    except ComponentNotFoundException as error:
        hint = suggestion(name, get_components())
        raise ComponentError(f"{where}: TorchX has no built-in component {name!r}", hint=hint) from error
    except ComponentValidationException as error:
        raise ComponentError(f"{where}: TorchX rejects its component {name!r}: {error}") from error
    return function


def _load_module(found: Reference, places: Sequence[Path], *, where: str) -> ModuleType:
    assert found.module is not None
    with _imports(places):
        try:
            return importlib.import_module(found.module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{found.module}.".startswith(f"{error.name}."):
                raise _import_failed(error, where, found.module) from error
            raise ComponentError(
                f"{where}: there is no module {error.name!r}",
                hint="install it, or name the file: path.py:function",
            ) from error
        # Importing runs the user's code, which may raise anything.
        except (Exception, SystemExit) as error:
            raise _import_failed(error, where, found.module) from error


def _load_file(path: Path, places: Sequence[Path], *, where: str) -> ModuleType:
    name = f"axk8s_component_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ComponentError(f"{where}: {path} is not a Python file", hint="a component stands in a .py file")
    module = importlib.util.module_from_spec(spec)
    with _imports(places):
        # Dataclasses and pickle look a class's module up there.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        # As above.
        except (Exception, SystemExit) as error:
            sys.modules.pop(name, None)
            raise _import_failed(error, where, str(path)) from error
    return module


@contextlib.contextmanager
def _imports(places: Sequence[Path]) -> Iterator[None]:
    """Let imports find what lies in `places`; leaves `sys.path` and other sweeps' module names as they were."""
    with _IMPORTING:
        path, before = list(sys.path), set(sys.modules)
        sys.path[:0] = map(str, places)
        try:
            yield
        finally:
            sys.path[:] = path
            for name in set(sys.modules) - before:
                file = getattr(sys.modules[name], "__file__", None)
                # Another sweep may have another `model.py` beside its component.
                if file and not name.startswith("axk8s") and _within(file, places) and not _within(file, path):
                    sys.modules.pop(name, None)


def _within(file: str, folders: Iterable[str | Path]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders if folder != "")


def _function(module: ModuleType, found: Reference, *, where: str) -> Callable[..., object]:
    missing = object()
    function = getattr(module, found.name, missing)
    if function is missing:
        functions = [
            name
            for name, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
        ]
        raise reference.not_there(found, functions, where=where)
    if not callable(function):
        raise ComponentError(
            f"{where}: {found.text} is a {type(function).__name__}, not a function",
            hint="name the function that makes the AppDef",
        )
    called: Callable[..., object] = function
    return called


def _rest(spec: SweepSpec, shape: Signature) -> tuple[Word, ...]:
    given = spec.arguments.get(shape.rest) if shape.rest else None
    if given is None:
        return ()
    key = f"arguments.{shape.rest}"
    try:
        texts = (
            shlex.split(given)
            if isinstance(given, str)
            else [str(one) for one in given]
            if isinstance(given, list)
            else []
        )
        return tuple(map(Word.parse, texts))
    except MalformedError as error:
        raise SpecError([Problem(spec.where(key), key, str(error), error.hint)]) from error
    except ValueError as error:
        raise SpecError([Problem(spec.where(key), key, str(error), "give a list of words")]) from error


def _import_failed(error: BaseException, where: str, what: str) -> ComponentError:
    return ComponentError(f"{where}: {what} cannot be imported: {_last_line(error)}", hint="correct that line")


def _last_line(error: BaseException) -> str:
    """What the traceback of the user's code ends with, and where."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "importlib" not in one.filename]
    theirs = [one for one in frames if not Path(one.filename).is_relative_to(Path(__file__).parent)]
    place = f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    return f"{text}{place}"
