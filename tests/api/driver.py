"""A controller in a thread, and a job that runs for as long as a test wants it to."""

import threading
from collections.abc import Callable, Sequence

from axk8s.api import Sweep
from axk8s.controller.controller import Controller
from axk8s.controller.ending import Ending
from axk8s.results.summary import Summary
from axk8s.sweep.model import Phase
from axk8s.sweep.records import PhaseChanged, Record

# Waits for a file that the test makes, so that a trial runs exactly as long as the test wants it to.
GATED = """\
import os, time
from pathlib import Path

def train(x):
    gate = Path(__file__).with_name("gate")
    while not gate.exists():
        time.sleep(0.01)
    return {"loss": x}
"""


class Driver:
    """A controller in a thread, as in a notebook; `until` waits for something to be journaled."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.ending: Ending | None = None
        self.error: BaseException | None = None
        self.controller: Controller | None = None
        self._news = threading.Condition()
        self._records: list[Record] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.ending = self.sweep.run(listen=self._listen, started=self._started)
        except BaseException as error:  # noqa: BLE001  (raised again by join)
            self.error = error
        with self._news:
            self._news.notify_all()

    def _started(self, controller: Controller, _: tuple[str, ...]) -> None:
        self.controller = controller

    def _listen(self, records: Sequence[Record], _: Summary) -> None:
        with self._news:
            self._records += records
            self._news.notify_all()

    def until(self, wanted: Callable[[Record], bool], times: int = 1) -> None:
        with self._news:
            seen = self._news.wait_for(
                lambda: sum(map(wanted, self._records)) >= times or not self._thread.is_alive(), timeout=60
            )
            assert seen
            assert sum(map(wanted, self._records)) >= times, self.error

    def join(self) -> Ending:
        self._thread.join(timeout=60)
        if self.error is not None:
            raise self.error
        assert self.ending is not None
        return self.ending


def runs(record: Record) -> bool:
    return isinstance(record, PhaseChanged) and record.phase is Phase.RUNNING
