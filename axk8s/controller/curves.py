"""What running attempts report, as it comes: looked at by one thread, for sweeps that stop trials early.

Where an attempt's own files grow within reach (on this machine), their new lines are read. Elsewhere the output of the
replica that reports is followed, by a thread for each running attempt that only waits for lines.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, Protocol

from axk8s.errors import Axk8sError
from axk8s.folder import AttemptFolder
from axk8s.metrics.progress import Tail
from axk8s.sweep.model import JobOrder
from axk8s.sweep.stopping import Progress
from axk8s.training import Record, parse_line

LOOK_EVERY = 1.0
"""Seconds: soon enough for what runs for minutes, and hundreds of files a second cost next to nothing."""
_TRIES: Final = 5
"""How often the output of a job may fail to open before nothing is expected of it."""
_PAUSE = 1.0
"""Seconds until an output that could not be had is asked for again; twice as long after each failure."""
_AGAIN = 10.0
"""Seconds until an output that came to its end is opened again, should the job go on with another; each is a call."""
_LONGEST_PAUSE: Final = 30.0
_LAST_LINES: Final = 5.0
"""Seconds that lines may lag behind the end of their job."""


class Reporting(Protocol):
    """Jobs whose reports can be seen while they run."""

    def growing(self, order: JobOrder) -> AttemptFolder | None:
        """The attempt's folder, where its own metrics file and output grow in it while it runs."""

    def output(self, order: JobOrder, handle: str) -> Iterator[str]:
        """Lines of the replica that reports, as they come, from the beginning; ends when there will be no more.

        Raises:
            Axk8sError: there are none to be had.
        """


class LiveCurves:
    """Meets the port `Curves`."""

    def __init__(self, jobs: Reporting, metric: str, *, every: float | None = None) -> None:
        """Look at nothing yet.

        Args:
            jobs: what is looked at.
            metric: whose steps decide.
            every: seconds between looks; `LOOK_EVERY` unless given.
        """
        self._jobs, self._metric, self._every = jobs, metric, LOOK_EVERY if every is None else every
        self._told: Callable[[str, Progress], None] = lambda _, __: None
        self._sources: dict[str, Tail | _Output] = {}
        self._ended: set[str] = set()
        """A short attempt may be harvested before a busy worker gets to following it."""
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="curves", daemon=True)

    def begin(self, told: Callable[[str, Progress], None]) -> None:
        """From now on tell what attempts report, by the names of their jobs."""
        self._told = told
        self._thread.start()

    def follow(self, order: JobOrder, handle: str) -> None:
        """An attempt runs: what it has reported so far comes with the next look."""
        folder = self._jobs.growing(order)
        source = Tail(folder) if folder is not None else _Output(lambda: self._jobs.output(order, handle), self._closed)
        with self._lock:
            if order.job not in self._ended:
                self._sources[order.job] = source

    def last(self, order: JobOrder, folder: AttemptFolder) -> Progress:
        """What was not told of an attempt that has ended and been harvested; nothing comes after it."""
        with self._lock:
            source = self._sources.pop(order.job, None)
            self._ended.add(order.job)
        if isinstance(source, _Output):
            # The whole output may have been copied by now, and the termination message has the last values at least.
            return self._of([*source.rest(), *_records(Tail(folder))])
        return self._of(_records(source or Tail(folder)))

    def close(self) -> None:
        """Tell nothing from now on."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(self._every + 1.0)

    def _look_on(self) -> None:
        while not self._closed.wait(self._every):
            self.look()

    def look(self) -> None:
        """Tell what is new."""
        for job in list(self._sources):
            # Held until it is told: what `last` finds must come after it.
            with self._lock:
                source = self._sources.get(job)
                progress = self._progress(source) if source is not None else Progress()
                if progress != Progress():
                    self._told(job, progress)

    def _progress(self, source: Tail | _Output) -> Progress:
        found = self._of(_records(source))
        if isinstance(source, _Output) and source.trouble:
            found, source.trouble = replace(found, trouble=source.trouble), ""
        return found

    def _of(self, records: list[Record]) -> Progress:
        return Progress.of(self._metric, [(record.step, record.values) for record in records])


def _records(source: Tail | _Output) -> list[Record]:
    try:
        return source.read()
    except OSError:
        return []  # `collect` gives account of what cannot be read


class _Output:
    """The records in the output of one job, taken in by a thread of its own."""

    def __init__(self, lines: Callable[[], Iterator[str]], closed: threading.Event) -> None:
        self._lines, self._closed = lines, closed
        self._fresh: list[Record] = []
        self._over = threading.Event()
        self._taking = threading.Lock()
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="curve", daemon=True)
        self._thread.start()

    def read(self) -> list[Record]:
        """The records since the last call."""
        with self._taking:
            fresh, self._fresh = self._fresh, []
        return fresh

    def rest(self) -> list[Record]:
        """The records since the last call, now that the job has ended."""
        self._over.set()
        self._thread.join(_LAST_LINES)
        return self.read()

    def _run(self) -> None:
        failed, found = 0, False
        while True:
            pause = _AGAIN
            try:
                for line in self._lines():
                    found = True
                    records = [record for record in parse_line(line) if isinstance(record, Record)]
                    with self._taking:
                        self._fresh += records
                    if self._closed.is_set():
                        return
            except Axk8sError as error:
                failed += 1
                pause = min(_PAUSE * 2**failed, _LONGEST_PAUSE)
                if failed == _TRIES and not found:
                    self.trouble = str(error)
                    return
            # A replica that is replaced within its attempt has a new output.
            if self._over.wait(pause) or self._closed.is_set():
                return
