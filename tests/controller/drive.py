"""Drives a small sweep in a process of its own that may kill itself at a chosen point; not a test.

The processes are forked from one that has imported everything: what a controller imports takes longer than its sweep.
"""

from __future__ import annotations

import functools
import json
import os
import queue
import signal
import subprocess
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

_ROOT = Path(__file__).parents[2]


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


class Drivers:
    """Processes that have imported what a controller needs, and fork one when they are asked."""

    def __init__(self, count: int, *imports: str) -> None:
        """Begin so many, one for each controller that may run at a time, which import these modules besides."""
        code = f"import {', '.join((__name__, *imports))}; {__name__}.serve()"
        command = [sys.executable, "-c", code]
        self._all = [
            subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        self._free: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
        for one in self._all:
            self._free.put(one)

    def drive(self, root: Path, kind: str = "never", count: int = 0, **environment: str) -> int:
        """A controller's exit code for `sweep.yaml` in a folder; negative for the signal that killed it.

        Args:
            root: the folder; what the controller says is in its `controller.out`.
            kind: the kind of event that is counted, `journal` or `effect`; of any other kind there are none.
            count: the event of this kind, from 1 on, after which the controller is killed.
            environment: variables for it.
        """
        driver = self._free.get()
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(json.dumps([str(root), kind, count, environment]) + "\n")
        driver.stdin.flush()
        code = int(driver.stdout.readline())
        self._free.put(driver)
        assert code in (0, 1, -signal.SIGKILL), (root / "controller.out").read_text("utf-8")
        return code

    def close(self) -> None:
        for one in self._all:
            one.communicate()


def serve() -> None:
    """Fork a controller for each line, and write its exit code when it has ended."""
    for line in sys.stdin:
        root, kind, count, environment = json.loads(line)
        child = os.fork()
        if not child:
            os.environ.update(environment)
            _redirect(Path(root) / "controller.out")
            sys.exit(_main(Path(root), Bomb(kind, count)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _redirect(file: Path) -> None:
    with Path(os.devnull).open("rb") as nothing, file.open("ab") as said:
        for stream, number in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(stream.fileno(), number)


def _main(root: Path, bomb: Bomb) -> int:
    spec = SweepSpec.load(str(root / "sweep.yaml"))
    folder = SweepFolder(root / "sweeps" / spec.name)
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
