"""What `component:` and `function:` point at: a file, a module, or a TorchX built-in, and a name in it."""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from axk8s.errors import ComponentError, suggestion

_NOT_CODE = {"__pycache__", "node_modules", "site-packages"}
_NEARBY_DEPTH = 3
"""How deep files are looked for to suggest one: enough for `src/package/train.py`, cheap in a large tree."""


@dataclass(frozen=True, slots=True)
class Reference:
    """`path.py:name`, `package.module:name`, or (both None) a TorchX built-in such as `dist.ddp`."""

    text: str
    """As the user wrote it."""
    name: str
    file: Path | None = None
    """Absolute; set for `path.py:name`."""
    module: str | None = None

    @property
    def builtin(self) -> bool:
        return self.file is None and self.module is None


def parse(text: str, *, base: Path, where: str, builtins: bool) -> Reference:
    """The reference that `text` writes; relative paths start at `base`.

    Args:
        text: as in the sweep file.
        base: folder of the sweep file.
        where: `file:line` of the key, with which every message starts.
        builtins: whether a text without a colon names a TorchX built-in (components do, functions do not).

    Raises:
        ComponentError: not of one of the three forms, or the file does not exist.
    """
    left, colon, name = text.rpartition(":")
    if not colon:
        if builtins and "." in text and not text.endswith(".py"):
            return Reference(text, text.rpartition(".")[2])
        forms = "path.py:function, package.module:function" + (
            ", or a TorchX built-in like dist.ddp" if builtins else ""
        )
        hint = f"write {text}:<function>" if text.endswith(".py") else f"write it as {forms}"
        raise ComponentError(f"{where}: {text!r} does not say which function", hint=hint)
    if not left or not name.isidentifier():
        raise ComponentError(
            f"{where}: {text!r} is not a reference to a function",
            hint="write path.py:function or package.module:function; the function stands at the top level of its file",
        )
    if left.endswith(".py") or "/" in left or os.sep in left:
        return Reference(text, name, file=_existing(text, left, base=base, where=where))
    if not all(part.isidentifier() for part in left.split(".")):
        raise ComponentError(
            f"{where}: {left!r} is neither a file nor a module", hint="files end with .py, modules are dotted names"
        )
    return Reference(text, name, module=left)


def of_callable(function: Callable[..., object]) -> Reference:
    """The reference with which another process can import `function`.

    Raises:
        ComponentError: it is nested, a lambda, or was typed into a notebook or shell, so no import finds it.
    """
    name = getattr(function, "__qualname__", type(function).__name__)
    module = getattr(function, "__module__", None) or ""
    if not name.isidentifier():
        raise ComponentError(
            f"{name} cannot be imported by a job: it is not a function at the top level of a file",
            hint="move it to the top level of a module",
        )
    if module != "__main__" and module in sys.modules:
        return Reference(f"{module}:{name}", name, module=module)
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        raise ComponentError(
            f"{name} cannot be imported by a job: it was defined in an interactive session",
            hint=f"write it to a file (in a notebook: %%writefile train.py) and give function='train.py:{name}'",
        )
    path = Path(file).resolve()
    return Reference(f"{path}:{name}", name, file=path)


def source_file(reference: Reference, *, roots: tuple[Path, ...]) -> Path | None:
    """The Python file that holds the function, found without importing anything; None for compiled modules.

    Raises:
        ModuleNotFoundError: no such module on `roots` or `sys.path`; `name` is the part that is missing.
    """
    if reference.file is not None:
        return reference.file
    assert reference.module is not None, "built-ins are loaded by TorchX"
    places: list[str] | None = [*map(str, roots), *sys.path]
    found = None
    seen = ""
    for part in reference.module.split("."):
        seen = f"{seen}.{part}" if seen else part
        # Editable installs have finders of their own, which only the general search asks.
        found = PathFinder.find_spec(seen, places) or (importlib.util.find_spec(seen) if "." not in seen else None)
        if found is None:
            raise ModuleNotFoundError(f"No module named {seen!r}", name=seen)
        places = list(found.submodule_search_locations or [])
    assert found is not None
    return Path(found.origin) if found.origin and found.origin.endswith(".py") else None


def _existing(text: str, written: str, *, base: Path, where: str) -> Path:
    path = (base / Path(written).expanduser()).resolve()
    if path.is_file():
        return path
    if path.is_dir():
        raise ComponentError(f"{where}: {written} is a folder", hint=f"name a file in it: {written}/train.py:function")
    near = _nearest(path, base)
    hint = f"did you mean {near}:{text.rpartition(':')[2]}?" if near else f"paths are relative to {base}"
    raise ComponentError(f"{where}: there is no file {path}", hint=hint)


def _nearest(path: Path, base: Path) -> str | None:
    """The file under `base` that was probably meant: the same name elsewhere, else one spelt alike."""
    nearby: list[str] = []
    for folder, folders, files in os.walk(base):
        depth = len(Path(folder).relative_to(base).parts)
        keep = [one for one in folders if depth < _NEARBY_DEPTH and one not in _NOT_CODE and not one.startswith(".")]
        folders[:] = sorted(keep)
        nearby += [os.path.relpath(Path(folder, file), base) for file in sorted(files) if file.endswith(".py")]
    same = [one for one in nearby if Path(one).name == path.name]
    if same:
        return same[0]
    by_name = {Path(one).name: one for one in reversed(nearby)}
    match = difflib.get_close_matches(path.name, by_name, n=1, cutoff=0.6)
    return by_name[match[0]] if match else None


def not_there(reference: Reference, found: list[str], *, where: str) -> ComponentError:
    """The error for a function that its file does not define; `found` are those that it does."""
    place = reference.file or reference.module
    hint = suggestion(reference.name, found) if found else "it defines no functions"
    return ComponentError(f"{where}: {place} has no function {reference.name!r}", hint=hint)
