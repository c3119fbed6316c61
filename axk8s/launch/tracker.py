"""Reading the results that TorchX's `FsspecResultTracker` keeps: one JSON file a trial, `<tracker_base>/<trial>`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import fsspec
from torchx.runtime.tracking import FsspecResultTracker

from axk8s.errors import Axk8sError, UsageError


class UnreadableError(Axk8sError):
    """The tracker's storage does not answer: nothing is known of the result."""


class DamagedError(Axk8sError):
    """There is a file, and it is no JSON object: half written, or not the tracker's."""


class UnsupportedError(Axk8sError):
    """No installed package reads such a storage; asking again does not help."""


def base_of(given: object, owner: str) -> str:
    """The `tracker_base` that was given, as text.

    Raises:
        UsageError: it is neither a text nor a path.
    """
    if isinstance(given, str | os.PathLike) and str(given):
        return os.fspath(given)
    raise UsageError(
        f"{owner}(tracker_base={given!r}): it is neither a folder nor a URL",
        hint="name the place where trials leave their results: '/home/me/results', 's3://bucket/results'",
    )


def path(base: str, trial: int) -> str:
    """Where the result of a trial lies, for messages."""
    place = base if "://" in base else str(Path(base).absolute())
    return f"{place.rstrip('/')}/{trial}"


def _supported(base: str, place: str = "") -> None:
    protocols, remote, _ = base.partition("://")
    for protocol in protocols.split("::") if remote else ():
        try:
            fsspec.get_filesystem_class(protocol)
        except (ImportError, ValueError) as error:
            raise UnsupportedError(f"{place or base} cannot be read on this machine: {error}") from error


def results(base: str, trial: int) -> dict[str, Any] | None:
    """The results of a trial; None when there are none.

    Raises:
        UnsupportedError: no installed package reads such a storage.
        UnreadableError: the storage does not answer.
        DamagedError: the file is half written.
    """
    _supported(base, path(base, trial))
    try:
        found = FsspecResultTracker(base)[str(trial)]
    except ValueError as error:
        raise DamagedError(f"{path(base, trial)} is not JSON, or only the beginning of it: {error}") from error
    # fsspec's file systems raise what their client libraries do.
    except Exception as error:
        raise UnreadableError(f"{path(base, trial)} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(found, dict):
        raise DamagedError(f"{path(base, trial)} holds {json.dumps(found)[:80]}, not a JSON object")
    return found or None


def values(base: str, trial: int) -> dict[str, float]:
    """The numbers among a trial's results; `name/mean`, as TorchX's tracker writes an estimate, is `name`.

    Raises:
        Axk8sError: as `results`.
    """
    found = results(base, trial) or {}
    numbers = {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
    return {name.removesuffix("/mean"): value for name, value in numbers.items() if not name.endswith("/sem")}


def look(base: str) -> None:
    """See whether the storage answers; an empty or missing folder is an answer.

    Raises:
        UnsupportedError: no installed package reads such a storage.
        UnreadableError: the storage does not answer.
    """
    _supported(base)
    try:
        files, root = fsspec.core.url_to_fs(base)
        files.exists(root)
    # fsspec's file systems raise what their client libraries do.
    except Exception as error:
        raise UnreadableError(f"{base} cannot be read: {type(error).__name__}: {error}") from error


def stamp(base: str, trial: int) -> str:
    """When the result of a trial was written, as a text to compare with; empty when there is none, or none can be told.

    A trial of an earlier experiment may have left its file under the same base and number.
    """
    try:
        files, root = fsspec.core.url_to_fs(path(base, trial))
        files.invalidate_cache()
        return str(files.modified(root).timestamp())
    except Exception:  # noqa: BLE001  (not every file system tells times, and each says so in its own way)
        return ""
