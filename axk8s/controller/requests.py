"""What another shell asks of the controller: one small file each, applied by whoever holds the lock."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

Verb: TypeAlias = Literal["stop", "pause", "resume"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `trial` None means the whole sweep."""

    id: str
    verb: Verb
    trial: int | None = None


def write_request(folder: Path, verb: Verb, *, trial: int | None = None) -> Request:
    """Leave a request; it appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    request = Request(uuid.uuid4().hex, verb, trial)
    temporary = folder / f".{request.id}"
    temporary.write_text(json.dumps({"verb": verb, "trial": trial}), encoding="utf-8")
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
            requests.append((written, Request(path.stem, data["verb"], data.get("trial"))))
    return [request for _, request in sorted(requests, key=lambda pair: (pair[0], pair[1].id))]


def remove_request(folder: Path, request: Request) -> None:
    """Forget an applied request; idempotent."""
    _path(folder, request).unlink(missing_ok=True)


def _path(folder: Path, request: Request) -> Path:
    return folder / f"{request.id}.json"
