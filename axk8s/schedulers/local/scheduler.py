"""The TorchX scheduler `local`: runs an AppDef on this machine, detached from whoever submitted it.

It keeps nothing in memory: each answer comes from the job's folder and the kernel. So any process can ask about any
job, and closing, garbage-collecting or killing this one does nothing to the jobs. It takes no signal handlers.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Scheduler, Stream
from torchx.specs import NONE, AppDef, AppDryRunInfo, AppState, ReplicaStatus, Role, RoleStatus, runopts

from axk8s.diagnose.exit_record import diagnose
from axk8s.errors import SubmitError, suggestion
from axk8s.schedulers.local import jobfolder, logs, nursery, record, registry
from axk8s.schedulers.local.jobfolder import JobFolder
from axk8s.schedulers.local.record import Record
from axk8s.schedulers.local.request import LocalRequest
from axk8s.schedulers.local.supervisor import STARTED, TAKEN
from axk8s.schedulers.options import ClosedOptions
from axk8s.sweep.model import Category, Phase

_START_PATIENCE = 60.0
"""Seconds that a supervisor may take to claim its job; a machine under full load needs a few."""

_STATES = {
    Phase.PENDING: AppState.SUBMITTED,
    Phase.QUEUED: AppState.PENDING,
    Phase.RUNNING: AppState.RUNNING,
}
_ENDS = {Category.SUCCEEDED: AppState.SUCCEEDED, Category.STOPPED: AppState.CANCELLED}


class LocalScheduler(Scheduler):  # type: ignore[type-arg,unused-ignore]  # generic in TorchX, Any when its code is skipped
    """Runs jobs on this machine; safe to use from several threads and processes at once."""

    def __init__(self, session_name: str, *, reached: Callable[[str], None] = lambda _: None) -> None:
        """Make a scheduler.

        Args:
            session_name: the TorchX session, part of the handles.
            reached: called with `registered`, `forked`, `sent` and `started` on the way through `start`: whoever wants
                to know what happens when the submitter dies in between puts its death there.
        """
        super().__init__("local", session_name)
        self._reached = reached

    def _run_opts(self) -> runopts:
        opts = ClosedOptions("local")
        opts.add(
            "name",
            type_=str,
            default=None,
            help="app id, verbatim; a job of this id in this folder is adopted, not run again; default: a unique one",
        )
        opts.add(
            "folder",
            type_=str,
            default=None,
            help="folder of this one job: logs and records go directly into it; default: below log_dir",
        )
        opts.add(
            "log_dir",
            type_=str,
            default=None,
            help="the job's folder is <log_dir>/<session>/<app id>; default: ~/.local/state/axk8s/jobs/<app id>",
        )
        opts.add("cwd", type_=str, default=None, help="working directory of the replicas; default: the present one")
        opts.add(
            "prepend_cwd",
            type_=bool,
            default=False,
            help="look for programs in the working directory before PATH rather than after it",
        )
        opts.add(
            "timeout",
            type_=float,
            default=None,
            help="seconds after which the job is ended, counted from its first process's start; default: never",
        )
        opts.add("grace", type_=float, default=10.0, help="seconds between SIGTERM and SIGKILL when a job is ended")
        opts.add(
            "share_gpus",
            type_=bool,
            default=False,
            help="start at once and let replicas see all GPUs, instead of waiting for free ones",
        )
        return opts

    def _validate(self, app: AppDef, scheduler: str, *args: object) -> None:
        """Nothing to say before the options are known; resources other than GPUs are not limited on this machine."""

    def _submit_dryrun(self, app: AppDef, cfg: Mapping[str, Any]) -> AppDryRunInfo:
        return AppDryRunInfo(LocalRequest.from_app(app, cfg, self.session_name), LocalRequest.to_text)

    def schedule(self, dryrun_info: AppDryRunInfo) -> str:
        """Start the job, or adopt the one of this name in this folder; returns when it exists.

        Raises:
            SubmitError: as `start`.
        """
        request: LocalRequest = dryrun_info.request
        self.start(request)
        return request.app_id

    def start(self, request: LocalRequest) -> bool:
        """Start the job unless it was started before, by whomever; True when this call did it.

        Safe to repeat after a crash at any point, and from several processes at once: it runs once.

        Raises:
            SubmitError: the folder holds another job, cannot be written, or no supervisor could be started.
        """
        folder = JobFolder(request.folder)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SubmitError(f"{request.app_id}: cannot make the folder {folder.path}: {error.strerror}") from error
        self._check_elsewhere(request)
        registry.register(request.app_id, folder.path)
        self._reached("registered")
        give_up_at = time.monotonic() + _START_PATIENCE
        while not self._is_ours(request, folder):
            if self._launch(request, folder) == STARTED:
                self._reached("started")
                return True
            # Another supervisor has the lock and writes job.json within milliseconds, unless it dies first.
            if time.monotonic() > give_up_at:
                raise SubmitError(
                    f"{request.app_id}: the lock {folder.lock} is held, but no job appears in {folder.job}",
                    hint="see who holds it with `fuser`, or delete the folder",
                )
            time.sleep(0.02)
        return False

    def _check_elsewhere(self, request: LocalRequest) -> None:
        other = registry.find(request.app_id)
        if other is None or other == request.folder:
            return
        found = record.read(other)
        if found is not None and found.exit is None:
            raise SubmitError(
                f"a job called {request.app_id} already runs in {other}", hint="choose another name, or stop that one"
            )

    def _is_ours(self, request: LocalRequest, folder: JobFolder) -> bool:
        if not folder.job.exists():
            return False
        job = jobfolder.read(folder.job)
        if job is None:
            raise SubmitError(f"{folder.job} is damaged", hint="delete the folder to run the job again")
        if job["app_id"] != request.app_id:
            raise SubmitError(
                f"{request.app_id}: the folder {folder.path} holds another job, {job['app_id']}",
                hint="give each job a folder of its own",
            )
        return True

    def _launch(self, request: LocalRequest, folder: JobFolder) -> int:
        home = nursery.nursery()
        try:
            return self._born(home, request, folder)
        except nursery.NurseryGoneError:
            # Somebody killed it. Should its last supervisor live all the same, that one has the folder's lock.
            nursery.forget(home)
        home = nursery.nursery()
        try:
            return self._born(home, request, folder)
        except nursery.NurseryGoneError as error:
            nursery.forget(home)
            message = f"{request.app_id}: the process that makes supervisors dies: {error}"
            raise SubmitError(message, hint=f"does this work? {sys.executable} -I -S -c 'print(1)'") from error

    def _born(self, home: nursery.Nursery, request: LocalRequest, folder: JobFolder) -> int:
        birth = home.bear(folder.path)
        self._reached("forked")
        birth.send(request.to_text().encode())
        self._reached("sent")
        try:
            code, said = birth.outcome(_START_PATIENCE)
        except TimeoutError as error:
            raise SubmitError(f"{request.app_id}: the supervisor did not start in {_START_PATIENCE:.0f} s") from error
        if code not in (STARTED, TAKEN):
            raise SubmitError(f"{request.app_id}: no supervisor could be started in {folder.path}: {said.strip()}")
        return code

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """The job's present state, of any job of this user, whoever submitted it; None when there is none."""
        found = self._found(app_id)
        if found is None:
            return None
        state, message = _state(found)
        roles = _roles(found)
        return DescribeAppResponse(
            app_id=app_id,
            state=state,
            num_restarts=int((found.exit or found.state).get("restarts") or 0),
            msg=message,
            structured_error_msg=_structured_error(found),
            ui_url=found.folder.path.as_uri(),
            roles_statuses=[
                RoleStatus(role.name, [_replica_status(found, state, role.name, k) for k in range(role.num_replicas)])
                for role in roles
            ],
            roles=roles,
        )

    def list(self, cfg: object = None) -> list[ListAppResponse]:
        """All registered jobs that have begun; later versions of TorchX pass options, of which none matter here."""
        del cfg
        found = ((app_id, record.read(folder)) for app_id, folder in registry.entries())
        return [ListAppResponse(app_id, _state(job)[0]) for app_id, job in found if job is not None]

    def exists(self, app_id: str) -> bool:
        return self._found(app_id) is not None

    def cancel(self, app_id: str) -> None:
        """Ask the job to end: SIGTERM, and SIGKILL after its grace. Returns at once; nothing happens to ended jobs.

        Unlike in TorchX's base class this also holds for a job whose supervisor is only just starting.
        """
        if (folder := registry.find(app_id)) is not None:
            record.cancel(folder)

    def _cancel_existing(self, app_id: str) -> None:
        self.cancel(app_id)

    def delete(self, app_id: str) -> None:
        """Forget the job, ending it first if it runs. Files stay where the submitter chose the folder."""
        folder = registry.find(app_id)
        if folder is None:
            registry.forget(app_id)
            return
        found = record.read(folder)
        if found is not None and found.exit is None:
            record.cancel(folder)
            if folder == registry.default_folder(app_id):
                return  # its files are needed until it has ended
        registry.forget(app_id)

    def _delete_existing(self, app_id: str) -> None:
        self.delete(app_id)

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        """Lines of the `k`th replica's output with their line ends; both streams unless one is named.

        Which stream said what first is not recorded: without tailing stdout comes before stderr. Lines carry no times,
        so `since` leaves out a file last written before, and `until` everything of a job that started later.

        Raises:
            ValueError: there is no such job, role or replica.
        """
        found = self._found(app_id)
        if found is None:
            raise ValueError(f"there is no job {app_id} here")
        known = [(plan["role"], plan["index"]) for plan in found.request["replicas"]]
        if (role_name, k) not in known:
            names = [f"{role}-{index}" for role, index in known]
            raise ValueError(f"{app_id} has no replica {role_name}-{k}: {suggestion(f'{role_name}-{k}', names)}")
        out, err = logs.paths(found.folder.path, f"{role_name}-{k}")
        files = {Stream.STDOUT: [out], Stream.STDERR: [err]}.get(streams, [out, err])
        started_at = (found.exit or found.state).get("started_at")
        if until is not None and started_at is not None and started_at > until.timestamp():
            files = []
        if since is not None and not should_tail:
            files = [path for path in files if path.exists() and path.stat().st_mtime >= since.timestamp()]

        def ended() -> bool:
            now = record.read(found.folder.path)
            return now is None or now.exit is not None

        lines = logs.follow(files, ended if should_tail else None)
        return lines if regex is None else filter(re.compile(regex).search, lines)

    def close(self) -> None:
        """Nothing to free, and jobs go on running."""

    def _found(self, app_id: str) -> Record | None:
        folder = registry.find(app_id)
        found = None if folder is None else record.read(folder)
        return found if found is not None and found.app_id == app_id else None


