"""What becomes of curves: records at the marks that they reach, and a word where they say nothing."""

from __future__ import annotations

from axk8s.controller.ledger import Ledger
from axk8s.sweep.model import Outcome, Values
from axk8s.sweep.records import Reached
from axk8s.sweep.stopping import Ladder, Progress

_SILENT = 3
"""Trials that succeeded without a step of the metric: one may be a slip, three are how the code is."""


class Lookout:
    """Watches over a sweep that stops trials early."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._others: dict[str, None] = {}
        self._highest: int | None = None
        self._spoken = False

    def saw(self, trial: int, attempt: int, progress: Progress) -> None:
        """Journal what a decision may rest on: the points with which a trial comes to further marks."""
        state = self._ledger.state
        known, ladder = state.trials[trial], state.ladder
        if ladder is None or known.outcome is not None:
            return
        self._others.update(dict.fromkeys(progress.others))
        self._highest = max([-1 if self._highest is None else self._highest, *(step for step, _ in progress.points)])
        if progress.trouble:
            self._ledger.notice(f"early stopping cannot see what trials report while they run: {progress.trouble}")
        for step, value in ladder.news(max(known.reached, default=None), progress.points):
            self._ledger.record(Reached(time=self._ledger.now(), trial=trial, attempt=attempt, step=step, value=value))

    def concluded(self) -> None:
        """Say so, once, when trials end without a step of the metric: no trial will be stopped."""
        state, ladder = self._ledger.state, self._ledger.state.ladder
        if ladder is None or self._spoken or state.counts[Outcome.SUCCEEDED] < _SILENT:
            return
        self._spoken = True
        if not any(trial.reached for trial in state.trials):
            text = self._silence(ladder)
            if text not in {notice.text for notice in state.notices}:
                self._ledger.notice(text)

    def completed(self, trial: int, values: Values) -> Values:
        """The values of an attempt, with the last one of its curve where the job was ended before it could be read."""
        known, ladder = self._ledger.state.trials[trial], self._ledger.state.ladder
        last = known.last
        if ladder is None or last is None or not last.stopped_early or ladder.rule.metric in values:
            return values
        return {**values, ladder.rule.metric: known.reached[max(known.reached)]}

    def _silence(self, ladder: Ladder) -> str:
        metric, others = ladder.rule.metric, [name for name in self._others if name != ladder.rule.metric]
        said = f"{_SILENT} trials have succeeded, and none has reported a step of {metric!r}"
        if self._highest is not None and self._highest >= 0:
            said = f"no trial has come to step {ladder.rule.min_step}, the highest is {self._highest}"
            return f"early stopping stops no trial: {said}; lower early_stopping.min_step"
        given = f"{metric}=…" if metric.isidentifier() else f'{{"{metric}": …}}'
        call = f"report({given}, step=…)"
        if others:
            named = ", ".join(map(repr, others[:5]))
            hint = f"steps come of {named}: name one of them in early_stopping.metric, or call {call}"
        else:
            hint = f"call {call} after each step in the training code"
        return f"early stopping stops no trial: {said}; {hint}"
