"""`SyntheticRunner`: gives trials a name and says that they are done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ax.core.base_trial import BaseTrial, TrialStatus
from ax.runners import synthetic


class SyntheticRunner(synthetic.SyntheticRunner):
    """A shell of a runner, for experiments whose metrics need no job: every trial is completed as soon as it is asked.

    Ax's own, but trials can be stopped, more than once, and nothing is said of trials that were never run.
    """

    def __init__(self, dummy_metadata: str | None = None) -> None:
        """Make a runner; `dummy_metadata` is added to the run metadata of each trial."""
        super().__init__(dummy_metadata=dummy_metadata)

    def poll_trial_status(self, trials: Iterable[BaseTrial]) -> dict[TrialStatus, set[int]]:
        """Completed, all that were run and not stopped."""
        done = {trial.index for trial in trials if "name" in trial.run_metadata and "stop" not in trial.stop_metadata}
        return {TrialStatus.COMPLETED: done} if done else {}

    def poll_exception(self, trial: BaseTrial) -> str:
        """Nothing fails here."""
        return f"trial {trial.index} has no job that could fail"

    def stop(self, trial: BaseTrial, reason: str | None = None) -> dict[str, Any]:
        """End a trial; returns and keeps the reason, and does nothing the second time."""
        metadata: dict[str, Any] = {"reason": reason} if reason else {}
        metadata["stop"] = "asked" if "name" in trial.run_metadata else "gone"
        trial.update_stop_metadata(metadata)
        return metadata
