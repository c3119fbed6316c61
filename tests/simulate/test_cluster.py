from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from axk8s.simulate.clock import VirtualClock
from axk8s.simulate.cluster import Cluster, SimulatedJob
from axk8s.simulate.faults import Fate
from axk8s.sweep.model import ExitFacts, Phase


def made(slots: int = 1, nodes: int = 1) -> tuple[VirtualClock, Cluster, list[tuple[float, str, str]]]:
    clock = VirtualClock()
    seen: list[tuple[float, str, str]] = []

    def changed(job: SimulatedJob) -> None:
        seen.append((clock.now(), job.name, job.phase.value))

    return clock, Cluster(clock, slots=slots, nodes=nodes, changed=changed), seen


def test_jobs_wait_for_a_slot_start_run_and_end_in_their_order() -> None:
    clock, cluster, seen = made()
    cluster.submit("a", Fate(1.0, 10.0))
    cluster.submit("b", Fate(2.0, 5.0, ExitFacts("exited", 1)))
    clock.advance(100)

    assert seen == [
        (0.0, "a", "queued"),
        (0.0, "a", "pending"),
        (0.0, "b", "queued"),
        (1.0, "a", "running"),
        (11.0, "a", "ended"),
        (11.0, "b", "pending"),
        (13.0, "b", "running"),
        (18.0, "b", "ended"),
    ]
    assert cluster.jobs["b"].exit == ExitFacts("exited", 1)


def test_a_name_is_taken_once() -> None:
    _, cluster, _ = made()

    assert cluster.submit("a", Fate(0, 10))
    assert not cluster.submit("a", Fate(0, 99))
    assert cluster.jobs["a"].fate.run_time == 10


def test_a_stopped_job_frees_its_slot_and_a_waiting_one_its_place() -> None:
    clock, cluster, _ = made()
    for name in "abc":
        cluster.submit(name, Fate(0, 10))
    clock.advance(3)
    cluster.stop("b")
    cluster.stop("a")
    cluster.stop("unknown")

    assert cluster.jobs["c"].placed_at == 3
    assert cluster.jobs["b"].seconds == 0
    assert cluster.jobs["a"].seconds == 3
    cluster.stop("a", ExitFacts("lost"))
    assert cluster.jobs["a"].phase is Phase.ENDED  # it ends once


def test_a_lost_node_takes_its_jobs_with_it_and_comes_back_later() -> None:
    clock, cluster, _ = made(slots=4, nodes=2)
    for name in "abcde":
        cluster.submit(name, Fate(0, 100))
    clock.advance(10)
    cluster.lose(0, lasts=20)

    gone = [job.name for job in cluster.jobs.values() if job.exit is not None]
    assert gone == ["a", "c"]
    assert cluster.jobs["e"].phase is Phase.QUEUED
    clock.advance(30)
    assert cluster.jobs["e"].placed_at == 30
    assert cluster.jobs["e"].node == 0


def test_a_removed_job_is_forgotten_and_ends_first() -> None:
    _, cluster, seen = made()
    cluster.submit("a", Fate(0, 10))
    cluster.remove("a")
    cluster.remove("a")

    assert cluster.jobs == {}
    assert seen[-1][1:] == ("a", "ended")


def test_what_cannot_start_never_runs() -> None:
    clock, cluster, seen = made()
    cluster.submit("a", Fate(1.0, 10, ExitFacts("spawn_failed")))
    clock.advance(5)

    assert [phase for _, _, phase in seen] == ["queued", "pending", "ended"]
    assert cluster.jobs["a"].started_at is None


@given(
    slots=st.integers(1, 5),
    nodes=st.integers(1, 4),
    fates=st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 20)), min_size=1, max_size=20),
    events=st.lists(st.tuples(st.floats(0, 60), st.sampled_from(["stop", "lose"]), st.integers(0, 19)), max_size=6),
)
def test_never_more_run_than_there_are_slots_and_all_end_once(
    slots: int, nodes: int, fates: list[tuple[float, float]], events: list[tuple[float, str, int]]
) -> None:
    clock = VirtualClock()
    ends: list[str] = []
    most = 0

    def changed(job: SimulatedJob) -> None:
        nonlocal most
        if job.phase is Phase.ENDED:
            ends.append(job.name)
        running = [each for each in cluster.jobs.values() if each.placed_at is not None and each.exit is None]
        most = max(most, len(running))

    cluster = Cluster(clock, slots=slots, nodes=nodes, changed=changed)
    for number, (delay, run_time) in enumerate(fates):
        cluster.submit(str(number), Fate(delay, run_time))
    for time, what, which in events:
        if what == "stop":
            clock.call_at(time, lambda which=which: cluster.stop(str(which)))  # type: ignore[misc]  # bound in the loop
        else:
            clock.call_at(time, lambda which=which: cluster.lose(which % cluster.nodes, lasts=5))  # type: ignore[misc]
    clock.advance(10_000)

    assert sorted(ends) == sorted(str(number) for number in range(len(fates)))
    assert most <= slots
    assert cluster.free == slots
