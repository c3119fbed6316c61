"""One TorchX scheduler behind one door: its options checked, its jobs sent and asked about, its errors made ours."""

from __future__ import annotations

import configparser
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from torchx.runner import Runner
from torchx.runner.config import find_configs
from torchx.schedulers.api import DescribeAppResponse, Scheduler
from torchx.specs import AppDef, AppDryRunInfo, InvalidRunConfigException, make_app_handle, parse_app_handle, runopts

from axk8s.errors import Axk8sError, ComponentError, SchedulerConfigError, SubmitError, suggestion
from axk8s.schedulers.catalog import factories

NAME = "torchx"
"""TorchX's session, part of every handle; the name its own tools use, so `torchx status <handle>` works."""

_EXTRAS = {
    "docker": "docker",
    "kubernetes": "kubernetes",
    "boto3": "boto3",
    "ray": "ray[default]",
    "google": "google-cloud-batch",
}


class Choice(Protocol):
    """Who chooses a scheduler and its options, and where it is written: a sweep file, or a line of Python."""

    @property
    def scheduler(self) -> str: ...

    @property
    def scheduler_config(self) -> Mapping[str, Any]: ...

    @property
    def base(self) -> Path:
        """A folder in which a `.torchxconfig` applies, beside those where TorchX looks."""

    @property
    def component(self) -> str | None: ...

    @property
    def function(self) -> str | None: ...

    @property
    def command(self) -> str | None: ...

    def where(self, key: str) -> str:
        """Where the value of `key` is written, for messages."""


class Session:
    """The scheduler that a sweep names; safe to use from several threads.

    It must be kept as long as jobs may run: TorchX's `local_cwd` kills its jobs when it is garbage-collected.
    """

    def __init__(self, spec: Choice) -> None:
        """Create the scheduler.

        Raises:
            SchedulerConfigError: there is none of this name, or a package that it needs is missing.
        """
        self._spec = spec
        self.scheduler_name = spec.scheduler
        self._where = spec.where("scheduler")
        known = factories()
        if self.scheduler_name not in known:
            hint = suggestion(self.scheduler_name, known)
            raise SchedulerConfigError(f"{self._where}: there is no scheduler {self.scheduler_name!r}", hint=hint)
        made: list[Scheduler] = []

        def factory(session_name: str, **params: object) -> Scheduler:
            made.append(known[self.scheduler_name](session_name, **params))
            return made[0]

        self.runner = Runner(NAME, {self.scheduler_name: factory})
        self.options: runopts = _off_main_thread(
            lambda: self.runner.scheduler_run_opts(self.scheduler_name), self._where
        )
        self.scheduler: Scheduler = made[0]
        self._rendering = threading.Lock()

    def config(self, ours: Mapping[str, object]) -> dict[str, object]:
        """The scheduler's options: `ours`, then the sweep file's, then `.torchxconfig`'s.

        Configuration files are looked for where TorchX looks (`$TORCHXCONFIG`, else the home and present folders) and
        beside the sweep file. `ours` are set by the sweep for each job, so nobody else may.

        Raises:
            SchedulerConfigError: an option is unknown, of the wrong type, missing, or reserved.
        """
        known = dict(iter(self.options))
        config: dict[str, object] = {}
        for name, value in self._spec.scheduler_config.items():
            where = self._spec.where(f"scheduler_config.{name}")
            if name not in known:
                raise SchedulerConfigError(
                    f"{where}: the scheduler {self.scheduler_name} has no option {name!r}", hint=suggestion(name, known)
                )
            if name in ours:
                raise SchedulerConfigError(f"{where}: axk8s sets the option {name!r} for each job", hint="remove it")
            config[name] = _cast(value, known[name].opt_type, name=name, where=where)
        for file in find_configs([str(Path.home()), str(self._spec.base), str(Path.cwd())]):
            for name, text in _section(Path(file), self.scheduler_name).items():
                if name not in config and name not in ours:
                    if name not in known:
                        raise SchedulerConfigError(
                            f"{file}: the scheduler {self.scheduler_name} has no option {name!r}",
                            hint=suggestion(name, known),
                        )
                    config[name] = None if text == "None" else _cast(text, known[name].opt_type, name=name, where=file)
        config |= {name: value for name, value in ours.items() if name in known}
        missing = [name for name, option in known.items() if option.is_required and config.get(name) is None]
        if missing:
            names = ", ".join(missing)
            raise SchedulerConfigError(
                f"{self._where}: the scheduler {self.scheduler_name} needs the option {names}",
                hint=f"set it: `scheduler_config: {{{missing[0]}: …}}`, or -cfg {missing[0]}=…",
            )
        return config

    def dryrun(self, app: AppDef, config: Mapping[str, object]) -> AppDryRunInfo:
        """What would be sent for `app`.

        Raises:
            ComponentError: the scheduler does not take such an AppDef.
            SchedulerConfigError: an option cannot be.
        """
        try:
            # Some schedulers change the AppDef, or keep a file name on themselves, while they make the request.
            with self._rendering:
                return self.runner.dryrun(app, self.scheduler_name, cfg=dict(config))
        except InvalidRunConfigException as error:
            raise SchedulerConfigError(f"{self._where}: {error}") from error
        except (ComponentError, SchedulerConfigError) as error:
            place = self._where if isinstance(error, SchedulerConfigError) else self._program_where
            raise type(error)(f"{place}: {error.message}", hint=error.hint) from error
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            raise ComponentError(
                f"{self._program_where}: the scheduler {self.scheduler_name} does not take this job: {error}",
                hint="arguments and variables of an AppDef are strings; every role needs an entrypoint and a resource",
            ) from error

    def send(self, info: AppDryRunInfo) -> str:
        """Submit what `dryrun` made; the handle.

        Raises:
            SubmitError: refused.
        """
        try:
            return self.handle(self.scheduler.schedule(info))
        except Axk8sError:
            raise
        # TorchX's schedulers share no base class for their errors: each brings those of its client library.
        except Exception as error:
            message = f"the scheduler {self.scheduler_name} refused the job: {type(error).__name__}: {error}"
            raise SubmitError(message) from error

    def present(self, job: str) -> str | None:
        """The handle of a job that was sent under this name, as far as can be known; TorchX appends a random suffix."""
        try:
            apps = self.scheduler.list()
        except Exception:  # noqa: BLE001  (not every scheduler can list, and each refuses in its own way)
            return None
        names = [app.app_id for app in apps if app.app_id == job or app.app_id.rpartition("/")[2].startswith(f"{job}-")]
        return self.handle(names[0]) if names else None

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """The job's state now, None when the scheduler knows none; whatever the scheduler raises passes through."""
        return self.scheduler.describe(app_id)

    def cancel(self, app_id: str) -> None:
        """Ask a job to end; some schedulers block while it does, and whatever they raise passes through."""
        self.scheduler.cancel(app_id)

    def delete(self, app_id: str) -> None:
        """Remove what the job left on the scheduler, where the scheduler can."""
        # Later versions of TorchX have it; 0.7 leaves ended jobs to the scheduler's own clean-up.
        delete = getattr(self.scheduler, "delete", None)
        if delete is not None:
            delete(app_id)

    def log(self, app_id: str, role: str, replica: int, *, follow: bool) -> Iterator[str]:
        """Lines of one replica without their line ends.

        Raises:
            SubmitError: the scheduler cannot say.
        """
        try:
            lines: Iterable[str] = self.scheduler.log_iter(app_id, role, replica, should_tail=follow)
            for line in lines:
                yield line.rstrip("\n")
        # As in `send`.
        except Exception as error:
            message = f"the scheduler {self.scheduler_name} has no log of {app_id}: {type(error).__name__}: {error}"
            raise SubmitError(message) from error

    def handle(self, app_id: str) -> str:
        return str(make_app_handle(self.scheduler_name, NAME, app_id))

    @property
    def _program_where(self) -> str:
        key = next(key for key in ("component", "function", "command") if getattr(self._spec, key) is not None)
        return self._spec.where(key)


