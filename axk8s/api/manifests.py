"""The Kubernetes objects that come with axk8s, as files to read and apply."""

from __future__ import annotations

import re
from pathlib import Path

from axk8s import names
from axk8s.errors import UsageError, suggestion

_ORDER = ("namespace", "rbac", "network-policy", "local-queue")
_WRITTEN = "sweeps"
"""The namespace that the files name."""


def manifest_names() -> list[str]:
    """What there is, in the order in which one would apply it."""
    found = [path.stem for path in _folder().glob("*.yaml")]
    return sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def manifest(name: str, *, namespace: str | None = None) -> str:
    """One of them, its comments included, for another namespace where one is given.

    Raises:
        UsageError: there is none of this name, or no namespace can be called so.
    """
    if name not in manifest_names():
        raise UsageError(f"there is no manifest {name!r}", hint=suggestion(name, manifest_names()))
    text = (_folder() / f"{name}.yaml").read_text("utf-8")
    if namespace is None:
        return text
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", namespace):
        raise UsageError(f"{namespace!r} cannot be a namespace", hint="at most 63 of a-z, 0-9 and '-'")
    return re.sub(rf"(?m)^(\s*(?:namespace|name): ){_WRITTEN}$", rf"\g<1>{namespace}", text)


def _folder() -> Path:
    """In a wheel they lie in the package, in a checkout beside it."""
    package = Path(names.__file__).parent
    inside = package / "manifests"
    return inside if inside.is_dir() else package.parent / "manifests"
