"""`SingleRunningTrialMixin`: one trial runs at a time, until the next one takes its place."""

from __future__ import annotations

from collections.abc import Iterable

from ax.core.base_trial import BaseTrial, TrialStatus
from ax.core.runner import Runner


class SingleRunningTrialMixin:
    """For runners where each deployment replaces the one before: the latest trial runs, all earlier ones are completed.

        class OnlineRunner(SingleRunningTrialMixin, Runner):
            def run(self, trial): ...

    The latest trial is completed too, in the end: when the runner that this is mixed into says so, or else when
    `trial_is_over` does. In Ax it stays running for ever, and with it the experiment.
    """

    def trial_is_over(self, trial: BaseTrial) -> bool:
        """Whether the latest trial has run long enough; override it to keep trials running until they have.

        True by default, which is what Ax documents: a trial that is marked as running is completed when asked about.
        """
        del trial
        return True

    def poll_trial_status(self, trials: Iterable[BaseTrial]) -> dict[TrialStatus, set[int]]:
        """Completed, all but the latest running trial; that one as its runner says, or as `trial_is_over` does."""
        asked = [trial for trial in trials if not trial.status.is_terminal]
        if not asked:
            return {}
        latest = max(asked[0].experiment.running_trial_indices, default=-1)
        found: dict[TrialStatus, set[int]] = {}
        for trial in asked:
            if trial.status == TrialStatus.RUNNING and trial.index < latest:
                found.setdefault(TrialStatus.COMPLETED, set()).add(trial.index)
            elif trial.status == TrialStatus.RUNNING:
                for status, indices in self._of_latest(trial).items():
                    found.setdefault(status, set()).update(indices)
            else:
                found.setdefault(trial.status, set()).add(trial.index)
        return found

    def _of_latest(self, trial: BaseTrial) -> dict[TrialStatus, set[int]]:
        inherited = getattr(super(), "poll_trial_status", None)
        if inherited is not None and getattr(inherited, "__func__", None) is not Runner.poll_trial_status:
            found: dict[TrialStatus, set[int]] = inherited([trial])
            return found
        return {TrialStatus.COMPLETED if self.trial_is_over(trial) else TrialStatus.RUNNING: {trial.index}}
