"""What a kind of scheduler must do for a sweep: this machine, Kubernetes Jobs, or any other that TorchX has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from torchx.specs import AppDryRunInfo

from axk8s.folder import AttemptFolder
from axk8s.sweep.model import Harvest, JobOrder, JobView, Submitted

Collect: TypeAlias = Callable[[AttemptFolder, Callable[[], Iterable[str]]], Harvest]
"""Reads what an attempt left, given its folder and a way to open the scheduler's log."""
Replica: TypeAlias = tuple[str, int]
"""A role's name and the index in it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sweep's jobs are, beyond the scheduler's name: found again only there."""

    uid: str
    """Tells it from every other place, also from one of the same name."""
    name: str
    """For a person: namespace and server."""


class Backend(Protocol):
    """All of one sweep's jobs on its scheduler; the methods may be called from any thread."""

    def place(self) -> Place | None:
        """Where the jobs are, where that can be mistaken."""

    def submit(self, order: JobOrder, info: AppDryRunInfo | None) -> Submitted:
        """Send what was rendered, or after a crash what can be found of it; adopts a job that exists.

        Raises:
            SubmitError: refused for good.
            PostponedError: no answer; the same call may be made again.
        """

    def watch(self, seen: Callable[[JobView], None]) -> None:
        """Start observing."""

    def follow(self, job: str, handle: str) -> None:
        """Observe this job from now on."""

    def stop(self, handle: str) -> None:
        """Ask the job to end."""

    def delete(self, handle: str) -> None:
        """Remove what the job left on the scheduler."""

    def harvest(self, order: JobOrder, handle: str, replicas: list[Replica]) -> Harvest:
        """Values and last log lines of an ended attempt."""

    def lines(self, order: JobOrder, handle: str, replica: Replica, *, follow: bool) -> Iterator[str]:
        """The output of one replica."""

    def output(self, order: JobOrder, handle: str, replica: Replica) -> Iterator[str]:
        """The output of one replica of a running job as it comes, with as few calls as can be.

        Raises:
            Axk8sError: there is none.
        """

    def tail(self, order: JobOrder, handle: str, lines: int) -> list[str]:
        """The last lines of the output: of the replica that failed, where the scheduler says which.

        Raises:
            Axk8sError: there is none.
        """

    def tidy(self) -> None:
        """Remove what the jobs shared, now that none is left."""

    def close(self) -> None:
        """Stop observing; jobs go on running."""
