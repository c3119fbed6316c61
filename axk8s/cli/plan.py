"""`axk8s plan`: what would be submitted; with `--simulate`, how the sweep would go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axk8s.cli import figures, talk
from axk8s.cli.listing import Column, emit, write_table
from axk8s.cli.options import Config, Directory, Format, Output, Parallelism, Scheduler, Trials
from axk8s.errors import UsageError

if TYPE_CHECKING:
    from axk8s.api.plan import Plan
    from axk8s.api.simulation import Simulation

EXAMPLE = """
axk8s plan sweep.yaml
axk8s plan sweep.yaml --simulate
axk8s plan sweep.yaml --simulate --conditions run_time=20m..2h,preemptions_per_hour=0.1 --runs 20
axk8s plan sweep.yaml --simulate --results bowl
"""


def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sweep file.")],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]…",
            help="Parameters of the trial that is shown. Left out: the middle of the range, the first of the choices.",
            show_default=False,
        ),
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", envvar="AXK8S_SIMULATE", help="Dry-run the whole sweep in virtual time.")
    ] = False,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "-c",
            "--conditions",
            envvar="AXK8S_CONDITIONS",
            metavar="FILE|K=V,…",
            help="What the simulated cluster is like: a YAML file, or settings. May be repeated.",
        ),
    ] = None,
    results: Annotated[
        str | None,
        typer.Option(
            "--results",
            envvar="AXK8S_RESULTS",
            metavar="bowl|ripples|FILE.csv|SWEEP",
            help="What simulated trials report: a synthetic objective, or recorded trials (a table, a sweep that has "
            "run). The sweep's optimizer is asked then; otherwise proposals are drawn at random.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, envvar="AXK8S_SEED", metavar="N", help="Of the simulation; the optimizer's by default."
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", min=1, envvar="AXK8S_RUNS", metavar="N", help="Simulate so often, seed by seed.")
    ] = 1,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep",
            envvar="AXK8S_KEEP",
            metavar="FOLDER",
            help="Keep the simulated sweep there: `status`, `trials` and `best` with --dir FOLDER show it.",
        ),
    ] = None,
    trials: Trials = None,
    parallelism: Parallelism = None,
    scheduler: Scheduler = None,
    config: Config = None,
    directory: Directory = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what `run` would submit: the checks, what fills each argument, the rendered job of the first trial.

    With --simulate the real controller drives the sweep on a simulated cluster, in seconds and without any job: how
    long it would take, how many attempts, what would be lost to pre-emption, what the optimizer would find.
    """
    from axk8s.api import Sweep
    from axk8s.cli.assignments import parameters, scheduler_config

    sweep = Sweep.from_yaml(
        file,
        directory=directory,
        scheduler=scheduler,
        scheduler_config=scheduler_config(config),
        trials=trials,
        parallelism=parallelism,
    )
    chosen, _ = parameters(sweep.spec, values or [])
    if not simulate:
        _refuse_without_simulate(conditions=conditions, results=results, seed=seed, keep=keep, runs=runs)
        _show_plan(sweep.plan(chosen), output)
        return
    if values:
        raise UsageError(f"{values[0]} means a trial to show, and --simulate runs them all", hint="leave one out")
    if keep is not None and runs > 1:
        raise UsageError("--keep keeps one simulation, not several", hint="leave out --runs")
    from axk8s.simulate.conditions import Conditions

    like = Conditions.read(conditions or [])
    first = sweep.spec.optimizer.seed if seed is None else seed
    done = [sweep.simulate(like, seed=first + run, results=results, keep=keep) for run in range(runs)]
    _show_simulations(sweep.spec.name, done, output)
    if any(each.state == "aborted" for each in done):
        raise typer.Exit(1)


def _refuse_without_simulate(**options: object) -> None:
    given = [name for name, value in options.items() if value is not None and not (name == "runs" and value == 1)]
    if given:
        raise UsageError(f"--{given[0]} belongs to a simulation", hint="add --simulate")


def _show_plan(plan: Plan, output: Format) -> None:
    if output is not Format.TABLE:
        emit(plan.to_json(), output)
    else:
        first = plan.first
        write_table([Column("plan"), Column(plan.sweep)], [(key, value) for key, value in _terms(plan) if value])
        print()
        rows = [(each.argument, _shown(each.value), each.source) for each in first.arguments]
        write_table([Column("argument"), Column("value"), Column("filled by")], rows)
        print(f"\n# the job of the first trial, {first.job}")
        print(first.manifest.rstrip())
    for warning in plan.warnings:
        talk.warning(warning)
    talk.say(f"nothing was started; the middle of the space stands for {plan.optimizer}'s first proposal")


