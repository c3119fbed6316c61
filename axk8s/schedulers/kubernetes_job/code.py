"""Code that travels as a ConfigMap: what may go in, under which keys, and where a container finds it. Pure.

It is mounted file by file below `ROOT`: what is under `code/` is the working directory, what is under `support/` the
standard-library part of axk8s. A ConfigMap is mounted read-only, and its files are links.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

ROOT = "/axk8s"
DIRECTORY = f"{ROOT}/code"
SUPPORT = f"{ROOT}/support"
LIMIT = 900_000
"""Bytes of content; the API server takes 1 MiB of a ConfigMap, keys and JSON's escapes included."""
_WIRE_LIMIT = 1_400_000
"""Bytes of the whole object as JSON; etcd takes 1.5 MiB in one request."""
_EXECUTABLE = 0o755


def keys(paths: Sequence[str]) -> list[str]:
    """A key for each path, readable, legal and unique; slashes become two underscores."""
    found: list[str] = []
    taken: set[str] = set()
    for number, path in enumerate(paths):
        key = plain = re.sub(r"[^-._a-zA-Z0-9]", "_", path.replace("/", "__"))[-200:]
        count = number
        while key in taken or key in ("", ".") or key.startswith(".."):
            key = f"{count}.{plain}"
            count += 1
        taken.add(key)
        found.append(key)
    return found


def digest(files: Mapping[str, bytes]) -> str:
    """Eight hex digits over all paths and contents: a ConfigMap of this name is this code."""
    whole = hashlib.sha256()
    for path, content in sorted(files.items()):
        whole.update(f"{path}\0{len(content)}\0".encode())
        whole.update(content)
    return whole.hexdigest()[:8]


def config_map(name: str, files: Mapping[str, bytes], labels: Mapping[str, str]) -> dict[str, Any]:
    """The ConfigMap of these files, immutable, so that nobody's edit changes half of the trials."""
    text: dict[str, str] = {}
    binary: dict[str, str] = {}
    paths = sorted(files)
    for key, path in zip(keys(paths), paths, strict=True):
        written = _text(files[path])
        if written is not None:
            text[key] = written
        else:
            binary[key] = base64.b64encode(files[path]).decode("ascii")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": dict(labels)},
        "immutable": True,
        **({"data": text} if text else {}),
        **({"binaryData": binary} if binary else {}),
    }


def _text(content: bytes) -> str | None:
    """The content as text; None where it is none, or holds NULs, for which JSON takes six bytes each."""
    try:
        return None if b"\0" in content else content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def too_large(files: Mapping[str, bytes]) -> bool:
    """Whether an API server would refuse it."""
    total = sum(map(len, files.values()))
    wire = sum(len(content) * 4 // 3 if b"\0" in content else len(content) for content in files.values())
    return total > LIMIT or wire > _WIRE_LIMIT


def volume(name: str, paths: Sequence[str]) -> dict[str, Any]:
    """The volume of a ConfigMap with these paths, given in sorted order."""
    items = [{"key": key, "path": path} for key, path in zip(keys(paths), paths, strict=True)]
    return {"name": "code", "configMap": {"name": name, "defaultMode": _EXECUTABLE, "items": items}}
