"""The code that goes to a cluster with the jobs: the pinned workspace, and the part of axk8s that runs inside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from axk8s import names
from axk8s.errors import Problem, SpecError
from axk8s.launch import reference, workspace
from axk8s.launch.workspace import Workspace
from axk8s.schedulers.kubernetes_job import code as travel
from axk8s.spec.sweep import SweepSpec

_SUPPORT = ("__init__.py", "training.py", "function_runner.py")
"""Standard library only."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """Files by their paths below the mounted folder, and the name of the ConfigMap that has them."""

    name: str
    files: Mapping[str, bytes]
    left_out: tuple[str, ...] = ()
    """Links to folders, which cannot travel: data sets, mostly."""

    @property
    def paths(self) -> list[str]:
        return sorted(self.files)


def pack(spec: SweepSpec, code: Workspace, uid: str) -> Shipment | None:
    """What travels with the jobs of a sweep; None where the image has it all.

    With `workspace:` that folder; without it the file of a `function:`, which runs nowhere else; a component and a
    command of an image of their own need nothing.

    Raises:
        SpecError: it is more than a ConfigMap can hold.
    """
    files, left_out = _code(spec, code)
    if not files:
        return None
    here = Path(names.__file__).parent
    whole = {f"code/{path}": content for path, content in files.items()}
    whole |= {f"support/axk8s/{name}": (here / name).read_bytes() for name in _SUPPORT}
    if travel.too_large(whole):
        raise SpecError([_too_large(spec, files)])
    name = f"{names.slug(spec.name)}-{uid[:6]}-code-{travel.digest(whole)}"
    return Shipment(name, whole, tuple(left_out))


def _code(spec: SweepSpec, code: Workspace) -> tuple[dict[str, bytes], list[str]]:
    if spec.workspace is not None:
        return workspace.contents(code)
    if spec.function is None:
        return {}, []
    found = reference.parse(spec.function, base=spec.base, where=spec.where("function"), builtins=False)
    return ({found.file.name: found.file.read_bytes()}, []) if found.file is not None else ({}, [])


def _too_large(spec: SweepSpec, files: Mapping[str, bytes]) -> Problem:
    total = sum(map(len, files.values()))
    largest = sorted(files, key=lambda path: -len(files[path]))[:3]
    shown = ", ".join(f"{path} ({len(files[path]) / 1000:,.0f} kB)" for path in largest)
    key = "workspace" if spec.workspace is not None else "function"
    message = f"{total / 1000:,.0f} kB of code cannot travel as a ConfigMap (at most 900 kB); most in {shown}"
    hint = (
        "name in .gitignore what jobs do not need, or build an image that holds the code and leave `workspace` out; "
        "data belong on a volume: -cfg volumes=claim:/data"
    )
    return Problem(spec.where(key), key, message, hint)
