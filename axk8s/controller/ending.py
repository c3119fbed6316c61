"""How a controller's run ended."""

from __future__ import annotations

from dataclasses import dataclass

from axk8s.results.summary import Summary


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the controller returned."""

    summary: Summary

    @property
    def exit_code(self) -> int:
        """0: done as asked; 1: aborted, or nothing succeeded; 130: interrupted or stopped by its user."""
        word = self.summary.state
        if word in ("interrupted", "stopped"):
            return 130
        if word == "aborted" or (
            word in ("done", "budget", "exhausted", "reached", "converged")
            and not self.summary.outcomes.get("succeeded")
        ):
            return 1
        return 0