def create_scheduler(session_name: str, **_: object) -> LocalScheduler:
    """As TorchX calls it; parameters meant for other schedulers are ignored."""
    return LocalScheduler(session_name)


def _state(found: Record) -> tuple[AppState, str]:
    facts = found.facts
    if facts is None:
        return _STATES[found.phase], str(found.state.get("reason") or "") or NONE
    diagnosis = diagnose(facts, logs.tail(found.folder.path, facts.replica) if facts.code else ())
    return _ENDS.get(diagnosis.category, AppState.FAILED), diagnosis.summary


def _roles(found: Record) -> list[Role]:
    roles: dict[str, Role] = {}
    for plan in found.request["replicas"]:
        if plan["role"] in roles:
            roles[plan["role"]].num_replicas += 1
        else:
            program, *args = plan["args"]
            roles[plan["role"]] = Role(
                name=plan["role"],
                image=plan["image"],
                entrypoint=program,
                args=args,
                env=dict(plan["env"]),
                num_replicas=1,
                max_retries=plan["max_retries"],
            )
    return list(roles.values())


def _replica_status(found: Record, state: AppState, role: str, index: int) -> ReplicaStatus:
    for replica in found.replicas:
        if (replica["role"], replica["index"]) == (role, index) and replica["pid"] is not None:
            code = replica["code"]
            if code is None and found.exit is None:
                state = AppState.RUNNING
            elif code == 0:
                state = AppState.SUCCEEDED
            elif state is not AppState.CANCELLED:
                state = AppState.FAILED
    return ReplicaStatus(index, state, role, "localhost")


def _structured_error(found: Record) -> str:
    """What torchelastic wrote about the first replica that has such a file, as `local_cwd` shows it."""
    if found.exit is None or found.exit["code"] == 0:
        return str(NONE)
    for plan in found.request["replicas"]:
        if (error := jobfolder.read(Path(plan["env"].get("TORCHELASTIC_ERROR_FILE") or os.devnull))) is not None:
            return json.dumps(error)
    return str(NONE)
