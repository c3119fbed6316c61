"""What the controller needs of the world, as Protocols: `launch`, `optimize` and `simulate` meet them by shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from axk8s.folder import AttemptFolder
from axk8s.sweep.model import Harvest, JobOrder, JobView, OptimizerReply, Submitted, TrialFact
from axk8s.sweep.stopping import Progress


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

    def growing(self, order: JobOrder) -> AttemptFolder | None:
        """The attempt's folder, where its own metrics file and output grow in it while it runs."""

    def output(self, order: JobOrder, handle: str) -> Iterator[str]:
        """Lines of the replica that reports, as they come, from the beginning; ends when there will be no more.

        Raises:
            Axk8sError: there are none to be had.
        """

    def close(self) -> None:
        """Stop observing; jobs go on running."""


class Curves(Protocol):
    """What attempts report while they run; asked for only where trials are stopped early."""

    def begin(self, told: Callable[[str, Progress], None]) -> None:
        """From now on tell what attempts report, by the names of their jobs, from any thread."""

    def follow(self, order: JobOrder, handle: str) -> None:
        """An attempt runs; what it has reported so far is told too."""

    def last(self, order: JobOrder, folder: AttemptFolder) -> Progress:
        """What was not told of an attempt that has ended and been harvested; called from a worker, may block."""

    def close(self) -> None:
        """Tell nothing from now on."""


class Optimizer(Protocol):
    """Proposes trials. `tell` and `ask` return at once; answers come by the callback, from any thread."""

    def start(self, reply: Callable[[OptimizerReply], None]) -> None: ...

    def tell(self, fact: TrialFact) -> None:
        """A trial was suggested (no outcome), or has ended; the latest fact of a trial replaces earlier ones."""

    def ask(self, count: int, *, replace: bool = False) -> None:
        """Ask for `count` proposals, given all that was told; at most one ask is under way at a time.

        The answer may have fewer: a model makes a few at a time, so that slots need not wait for all of them, and is
        asked again for the rest.

        With `replace` they come in place of those that were proposed and are no trials yet, which will be dropped.
        """

    def close(self) -> None: ...
