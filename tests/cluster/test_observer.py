"""Two thousand Jobs, whose ends the observer must know as the server does, whatever its connection went through."""

from __future__ import annotations

import queue
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from axk8s.kube.client import Object
from axk8s.kube.resource import JOBS
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.sweep.model import JobView
from tests.cluster.namespace import Namespace
from tests.cluster.proxy import WATCHES, Proxy

COUNT = 2000
LABEL = "axk8s.test/sweep"
THEN = "2026-01-01T00:00:00Z"
ENDS = ("completed", "failed", "deleted", "goes on")


def played(number: int) -> Object:
    """A Job whose controller we are."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none:1"}]}}
    return {
        "metadata": {"name": f"job-{number}", "labels": {LABEL: "one"}},
        "spec": {"managedBy": "axk8s.test/played", "completionMode": "Indexed", "completions": 1, "parallelism": 1}
        | {"template": template},
    }


def end(namespace: Namespace, number: int, how: str) -> None:
    """Let a Job come to this end."""
    name = f"job-{number}"
    if how == "deleted":
        namespace.admin.delete(JOBS, name)
    elif how != "goes on":
        good = how == "completed"
        kinds = ("SuccessCriteriaMet", "Complete") if good else ("FailureTarget", "Failed")
        conditions = [
            {
                "type": kind,
                "status": "True",
                "reason": "Played",
                "message": "",
                "lastTransitionTime": THEN,
                "lastProbeTime": THEN,
            }
            for kind in kinds
        ]
        status = {
            "conditions": conditions,
            "startTime": THEN,
            **({"completionTime": THEN, "succeeded": 1} if good else {"failed": 1}),
        }
        namespace.admin.patch(JOBS, name, {"status": status}, part="status")


def told(view: JobView) -> str:
    """The end that a view tells of."""
    assert view.exit is not None
    words = view.exit.message
    return "completed" if "completed" in words else "failed" if "failed" in words else "deleted"


@contextmanager
def observing(proxy: Proxy, namespace: Namespace, seen: queue.SimpleQueue[JobView]) -> Iterator[KubernetesObserver]:
    observer = KubernetesObserver(proxy.kube(namespace), f"{LABEL}=one", seen.put)
    observer.start()
    try:
        yield observer
    finally:
        observer.close()


def test_what_ended_while_the_watch_was_cut_is_known_as_the_server_knows_it(namespace: Namespace, proxy: Proxy) -> None:
    chance = random.Random(5)
    seen: queue.SimpleQueue[JobView] = queue.SimpleQueue()
    ends: dict[str, str] = {}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: namespace.admin.create(JOBS, played(number)), range(COUNT)))
        with observing(proxy, namespace, seen) as observer:
            for number in range(COUNT):
                observer.follow(f"job-{number}")
            known = {seen.get(timeout=60).job for _ in range(COUNT)}
            assert len(known) == COUNT

            truth: dict[str, str] = {}
            for half, forgets in ((range(COUNT // 2), False), (range(COUNT // 2, COUNT), True)):
                # No connection at all, while a thousand Jobs end; then, the second time, a server that has forgotten.
                proxy.shut()
                plan = {number: chance.choice(ENDS) for number in half}
                list(pool.map(lambda item: end(namespace, *item), plan.items()))
                truth |= {f"job-{number}": how for number, how in plan.items() if how != "goes on"}
                if forgets:
                    proxy.refuse(410, path=WATCHES, times=2)
                proxy.shut(False)
                while len(ends) < len(truth):
                    view = seen.get(timeout=90)
                    if view.exit is not None:
                        assert view.job not in ends, "each end is told once"
                        ends[view.job] = told(view)

    assert ends == truth
    assert min(Counter(ends.values()).values()) > 300
    present = {one["metadata"]["name"] for one in namespace.admin.list_all(JOBS)[0]}
    assert present == {f"job-{number}" for number in range(COUNT)} - {
        name for name, how in ends.items() if how == "deleted"
    }
