"""A sweep as an object: what the verbs of the command line do."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from axk8s.api.driver import SweepDriver
from axk8s.controller.clock import WALL_CLOCK
from axk8s.controller.controller import Controller
from axk8s.controller.detached import start_detached
from axk8s.controller.ending import Ending
from axk8s.controller.lock import SweepLock
from axk8s.controller.opening import (
    has_begun,
    overridden,
    pin,
    set_aside,
    settings,
    stored_spec,
)
from axk8s.controller.requests import write_request
from axk8s.controller.tryout import TriedTrial, try_trial
from axk8s.errors import FolderError, JournalError, LockedError, SpecError, suggestion
from axk8s.folder import SweepFolder, sweep_folders, sweeps_directory
from axk8s.journal import fold_file
from axk8s.names import SWEEP_NAME, job_name
from axk8s.optimize.choice import optimizer as optimizer_for
from axk8s.results.sources import warm_start
from axk8s.results.summary import Summary
from axk8s.simulate.conditions import Conditions
from axk8s.spec.middle import completed
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.goal import Goal
from axk8s.sweep.model import JobOrder, Scalar
from axk8s.sweep.records import Record

if TYPE_CHECKING:
    from axk8s.api.plan import Plan
    from axk8s.api.simulation import Simulation
    from axk8s.schedulers.kubernetes_job.preflight import Finding


class Sweep(SweepDriver):
    """One sweep: a spec, and the folder that keeps what happened.

    Nothing is written before `run`; an object may be made again at any time, also while another process drives the
    sweep.
    """

    def __init__(
        self,
        name: str,
        *,
        directory: str | os.PathLike[str] | None = None,
        base: str | os.PathLike[str] = ".",
        function: str | Callable[..., object] | None = None,
        component: str | Callable[..., object] | None = None,
        command: str | None = None,
        **settings: object,
    ) -> None:
        """Describe a sweep in Python; the arguments are the keys of a sweep file.

        Args:
            name: of the sweep and its folder.
            directory: where the sweeps' folders are; default `AXK8S_DIR`, else `./sweeps`.
            base: the folder that relative paths start from.
            function: `train.py:train`, or a function at the top level of a file; what it returns is the result.
            component: a TorchX component, likewise.
            command: a command line with `{parameter}` placeholders.
            settings: the other keys of the file: parameters, objectives, trials, …

        Raises:
            SpecError: some of it is wrong; all problems at once.
        """
        mapping: dict[str, object] = {"name": name, **settings}
        from axk8s.launch.reference import of_callable

        for key, value in (("function", function), ("component", component), ("command", command)):
            if value is not None:
                mapping[key] = of_callable(value).text if callable(value) else value
        self.spec = SweepSpec.from_mapping(mapping, base=Path(base).absolute())
        self.folder = SweepFolder(sweeps_directory(directory) / self.spec.name)

    @classmethod
    def of(cls, spec: SweepSpec, *, directory: str | os.PathLike[str] | None = None) -> Sweep:
        """A sweep of a spec that is loaded already."""
        sweep = cls.__new__(cls)
        sweep.spec = spec
        sweep.folder = SweepFolder(sweeps_directory(directory) / spec.name)
        return sweep

    @classmethod
    def from_yaml(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        directory: str | os.PathLike[str] | None = None,
        scheduler: str | None = None,
        scheduler_config: Mapping[str, object] | None = None,
        trials: int | None = None,
        parallelism: int | None = None,
    ) -> Sweep:
        """Read a sweep file; what else is given wins over the file.

        Raises:
            UsageError: the file cannot be read, or is wrong (SpecError: all problems, by line).
        """
        spec = SweepSpec.load(path)
        given = {"name": name, "scheduler": scheduler, "trials": trials, "parallelism": parallelism}
        return cls.of(overridden(spec, scheduler_config, **given), directory=directory)

    @classmethod
    def open(
        cls,
        name: str,
        *,
        directory: str | os.PathLike[str] | None = None,
        scheduler_config: Mapping[str, object] | None = None,
        trials: int | None = None,
        parallelism: int | None = None,
    ) -> Sweep:
        """A sweep that has begun, as its journal describes it.

        Raises:
            FolderError: there is none of this name.
            JournalError: its journal is damaged.
        """
        place = sweeps_directory(directory)
        folder = SweepFolder(place / name)
        if not SWEEP_NAME.fullmatch(name) or not folder.exists():
            known = [known.name for known in sweep_folders(place)]
            hint = suggestion(name, known) if known else "there is no sweep yet: axk8s run sweep.yaml"
            raise FolderError(f"there is no sweep {name!r} in {place}", hint=hint)
        spec = stored_spec(fold_file(folder.journal))
        changed = overridden(spec, scheduler_config, trials=trials, parallelism=parallelism)
        return cls.of(changed, directory=directory)

    def validate(self) -> list[str]:
        """Check everything that can be known before the first trial; returns warnings.

        A cluster that cannot be reached from here is a warning; `run` needs it.

        Raises:
            UsageError: what is wrong, and what to do about it.
        """
        from axk8s.api.inspection import validated

        said = validated(self.spec, reach=False)
        return said if has_begun(self.folder) else [*said, *self._warm_start()]

    def inspect(self, *, cluster_only: bool = False) -> Iterator[Finding]:
        """What can be asked of the place where the jobs would run, one answer after the other; nothing is made.

        Args:
            cluster_only: leave out what is said of the sweep itself.

        Raises:
            UsageError: the sweep itself is wrong.
        """
        from axk8s.api.inspection import inspected

        return inspected(self.spec, cluster_only=cluster_only)

    def plan(self, parameters: Mapping[str, Scalar] | None = None) -> Plan:
        """What `run` would submit: the checks, the first trial's job as it would be rendered; nothing is written.

        Args:
            parameters: of the trial that is shown; those not given take a middle value.

        Raises:
            UsageError: what is wrong, and what to do about it.
        """
        from axk8s.api.plan import plan

        return plan(self, parameters or {})

    def simulate(
        self,
        conditions: Conditions | Mapping[str, object] | None = None,
        *,
        seed: int | None = None,
        results: str | os.PathLike[str] | None = None,
        keep: str | os.PathLike[str] | None = None,
    ) -> Simulation:
        """Dry-run the whole sweep in virtual time: the same controller, a simulated cluster, and no job.

        Args:
            conditions: what the cluster is like, such as `{"run_time": "10m..2h"}`; all goes well by default.
            seed: of everything that is drawn; the optimizer's by default.
            results: what trials report: `bowl` or `ripples` (synthetic), a CSV file of recorded trials, or a sweep that
                has run (name or folder). With it the sweep's own optimizer is consulted; without, proposals are drawn
                at random and values mean nothing.
            keep: a folder in which to keep the simulated sweep, to look at as at a real one.

        Raises:
            UsageError: the sweep, the results or the folder cannot be used.
        """
        from axk8s.api.simulation import simulate

        like = conditions if isinstance(conditions, Conditions) else Conditions.of(conditions or {})
        return simulate(self, like, seed=seed, results=results, keep=keep)

    # --- driving it -----------------------------------------------------------------------------------------------

    def run(
        self,
        *,
        fresh: bool = False,
        listen: Callable[[Sequence[Record], Summary], None] | None = None,
        started: Callable[[Controller, tuple[str, ...]], None] | None = None,
    ) -> Ending:
        """Drive the sweep until it ends; one that has begun goes on where it was, running jobs are found again.

        Args:
            fresh: end what an earlier sweep of this name left running, keep its folder aside, start anew.
            listen: told of each group of journaled records with a summary, in the controller's thread.
            started: given the controller (for `interrupt`) and notices about the resumption, before the first round.

        Raises:
            UsageError: the spec is wrong, or the folder holds another sweep; nothing was changed.
            LockedError: another controller drives it.
            JournalError: the journal is damaged, or cannot be written.
        """
        self._check(fresh=fresh)
        if fresh:
            self._put_aside()
        lock = SweepLock(self.folder.lock)
        try:
            lock.acquire()
        except LockedError as error:
            if self.summary().state != "pausing":
                raise
            write_request(self.folder.requests, "resume")
            raise LockedError(f"{error.message}; it was pausing and has been asked to go on") from error
        try:
            return self._drive(optimizer_for(self.spec, log=self.folder.optimizer_log), listen, started)
        finally:
            lock.release()

    def detach(self, *, fresh: bool = False) -> int:
        """Start a controller of its own session that outlives this process; returns its process id.

        Raises:
            Axk8sError: as `run`, or what the new controller said if it ended at once.
        """
        self._check(fresh=fresh)
        if self.running() and not fresh:
            with SweepLock(self.folder.lock):
                pass  # raises, naming the holder
        if fresh:
            self._put_aside()
        with SweepLock(self.folder.lock):
            self._open().journal.close()
        return start_detached(self.folder, cwd=self.spec.base)

    def try_trial(self, parameters: Mapping[str, Scalar], *, output: Callable[[str], None]) -> TriedTrial:
        """Run one trial in the foreground, in a temporary folder; parameters not given take a middle value.

        Raises:
            UsageError: the spec or the parameters are wrong.
        """
        self._check(begins=False)
        complete = completed(self.spec, parameters)
        problems = self.spec.check_parameters(complete)
        if problems:
            raise SpecError(problems)
        folder = SweepFolder(Path(tempfile.mkdtemp(prefix="axk8s-try-")) / self.spec.name)
        folder.path.mkdir()
        pin(self.spec, folder)
        uid = uuid.uuid4().hex
        launcher = self._launcher(folder, uid)
        order = JobOrder(trial=0, attempt=0, job=job_name(self.spec.name, uid, 0, 0), parameters=complete)
        try:
            return try_trial(
                launcher,
                order,
                folder=folder.attempt(0, 0),
                goal=Goal.of(self.spec.to_json()),
                settings=settings(self.spec),
                clock=WALL_CLOCK,
                output=output,
            )
        finally:
            launcher.close()
            launcher.tidy()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _check(self, *, fresh: bool = False, begins: bool = True) -> None:
        from axk8s.api.inspection import validated

        validated(self.spec, reach=True)
        if begins and (fresh or not has_begun(self.folder)):
            self._warm_start()

    def _warm_start(self) -> list[str]:
        """What is to be said of the sources of known results, which are read when the sweep begins."""
        return [text for found in warm_start(self.spec, self.folder.path.parent) for text in found.warnings]

    def _put_aside(self) -> None:
        if not self.folder.path.exists():
            return
        with SweepLock(self.folder.lock):
            pass  # raises if a controller is at work: it must be stopped by hand
        try:
            begun = has_begun(self.folder)
        except JournalError:
            begun = False  # a damaged journal cannot name its jobs; the folder is kept, with all there is to know
        if begun:
            Sweep.open(self.folder.name, directory=self.folder.path.parent).stop()
        set_aside(self.folder)
