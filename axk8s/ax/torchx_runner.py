"""`TorchXRunner`: each trial of an Ax experiment becomes the job of a TorchX component."""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ax.core.base_trial import BaseTrial, TrialStatus
from ax.core.runner import Runner
from ax.core.trial import Trial
from torchx.specs import AppDef

from axk8s import names
from axk8s.ax.jobs import Jobs, Place
from axk8s.ax.program import Program, Saved
from axk8s.errors import Axk8sError, ComponentError, SchedulerConfigError, SubmitError, UsageError
from axk8s.launch import session, tracker
from axk8s.metrics.collect import Reading
from axk8s.sweep.model import Category

log = logging.getLogger(__name__)

TORCHX_APP_HANDLE = "torchx_app_handle"
"""Key of `run_metadata`, as in Ax: the job's TorchX handle."""
TORCHX_TRACKER_BASE = "torchx_tracker_base"
"""Key of `run_metadata`, as in Ax: where the trial's results are written."""
SUBMIT_ERROR = "submit_error"
"""Key of `run_metadata`: why there is no job; such a trial is reported as failed by the first poll."""
TRACKER_STAMP = "tracker_stamp"
"""Key of `run_metadata`: when the result that lay in the trial's place before it began was written; empty for none."""

_STATUSES = {
    Category.SUCCEEDED: TrialStatus.COMPLETED,
    # Ended by somebody, or impossible: Ax does not propose the parameters of an abandoned trial again.
    Category.STOPPED: TrialStatus.ABANDONED,
    Category.BAD_PARAMETERS: TrialStatus.ABANDONED,
}


