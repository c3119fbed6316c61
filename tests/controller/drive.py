"""Drives a small sweep in a process of its own that kills itself at a chosen point; not a test.

python drive.py SWEEP.yaml DIRECTORY [journal N | effect N | fork N]
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from axk8s.controller.controller import Controller
from axk8s.controller.lock import SweepLock
from axk8s.controller.opening import begin, has_begun, resume, settings
from axk8s.folder import SweepFolder
from axk8s.journal import Journal
from axk8s.launch.launcher import Launcher
from axk8s.metrics.collect import collect
from axk8s.optimize.choice import optimizer as optimizer_for
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Harvest, JobOrder, Submitted


class Bomb:
    """Kills this process at the Nth event of one kind."""

    def __init__(self, kind: str, count: int) -> None:
        self._kind = kind
        self._left = count
        self._lock = threading.Lock()

    def tick(self, kind: str) -> None:
        if kind != self._kind:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class KillingJournal(Journal):
    """Writes record by record, and dies after the one that the bomb is set for."""

    def __init__(self, path: Path, bomb: Bomb) -> None:
        super().__init__(path)
        self._bomb = bomb

    def _write(self, data: bytes) -> None:
        for line in data.splitlines(keepends=True):
            super()._write(line)
            self._bomb.tick("journal")


class KillingLauncher(Launcher):
    """Dies after a side effect has happened and before anybody hears of it."""

    bomb: Bomb

    def render(self, order: JobOrder) -> Mapping[str, float]:
        held = super().render(order)
        self.bomb.tick("effect")
        return held

    def submit(self, order: JobOrder) -> Submitted:
        done = super().submit(order)
        self.bomb.tick("effect")
        return done

    def stop(self, handle: str) -> None:
        super().stop(handle)
        self.bomb.tick("effect")

    def delete(self, handle: str) -> None:
        super().delete(handle)
        self.bomb.tick("effect")

    def harvest(self, order: JobOrder, handle: str) -> Harvest:
        done = super().harvest(order, handle)
        self.bomb.tick("effect")
        return done


class Clock:
    def now(self) -> float:
        import time

        return time.time()


def main(file: str, directory: str, kind: str = "never", count: str = "0") -> int:
    spec = SweepSpec.load(file)
    folder = SweepFolder(Path(directory) / spec.name)
    bomb = Bomb(kind, int(count))
    with SweepLock(folder.lock):
        clock = Clock()
        if has_begun(folder):
            opened = resume(spec, folder, clock=clock)
        else:
            opened = begin(spec, folder, clock=clock, version="test")
        opened.journal.close()
        launcher = KillingLauncher(
            spec, folder, opened.state.uid, collect=functools.partial(collect, objectives=spec.objectives)
        )
        launcher.bomb = bomb
        with KillingJournal(folder.journal, bomb) as journal:
            ending = Controller(
                state=opened.state,
                settings=settings(spec),
                journal=journal,
                folder=folder,
                jobs=launcher,
                optimizer=optimizer_for(spec, log=folder.optimizer_log),
                clock=clock,
            ).run()
    return ending.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
