"""What another shell asks of the controller: one small file each, applied by whoever holds the lock."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from axk8s.sweep.model import Parameters

Verb: TypeAlias = Literal["stop", "pause", "resume", "enqueue"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `trial` None means the whole sweep, `parameters` are those of a trial to come."""

    id: str
    verb: Verb
    trial: int | None = None
    parameters: Parameters = field(default_factory=dict)


def write_request(
    folder: Path, verb: Verb, *, trial: int | None = None, parameters: Parameters | None = None
) -> Request:
    """Leave a request; it appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    request = Request(uuid.uuid4().hex, verb, trial, parameters or {})
    temporary = folder / f".{request.id}"
    content = {"verb": verb, "trial": trial, "parameters": dict(request.parameters)}
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(_path(folder, request))
    return request


def pending_requests(folder: Path) -> list[Request]:
    """The requests that wait, oldest first; a file that is no request is left alone."""
    requests = []
    for path in folder.glob("*.json"):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            written = path.stat().st_mtime_ns
        except (OSError, ValueError):
            continue
        if isinstance(data, dict) and data.get("verb") in get_args(Verb):
            request = Request(path.stem, data["verb"], data.get("trial"), data.get("parameters") or {})
            requests.append((written, request))
    return [request for _, request in sorted(requests, key=lambda pair: (pair[0], pair[1].id))]


def remove_request(folder: Path, request: Request) -> None:
    """Forget an applied request; idempotent."""
    _path(folder, request).unlink(missing_ok=True)


def _path(folder: Path, request: Request) -> Path:
    return folder / f"{request.id}.json"
