"""The command as a whole: its verbs in the order of their use, and what becomes of errors.

Exit codes: 0 done, 1 failed, 2 misused, 130 interrupted. Expected errors are one sentence on stderr with what to do
about it; an exception that nobody foresaw keeps its traceback, for it is a bug.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from axk8s.cli import (
    attach,
    best,
    clean,
    doctor,
    enqueue,
    events,
    export,
    init,
    list_,
    logs,
    manifests,
    pause,
    plan,
    run,
    schema,
    status,
    stop,
    talk,
    trials,
    try_,
    validate,
)
from axk8s.errors import Axk8sError

if TYPE_CHECKING:
    from collections.abc import Callable

_WIDTH = 100
"""Columns of the help texts at most; longer lines are hard to read."""


class _Command(TyperGroup):
    """The group of all verbs, which turns exceptions into sentences and exit codes."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run and end the process; usage errors are said in the same shape as all others."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except typer.TyperException as error:
            talk.error(error.format_message(), hint=_usage_hint(error))
            sys.exit(error.exit_code)
        except typer.Abort:
            sys.exit(130)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; an expected error is said on stderr and becomes the exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # else a closed pipe is only noticed when nobody can catch it any more
        except Axk8sError as error:
            if ctx.params.get("debug"):
                traceback.print_exception(error)
            talk.problem(error)
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError:
            # The reader (`head`, a pager) has seen enough; nothing failed.
            _forget_stdout()
            raise typer.Exit(0) from None
        except (typer.TyperException, typer.Exit, typer.Abort):
            raise
        except Exception as error:
            error.add_note(
                "\nThis is a bug in axk8s, or of a package that it stands on. Please report it with the lines above "
                "and the sweep file; results that were journaled are safe, and the same command goes on with them."
            )
            raise
        return result


def _usage_hint(error: typer.TyperException) -> str:
    ctx = getattr(error, "ctx", None)
    if getattr(error, "option_name", "") == "--debug":
        return "--debug goes before the verb: axk8s --debug run …"
    return f"see: {ctx.command_path} --help" if ctx is not None else ""


def _forget_stdout() -> None:
    with contextlib.suppress(OSError, ValueError):  # no file of this process, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"axk8s {version('axk8s')}\n")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="AXK8S_DEBUG", help="Show the traceback of expected errors too.")
    ] = False,
) -> None:
    """Tune training jobs: Ax proposes parameters, TorchX describes the job, this machine or a cluster runs it.

    A sweep is described by one file and kept in one folder; whatever stops it, the same command goes on with it.
    """


app = typer.Typer(
    cls=_Command,
    callback=_root,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": _WIDTH, "help_option_names": ["-h", "--help"]},
    epilog="\b\nExample:\n  axk8s init digits\n  axk8s run digits/sweep.yaml",
)


def _verb(name: str, function: Callable[..., None], example: str, short: str) -> None:
    lines = "".join(f"\n  {line}" for line in example.strip().splitlines())
    app.command(name, epilog=f"\b\nExample:{lines}", short_help=short)(function)


_verb("init", init.init, init.EXAMPLE, "Write a sweep file and a training script to start from.")
_verb("validate", validate.validate, validate.EXAMPLE, "Check a sweep file without running anything.")
_verb("try", try_.try_, try_.EXAMPLE, "Run one trial in the foreground.")
_verb("plan", plan.plan, plan.EXAMPLE, "Show what would be submitted, or simulate the sweep.")
_verb("run", run.run, run.EXAMPLE, "Begin a sweep, or go on with it.")
_verb("status", status.status, status.EXAMPLE, "Show one sweep at a glance.")
_verb("list", list_.list_, list_.EXAMPLE, "List the sweeps of a folder.")
_verb("trials", trials.trials, trials.EXAMPLE, "List the trials of a sweep.")
_verb("best", best.best, best.EXAMPLE, "Show the best trial so far.")
_verb("logs", logs.logs, logs.EXAMPLE, "Print what a trial's job printed.")
_verb("events", events.events, events.EXAMPLE, "List what happened to a sweep, and when.")
_verb("stop", stop.stop, stop.EXAMPLE, "End a sweep, or one of its trials.")
_verb("pause", pause.pause, pause.EXAMPLE, "Begin no further trial.")
_verb("enqueue", enqueue.enqueue, enqueue.EXAMPLE, "Let parameters of your own be tried next.")
_verb("attach", attach.attach, attach.EXAMPLE, "Let a sweep learn results from elsewhere.")
_verb("export", export.export, export.EXAMPLE, "Write a sweep's trials as CSV, or as Ax has them.")
_verb("clean", clean.clean, clean.EXAMPLE, "Delete what a sweep left in the cluster.")
_verb("doctor", doctor.doctor, doctor.EXAMPLE, "Ask a cluster whether a sweep could run there.")
_verb("manifests", manifests.manifests, manifests.EXAMPLE, "Print the Kubernetes objects that a cluster may need.")
_verb("schema", schema.schema, schema.EXAMPLE, "Print the JSON schema of sweep files.")
