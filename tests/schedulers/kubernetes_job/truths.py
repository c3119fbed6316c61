"""What can happen to a Job in a cluster, step by step, and how the attempt has ended then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from axk8s.kube.client import Object
from axk8s.sweep.model import ExitFacts
from tests.schedulers.kubernetes_job.objects import (
    COMPLETE,
    EVICTED,
    FAILED,
    FINAL,
    LATE,
    POLICY,
    PREEMPTED,
    SHUTDOWN,
    STEPS,
    TAINTED,
    condition,
    exited,
    job,
    pod,
    running,
    waiting,
)


@dataclass(frozen=True)
class Step:
    """One change in the cluster, or our own request to end the job."""

    kind: Literal["job", "job gone", "pod", "pod gone", "cancel"]
    found: Object | None = None
    name: str = ""


@dataclass(frozen=True)
class Truth:
    """All that happens to one Job."""

    facts: ExitFacts
    steps: tuple[Step, ...]
    vanishes: bool = False
    """What tells how it ended is gone in the end: who misses its last moments can only say that it is lost."""


CANCEL = Step("cancel")
SUCCESS = ExitFacts("exited", 0)


def _job(found: Object) -> Step:
    return Step("job", found)


def _pod(found: Object) -> Step:
    return Step("pod", found)


def _gone(found: Object) -> Step:
    return Step("pod gone", name=found["metadata"]["name"])


def _life(name: str, *, index: int = 0, run: int = 0) -> list[Step]:
    states = (None, waiting("ContainerCreating"), running())
    return [_pod(pod(state, job=name, index=index, run=run)) for state in states]


def _stopped(name: str, *, index: int = 0, code: int = 143) -> list[Step]:
    """A pod is deleted, ends, and is gone."""
    last = pod(exited(code, report=STEPS), job=name, index=index, deleting=20)
    return [_pod(pod(running(), job=name, index=index, deleting=20)), _pod(last), _gone(last)]


def _evicted(name: str) -> list[Step]:
    """The first pod is disrupted, ends, and is gone."""
    last = pod(exited(143), EVICTED, job=name, deleting=20)
    return [_pod(pod(running(), EVICTED, job=name, deleting=20)), _pod(last), _gone(last)]


def success(name: str) -> Truth:
    done = _pod(pod(exited(0, report=STEPS), job=name))
    return Truth(SUCCESS, (_job(job(name=name)), *_life(name), done, _job(job(COMPLETE, name=name))))


def failure(name: str) -> Truth:
    done = _pod(pod(exited(3), job=name))
    steps = (_job(job(name=name)), *_life(name), done, _job(job(FAILED, name=name)))
    return Truth(ExitFacts("exited", 3, replica="main-0"), steps)


def out_of_memory(name: str) -> Truth:
    done = _pod(pod(exited(137, "OOMKilled"), job=name))
    words = "out of memory: over the container's limit (OOMKilled)"
    steps = (_job(job(name=name)), *_life(name), done, _job(job(FAILED, name=name)))
    return Truth(ExitFacts("exited", -9, words, "main-0"), steps)


def evicted_and_a_success(name: str) -> Truth:
    done = _pod(pod(exited(0, report=FINAL), job=name, run=1))
    steps = (_job(job(name=name)), *_life(name), *_evicted(name), *_life(name, run=1), done)
    return Truth(SUCCESS, (*steps, _job(job(COMPLETE, name=name))))


def evicted_and_a_failure(name: str) -> Truth:
    done = _pod(pod(exited(3), job=name, run=1))
    steps = (_job(job(name=name)), *_life(name), *_evicted(name), *_life(name, run=1), done)
    return Truth(ExitFacts("exited", 3, replica="main-0"), (*steps, _job(job(FAILED, name=name))))


def shut_down_and_a_success(name: str) -> Truth:
    """The disrupted pod stays, beside the one in its place."""
    ended = _pod(pod(exited(143, ended=18), SHUTDOWN, job=name, reason="Terminated"))
    done = _pod(pod(exited(0), job=name, run=1))
    return Truth(
        SUCCESS, (_job(job(name=name)), *_life(name), ended, *_life(name, run=1), done, _job(job(COMPLETE, name=name)))
    )


def shut_down_with_exit_code_0(name: str) -> Truth:
    ended = _pod(pod(exited(0, report=STEPS), SHUTDOWN, job=name, reason="Terminated"))
    words = "TerminationByKubelet: Pod was terminated in response to node shutdown."
    steps = (_job(job(name=name)), *_life(name), ended, _job(job(COMPLETE, name=name)))
    return Truth(ExitFacts("terminated", 0, words, "main-0"), steps)


def evicted_with_exit_code_0(name: str) -> Truth:
    """Kubernetes calls it a success, and no pod is left to say otherwise."""
    last = pod(exited(0, report=STEPS), EVICTED, job=name, deleting=20)
    steps = (
        _job(job(name=name)),
        *_life(name),
        _pod(pod(running(), EVICTED, job=name, deleting=20)),
        _pod(last),
        _job(job(COMPLETE, name=name)),
        _gone(last),
    )
    words = "EvictionByEvictionAPI: Eviction API: evicting"
    return Truth(ExitFacts("terminated", 0, words, "main-0"), steps, vanishes=True)


def deleted_by_hand(name: str) -> Truth:
    """The pod, not the Job."""
    steps = (_job(job(name=name)), *_life(name), *_stopped(name), _job(job(FAILED, name=name)))
    words = f"the pod {name}-0-eeeee was deleted while it ran"
    return Truth(ExitFacts("terminated", 143, words, "main-0"), steps, vanishes=True)


def one_of_four(name: str) -> Truth:
    """One exits 3; the Job controller ends the others."""
    pods = [step for index in range(4) for step in _life(name, index=index)]
    ended = _pod(pod(exited(3, ended=20), job=name, index=2))
    others = [step for index in (0, 1, 3) for step in _stopped(name, index=index)]
    failing = _job(job(condition("FailureTarget", "PodFailurePolicy"), name=name, replicas=4))
    steps = (_job(job(name=name, replicas=4)), *pods, ended, failing, *others)
    return Truth(ExitFacts("exited", 3, replica="main-2"), (*steps, _job(job(POLICY, name=name, replicas=4))))


def one_of_two_is_shut_down(name: str) -> Truth:
    pods = [step for index in range(2) for step in _life(name, index=index)]
    ended = _pod(pod(exited(143, ended=40), SHUTDOWN, job=name, index=1, reason="Terminated"))
    steps = (_job(job(name=name, replicas=2)), *pods, ended, *_stopped(name, index=0))
    words = "TerminationByKubelet: Pod was terminated in response to node shutdown."
    return Truth(ExitFacts("terminated", 143, words, "main-1"), (*steps, _job(job(POLICY, name=name, replicas=2))))


def deleted_from_outside(name: str) -> Truth:
    """The Job with its pod."""
    steps = (_job(job(name=name)), *_life(name), Step("job gone"), *_stopped(name))
    return Truth(ExitFacts("lost", message="the Job was deleted from outside the sweep"), steps)


def deleted_after_the_success(name: str) -> Truth:
    """Before the Job controller had said so."""
    last = pod(exited(0, report=FINAL), job=name, deleting=60, grace=0)
    steps = (
        _job(job(name=name)),
        *_life(name),
        _pod(pod(exited(0, report=FINAL), job=name)),
        Step("job gone"),
        _pod(last),
        _gone(last),
    )
    return Truth(SUCCESS, steps, vanishes=True)


def cancelled(name: str) -> Truth:
    steps = (_job(job(name=name)), *_life(name), CANCEL, Step("job gone"), *_stopped(name))
    return Truth(ExitFacts("cancelled"), steps)


def cancelled_before_it_had_a_pod(name: str) -> Truth:
    return Truth(ExitFacts("cancelled"), (_job(job(name=name, suspend=True)), CANCEL, Step("job gone")))


def never_there(name: str) -> Truth:
    """Its create was answered, and it was deleted before anybody looked; here it never was."""
    return Truth(ExitFacts("lost", message="the Job was deleted from outside the sweep"), ())


def preempted_in_its_queue(name: str) -> Truth:
    """Kueue suspends it, its pod is deleted, and later it runs again from the beginning."""
    last = pod(exited(143), PREEMPTED, job=name, deleting=20)
    steps = (
        _job(job(name=name, suspend=True)),
        _job(job(name=name)),
        *_life(name),
        _job(job(name=name, suspend=True)),
        _pod(last),
        _gone(last),
        _job(job(name=name)),
        *_life(name, run=1),
        _pod(pod(exited(0), job=name, run=1)),
        _job(job(COMPLETE, name=name)),
    )
    return Truth(SUCCESS, steps)


def late(name: str) -> Truth:
    steps = (_job(job(name=name)), *_life(name), *_stopped(name), _job(job(LATE, name=name)))
    words = "the Job's deadline passed: Job was active longer than specified deadline"
    return Truth(ExitFacts("deadline", message=words), steps)


def on_a_lost_node(name: str) -> Truth:
    """Its deletion is asked for, and nobody is there to carry it out."""
    words = (
        "the node node-1 is lost: DeletionByTaintManager: Taint manager: deleting due to NoExecute taint, "
        "and the pod does not go"
    )
    steps = (_job(job(name=name)), *_life(name), _pod(pod(running(), TAINTED, job=name, deleting=20)))
    return Truth(ExitFacts("terminated", message=words, replica="main-0"), steps)


def no_such_image(name: str) -> Truth:
    state = waiting("InvalidImageName", "couldn't parse image name")
    facts = ExitFacts("spawn_failed", message="InvalidImageName: couldn't parse image name", replica="main-0")
    return Truth(facts, (_job(job(name=name)), _pod(pod(job=name)), _pod(pod(state, job=name))))


TRUTHS: tuple[Callable[[str], Truth], ...] = (
    success,
    failure,
    out_of_memory,
    evicted_and_a_success,
    evicted_and_a_failure,
    shut_down_and_a_success,
    shut_down_with_exit_code_0,
    evicted_with_exit_code_0,
    deleted_by_hand,
    one_of_four,
    one_of_two_is_shut_down,
    deleted_from_outside,
    deleted_after_the_success,
    cancelled,
    cancelled_before_it_had_a_pod,
    never_there,
    preempted_in_its_queue,
    late,
    on_a_lost_node,
    no_such_image,
)
