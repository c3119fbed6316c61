"""What the controller needs of the world, as Protocols: `launch`, `optimize` and `simulate` meet them by shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from axk8s.sweep.model import Harvest, JobOrder, JobView, OptimizerReply, Submitted, TrialFact


class Clock(Protocol):
    """Wall-clock time as Unix seconds."""

    def now(self) -> float: ...


class Jobs(Protocol):
    """Makes, watches and ends jobs on one scheduler; its methods may be called from any thread."""

    def render(self, order: JobOrder) -> Mapping[str, float]:
        """Write `params.json` and `manifest.yaml` into the attempt's folder, before the intent is journaled.

        Returns what the job will hold while it runs: `cpu` (cores), `memory` (GiB), `gpu`, devices by their names.

        Raises:
            ComponentError: the component refuses these parameters.
        """

    def submit(self, order: JobOrder) -> Submitted:
        """Send the rendered job, or adopt the one of this name that exists; blocks; safe to repeat after a crash.

        Raises:
            SubmitError: refused for good.
        """

    def watch(self, seen: Callable[[JobView], None]) -> None:
        """Start observing; `seen` is called from the observer's threads for each change of a followed job."""

    def follow(self, job: str, handle: str) -> None:
        """Observe this job from now on; its present view is reported at once, also when it has already ended."""

    def stop(self, handle: str) -> None:
        """Ask the job to end (SIGTERM, grace, SIGKILL); returns at once, idempotent; the end comes by `seen`."""

    def delete(self, handle: str) -> None:
        """Remove what the job left on the scheduler (not our files); idempotent."""

    def harvest(self, order: JobOrder, handle: str) -> Harvest:
        """Values and last log lines of an ended attempt; called from a worker, may block for the grace time."""

    def close(self) -> None:
        """Stop observing; jobs go on running."""


class Optimizer(Protocol):
    """Proposes trials. `tell` and `ask` return at once; answers come by the callback, from any thread."""

    def start(self, reply: Callable[[OptimizerReply], None]) -> None: ...

    def tell(self, fact: TrialFact) -> None:
        """A trial was suggested (no outcome), or has ended; the latest fact of a trial replaces earlier ones."""

    def ask(self, count: int, *, replace: bool = False) -> None:
        """Ask for `count` proposals, given all that was told; at most one ask is under way at a time.

        With `replace` they come in place of those that were proposed and are no trials yet, which will be dropped.
        """

    def close(self) -> None: ...