class TorchXRunner(Runner):
    """Runs each trial as a job: `component` makes its `AppDef`, and a TorchX scheduler runs it.

    The parameters of the experiment are given to the component by name, and so are `component_const_params`. The
    arguments `trial_idx`, `tracker_base` and `experiment_name` are passed when its signature declares them.

        runner = TorchXRunner(
            tracker_base="/tmp/results",
            component=trainer,                        # def trainer(x1, x2, x3, trial_idx, tracker_base) -> AppDef
            component_const_params={"x3": 1.2},
        )

    What cannot be learnt of a job is left out of `poll_trial_status`: no outage ends a trial. A job that its scheduler
    does not know for a minute is lost, and its trial failed. A trial whose job cannot be submitted fails, and the
    others of the same `run_multiple` run. Not safe to use from several threads at once, like Ax itself.
    """

    def __init__(
        self,
        tracker_base: str | os.PathLike[str],
        component: Callable[..., AppDef] | str,
        component_const_params: dict[str, Any] | None = None,
        scheduler: str = "local",
        cfg: Mapping[str, Any] | None = None,
        *,
        orchestrator: str | None = None,
    ) -> None:
        """Make a runner.

        Args:
            tracker_base: URL or folder under which trials leave their results, for `FsspecResultTracker`.
            component: makes the `AppDef`. A function, or a reference: `path.py:function`, `module:function`, or a
                built-in such as `dist.ddp`.
            component_const_params: arguments that are not parameters of the experiment.
            scheduler: a TorchX scheduler: `local` (this machine; jobs outlive this process), `local_cwd`,
                `kubernetes`, …
            cfg: the scheduler's options, as in TorchX; sections of a `.torchxconfig` apply below them.
            orchestrator: what Ax 1.1 to 1.3 call `scheduler`.

        Raises:
            ComponentError: there is no such component, or it has no argument for a constant.
            SchedulerConfigError: there is no such scheduler or option.
            UsageError: `scheduler` and `orchestrator` contradict each other, or an argument is of the wrong kind.
        """
        if orchestrator is not None and scheduler not in ("local", orchestrator):
            raise UsageError(
                f"TorchXRunner(scheduler={scheduler!r}, orchestrator={orchestrator!r}): these name the same thing",
                hint="give `scheduler` alone",
            )
        for argument, value in (("component_const_params", component_const_params), ("cfg", cfg)):
            if value is not None and not isinstance(value, Mapping):
                raise UsageError(
                    f"TorchXRunner({argument}={value!r}): it is {type(value).__name__}, not a dict",
                    hint=f'write {argument}={{"name": value}}',
                )
        self.tracker_base = tracker.base_of(tracker_base, "TorchXRunner")
        self.component = component
        self.component_const_params = dict(component_const_params or {})
        self.scheduler = orchestrator or scheduler
        self.cfg = dict(cfg or {})
        self._program = Program(component, self.component_const_params, Path.cwd())
        self._opened: Jobs | None = None
        # Part of every job's name: two processes that go on from one saved file never mean the same job.
        self._uid = uuid.uuid4().hex
        self._sent: dict[int, tuple[weakref.ref[BaseTrial], dict[str, Any]]] = {}
        self._alive: set[str] = set()
        if not isinstance(component, Saved):
            self._program.check()
            self._opened = self._jobs

    @property
    def orchestrator(self) -> str:
        """What Ax 1.1 to 1.3 call `scheduler`."""
        return self.scheduler

    @property
    def staging_required(self) -> bool:
        """False: a submitted job is running, queued or not."""
        return False

    @property
    def run_metadata_report_keys(self) -> list[str]:
        """The handle; of TorchX's own schedulers `torchx status`, `torchx log` and `torchx cancel` take it."""
        return [TORCHX_APP_HANDLE]

    def check(self, parameters: Iterable[str]) -> None:
        """Hold the names of a search space against the component, as the first trial does.

        Raises:
            ComponentError: an argument is unknown to the component, or one that it needs is filled by nobody.
        """
        self._program.check(parameters)

    def run(self, trial: BaseTrial) -> dict[str, Any]:
        """Submit the job of a trial; of a trial that this runner submitted before, what it said then.

        Returns:
            The run metadata, plain JSON: handle, scheduler, job name, attempt, time of the submit, tracker.

        Raises:
            UsageError: it is a `BatchTrial`.
            ComponentError: the component does not fit the search space, or refuses this point.
            SchedulerConfigError: an option of the scheduler cannot be.
            SubmitError: the scheduler refused the job.
        """
        single = _single(trial)
        self._program.check(single.experiment.search_space.parameters)
        return self._submitted(single)

    def run_multiple(self, trials: Iterable[BaseTrial]) -> dict[int, dict[str, Any]]:
        """Submit the jobs of several trials; what one of them meets is its own failure, told by the next poll.

        Raises:
            UsageError: one is a `BatchTrial`; nothing was submitted.
            ComponentError: the component does not fit the search space; nothing was submitted.
        """
        singles = [_single(trial) for trial in trials]
        for experiment in {id(trial.experiment): trial.experiment for trial in singles}.values():
            self._program.check(experiment.search_space.parameters)
        found: dict[int, dict[str, Any]] = {}
        for trial in singles:
            try:
                found[trial.index] = self._submitted(trial)
            except (ComponentError, SchedulerConfigError, SubmitError) as error:
                # Left out, Ax would try it again at once and for ever; raised, it would submit the others again.
                log.warning("trial %d could not be submitted: %s", trial.index, error)
                found[trial.index] = {**self._base(), SUBMIT_ERROR: str(error)}
        return found

    def poll_trial_status(self, trials: Iterable[BaseTrial]) -> dict[TrialStatus, set[int]]:
        """Where the trials are: one look for all of them; never raises.

        Queued and pending jobs are running ones here: Ax's loop does not wait for staged trials. What is not known, or
        was not submitted by such a runner, is left out. Stopped by hand (`torchx cancel`) and `report_infeasible()` are
        `ABANDONED`, every other bad end is `FAILED`.
        """
        found: dict[TrialStatus, set[int]] = {}
        handles: dict[int, str] = {}
        for trial in trials:
            if SUBMIT_ERROR in trial.run_metadata:
                found.setdefault(TrialStatus.FAILED, set()).add(trial.index)
            elif (handle := _handle(trial)) is not None:
                handles[trial.index] = handle
        if not handles:
            return found
        try:
            jobs = self._jobs
        except Axk8sError as error:
            # Loaded where this scheduler is not: raised, it would have Ax abandon trials whose jobs run.
            log.error("nothing can be learnt of trials %s: %s", ", ".join(map(str, handles)), error)
            return found
        for handle, sight in jobs.look(handles.values()).items():
            if not sight.known:
                continue
            status = TrialStatus.RUNNING
            if sight.view.exit is not None:
                self._alive.discard(handle)
                status = _STATUSES.get(jobs.end(handle, sight.view.exit).category, TrialStatus.FAILED)
            else:
                self._alive.add(handle)
            found.setdefault(status, set()).update(index for index, one in handles.items() if one == handle)
        return found

    def poll_exception(self, trial: BaseTrial) -> str:
        """Why a trial failed: one sentence, a hint, and the last lines of its output; never raises."""
        if (error := trial.run_metadata.get(SUBMIT_ERROR)) is not None:
            return f"could not be submitted: {error}"
        handle = _handle(trial)
        if handle is None:
            return "it has no job: it was not submitted by this runner"
        sight = self._jobs.look([handle])[handle]
        if sight.view.exit is None:
            reason = f": {sight.view.reason}" if sight.view.reason else ""
            return f"{handle} has not ended{reason}"
        end = self._jobs.end(handle, sight.view.exit)
        text = f"{end.summary} ({handle})" + (f"\n  → {end.hint}" if end.hint else "")
        return "\n".join([text, *(f"  | {line}" for line in end.log_tail)])

    def poll_available_capacity(self) -> int:
        """How many more trials could start at once; -1 when that is not limited, or not known.

        Known is it on this machine for components that ask for GPUs; elsewhere jobs wait in the scheduler's queue.
        """
        return self._jobs.capacity(len(self._alive))

    def stop(self, trial: BaseTrial, reason: str | None = None) -> dict[str, Any]:
        """Ask the job of a trial to end; nothing happens when it has ended or is gone. Never raises.

        Returns:
            The reason, if one was given, and under `stop` what happened: `asked`, `gone`, or the error after which it
            is tried again with every poll. The same is kept in the trial's `stop_metadata`.
        """
        metadata: dict[str, Any] = {"reason": reason} if reason else {}
        handle = _handle(trial)
        metadata["stop"] = "gone" if handle is None else self._jobs.stop(handle)
        if handle is not None:
            self._alive.discard(handle)
        # Ax's loop drops what is returned.
        trial.update_stop_metadata(metadata)
        return metadata

    def reading(self, trial: BaseTrial) -> Reading | None:
        """What the trial's job reported with `report()` or by printed lines; None when it has no job."""
        handle = _handle(trial)
        if handle is None:
            return None
        return self._jobs.reading(handle, ended=trial.status.is_terminal)

    @classmethod
    def serialize_init_args(cls, obj: Any) -> dict[str, Any]:
        """The constructor's arguments as plain JSON, the component by its reference.

        Raises:
            ComponentError: the component has none; it was typed into a notebook, say.
        """
        program: Program = obj._program  # noqa: SLF001 (its own)
        return {
            "tracker_base": obj.tracker_base,
            "component": program.text,
            "component_root": None if program.root is None else str(program.root),
            "component_const_params": _plain(obj.component_const_params, "component_const_params"),
            "scheduler": obj.scheduler,
            "cfg": _plain(obj.cfg, "cfg"),
        }

    @classmethod
    def deserialize_init_args(cls, args: dict[str, Any], *_: object, **__: object) -> dict[str, Any]:
        """The constructor's arguments from what `serialize_init_args` wrote."""
        known = ("tracker_base", "component_const_params", "scheduler", "cfg")
        component = Saved.of(args["component"], args.get("component_root"))
        return {"component": component, **{name: args[name] for name in known if name in args}}

    @property
    def _jobs(self) -> Jobs:
        if self._opened is None:
            self._opened = Jobs(Place(self.scheduler, self.cfg, Path.cwd()))
        return self._opened

    def _base(self) -> dict[str, Any]:
        return {TORCHX_TRACKER_BASE: self.tracker_base, "scheduler": self.scheduler, "submitted_at": time.time()}

    def _submitted(self, trial: Trial) -> dict[str, Any]:
        kept = self._sent.get(id(trial))
        if kept is not None and kept[0]() is trial:
            return kept[1]
        experiment = trial.experiment
        name = experiment.name if experiment.has_name else "experiment"
        arm = trial.arm
        if arm is None:
            raise UsageError(f"trial {trial.index} has no arm", hint="trial.add_arm(Arm(parameters={…}))")
        passed = {"trial_idx": trial.index, "tracker_base": self.tracker_base, "experiment_name": name}
        app = self._program.appdef(arm.parameters, passed)
        job = names.job_name(name, self._uid, trial.index, 0)
        app.metadata = {
            **app.metadata,
            names.LABEL_SWEEP_UID: self._uid,
            names.LABEL_SWEEP: names.slug(name),
            names.LABEL_TRIAL: str(trial.index),
            names.LABEL_ATTEMPT: "0",
        }
        environment = {
            names.ENV_SWEEP: name,
            names.ENV_TRIAL: str(trial.index),
            names.ENV_ATTEMPT: "0",
            names.ENV_PARAMS: json.dumps(arm.parameters, default=str),
            names.ENV_TRACKER_BASE: self.tracker_base,
        }
        stamp = tracker.stamp(self.tracker_base, trial.index)
        handle = self._jobs.send(app, job=job, environment=environment)
        self._alive.add(handle)
        metadata = {
            **self._base(),
            TORCHX_APP_HANDLE: handle,
            "job": session.app_id(handle),
            "attempt": 0,
            TRACKER_STAMP: stamp,
        }
        # A retry by Ax after an error of its own must not submit again.
        forget = self._sent.pop
        key = id(trial)
        self._sent[key] = (weakref.ref(trial, lambda _: forget(key, None)), metadata)
        return metadata


def _handle(trial: BaseTrial) -> str | None:
    handle = trial.run_metadata.get(TORCHX_APP_HANDLE)
    return handle if isinstance(handle, str) else None


def _single(trial: BaseTrial) -> Trial:
    if not isinstance(trial, Trial):
        raise UsageError(
            f"trial {trial.index} is a {type(trial).__name__}; TorchXRunner runs trials with one arm",
            hint="make one with experiment.new_trial() for each arm; many run at once with parallelism or "
            "max_pending_trials, and run_trials_in_batches submits them together",
        )
    return trial


def _plain(value: Any, name: str) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise Axk8sError(
            f"TorchXRunner({name}=…) cannot be saved: {error}", hint="use texts, numbers, lists and dicts only"
        ) from error
