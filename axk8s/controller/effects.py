"""Side effects: carried out by workers, never twice at a time, their ends told to the inbox."""

from __future__ import annotations

from axk8s.controller.inbox import Crashed, EffectDone, Inbox, Workers
from axk8s.controller.ports import Curves, Jobs
from axk8s.errors import Axk8sError
from axk8s.folder import SweepFolder
from axk8s.sweep.decide import Effect
from axk8s.sweep.model import Harvest, JobOrder, Submitted
from axk8s.sweep.stopping import Progress


class Effects:
    """Keeps `decide`'s level-triggered effects from repeating while they are under way."""

    def __init__(self, jobs: Jobs, curves: Curves | None, folder: SweepFolder, workers: Workers, inbox: Inbox) -> None:
        self._jobs = jobs
        self._curves = curves
        self._folder = folder
        self._workers = workers
        self._inbox = inbox
        self._under_way: set[Effect] = set()
        self._once: set[Effect] = set()

    @property
    def busy(self) -> bool:
        """Whether something is under way whose end changes the state."""
        return any(effect.do not in ("follow", "watch") for effect in self._under_way)

    def begun(self, effect: Effect) -> bool:
        """Whether it is under way, or is one that holds once begun (follow, watch, stop)."""
        return effect in self._under_way or effect in self._once

    def begin(self, effect: Effect, order: JobOrder, handle: str) -> None:
        """Start an effect that is not begun."""
        self._under_way.add(effect)
        if effect.do in ("follow", "watch", "stop"):
            self._once.add(effect)
        self._workers.run(lambda: self._work(effect, order, handle))

    def ended(self, effect: Effect, *, again: bool = False) -> None:
        """Its event has been taken from the inbox; `again` when it has not happened, and is to be begun once more."""
        self._under_way.discard(effect)
        if again:
            self._once.discard(effect)

    def _work(self, effect: Effect, order: JobOrder, handle: str) -> None:
        result: Submitted | Harvest | None = None
        progress = Progress()
        try:
            match effect.do:
                case "submit":
                    result = self._jobs.submit(order)
                case "follow":
                    self._jobs.follow(order.job, handle)
                case "watch":
                    if self._curves is not None:
                        self._curves.follow(order, handle)
                case "stop":
                    self._jobs.stop(handle)
                case "harvest":
                    result = self._jobs.harvest(order, handle) if handle else Harvest({})
                    if self._curves is not None:
                        progress = self._curves.last(order, self._folder.attempt(order.trial, order.attempt))
                case "delete":
                    if handle:
                        self._jobs.delete(handle)
        except Axk8sError as error:
            self._inbox.put(EffectDone(effect, error=error))
        except BaseException as error:  # noqa: BLE001  (raised again in the controller's thread)
            self._inbox.put(Crashed(error))
        else:
            self._inbox.put(EffectDone(effect, result=result, progress=progress))
