"""Sweeps on a real API server: how much longer they take than the bare Jobs, and what the client itself costs.

Needs kind, docker and kwok, and makes a cluster of its own whose controllers are allowed 500 calls a second. Pods run
on nodes that kwok plays, so that what is measured is the way there and back, not training.

slots      300 trials of 1 to 5 s, 50 at a time, beside a bare watch-driven loop that keeps 50 of the same Jobs alive
creates    Jobs created a second with the limiter off, beside the official client with as many threads
observer   events a second of a recorded stream through the observer

python bench/cluster.py
python bench/cluster.py --trials 60 --rounds 1
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client as official
from kubernetes import config as official_config

from axk8s.folder import SweepFolder
from axk8s.journal import read
from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import KubeError
from axk8s.kube.resource import JOBS, NAMESPACES, PODS
from axk8s.kube.stream import EventStream
from axk8s.schedulers.kubernetes_job.observer import KubernetesObserver
from axk8s.schedulers.kubernetes_job.request import KubernetesRequest
from axk8s.schedulers.kubernetes_job.scheduler import KubernetesJobScheduler
from axk8s.sweep.records import PhaseChanged, Submitting
from bench._result import Bar, add_output, machine, percent, save, show
from tests.cluster import cluster as clusters
from tests.cluster import kwok
from tests.cluster.cluster import Cluster
from tests.cluster.kwok import FakeNodes

_LABEL = "bench/one"
_COMPONENT = """\
import torchx.specs as specs


