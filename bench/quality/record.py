"""The result file: every run on a line of its own, under the command that it came from. Runs are added, never lost."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench._result import Bar, machine
from bench.quality.race import Run

_PACKAGES = ("ax-platform", "botorch", "optuna", "torch", "numpy")


@dataclass(slots=True)
class Record:
    """What the file holds."""

    sessions: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Record:
        """What was measured so far; nothing where there is no file.

        Raises:
            SystemExit: the file is none of this benchmark's.
        """
        if not path.exists():
            return cls()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(content["sessions"], [Run(**run) for run in content["runs"]])
        except (ValueError, KeyError, TypeError) as error:
            raise SystemExit(
                f"{path} is no result of this benchmark ({type(error).__name__}: {error}): name another file with "
                "--output, or remove this one to begin anew"
            ) from None

    def begin(self) -> int:
        """A session for the runs of this command; its index."""
        self.sessions.append(
            {
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "command": shlex.join(["python", *sys.orig_argv[1:]]),
                "machine": machine(),
                "versions": {name: version for name in _PACKAGES if (version := _version(name))},
            }
        )
        return len(self.sessions) - 1

    def write(self, path: Path, bars: Sequence[Bar]) -> None:
        """Replace the file at once: a run that is killed must not cost those before it."""
        runs = ",\n".join("  " + json.dumps(asdict(run)) for run in sorted(self.runs, key=lambda run: run.key))
        head = json.dumps(
            {"benchmark": "quality", "sessions": self.sessions, "bars": list(map(asdict, bars))}, indent=1
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(f'{head.removesuffix("}").rstrip()},\n "runs": [\n{runs}\n ]\n}}\n', encoding="utf-8")
        partial.replace(path)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
