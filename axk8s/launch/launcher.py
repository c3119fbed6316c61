"""Parameters become a running job, and a job its observations: the controller's port to any TorchX scheduler."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from torchx.specs import AppDef, AppDryRunInfo

from axk8s.errors import Axk8sError, UsageError
from axk8s.folder import AttemptFolder, SweepFolder
from axk8s.launch import appdef, merged, program, rendering, shipment, tracker, workspace
from axk8s.launch.backend import Backend, Collect, Place, Replica
from axk8s.launch.cluster_jobs import ClusterJobs
from axk8s.launch.local_jobs import LocalJobs
from axk8s.launch.polled_jobs import PolledJobs
from axk8s.launch.session import Session
from axk8s.launch.storage import Storage
from axk8s.launch.workspace import Workspace
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Harvest, JobOrder, JobView, Submitted


class Launcher:
    """All of one sweep's jobs; meets the controller's port `Jobs`."""

    def __init__(self, spec: SweepSpec, folder: SweepFolder, uid: str, *, collect: Collect) -> None:
        """Load what runs, pin its code, and create the scheduler.

        Args:
            spec: the sweep.
            folder: where it is kept; the code is copied there the first time.
            uid: the sweep's uid, for labels.
            collect: reads an ended attempt's values.

        Raises:
            ComponentError: the program cannot be loaded.
            SpecError: the program, or the workspace, does not fit.
            SchedulerConfigError: the scheduler or one of its options does not exist.
            ClusterAccessError: there are no credentials for the cluster.
        """
        self._spec, self._folder, self._uid = spec, folder, uid
        self._session = Session(spec)
        known = program.watched(spec) if spec.workspace is None else ()
        self.workspace: Workspace = workspace.prepare(spec, folder, known)
        """The pinned code; its `digest` belongs into the journal."""
        self._program = program.load(spec, self.workspace)
        self._shipped = shipment.pack(spec, self.workspace, uid) if appdef.in_cluster(spec) else None
        self._rendered: dict[str, AppDryRunInfo] = {}
        self._roles: dict[str, list[Replica]] = {}
        self._backend = self._opened(collect)

    def _opened(self, collect: Collect) -> Backend:
        if self._spec.scheduler == "local":
            appdef.write_support(self._folder)
            return LocalJobs(self._session, self._folder, collect, again=self._dryrun)
        if appdef.in_cluster(self._spec):
            return ClusterJobs(
                self._session,
                self._folder,
                collect,
                spec=self._spec,
                uid=self._uid,
                shipped=self._shipped,
                again=self._dryrun,
            )
        appdef.write_support(self._folder)
        return PolledJobs(
            self._session,
            self._folder,
            collect,
            again=self._dryrun,
            replicas=self._replicas,
            deadline=self._spec.trial_timeout,
        )

    def place(self) -> Place | None:
        """Where the jobs are, where that can be mistaken: a namespace of one of several clusters.

        Raises:
            Axk8sError: it is not there, or cannot be asked.
        """
        return self._backend.place()

    def render(self, order: JobOrder) -> Mapping[str, float]:
        """Write the attempt's `params.json` and `manifest.yaml`, whole or not at all; what the job will hold.

        Raises:
            ComponentError: the component refuses these parameters.
        """
        attempt = self._attempt(order)
        app = self._appdef(order)
        held = rendering.holds(app)  # before TorchX, of which some versions change what they are given
        info = self._rendering(order, app)
        attempt.output.mkdir(parents=True, exist_ok=True)
        self._folder.checkpoints(order.trial).mkdir(parents=True, exist_ok=True)
        _write(attempt.params, json.dumps(dict(order.parameters), indent=1, ensure_ascii=False) + "\n")
        _write(attempt.manifest, str(info))
        self._rendered[order.job] = info
        return held

    def submit(self, order: JobOrder) -> Submitted:
        """Send the rendered job, or adopt the one of this name that exists.

        On `local` and as a Kubernetes Job nothing is ever started twice. Other schedulers of TorchX choose names of
        their own; after a crash a job is recognised there as far as the scheduler can list its jobs.

        Raises:
            SubmitError: refused for good.
            PostponedError: no answer; the same call may be made again.
        """
        info = self._rendered.get(order.job)
        submitted = self._backend.submit(order, info)
        self._rendered.pop(order.job, None)
        return submitted

    def watch(self, seen: Callable[[JobView], None]) -> None:
        """Start observing."""
        self._backend.watch(seen)

    def follow(self, job: str, handle: str) -> None:
        """Observe this job from now on."""
        self._backend.follow(job, handle)

    def stop(self, handle: str) -> None:
        """Ask the job to end.

        Raises:
            PostponedError: no answer; the same call may be made again.
        """
        self._backend.stop(handle)

    def delete(self, handle: str) -> None:
        """Remove what the job left on the scheduler.

        Raises:
            SubmitError: the scheduler refused.
            PostponedError: no answer; the same call may be made again.
        """
        self._backend.delete(handle)

    def harvest(self, order: JobOrder, handle: str) -> Harvest:
        """Values and last log lines of an ended attempt."""
        replicas = self._replicas(order)
        self._roles.pop(order.job, None)
        found = self._backend.harvest(order, handle, replicas)
        if all(name in found.values for name in self._spec.metrics) or found.infeasible:
            return found
        return self._tracked(order, found)

    def _tracked(self, order: JobOrder, found: Harvest) -> Harvest:
        """Add what TorchX's tracker has, where the sweep's storage can be read from here."""
        shared = Storage.of(self._spec, self._uid)
        if shared is None or not shared.readable or appdef.on_this_machine(self._spec):
            return found
        base = shared.tracker(order.trial, order.attempt)
        try:
            values = tracker.values(base, order.trial)
        except Axk8sError as error:
            return replace(found, searched=(*found.searched, error.message))
        said = f"{tracker.path(base, order.trial)}: {len(values)} values" if values else f"nothing in {base}"
        return replace(found, values={**values, **found.values}, searched=(*found.searched, said))

    def logs(self, order: JobOrder, handle: str, *, follow: bool = False, replica: str | None = None) -> Iterator[str]:
        """The job's output, line by line; of several replicas each line begins with `<role>-<index>`.

        Args:
            order: the attempt.
            handle: its handle.
            follow: go on until it has ended.
            replica: only this one's, as `<role>-<index>`.

        Raises:
            UsageError: there is no such replica.
            SubmitError: the scheduler has no log.
        """
        replicas = self._replicas(order)
        if replica is not None:
            known = {f"{role}-{index}": (role, index) for role, index in replicas}
            if replica not in known:
                hint = f"its replicas are: {', '.join(known)}"
                raise UsageError(f"trial {order.trial} has no replica {replica!r}", hint=hint)
            replicas = [known[replica]]
        streams = {
            f"{role}-{index}": self._backend.lines(order, handle, (role, index), follow=follow)
            for role, index in replicas
        }
        if len(streams) == 1:
            return next(iter(streams.values()))
        return merged.concurrently(streams) if follow else merged.in_turn(streams)

    def growing(self, order: JobOrder) -> AttemptFolder | None:
        """The attempt's folder, where its own metrics file and output grow in it while it runs."""
        return self._attempt(order) if appdef.on_this_machine(self._spec) else None

    def output(self, order: JobOrder, handle: str) -> Iterator[str]:
        """Lines of the replica that reports, as they come, from the beginning; ends when there will be no more.

        Raises:
            SubmitError: the scheduler has no log.
            KubeError: no answer.
        """
        return self._backend.output(order, handle, self._replicas(order)[0])

    def log_tail(self, order: JobOrder, handle: str, *, lines: int = 20) -> list[str]:
        """The last lines of the output: of the replica that failed, where the scheduler says which; never raises."""
        try:
            return self._backend.tail(order, handle, lines)
        except Axk8sError:
            return []

    def tidy(self) -> None:
        """Remove what the jobs shared on the scheduler, now that none is left; never raises."""
        self._backend.tidy()

    def clean(self) -> list[str]:
        """Remove everything of the sweep that is still on the scheduler; the names of what was there.

        Raises:
            Axk8sError: no answer, or not allowed.
        """
        return self._backend.clean() if isinstance(self._backend, ClusterJobs) else []

    def close(self) -> None:
        """Stop observing; jobs go on running (but those of `local_cwd` end with this process)."""
        self._backend.close()

    def _attempt(self, order: JobOrder) -> AttemptFolder:
        return self._folder.attempt(order.trial, order.attempt)

    def _dryrun(self, order: JobOrder) -> AppDryRunInfo:
        return self._rendering(order, self._appdef(order))

    def _appdef(self, order: JobOrder) -> AppDef:
        return rendering.appdef_of(self._program, self._spec, order, self._folder, self._uid, self.workspace)

    def _rendering(self, order: JobOrder, app: AppDef) -> AppDryRunInfo:
        self._roles[order.job] = [(role.name, index) for role in app.roles for index in range(role.num_replicas)]
        ours = rendering.options(self._spec, self._uid, order, self._folder, self.workspace, self._shipped)
        return self._session.dryrun(app, self._session.config(ours))

    def _replicas(self, order: JobOrder) -> list[Replica]:
        if order.job not in self._roles:
            app = self._appdef(order)
            return [(role.name, index) for role in app.roles for index in range(role.num_replicas)]
        return self._roles[order.job]


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, "utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