def app_id(handle: str) -> str:
    """The scheduler's own name of a job."""
    return str(parse_app_handle(handle)[2])


def _off_main_thread(work: Any, where: str) -> Any:
    """Run `work` in another thread: made in the main one, TorchX's local scheduler takes over its signals."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001  (raised again below, in the caller's thread)
            failed.append(error)

    thread = threading.Thread(target=run, name="scheduler")
    thread.start()
    thread.join()
    if failed and isinstance(failed[0], ImportError):
        package = (failed[0].name or "").partition(".")[0]
        hint = f"pip install {_EXTRAS.get(package, package)}" if package else ""
        raise SchedulerConfigError(f"{where}: this scheduler needs a package: {failed[0]}", hint=hint) from failed[0]
    if failed:
        raise SchedulerConfigError(f"{where}: this scheduler cannot be used here: {failed[0]}") from failed[0]
    return found[0]


def _section(file: Path, scheduler: str) -> dict[str, str]:
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[method-assign,assignment]  # option names keep their case, as in TorchX
    try:
        parser.read_string(file.read_text("utf-8"), source=str(file))
        return dict(parser.items(scheduler)) if parser.has_section(scheduler) else {}
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise SchedulerConfigError(f"{file} cannot be read: {error}") from error


def _cast(value: object, kind: Any, *, name: str, where: str) -> object:
    """`value` as the option's type; words as TorchX's command line reads them (`a;b`, `key:value`, `true`)."""
    if value is None or runopts.is_type(value, kind):
        return value
    try:
        if kind is float and type(value) is int:
            return float(value)
        if kind is str and isinstance(value, (dict, list)):
            return json.dumps(value)  # written in place: a pod overlay, which TorchX can take as text only
        if isinstance(value, str):
            parts = [part for part in value.replace(";", ",").split(",") if part]
            if kind is bool and value.lower() in ("true", "false"):
                return value.lower() == "true"
            if kind in (int, float):
                return kind(value)
            if kind == list[str] or "List" in str(kind):
                return parts
            if "ict" in str(kind):
                return dict(part.split(":", 1) for part in parts)
    except ValueError:
        pass
    shown = (
        getattr(kind, "__name__", str(kind)) if kind in (str, int, float, bool) else str(kind).replace("typing.", "")
    )
    raise SchedulerConfigError(f"{where}: the option {name} is of type {shown}, and this is {value!r}")