def _terms(plan: Plan) -> Iterable[tuple[str, str]]:
    roles = [
        f"{figures.plural(role.replicas, 'replica')} of {role.name}: {figures.number(role.cpu)} CPU"
        + (f", {role.gpu} GPU" if role.gpu else "")
        + (f", {role.memory_mib} MiB" if role.memory_mib else "")
        for role in plan.first.roles
    ]
    at_once = f"{figures.number(plan.cpus * plan.parallelism)} CPU"
    at_once += f", {plan.gpus * plan.parallelism} GPU" if plan.gpus else ""
    yield "checked", "; ".join(plan.checks)
    yield (
        "trials",
        f"{plan.trials}, {plan.parallelism} at a time, up to {_retries(plan.retries)} each",
    )
    yield "optimizer", plan.optimizer
    yield "scheduler", plan.scheduler
    yield "folder", plan.folder + (" (has begun: `run` goes on with it)" if plan.begun else "")
    yield "each trial", "; ".join(roles)
    yield "all at once", at_once
    if plan.hours_at_most is not None:
        gpu = f", {figures.number(plan.hours_at_most * plan.gpus)} GPU hours" if plan.gpus else ""
        yield "at most", f"{figures.duration(plan.hours_at_most * 3600)} of jobs, retries apart{gpu}"
    yield "parameters", figures.assignments(plan.first.parameters)


def _retries(count: int) -> str:
    return "1 retry" if count == 1 else f"{count} retries"


def _shown(value: object) -> str:
    return figures.NOTHING if value is None else value if isinstance(value, str) else str(value)


def _show_simulations(name: str, done: Sequence[Simulation], output: Format) -> None:
    one = done[0]
    if output is not Format.TABLE:
        emit(one.to_json() if len(done) == 1 else [each.to_json() for each in done], output)
    else:
        title = name if len(done) == 1 else f"{name}: median (least to most) of {len(done)} runs"
        write_table([Column("simulated"), Column(title)], [(key, value) for key, value in _course(done) if value])
    if one.values:
        talk.say(f"nothing was started; values: {one.values}; proposals: {one.optimizer}")
    else:
        said = "nothing was started; proposals were drawn at random, and their values mean nothing"
        talk.say(f"{said}: --results bowl, a CSV file or an earlier sweep asks the sweep's optimizer")


def _course(done: Sequence[Simulation]) -> Iterable[tuple[str, str]]:
    one = done[0]

    def over(show: Callable[[float], str], pick: Callable[[Simulation], float]) -> str:
        return _range([pick(each) for each in done], show)

    yield "takes", over(figures.duration, lambda each: each.effort.seconds)
    yield "ends", ", ".join(sorted({each.state + (f" ({each.reason})" if each.reason else "") for each in done}))
    yield "trials", figures.counts(one.outcomes) if len(done) == 1 else _outcomes(done)
    yield "attempts", over(figures.number, lambda each: each.effort.attempts)
    yield "jobs run", over(figures.duration, lambda each: each.effort.slot_seconds)
    yield "slots busy", over(lambda share: f"{100 * share:.0f} %", lambda each: each.effort.busy)
    if any(each.repeated_seconds for each in done):
        lost = over(figures.duration, lambda each: each.repeated_seconds)
        yield "in vain", f"{lost} of disrupted attempts, since a checkpoint or their start"
    if any(each.effort.failed_seconds for each in done):
        yield (
            "without result",
            f"{over(figures.duration, lambda each: each.effort.failed_seconds)} of trials that failed",
        )
    yield "waiting", over(figures.duration, lambda each: each.effort.waited) + " from decision to start, the median"
    if one.values:
        best = [each for each in done if each.best_value is not None]
        front = [each for each in done if each.front]
        if best or front:
            yield "from the model", over(figures.number, lambda each: each.from_model)
        if front:
            yield "front", f"{_range([len(each.front) for each in front], figures.number)} trials"
            volumes = [each.hypervolume for each in front if each.hypervolume is not None]
            yield from [("", f"hypervolume {_range(volumes, figures.number)}")] if volumes else []
        if best:
            yield "best", _range([each.best_value or 0.0 for each in best], figures.number)
        if len(done) == 1 and one.best_trial is not None:
            yield "", f"in trial {one.best_trial}: {figures.assignments(one.best_parameters)}"
    if one.folder:
        yield "kept in", one.folder


def _range(values: Sequence[float], show: Callable[[float], str]) -> str:
    from statistics import median  # loads much, and this module is loaded by every command

    middle = show(median(values))
    return middle if len(values) == 1 else f"{middle} ({show(min(values))} to {show(max(values))})"


def _outcomes(done: Sequence[Simulation]) -> str:
    words = dict.fromkeys(word for each in done for word in each.outcomes)
    return ", ".join(
        f"{_range([each.outcomes.get(word, 0) for each in done], figures.number)} {word}" for word in words
    )