def played(seconds: float) -> specs.AppDef:
    env = {"AXK8S_TEST_SECONDS": f"{seconds:.3f}", "AXK8S_TEST_MESSAGE": f'axk8s: {{"loss": {seconds}}}'}
    resource = specs.Resource(cpu=1, gpu=0, memMB=64)
    role = specs.Role("main", image="played:1", entrypoint="played", env=env, resource=resource)
    return specs.AppDef("played", [role])
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    options = _options(arguments)
    where = machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, clusters.own(Path(name)) as cluster:
        with kwok.played(cluster, count=2) as nodes:
            slots = [_slots(cluster, nodes, Path(name) / str(round_), options) for round_ in range(options.rounds)]
        creates = _creates(cluster, slots[0].manifest, options)
        observer = _observer(slots[0].recorded, options.replays)
    figures = {
        "trials": options.trials,
        "parallelism": options.parallelism,
        "slots": [one.figures() for one in slots],
        "creates": creates,
        "observer": observer,
    }
    _report(slots, creates, observer)
    save("cluster", options.output, where=where, figures=figures, bars=_bars(slots, creates, observer))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300, help="of a sweep (default: %(default)s)")
    parser.add_argument("--parallelism", type=int, default=50, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of sweep and loop (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=400, help="created in one go (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=16, help="threads that create (default: %(default)s)")
    parser.add_argument("--replays", type=int, default=5, help="of the recorded stream (default: %(default)s)")
    add_output(parser, "cluster")
    return parser.parse_args(arguments)


# --- slots ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Slots:
    """One round: the sweep, then the loop over the same Jobs."""

    sweep: float
    """Seconds from the first `submitting` to the last end, by the journal."""
    command: float
    """Seconds of the whole command, start and checks included."""
    loop: float
    recorded: list[tuple[str, str, Object]] = field(repr=False, default_factory=list)
    """Kind of watch, kind of event and object, of the sweep's own Jobs and pods."""
    manifest: Object = field(repr=False, default_factory=dict)

    def figures(self) -> dict[str, float]:
        return {"sweep": self.sweep, "command": self.command, "loop": self.loop, "ratio": self.sweep / self.loop}


def _slots(cluster: Cluster, nodes: FakeNodes, folder: Path, options: argparse.Namespace) -> Slots:
    folder.mkdir()
    namespace = f"bench-{folder.name}"
    admin = cluster.kube(namespace)
    admin.create(NAMESPACES, {"metadata": {"name": namespace}})
    (folder / "played.py").write_text(_COMPONENT)
    overlay = {"nodeSelector": dict(nodes.selector), "tolerations": [dict(nodes.toleration)]}
    sweep = {
        "name": "played",
        "component": "played.py:played",
        "parameters": {"seconds": {"type": "float", "min": 1, "max": 5}},
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "optimizer": "random",
        "trials": options.trials,
        "parallelism": options.parallelism,
        "scheduler": "kubernetes_job",
        # The loop beside it has no limiter, and played pods have no log.
        "scheduler_config": {"namespace": namespace, "pod_overlay": overlay, "qps": 0, "keep_logs": "none"},
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    with _recording(admin) as recorded:
        began = time.monotonic()
        command = [sys.executable, "-m", "axk8s", "run", "sweep.yaml"]
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
            stderr=subprocess.DEVNULL,
            check=True,
        )
        whole = time.monotonic() - began
    kept = SweepFolder(folder / "sweeps" / "played")
    records = list(read(kept.journal))
    first = min(one.time for one in records if isinstance(one, Submitting))
    last = max(one.time for one in records if isinstance(one, PhaseChanged) and one.exit is not None)
    manifests = [yaml.safe_load(kept.attempt(trial, 0).manifest.read_text()) for trial in range(options.trials)]
    loop = _loop(cluster.kube(namespace), manifests, options.parallelism)
    return Slots(last - first, whole, loop, recorded, manifests[0])


@contextmanager
def _recording(kube: Kube) -> Iterator[list[tuple[str, str, Object]]]:
    """Everything that is seen of Jobs and pods meanwhile."""
    found: list[tuple[str, str, Object]] = []
    streams: list[EventStream] = []
    threads = []

    def record(kind: str, stream: EventStream) -> None:
        try:
            for event, one in stream:
                if event != "BOOKMARK":
                    found.append((kind, event, one))
        except KubeError:
            pass

    for kind, resource in (("jobs", JOBS), ("pods", PODS)):
        streams.append(kube.watch(resource, kube.list_all(resource)[1], seconds=1800))
        threads.append(threading.Thread(target=record, args=(kind, streams[-1])))
        threads[-1].start()
    try:
        yield found
    finally:
        for stream in streams:
            stream.close()
        for thread in threads:
            thread.join()


def _loop(kube: Kube, manifests: list[Object], alive: int) -> float:
    """Seconds from the first create to the last end, when a watch and as many threads keep so many Jobs alive."""
    waiting = iter([_renamed(one, f"loop-{number}", "loop") for number, one in enumerate(manifests)])
    ended: set[str] = set()
    stream = kube.watch(JOBS, kube.list_all(JOBS)[1], labels=f"{_LABEL}=loop", seconds=1800)
    with ThreadPoolExecutor(min(32, alive + 2)) as pool:
        began = time.monotonic()

        def begin() -> None:
            job = next(waiting, None)
            if job is not None:
                pool.submit(kube.create, JOBS, job)

        for _ in range(alive):
            begin()
        for _, job in stream:
            name = job["metadata"]["name"]
            conditions = (job.get("status") or {}).get("conditions") or ()
            if name not in ended and any(one["type"] == "Complete" for one in conditions):
                ended.add(name)
                begin()
                pool.submit(kube.delete, JOBS, name)
                if len(ended) == len(manifests):
                    break
        seconds = time.monotonic() - began
        stream.close()
    return seconds


def _renamed(manifest: Object, name: str, label: str) -> Object:
    job = copy.deepcopy(manifest)
    job["metadata"]["name"] = name
    job["metadata"]["labels"][_LABEL] = label
    return job


# --- creates --------------------------------------------------------------------------------------------------------


def _creates(cluster: Cluster, manifest: Object, options: argparse.Namespace) -> dict[str, Any]:
    """Jobs a second and CPU a Job of both clients, the sides taking turns."""
    namespace = "bench-creates"
    admin = cluster.kube(namespace)
    admin.create(NAMESPACES, {"metadata": {"name": namespace}})
    scheduler = KubernetesJobScheduler("bench", kubeconfig=str(cluster.kubeconfig), namespace=namespace, qps=0)
    configuration = official.Configuration()
    official_config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
    configuration.connection_pool_maxsize = options.workers
    batch = official.BatchV1Api(official.ApiClient(configuration))

    def ours(job: Object) -> None:
        scheduler.start(KubernetesRequest(job))

    def bare(job: Object) -> None:
        batch.create_namespaced_job(namespace, job, field_validation="Strict", _preload_content=False).read()

    sides: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
    for round_ in range(max(3, options.rounds)):
        for side, create in (("ours", ours), ("bare", bare)) if round_ % 2 else (("bare", bare), ("ours", ours)):
            sides[side].append(_created(admin, create, manifest, namespace, f"{side}-{round_}", options))
    return {
        "jobs": options.jobs,
        "workers": options.workers,
        **sides,
        **{
            f"{side}_per_second": statistics.median(one["per_second"] for one in rounds)
            for side, rounds in sides.items()
        },
        **{f"{side}_cpu_ms": statistics.median(one["cpu_ms"] for one in rounds) for side, rounds in sides.items()},
    }


def _created(
    admin: Kube,
    create: Callable[[Object], None],
    manifest: Object,
    namespace: str,
    label: str,
    options: argparse.Namespace,
) -> dict[str, float]:
    jobs = [_renamed(manifest, f"{label}-{number}", label) for number in range(options.jobs)]
    for job in jobs:
        job["metadata"]["namespace"] = namespace
        job["spec"]["suspend"] = True  # what comes of them is not measured here
    with ThreadPoolExecutor(options.workers) as pool:
        cpu, began = time.process_time(), time.monotonic()
        list(pool.map(create, jobs))
        seconds, used = time.monotonic() - began, time.process_time() - cpu
        list(pool.map(lambda job: admin.delete(JOBS, job["metadata"]["name"]), jobs))
    return {"per_second": options.jobs / seconds, "cpu_ms": 1000 * used / options.jobs}


# --- observer -------------------------------------------------------------------------------------------------------


def _observer(recorded: list[tuple[str, str, Object]], replays: int) -> dict[str, float]:
    """Events a second, from the bytes of a stream to what the controller would be told."""
    lines = [(kind, event, json.dumps(one)) for kind, event, one in recorded]
    names = {one["metadata"]["name"] for kind, _, one in recorded if kind == "jobs"}
    rates, told = [], 0
    # A controller has no recording in its memory, which the garbage collector would go through again and again.
    gc.collect()
    gc.freeze()
    for _ in range(replays):
        views: list[object] = []
        observer = KubernetesObserver(None, "", views.append)  # type: ignore[arg-type]  # nothing is asked
        for name in names:
            observer.follow(name)
        began = time.monotonic()
        for kind, event, line in lines:
            found = json.loads(line)
            seen = observer.job_seen if kind == "jobs" else observer.pod_seen
            seen(found, gone=event == "DELETED")
        rates.append(len(lines) / (time.monotonic() - began))
        told = len(views)
    return {"events": len(lines), "per_second": statistics.median(rates), "views": told}


# --- result ---------------------------------------------------------------------------------------------------------


def _report(slots: list[Slots], creates: dict[str, Any], observer: dict[str, float]) -> None:
    show(
        "seconds of a sweep, and of a bare loop over the same Jobs",
        ["round", "sweep", "loop", "ratio", "whole command"],
        [
            [str(k), f"{one.sweep:.1f}", f"{one.loop:.1f}", f"{one.sweep / one.loop:.3f}", f"{one.command:.1f}"]
            for k, one in enumerate(slots)
        ],
    )
    show(
        "creating Jobs",
        ["client", "a second", "CPU ms each"],
        [
            [side, f"{creates[f'{side}_per_second']:.0f}", f"{creates[f'{side}_cpu_ms']:.2f}"]
            for side in ("ours", "bare")
        ],
    )
    show("the observer", ["events", "a second"], [[f"{observer['events']:.0f}", f"{observer['per_second']:.0f}"]])


def _bars(slots: list[Slots], creates: dict[str, Any], observer: dict[str, float]) -> list[Bar]:
    ratio = statistics.median(one.sweep / one.loop for one in slots)
    share = creates["ours_per_second"] / creates["bare_per_second"]
    events = observer["per_second"]
    return [
        Bar("a sweep beside a bare loop over its Jobs", "at most 10 % longer", percent(ratio - 1), ratio <= 1.1),
        Bar("Jobs created a second beside a bare client", "at least 85 %", percent(share), share >= 0.85),
        Bar("CPU of a create", "at most 5 ms", f"{creates['ours_cpu_ms']:.1f} ms", creates["ours_cpu_ms"] <= 5),
        Bar("events through the observer", "at least 5,000/s", f"{events:,.0f}/s", events >= 5000),
    ]


if __name__ == "__main__":
    main()
