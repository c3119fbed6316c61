"""Whatever the order in which an observer hears of the Jobs and of their pods, each attempt ends in the same way.

A model of the API server lets what happens to some Jobs happen step by step. Its two watches deliver it as late as they
like, a list skips what lies between, jobs are followed at any moment, time passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from axk8s.kube.access import Access
from axk8s.kube.client import Kube, Object
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.schedulers.kubernetes_job.patience import Patience
from axk8s.sweep.model import JobView
from tests.schedulers.kubernetes_job.truths import TRUTHS, Step, Truth

NEVER = 1e6
_LONG = 200


@dataclass
class Line:
    """One kind of objects: what there is, and what a watch of it has not delivered yet."""

    present: dict[str, Object] = field(default_factory=dict)
    undelivered: list[tuple[Object, bool]] = field(default_factory=list)
    listing: tuple[list[Object], float] | None = None
    """A list that has begun and has not arrived."""

    def put(self, found: Object) -> None:
        self.present[found["metadata"]["name"]] = found
        self.undelivered.append((found, False))

    def remove(self, name: str) -> None:
        self.undelivered.append((self.present.pop(name), True))

    def list_all(self, now: float) -> None:
        """Begin a list: what it holds needs no delivering any more, and what came and went before is never heard of."""
        self.listing = [self.present[name] for name in sorted(self.present)], now
        self.undelivered.clear()


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.told: list[JobView] = []
        # No watcher runs and no events are asked for, so there is nothing to connect to.
        kube = Kube(Access(None, None, "", "", "default"))
        patience = Patience(start=NEVER, pod=NEVER)
        self.observer = KubernetesObserver(kube, "", self.told.append, patience=patience, now=lambda: self.now)
        self.jobs, self.pods = Line(), Line()
        self.truths: dict[str, Truth] = {}
        self.left: dict[str, list[Step]] = {}
        self.followed: set[str] = set()

    @initialize(chosen=st.lists(st.sampled_from(TRUTHS), min_size=1, max_size=4))
    def begin(self, chosen: list[Callable[[str], Truth]]) -> None:
        for number, truth in enumerate(chosen):
            name = f"tune-0a1b2c-t{number}-a0"
            self.truths[name] = truth(name)
            self.left[name] = list(self.truths[name].steps)

    # --- the world --------------------------------------------------------------------------------------------------

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        able = [name for name, left in self.left.items() if left and self._may(name, left[0])]
        if able:
            self._happen(data.draw(st.sampled_from(able)))

    def _may(self, name: str, step: Step) -> bool:
        # A submit is followed within a moment: nobody stops a job before, and what has gone by then is not kept.
        late = step.kind == "cancel" or (self.truths[name].vanishes and step.kind in ("pod gone", "job gone"))
        return name in self.followed or not late

    def _happen(self, name: str) -> None:
        step = self.left[name].pop(0)
        if step.kind == "cancel":
            self.observer.cancelling(name)
        elif step.kind == "job gone":
            self.jobs.remove(name)
        elif step.kind == "pod gone":
            self.pods.remove(step.name)
        else:
            assert step.found is not None
            (self.jobs if step.kind == "job" else self.pods).put(step.found)

    @rule(seconds=st.sampled_from([0.1, 1.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.observer.tick()

    @rule(data=st.data())
    def a_job_is_followed(self, data: st.DataObject) -> None:
        begun = [name for name in self.truths if len(self.left[name]) < len(self.truths[name].steps)]
        if begun:
            self._follow(data.draw(st.sampled_from(begun)))

    def _follow(self, name: str) -> None:
        if not any(view.job == name and view.exit is not None for view in self.told):
            self.followed.add(name)
            self.observer.follow(name)

    # --- what is heard of it ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.jobs.listing is None)
    @rule(count=st.integers(1, 5))
    def the_jobs_watch_delivers(self, count: int) -> None:
        for _ in range(min(count, len(self.jobs.undelivered))):
            found, gone = self.jobs.undelivered.pop(0)
            self.observer.job_seen(found, gone=gone)

    @precondition(lambda self: self.pods.listing is None)
    @rule(count=st.integers(1, 5))
    def the_pods_watch_delivers(self, count: int) -> None:
        for _ in range(min(count, len(self.pods.undelivered))):
            found, gone = self.pods.undelivered.pop(0)
            self.observer.pod_seen(found, gone=gone)

    @precondition(lambda self: self.jobs.listing is None)
    @rule()
    def a_list_of_jobs_begins(self) -> None:
        if any(truth.vanishes for truth in self.truths.values()):
            self.the_jobs_watch_delivers(_LONG)
        self.observer._jobs._stale = False
        self.jobs.list_all(self.now)

    @precondition(lambda self: self.pods.listing is None)
    @rule()
    def a_list_of_pods_begins(self) -> None:
        if any(truth.vanishes for truth in self.truths.values()):
            self.the_pods_watch_delivers(_LONG)
        self.observer._pods._stale = False
        self.pods.list_all(self.now)

    @precondition(lambda self: self.jobs.listing is not None)
    @rule()
    def a_list_of_jobs_arrives(self) -> None:
        if self.jobs.listing is not None:
            self.observer.jobs_listed(*self.jobs.listing)
            self.jobs.listing = None

    @precondition(lambda self: self.pods.listing is not None)
    @rule()
    def a_list_of_pods_arrives(self) -> None:
        if self.pods.listing is not None:
            self.observer.pods_listed(*self.pods.listing)
            self.pods.listing = None

    # --- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def each_end_is_told_once_and_is_the_last_word(self) -> None:
        ended: set[str] = set()
        for view in self.told:
            assert view.job not in ended
            if view.exit is not None:
                ended.add(view.job)

    def teardown(self) -> None:
        for name, left in self.left.items():
            if left and name not in self.followed and len(left) == len(self.truths[name].steps):
                self._happen(name)
            self._follow(name)
            while left:
                self._happen(name)
        self._hear()
        for _ in range(30):
            self.time_passes(5.0)
            self._hear_again()
        verdicts = {view.job: replace(view.exit, node="") for view in self.told if view.exit is not None}
        assert verdicts == {name: truth.facts for name, truth in self.truths.items()}
        self._forget()
        self._close()

    def _hear(self) -> None:
        self.a_list_of_jobs_arrives()
        self.a_list_of_pods_arrives()
        self.the_jobs_watch_delivers(_LONG)
        self.the_pods_watch_delivers(_LONG)

    def _hear_again(self) -> None:
        """List what the observer has asked for."""
        if self.observer._jobs._stale:
            self.a_list_of_jobs_begins()
        if self.observer._pods._stale:
            self.a_list_of_pods_begins()
        self._hear()

    def _forget(self) -> None:
        """The sweep deletes what has ended."""
        for name in [*self.jobs.present]:
            self.jobs.remove(name)
        for name in [*self.pods.present]:
            self.pods.remove(name)
        self._hear()
        self.a_list_of_pods_begins()
        self.a_list_of_jobs_begins()
        self._hear()
        assert self.observer._known == {}

    def _close(self) -> None:
        before = len(self.told)
        self.observer.follow("late")
        self.observer.close()
        for name, truth in self.truths.items():
            self.observer.follow(name)
            for step in truth.steps:
                if step.found is not None and step.kind == "job":
                    self.observer.job_seen(step.found, gone=False)
        self.now += NEVER * 2
        self.observer.jobs_listed([], self.now)
        self.observer.tick()
        assert len(self.told) == before


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=150, stateful_step_count=40)
