"""What the scheduler `local` is asked to run: an AppDef, planned replica by replica, as frozen data and as text.

The text is JSON, so it can be kept beside a job and sent again after a crash, and the supervisor reads it without
anything but the standard library.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torchx.schedulers.ids import make_unique
from torchx.specs import AppDef, Role, macros

from axk8s.errors import ComponentError, SchedulerConfigError, SubmitError
from axk8s.schedulers import words
from axk8s.schedulers.local import registry, slots

RANK0 = "TORCHX_RANK0_HOST"
"""Name of the variable with rank 0's host, for the macro `rank0_env`; here it is always `localhost`."""

_VERSION = 1
_POLICIES = ("APPLICATION", "REPLICA")


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """One process to start, its macros already replaced."""

    role: str
    index: int
    """Counted from 0 within its role."""
    args: tuple[str, ...]
    """The program and its arguments."""
    env: Mapping[str, str]
    """Comes on top of the submitter's environment; `PATH` goes before the inherited one."""
    folder: str = ""
    """Where its logs go, below the job's folder: directly into it when it is the only replica."""
    image: str = ""
    gpus: int = 0
    max_retries: int = 0
    retry: str = "APPLICATION"
    """What a failure restarts: `APPLICATION` all replicas, `REPLICA` this one."""


@dataclass(frozen=True, slots=True)
class LocalRequest:
    """A job for this machine."""

    app_id: str
    folder: Path
    cwd: Path
    replicas: tuple[ReplicaPlan, ...]
    timeout: float | None = None
    """Seconds from the first replica's start after which the job is ended; time in the GPU queue does not count."""
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""
    prepend_cwd: bool = False
    share_gpus: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """JSON (and so YAML) that `from_text` reads back."""
        plain = asdict(self) | {"folder": str(self.folder), "cwd": str(self.cwd)}
        return json.dumps({"version": _VERSION, **plain}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_text(cls, text: str) -> LocalRequest:
        """Read what `to_text` wrote.

        Raises:
            SubmitError: it is damaged, or of another version.
        """
        try:
            plain = json.loads(text)
            version = plain.pop("version")
            if version != _VERSION:
                raise SubmitError(f"the stored request is of version {version}, this program reads version {_VERSION}")
            plans = tuple(ReplicaPlan(**{**plan, "args": tuple(plan["args"])}) for plan in plain.pop("replicas"))
            folder, cwd = Path(plain.pop("folder")), Path(plain.pop("cwd"))
            return cls(folder=folder, cwd=cwd, replicas=plans, **plain)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SubmitError(
                f"the stored request is damaged: {error}", hint="submit the job again from its component"
            ) from error

    @classmethod
    def from_app(cls, app: AppDef, cfg: Mapping[str, Any], session: str) -> LocalRequest:
        """Plan an AppDef with the scheduler's options; the AppDef itself is not changed.

        TorchX replaces macros with `string.Template`, here as everywhere: whoever wants a `$` in a value writes `$$`.

        Raises:
            ComponentError: arguments or variables are not strings, or roles are such that no plan can be made.
            SchedulerConfigError: an option cannot be, or more GPUs are wanted than there are.
        """
        app_id = cfg.get("name") or make_unique(re.sub(r"[^A-Za-z0-9._-]+", "-", app.name).strip("-.") or "app")
        registry.check_name(app_id)
        folder = _folder(app_id, cfg, session)
        cwd = Path(cfg.get("cwd") or Path.cwd()).absolute()
        for key in ("timeout", "grace"):
            if (seconds := cfg.get(key)) is not None and not 0 <= seconds < float("inf"):
                raise SchedulerConfigError(f"scheduler local: {key}={seconds}: seconds are not negative, and finite")
        names = [role.name for role in app.roles]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ComponentError(f"{app.name}: more than one role is called {', '.join(sorted(repeated))}")
        alone = sum(role.num_replicas for role in app.roles) == 1
        plans: list[ReplicaPlan] = []
        for role in app.roles:
            _check(app, role)
            plans += (_plan(role, index, app_id, folder, cwd, alone) for index in range(role.num_replicas))
        share = bool(cfg.get("share_gpus"))
        wanted = sum(plan.gpus for plan in plans)
        if wanted and not share and wanted > (present := len(slots.gpus(os.environ))):
            where = f"{slots.VISIBLE}={os.environ[slots.VISIBLE]}" if slots.VISIBLE in os.environ else "this machine"
            raise SchedulerConfigError(
                f"{app.name} wants {wanted} GPUs, and {where} has {present}",
                hint="ask for fewer, or give -cfg share_gpus=true to run without leases",
            )
        timeout, grace = cfg.get("timeout"), cfg.get("grace")
        return cls(
            app_id=app_id,
            folder=folder,
            cwd=cwd,
            replicas=tuple(plans),
            timeout=None if timeout is None else float(timeout),
            grace=10.0 if grace is None else float(grace),
            prepend_cwd=bool(cfg.get("prepend_cwd")),
            share_gpus=share,
            metadata={str(key): str(value) for key, value in app.metadata.items()},
        )


def _folder(app_id: str, cfg: Mapping[str, Any], session: str) -> Path:
    if given := cfg.get("folder"):
        return Path(given).expanduser().absolute()
    if logs := cfg.get("log_dir"):
        return (Path(logs).expanduser() / session / app_id).absolute()
    return registry.default_folder(app_id)


def _check(app: AppDef, role: Role) -> None:
    where = f"{app.name}: role {role.name!r}"
    words.check(role, where=where)
    if "/" in role.name or role.name in ("", ".", ".."):
        raise ComponentError(f"{where}: the name must be usable as a folder's name")
    if role.max_retries and _policy(role) not in _POLICIES:
        raise ComponentError(
            f"{where}: the scheduler local does not know the retry policy {_policy(role)}",
            hint=f"use {' or '.join(_POLICIES)}, or max_retries=0",
        )


def _policy(role: Role) -> str:
    return str(getattr(role.retry_policy, "value", role.retry_policy))


def _plan(role: Role, index: int, app_id: str, folder: Path, cwd: Path, alone: bool) -> ReplicaPlan:
    values = macros.Values(img_root=str(cwd), app_id=app_id, replica_id=str(index), rank0_env=RANK0)
    mine = values.apply(role)
    below = "" if alone else f"{role.name}-{index}"
    env = {
        # Where torchelastic leaves its workers' errors and logs; the same variables as TorchX's own scheduler sets.
        "TORCHELASTIC_ERROR_FILE": str(folder / below / "error.json"),
        "PET_LOG_DIR": str(folder / below / "torchelastic"),
        **mine.env,
        RANK0: "localhost",
    }
    # A role that names its GPUs itself knows what it does: no lease, and nothing is overwritten.
    gpus = 0 if slots.VISIBLE in role.env else max(role.resource.gpu, 0)
    return ReplicaPlan(
        role=role.name,
        index=index,
        args=(values.substitute(role.entrypoint), *mine.args),
        env=env,
        folder=below,
        image=str(role.image),
        gpus=gpus,
        max_retries=role.max_retries,
        retry=_policy(role),
    )
