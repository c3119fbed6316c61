"""Ax in a process of its own, seen from the controller: it may die, hang or be killed, and the sweep goes on."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

from axk8s.optimize.protocol import Answer, Ask, Begin, Failed, decode
from axk8s.optimize.random import Drawer
from axk8s.optimize.sight import Sight
from axk8s.optimize.space import Identity, identity
from axk8s.optimize.worker import Line, Worker, ending, python_command
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import OptimizerReply, Parameters, TrialFact

PATIENCE: Final = 600.0
"""Seconds that a question may take before the process counts as hung; ten times the median where that is longer."""
_MOST_DEATHS: Final = 3


def child_command() -> tuple[str, ...]:
    """How to start the optimizer's process."""
    return python_command("axk8s.optimize.child")


class AxOptimizer:
    """The optimizer `ax`. One thread owns the process and everything about it; the others only leave it messages.

    A process that dies or hangs is replaced by one that is told all facts and asked again. After three deaths without
    a new result in between the question is answered by random draws, and Ax is tried again when there is a new one.
    """

    def __init__(
        self,
        spec: SweepSpec,
        *,
        log: Path,
        patience: float = PATIENCE,
        command: Sequence[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take in what to optimize; nothing is started yet.

        Args:
            spec: The sweep; must have passed `capability.check`.
            log: File to which everything is appended that Ax and its libraries print.
            patience: Seconds before an unanswered question means that the process hangs.
            command: How the process is started, without its own arguments.
            clock: Seconds, by which proposals and results are timed; see `sight`.
        """
        self._spec = spec
        self._log = log
        self._patience = patience
        self._command = tuple(command) if command is not None else child_command()
        self._inbox: SimpleQueue[_Event] = SimpleQueue()
        self._reply: Callable[[OptimizerReply], None] = lambda _: None
        self._thread: threading.Thread | None = None
        self._child: Worker | None = None
        self._facts: dict[int, TrialFact] = {}
        self._ended: set[int] = set()
        self._told: set[Identity] = set()
        self._outstanding: list[Parameters] = []
        self._question: _Question | None = None
        self._asked = 0
        self._deaths = 0
        self._allowed = _MOST_DEATHS
        self._died_at = -1
        self._error = ""
        self._durations: deque[float] = deque(maxlen=100)  # of the last answers, which tell what is usual
        self._sight = Sight(clock)
        self._drawer = Drawer(spec, generator="random-fallback")
        self._closing = threading.Event()

    # What the controller calls: returns at once.

    def start(self, reply: Callable[[OptimizerReply], None]) -> None:
        """Start the process, whose imports take seconds; answers go to `reply`, from another thread."""
        self._reply = reply
        self._thread = threading.Thread(target=self._own, name="optimizer", daemon=True)
        self._thread.start()

    def tell(self, fact: TrialFact) -> None:
        """A trial was suggested or has ended; counts from the next question on."""
        self._inbox.put(fact)

    def ask(self, count: int, *, replace: bool = False) -> None:
        """Ask for proposals; with `replace`, those that are not trials yet will be dropped for them.

        Otherwise they count as running, so that asking ahead gives different points.
        """
        self._inbox.put(_Question(count, replace))

    def close(self) -> None:
        """End the process; nothing is replied after this."""
        if self._thread is None:
            return
        self._closing.set()
        self._inbox.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=10)
        self._thread = None

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        child = self._child
        return child.process.pid if child is not None else None

    # What the owning thread does.

    def _own(self) -> None:
        try:
            self._spawn()
            while True:
                try:
                    event = self._inbox.get(timeout=self._remaining())
                except Empty:
                    self._died("did not answer in time")
                    continue
                if event is None:
                    return
                self._handle(event)
        except Exception as error:
            # Whatever it is, without a word the controller would wait for ever.
            self._reply(OptimizerReply(error=f"the optimizer's thread ended: {type(error).__name__}: {error}"))
            raise
        finally:
            self._bury()

    def _handle(self, event: TrialFact | _Question | Line) -> None:
        if isinstance(event, TrialFact):
            self._facts[event.trial] = event
            self._sight.told(event)
            self._told.add(identity(event.parameters))
            if event.outcome is not None and event.trial >= 0:
                self._ended.add(event.trial)
            if self._child is not None:
                self._child.changed.add(event.trial)
        elif isinstance(event, _Question):
            self._begin(event)
        elif event.child is self._child:
            self._hear(event.content)

    def _begin(self, question: _Question) -> None:
        self._outstanding = [each for each in self._outstanding if identity(each) not in self._told]
        if question.replace:
            question.barred, self._outstanding = self._outstanding, []
        self._question = question
        self._put()

    def _put(self) -> None:
        """Send the question to a living process, or answer it without one."""
        question = self._question
        if question is None:
            return
        if self._deaths >= self._allowed and self._died_at == self._results:
            self._fall_back(question)
            return
        if self._died_at != self._results and self._deaths:
            self._deaths = 0
        if self._child is None:
            self._spawn()
            return  # which puts the question itself
        self._sight.asked()
        self._asked += 1
        question.number, question.since = self._asked, time.monotonic()
        changed = sorted(self._child.changed)
        self._child.changed.clear()
        ask = Ask(
            number=question.number,
            count=question.count,
            facts=[self._facts[trial] for trial in changed],
            outstanding=self._outstanding,
            barred=question.barred,
            most_results=self._sight.most,
            again=question.again,
        )
        if not self._child.send(ask, deadline=question.since + self._limit, closing=self._closing):
            self._died("took in no question")

    def _hear(self, content: bytes) -> None:
        if not content:
            self._died("ended", by_itself=True)
            return
        try:
            message = decode(content)
        except ValueError as error:
            self._error = str(error)
            self._died("sent what is no answer")
            return
        if isinstance(message, Failed):
            self._error = message.error
            if message.hopeless:
                self._bury()
                self._deaths, self._question = 0, None
                self._reply(OptimizerReply(error=f"Ax cannot work on this sweep: {message.error} (see {self._log})"))
        elif isinstance(message, Answer) and self._question is not None and message.number == self._question.number:
            self._durations.append(time.monotonic() - self._question.since)
            self._deaths, self._allowed = 0, _MOST_DEATHS
            self._sight.answered(len(message.reply.proposals))
            self._deliver(message.reply)

    def _deliver(self, reply: OptimizerReply) -> None:
        # A trial may have been enqueued with just these values since the question was asked.
        fresh = tuple(each for each in reply.proposals if identity(each.parameters) not in self._told)
        if reply.proposals and not fresh and not reply.exhausted:
            self._put()
            return
        self._question = None
        self._outstanding += [each.parameters for each in fresh]
        self._reply(replace(reply, proposals=fresh))

    def _died(self, how: str, *, by_itself: bool = False) -> None:
        # While closing, a message that was cut short says nothing about the process, and nobody waits for a new one.
        if self._child is None or self._closing.is_set():
            return
        pid, code = self._child.process.pid, self._bury(by_itself=by_itself)
        why = f": {self._error}" if self._error else f" ({ending(code)})" if by_itself else ""
        self._error = ""
        if self._died_at != self._results:
            self._deaths = 0
        self._deaths, self._died_at = self._deaths + 1, self._results
        if self._question is not None and self._question.number:  # else its successor is to answer as it would have
            self._question.again += 1
        what = f"the optimizer process {pid} {how}{why}"
        if self._deaths < self._allowed:
            self._reply(OptimizerReply(notice=f"{what}; a new one is told all results (see {self._log})"))
            self._spawn()
            return
        times = f"{self._deaths} times" if self._deaths > 1 else "once more"
        self._reply(
            OptimizerReply(
                notice=f"{what}, {times} on the same results; going on with random points, and trying Ax again "
                f"with the next result (see {self._log})"
            )
        )
        self._allowed = 1
        if self._question is not None:
            self._fall_back(self._question)

    def _fall_back(self, question: _Question) -> None:
        taken = self._told | {identity(each) for each in (*self._outstanding, *question.barred)}
        before = len(self._facts) + len(self._outstanding)
        reply = self._drawer.propose(question.count, taken=taken, before=before, results=self._results)
        if reply.proposals and question.barred:
            # What is dropped for these can be proposed again, so this was not the last of the space.
            reply = replace(reply, exhausted=False, notice="")
        self._deliver(reply)

    def _spawn(self) -> None:
        try:
            self._child = Worker(self._command, self._log, self._inbox)
        except OSError as error:
            self._question = None
            self._reply(OptimizerReply(error=f"the optimizer process cannot be started: {error}"))
            return
        self._child.changed.update(self._facts)
        begin = Begin(spec=self._spec.to_json(), base=str(self._spec.base))
        if self._child.send(begin, deadline=time.monotonic() + self._limit, closing=self._closing):
            self._put()
        else:
            self._died("took in no question")

    def _bury(self, *, by_itself: bool = False) -> int | None:
        child, self._child = self._child, None
        return child.end(grace=5.0 if by_itself else 0.0) if child is not None else None

    @property
    def _results(self) -> int:
        return len(self._ended)

    @property
    def _limit(self) -> float:
        return max(self._patience, 10 * statistics.median(self._durations)) if self._durations else self._patience

    def _remaining(self) -> float | None:
        """Seconds until the process counts as hung; None while nothing is asked of it."""
        if self._question is None or self._child is None:
            return None
        return max(0.0, self._question.since + self._limit - time.monotonic())


@dataclass(slots=True)
class _Question:
    count: int
    replace: bool = False
    number: int = 0
    since: float = 0.0
    again: int = 0
    """How often a process died over it."""
    barred: list[Parameters] = field(default_factory=list)


_Event: TypeAlias = TrialFact | _Question | Line | None
