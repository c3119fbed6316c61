"""What attempts and machines share, where the sweep file names a place for it: `storage:`.

On this machine everything is shared anyway, and the sweep's own folder serves. Elsewhere a folder (a claim that is
mounted, or a path that is the same on every machine) holds outputs and checkpoints; a URL holds what a tracker writes,
and training code that can write there its checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

from axk8s import names
from axk8s.spec.sweep import SweepSpec

MOUNTED = "/axk8s-storage"
"""Where a claim is mounted in the containers."""
_CLAIM = "pvc://"


@dataclass(frozen=True, slots=True)
class Storage:
    """One sweep's part of it."""

    base: str
    """As jobs name it: a path or a URL."""
    claim: str = ""
    """The PersistentVolumeClaim that has to be mounted; empty where none has."""

    @classmethod
    def of(cls, spec: SweepSpec, uid: str) -> Storage | None:
        """The part of a sweep; None without `storage`."""
        given = spec.storage
        if given is None:
            return None
        own = f"{names.slug(spec.name)}-{uid[:6]}"
        if given.startswith(_CLAIM):
            claim, _, path = given.removeprefix(_CLAIM).partition("/")
            return cls("/".join(part for part in (MOUNTED, path, own) if part), claim)
        return cls(f"{given}/{own}")

    @property
    def is_folder(self) -> bool:
        """Whether jobs reach it as files."""
        return self.base.startswith("/")

    @property
    def readable(self) -> bool:
        """Whether the controller can look into it as well."""
        return not self.claim

    def checkpoints(self, trial: int) -> str:
        """Shared by all attempts of a trial."""
        return f"{self.base}/{trial}/checkpoints"

    def output(self, trial: int, attempt: int) -> str:
        """Of one attempt alone."""
        return f"{self.base}/{trial}/{attempt}/output"

    def tracker(self, trial: int, attempt: int) -> str:
        """The base of TorchX's tracker for one attempt."""
        return f"{self.base}/{trial}/{attempt}/tracker"
