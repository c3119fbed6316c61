"""Driving a sweep and ending it: what needs the lock, or asks whoever holds it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from axk8s.api.attaching import attached, record
from axk8s.api.view import SweepView, version
from axk8s.controller.clock import WALL_CLOCK
from axk8s.controller.controller import Controller
from axk8s.controller.ending import Ending
from axk8s.controller.lock import SweepLock
from axk8s.controller.opening import Opened, begin, has_begun, refuse_elsewhere, resume, settings, settle
from axk8s.controller.ports import Optimizer
from axk8s.controller.proposals import NoProposals
from axk8s.controller.requests import pending_requests, remove_request, write_request
from axk8s.errors import LockedError, SpecError, UsageError
from axk8s.journal import fold_file
from axk8s.results.known import Known, each_once, new_of, said
from axk8s.results.sources import Table, load, of_sweep, of_table
from axk8s.results.summary import Summary
from axk8s.sweep.model import Scalar
from axk8s.sweep.records import Record
from axk8s.sweep.state import State

Source: TypeAlias = str | os.PathLike[str] | SweepView | Table | Sequence[Mapping[str, object]]
"""Where results may be from."""

_INTERVAL = 0.2
"""Seconds between two looks at another controller's doings."""


class SweepDriver(SweepView):
    """The half of a `Sweep` that changes something once it has begun."""

    @cached_property
    def _pending(self) -> list[Known]:
        """What was attached before the sweep began."""
        return []

    def stop(self, *, trial: int | None = None, wait: bool = True) -> Summary:
        """End the sweep, or one of its trials; running jobs are ended, results are kept.

        With a controller at work it is asked to; without one this process does it.

        Args:
            trial: the one trial to end.
            wait: return only when it has happened.

        Raises:
            UsageError: there is no such trial.
        """
        state = self.state()
        if trial is not None and not 0 <= trial < len(state.trials):
            raise UsageError(f"there is no trial {trial} in {self.spec.name}; it has {len(state.trials)}, from 0")
        over = state.finished is not None if trial is None else state.trials[trial].outcome is not None
        if over and not self.running():
            return self.summary()
        request = write_request(self.folder.requests, "stop", trial=trial)
        while wait or not self.running():
            try:
                with SweepLock(self.folder.lock):
                    if not _stopped(self.state(), trial):
                        self._drive(NoProposals(), None, None, until=lambda now: _stopped(now, trial))
                    # A controller that ended by itself has not seen it; the next one must not.
                    remove_request(self.folder.requests, request)
                    break
            except LockedError:
                if not self._wait_for_other(trial):
                    break
        return self.summary()

    def pause(self) -> Summary:
        """Launch nothing further; running jobs end by themselves, then the controller returns. `run` goes on.

        Raises:
            UsageError: no controller is at work, so nothing is being launched.
        """
        if not self.running():
            raise UsageError(
                f"no controller drives {self.spec.name}, so nothing is being launched",
                hint="end what still runs with: axk8s stop; go on with: axk8s run",
            )
        write_request(self.folder.requests, "pause")
        return self.summary()

    def enqueue(self, parameters: Mapping[str, Scalar]) -> Summary:
        """Let these parameters be tried next, before any proposal; they count as one of the sweep's trials.

        With a controller at work it begins them when a slot is free; without one the next `run` does.

        Args:
            parameters: a value for each parameter; those that the file fixes may be left out.

        Raises:
            SpecError: no trial can have these values.
            UsageError: the sweep has not begun, or has no trial left.
        """
        if problems := self.spec.check_parameters(parameters):
            raise SpecError(problems)
        if not has_begun(self.folder):
            raise UsageError(f"{self.spec.name} has not begun", hint="begin it with: axk8s run")
        state = self.state()
        waiting = sum(1 for one in pending_requests(self.folder.requests) if one.verb == "enqueue")
        if len(state.trials) + len(state.enqueued) + waiting >= self.spec.trials:
            raise UsageError(
                f"all {self.spec.trials} trials of {self.spec.name} are taken",
                hint=f"raise `trials` in its file, or go on with: axk8s run --trials {self.spec.trials + 1}",
            )
        write_request(self.folder.requests, "enqueue", parameters=self.spec.complete_parameters(parameters))
        return self.summary()

    def attach(
        self,
        source: Source | Known,
        *,
        label: str = "",
        skip: bool = False,
    ) -> Known:
        """Let the optimizer learn from results that are known already; they are no trials of this sweep.

        Where the sweep has not begun yet this object keeps them for `run` or `detach`. What has been attached before,
        from this source or another one, is not attached again.

        Args:
            source: a CSV file or a sweep (its folder or name; a `Sweep`), a pandas DataFrame, or a list of mappings;
                with a column for each parameter and metric, as `axk8s export` or Optuna's `trials_dataframe` has it.
                Or what `known` has read, whose label it keeps.
            label: what the source is called in `status`; by default its path or name.
            skip: leave out the rows that do not fit, with a warning, instead of refusing all of them.

        Returns:
            What is new, with warnings about what was left out.

        Raises:
            UsageError: it cannot be read, or does not fit this sweep's space.
            LockedError: a controller drives the sweep; it must be paused for a moment.
            JournalError: the journal cannot be written.
        """
        found = source if isinstance(source, Known) else self.known(source, label=label, skip=skip)
        if not has_begun(self.folder):
            fresh = new_of(found, [result for each in self._pending for result in each.trials])
            self._pending.append(fresh)
            return fresh
        lock = SweepLock(self.folder.lock)
        try:
            lock.acquire()
        except LockedError as error:
            name = self.folder.name
            hint = f"pause it first: axk8s pause {name}; then attach, and go on with: axk8s run {name}"
            raise LockedError(f"{error.message}; results can be attached only while none does", hint=hint) from error
        try:
            return attached(self.folder, found)
        finally:
            lock.release()

    def known(self, source: Source, *, label: str = "", skip: bool = False) -> Known:
        """What a source holds that `attach` could let this sweep learn; nothing is attached.

        Args:
            source: as for `attach`.
            label: what the source is called; by default its path or name.
            skip: leave out the rows that do not fit, with a warning, instead of refusing all of them.

        Raises:
            UsageError: it cannot be read, or does not fit this sweep's space.
        """
        own = self.folder.path
        if isinstance(source, SweepView):
            return of_sweep(self.spec, source.folder, source=label or source.folder.name, own=own, skip=skip)
        if isinstance(source, (str, os.PathLike)):
            text = os.fspath(source)
            found = load(self.spec, text, base=Path.cwd(), directory=own.parent, skip=skip)
            return replace(found, source=label or found.source)
        return of_table(self.spec, source, source=label or type(source).__name__, skip=skip)

    def clean(self) -> list[str]:
        """Delete everything of the sweep that is still in the cluster; the names of what was there.

        Raises:
            UsageError: trials still run.
            LockedError: a controller drives the sweep.
            KubeError: the cluster refused, or does not answer.
        """
        with SweepLock(self.folder.lock):
            state = self.state()
            if state.live:
                message = f"{state.live} trials of {self.spec.name} still run, and would be ended"
                raise UsageError(message, hint=f"end them with: axk8s stop {self.spec.name}")
            launcher = self._launcher(self.folder, state.uid)
            try:
                return launcher.clean()
            finally:
                launcher.close()

    def _open(self) -> Opened:
        if has_begun(self.folder):
            return resume(self.spec, self.folder, clock=WALL_CLOCK)
        opened = begin(self.spec, self.folder, clock=WALL_CLOCK, version=version())
        notices = [*opened.notices]
        for found in each_once(self._pending, opened.state.attached):
            record(opened.journal, opened.state, found)
            notices += said(found)
        self._pending.clear()
        return replace(opened, notices=tuple(notices))

    def _drive(
        self,
        optimizer: Optimizer,
        listen: Callable[[Sequence[Record], Summary], None] | None,
        started: Callable[[Controller, tuple[str, ...]], None] | None,
        *,
        until: Callable[[State], bool] | None = None,
    ) -> Ending:
        if has_begun(self.folder) and (known := fold_file(self.folder.journal)).place is not None:
            # Before anything is written: a changed `scheduler_config` must not stay when it led to the wrong place.
            elsewhere = self._launcher(self.folder, known.uid)
            try:
                refuse_elsewhere(known, elsewhere.place())
            finally:
                elsewhere.close()
        opened = self._open()
        with opened.journal:
            launcher = self._launcher(self.folder, opened.state.uid)
            settle(opened, launcher.place(), clock=WALL_CLOCK)
            controller = Controller(
                state=opened.state,
                settings=settings(self.spec),
                journal=opened.journal,
                folder=self.folder,
                jobs=launcher,
                optimizer=optimizer,
                clock=WALL_CLOCK,
                listen=listen,
                until=until,
                version=version(),
            )
            if started is not None:
                started(controller, opened.notices)
            ending = controller.run()
            if opened.state.finished is not None and not opened.state.undeleted:
                launcher.tidy()
            return ending

    def _wait_for_other(self, trial: int | None) -> bool:
        """Wait while another controller carries out a stop; False once it has happened."""
        while self.running():
            if trial is not None and self.state().trials[trial].outcome is not None:
                return False
            time.sleep(_INTERVAL)
        return not _stopped(self.state(), trial)


def _stopped(state: State, trial: int | None) -> bool:
    return state.finished is not None if trial is None else state.trials[trial].outcome is not None
