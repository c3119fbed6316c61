"""Looking at a sweep: everything that is read from its folder, whoever drives it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from axk8s.api.glance import current_summary
from axk8s.controller.lock import is_locked
from axk8s.errors import UsageError
from axk8s.folder import SweepFolder
from axk8s.journal import fold_file, read
from axk8s.metrics.collect import collect
from axk8s.results.events import Event, events
from axk8s.results.export import table
from axk8s.results.summary import Summary
from axk8s.results.tables import TrialRow, trial_row, trial_rows
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import JobOrder, Scalar
from axk8s.sweep.state import State

if TYPE_CHECKING:
    import pandas as pd

    from axk8s.launch.launcher import Launcher


class SweepView:
    """The reading half of a `Sweep`."""

    spec: SweepSpec
    folder: SweepFolder

    def running(self) -> bool:
        """Whether a controller drives the sweep now."""
        return is_locked(self.folder.lock)

    def state(self) -> State:
        """Everything that the journal says.

        Raises:
            JournalError: it is damaged, or the sweep has not begun.
        """
        return fold_file(self.folder.journal)

    def summary(self) -> Summary:
        """The sweep at a glance, from the cache or else from the journal."""
        return current_summary(self.folder)

    def trials(self) -> list[TrialRow]:
        """All trials, by number."""
        return trial_rows(self.state())

    def events(self, *, trial: int | None = None) -> Iterator[Event]:
        """What happened, oldest first; with `trial` only what happened to one.

        Raises:
            UsageError: there is no such trial.
            JournalError: the journal is damaged.
        """
        if trial is not None and not 0 <= trial < (count := len(self.state().trials)):
            raise UsageError(f"there is no trial {trial} in {self.spec.name}; it has {count}, from 0")
        return events(read(self.folder.journal), trial=trial)

    def best(self) -> TrialRow | None:
        """The best of the trials that succeeded and keep the outcome constraints; None while there is none.

        Raises:
            UsageError: there are several objectives, so that there is a front and no one best trial.
        """
        state = self.state()
        if state.goal.several:
            names = " and ".join(aim.metric for aim in state.goal.aims)
            raise UsageError(
                f"no one trial of {self.spec.name} is the best in {names}",
                hint="take one of the front: Sweep.front(); or give each objective a weight",
            )
        return trial_row(state, state.trials[state.best]) if state.best is not None else None

    def front(self) -> list[TrialRow]:
        """The trials that no other one beats in all objectives, by number; of one objective the best trial alone.

        All of them have succeeded, and keep the outcome constraints and the objectives' thresholds.
        """
        state = self.state()
        numbers = state.front if state.goal.several else [state.best] if state.best is not None else []
        return [trial_row(state, state.trials[number]) for number in numbers]

    def table(self) -> tuple[list[str], list[list[Scalar | None]]]:
        """All trials as columns and rows; None is an empty cell."""
        return table(self.trials(), list(self.spec.parameters))

    def dataframe(self) -> pd.DataFrame:
        """All trials as a pandas DataFrame: a row each, with a column for each parameter and metric."""
        import pandas as pd

        columns, rows = self.table()
        return pd.DataFrame(rows, columns=columns)

    def export(
        self,
        *,
        csv: str | os.PathLike[str] | None = None,
        ax: str | os.PathLike[str] | None = None,
        analyses: str | os.PathLike[str] | None = None,
        force: bool = False,
    ) -> list[Path]:
        """Write the trials for other programs; at least one of the three.

        Args:
            csv: the file for `table`, which another sweep's `warm_start` reads.
            ax: the file for what Ax knows, which `ax.api.client.Client.load_from_json_file` opens.
            analyses: the folder for Ax's own analyses as HTML pages.
            force: write over what is there.

        Returns:
            The files that were written.

        Raises:
            UsageError: nothing was asked for, a file is there already, or cannot be written.
            OptimizerError: Ax could not write its part.
        """
        from axk8s.api.exporting import export

        paths = (None if path is None else Path(path) for path in (csv, ax, analyses))
        csv_file, ax_file, folder = paths
        return export(self, csv_file=csv_file, ax_file=ax_file, analyses=folder, force=force)

    def follow(self, *, interval: float = 1.0) -> Iterator[Summary]:
        """A summary now and then until no controller drives the sweep: for a notebook cell."""
        while True:
            running = self.running()
            yield self.summary()
            if not running:
                return
            time.sleep(interval)

    def logs(
        self,
        trial: int | None = None,
        *,
        attempt: int | None = None,
        replica: str | None = None,
        follow: bool = False,
    ) -> Iterator[str]:
        """The output lines of one attempt, by default the newest one that has started.

        Args:
            trial: its trial.
            attempt: its number, by default the last one's.
            replica: only this one's, as `<role>-<index>`; by default all, each line with its replica before it.
            follow: go on until the attempt has ended.

        Raises:
            UsageError: there is no such trial, attempt or replica.
        """
        state = self.state()
        if trial is None:
            begun = [t.number for t in state.trials if any(a.started_at is not None for a in t.attempts)]
            if not begun:
                raise UsageError(f"no trial of {self.spec.name} has started yet")
            trial = begun[-1]
        if not 0 <= trial < len(state.trials):
            raise UsageError(f"there is no trial {trial} in {self.spec.name}; it has {len(state.trials)}, from 0")
        attempts = state.trials[trial].attempts
        number = len(attempts) - 1 if attempt is None else attempt
        if not 0 <= number < len(attempts):
            raise UsageError(f"trial {trial} has no attempt {number}; it has {len(attempts)}, from 0")
        order = JobOrder(trial, number, attempts[number].job, state.trials[trial].parameters)
        return self._launcher(self.folder, state.uid).logs(
            order, attempts[number].handle, follow=follow, replica=replica
        )

    def _launcher(self, folder: SweepFolder, uid: str) -> Launcher:
        from axk8s.launch.launcher import Launcher  # loads TorchX, which looking at a sweep does not need

        return Launcher(
            self.spec, folder, uid, collect=partial(collect, objectives=self.spec.objectives, metrics=self.spec.metrics)
        )


def version() -> str:
    """The installed version of axk8s."""
    return metadata.version("axk8s")
