"""`function:` a plain Python function. Here it is read, never imported: loading torch takes seconds."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torchx.specs import AppDef

from axk8s import names
from axk8s.errors import ComponentError, Problem
from axk8s.launch import appdef, fit, reference, signature
from axk8s.launch.reference import Reference
from axk8s.launch.signature import Signature
from axk8s.launch.workspace import Workspace
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Parameters

RUNNER = "axk8s.function_runner"
"""The module that calls the function inside the job."""


@dataclass(frozen=True, slots=True)
class FunctionProgram:
    """A Python function as what runs."""

    spec: SweepSpec
    workspace: Workspace
    reference: Reference
    signature: Signature | None
    """None when the source does not show it: the name is imported or assigned there."""
    file: Path | None

    @property
    def placeholders(self) -> tuple[str, ...]:
        return ()

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.file,) if self.file is not None else ()

    def problems(self) -> list[Problem]:
        return fit.problems(self.signature, self.spec, key="function") if self.signature else []

    def warnings(self) -> list[str]:
        where = self.spec.where("function")
        said = []
        if self.signature is None:
            said.append(
                f"{where}: the arguments of {self.reference.text} cannot be read from its source, so are unchecked"
            )
        if self.workspace.pinned and self.file and not self.file.is_relative_to(self.workspace.source):
            said.append(f"{where}: {self.file} lies outside the workspace, so an edit changes later trials")
        return said

    def appdef(self, parameters: Parameters, filled: Mapping[str, object]) -> AppDef:  # noqa: ARG002  (in the environment)
        python = sys.executable if appdef.on_this_machine(self.spec) else "python"
        env = {names.ENV_ARGUMENTS: json.dumps(self.spec.arguments)}
        if len(self.spec.objectives) == 1:
            env[names.ENV_OBJECTIVE] = self.spec.objectives[0].metric
        return appdef.single(self.spec, self.workspace, [python, "-m", RUNNER, self._written()], env)

    def _written(self) -> str:
        """The reference as the job understands it."""
        if self.reference.file is None:
            return self.reference.text
        path = self.workspace.moved(self.reference.file)
        if appdef.in_cluster(self.spec) and self.spec.workspace is None:
            return f"{path.name}:{self.reference.name}"  # it travels alone
        if not appdef.on_this_machine(self.spec) and path.is_relative_to(self.workspace.root):
            path = path.relative_to(self.workspace.root)
        return f"{path}:{self.reference.name}"


def load(spec: SweepSpec, workspace: Workspace) -> FunctionProgram:
    """Find the function of `spec` and read its signature.

    Raises:
        ComponentError: no such file, module or function; it is not Python; or the function is asynchronous.
    """
    assert spec.function is not None
    where = spec.where("function")
    found = reference.parse(spec.function, base=spec.base, where=where, builtins=False)
    try:
        file = reference.source_file(found, roots=(workspace.root, spec.base))
    except ModuleNotFoundError as error:
        raise ComponentError(
            f"{where}: there is no module {error.name!r} in this Python or in {workspace.source}",
            hint="install it, or name the file: path.py:function",
        ) from error
    if file is None:
        return FunctionProgram(spec, workspace, found, None, None)
    return FunctionProgram(spec, workspace, found, _read(found, workspace.moved(file), where=where), file)


def _read(found: Reference, file: Path, *, where: str) -> Signature | None:
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except SyntaxError as error:
        raise ComponentError(
            f"{where}: {file}:{error.lineno or 1}: {error.msg}", hint="the file is not valid Python; correct this line"
        ) from error
    except (OSError, ValueError) as error:
        raise ComponentError(f"{where}: {file} cannot be read: {error}") from error
    defined = list(_defined(tree.body))
    # The last one wins, as when the file is run.
    for node in reversed(defined):
        if isinstance(node, ast.FunctionDef) and node.name == found.name:
            return signature.of_source(node)
        if isinstance(node, ast.AsyncFunctionDef) and node.name == found.name:
            message = f"{where}: {found.name} is asynchronous ({file}:{node.lineno})"
            raise ComponentError(message, hint="give a plain function that calls asyncio.run()")
        if found.name in _bound(node):
            return None
    functions = [node.name for node in defined if isinstance(node, ast.FunctionDef)]
    raise reference.not_there(found, functions, where=where)


def _defined(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of the module's own level, also those under `if`, `try` and `with`."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try | ast.With):
                yield from _defined(getattr(node, part, []))
        if isinstance(node, ast.Try):
            for handler in node.handlers:
                yield from _defined(handler.body)


def _bound(node: ast.stmt) -> set[str]:
    """Names that a statement binds without showing what to; `*` may be any."""
    match node:
        case ast.Import() | ast.ImportFrom():
            return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        case ast.Assign():
            return {target.id for target in node.targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.ClassDef(name=name):
            return {name}
    return set()
