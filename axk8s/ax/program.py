"""The component of a runner: a callable or a reference to one, what it is saved as, and whether a search space fits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torchx.specs import AppDef

from axk8s.errors import ComponentError, suggestion
from axk8s.launch import appdef, component, reference, signature
from axk8s.launch.signature import Signature

WHERE = "TorchXRunner(component=…)"
"""Where a component is written, for messages; Python code has no line that is known here."""

PASSED = ("trial_idx", "tracker_base", "experiment_name")
"""Arguments that are passed when the component declares them."""


class Saved(str):
    """The reference of a component that was read from a file: imported when a trial runs, not before.

    So results can be looked at on a machine that does not have the component.
    """

    root: Path | None = None
    """Where its module was imported from when it was saved: another process may have other places to look in."""

    @classmethod
    def of(cls, text: str, root: str | None) -> Saved:
        """A reference, and the folder that was written with it."""
        made = cls(text)
        made.root = Path(root) if root is not None else None
        return made


@dataclass(frozen=True)
class Program:
    """A component, and the constants that it always gets."""

    given: Callable[..., object] | str
    constants: Mapping[str, Any]
    base: Path
    """Where relative paths in a reference start."""

    @cached_property
    def function(self) -> Callable[..., object]:
        """The component itself.

        Raises:
            ComponentError: the reference leads to no function.
        """
        if not isinstance(self.given, str):
            return self.given
        found = reference.parse(self.given, base=self.base, where=WHERE, builtins=True)
        folder = found.file.parent if found.file is not None else self.base
        roots = [folder, self.base, *([self.root] if self.root is not None else [])]
        return component.function_of(found, list(dict.fromkeys(roots)), where=WHERE)

    @cached_property
    def signature(self) -> Signature:
        try:
            return signature.of_callable(self.function)
        except (TypeError, ValueError) as error:
            raise ComponentError(
                f"{WHERE}: {self.name} is no function whose arguments can be read",
                hint="give a function that returns an AppDef, or a reference to one: 'path.py:function'",
            ) from error

    @cached_property
    def root(self) -> Path | None:
        """The folder from which the component's module is imported; None where its reference names a file."""
        if isinstance(self.given, Saved):
            return self.given.root
        if isinstance(self.given, str):
            return self.base
        module = sys.modules.get(getattr(self.given, "__module__", None) or "")
        if module is None or module.__name__ == "__main__" or not getattr(module, "__file__", None):
            return None
        file = Path(str(module.__file__)).resolve()
        return file.parents[module.__name__.count(".") + (file.stem == "__init__")]

    @property
    def name(self) -> str:
        """What to call it in messages."""
        if isinstance(self.given, str):
            return str(self.given)
        return getattr(self.given, "__qualname__", type(self.given).__name__)

    @cached_property
    def text(self) -> str:
        """The reference with which another process finds the component.

        Raises:
            ComponentError: there is none: it is nested, a lambda, a partial, or was typed into a notebook.
        """
        if isinstance(self.given, str):
            found = reference.parse(self.given, base=self.base, where=WHERE, builtins=True)
            return f"{found.file}:{found.name}" if found.file is not None else str(self.given)
        hint = "move the component to the top level of a .py file, or give it as 'path.py:function'"
        try:
            found = reference.of_callable(self.given)
        except ComponentError as error:
            raise ComponentError(f"{WHERE}: it cannot be saved: {error.message}", hint=hint) from error
        # A program that Python reads from its standard input calls itself `<stdin>`.
        if found.file is not None and not found.file.is_file():
            raise ComponentError(f"{WHERE}: it cannot be saved: {self.name} stands in no file", hint=hint)
        module = sys.modules[getattr(self.given, "__module__", None) or ""]
        if getattr(module, found.name, None) is not self.given:
            raise ComponentError(
                f"{WHERE}: {found.text} cannot be saved: that name stands for something else",
                hint="give a function that stands at the top level of a module under its own name",
            )
        if found.file is None:
            try:
                reference.source_file(found, roots=())
            except ModuleNotFoundError:
                # Imported from a place that another process will not know.
                return f"{Path(module.__file__ or '').resolve()}:{found.name}"
        return found.text

    def check(self, parameters: Iterable[str] | None = None) -> None:
        """Hold the constants, and the search space's names when they are given, against the signature.

        Raises:
            ComponentError: an argument is unknown to the component, or one that it needs is filled by nobody.
        """
        taken = self.signature.arguments
        for source, names in (("component_const_params", self.constants), ("the search space", parameters or ())):
            for name in names:
                if name not in taken and not self.signature.takes_any:
                    hint = suggestion(name, taken)
                    raise ComponentError(f"{WHERE}: {self.name} has no argument {name!r} (from {source})", hint=hint)
        if parameters is None:
            return
        filled = {*parameters, *self.constants, *PASSED}
        missing = [name for name in self.signature.required if name not in filled]
        if missing:
            raise ComponentError(
                f"{WHERE}: nothing fills the argument {', '.join(missing)} of {self.name}",
                hint="make it a parameter of the experiment, or give it in component_const_params",
            )

    def appdef(self, parameters: Mapping[str, object], passed: Mapping[str, object]) -> AppDef:
        """The AppDef of one point of the search space.

        Raises:
            ComponentError: the component refuses these values, or returns something else.
        """
        values = {**self.constants, **parameters, **self.signature.filled_in(passed)}
        try:
            app = signature.call(self.function, values)
        # The component is the user's: whatever it raises means that it refuses these values.
        except Exception as error:
            shown = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
            raise ComponentError(
                f"{WHERE}: {self.name} failed for {shown}: {type(error).__name__}: {error}",
                hint="a component must accept every point of the search space",
            ) from error
        if not isinstance(app, AppDef) or not app.roles:
            what = "an AppDef without roles" if isinstance(app, AppDef) else f"{type(app).__name__}, not an AppDef"
            raise ComponentError(
                f"{WHERE}: {self.name} returned {what}", hint="return torchx.specs.AppDef(name=…, roles=[Role(…)])"
            )
        appdef.keep_values(app, values.values())
        return app
