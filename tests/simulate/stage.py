"""A sweep in a simulated world, driven by the real controller with the real journal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from axk8s.controller.controller import Controller
from axk8s.controller.opening import new, settings
from axk8s.folder import SweepFolder
from axk8s.journal import Journal, fold_file
from axk8s.optimize.random import RandomOptimizer
from axk8s.simulate.conditions import Conditions
from axk8s.simulate.curves import Shape, approach
from axk8s.simulate.faults import Fate
from axk8s.simulate.inbox import VirtualInbox, VirtualWorkers
from axk8s.simulate.jobs import SimulatedJobs
from axk8s.simulate.objective import Synthetic
from axk8s.simulate.optimizer import ConsultedOptimizer
from axk8s.simulate.progress import SimulatedCurves
from axk8s.simulate.world import World
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.records import Record
from axk8s.sweep.state import State


class Killed(BaseException):
    """The controller's process is gone, in the middle of whatever it did."""


class MortalJournal(Journal):
    """Ends its controller after so many records, as SIGKILL would: what was written is written."""

    def __init__(self, path: Path, left: int) -> None:
        super().__init__(path)
        self._left = left

    def append(self, record: Record) -> None:
        super().append(record)
        self._left -= 1
        if self._left == 0:
            self.commit()
            raise Killed


def spec(base: Path, **changes: Any) -> SweepSpec:
    content = {
        "name": "simulated",
        "command": "true {x}",
        "parameters": {"x": {"type": "float", "min": 0, "max": 1}, "n": {"type": "int", "min": 1, "max": 9}},
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "optimizer": "random",
        "trials": 8,
        "parallelism": 3,
        **changes,
    }
    return SweepSpec.from_mapping(content, base=base)


class Stage:
    """One sweep and its world; `run` may be called again after the controller was killed."""

    def __init__(
        self,
        folder: Path,
        spec: SweepSpec,
        conditions: Conditions,
        *,
        seed: int = 1,
        gpus: int = 0,
        shape: Shape = approach,
    ) -> None:
        self.spec, self._gpus = spec, gpus
        self.folder = SweepFolder(folder / spec.name)
        self.folder.path.mkdir(parents=True)
        results = Synthetic(spec, "bowl", seed=seed)
        self.world = World(conditions, seed=seed, slots=spec.parallelism, results=results, shape=shape)
        uid = f"{seed:032x}"
        new(spec, self.folder, time=0.0, uid=uid, workspace="", version="0", simulated=True).journal.close()
        self.most_alive = 0
        self.created: list[str] = []
        self._count()

    def run(self, *, dies_after: int = 0) -> bool:
        """Drive on; whether the sweep came to its end."""
        state = fold_file(self.folder.journal)
        with MortalJournal(self.folder.journal, dies_after) as journal:
            jobs, workers = SimulatedJobs(self.world, self.spec, {"gpu": self._gpus}), VirtualWorkers(self.world)
            controller = Controller(
                state=state,
                settings=settings(self.spec),
                journal=journal,
                folder=self.folder,
                jobs=jobs,
                optimizer=ConsultedOptimizer(RandomOptimizer(self.spec), self.world),
                clock=self.world.clock,
                curves=SimulatedCurves(self.world, self.spec),
                inbox=VirtualInbox(self.world.clock),
                workers=workers,
                interval=math.inf,
                seat=(0, "simulated"),
            )
            try:
                controller.run()
            except Killed:
                return False
            return True

    @property
    def state(self) -> State:
        return fold_file(self.folder.journal)

    def _count(self) -> None:
        cluster = self.world.cluster
        submit = cluster.submit

        def counted(name: str, fate: Fate) -> bool:
            created = submit(name, fate)
            if created:
                self.created.append(name)
            self.most_alive = max(self.most_alive, sum(1 for job in cluster.jobs.values() if job.exit is None))
            return created

        cluster.submit = counted  # type: ignore[method-assign]  # a counter on the way in
