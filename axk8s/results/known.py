"""Results from elsewhere, checked against a sweep's space before its optimizer learns them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from axk8s.errors import UsageError
from axk8s.spec.parameters import Parameter
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Scalar, TrialFact
from axk8s.sweep.records import KnownResult

PREFIXES: Final = ("param.", "parameters.", "params_")
"""What may stand before a parameter's name in a column: what `export` writes, other tables of axk8s, and Optuna's."""
_OUTCOME: Final = ("outcome", "trial.outcome", "state", "trial_status")
"""Columns that say how a trial ended: ours, Optuna's, and Ax's."""
_SUCCEEDED: Final = ("succeeded", "complete", "completed", "trialstate.complete")
_UNSAID: Final = (
    # Of `axk8s export`, of Optuna's `trials_dataframe()`, of Ax's `summarize()`, and an index that pandas has written.
    *("trial", "generator", "feasible", "front", "baseline", "seconds", "attempts", "reason"),
    *("number", "datetime_start", "datetime_complete", "duration"),
    *("trial_index", "arm_name", "generation_node"),
    *("", "Unnamed: 0", "trial.trial", "trial.generator", "trial.feasible", "trial.front"),
    *("trial.seconds", "trial.attempts", "trial.reason"),
)
"""Columns that are passed over without a word."""
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: what it is called in messages, and its cells by column; a text may be any kind of value."""

    where: str
    cells: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Known:
    """What a source holds of use to a sweep."""

    source: str
    """For a person: a file, or a sweep."""
    trials: tuple[KnownResult, ...]
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Columns:
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    sems: dict[str, str] = field(default_factory=dict)
    outcome: str = ""
    ignored: list[str] = field(default_factory=list)


def known(spec: SweepSpec, rows: Iterable[Row], columns: Sequence[str], *, source: str, skip: bool = False) -> Known:
    """The rows as results of this sweep's space; equal ones once, and those that did not succeed left out.

    Args:
        spec: The sweep.
        rows: What is known.
        columns: Their columns: parameters and metrics by their names, `<metric>_sem` for standard errors, and the names
            that `axk8s export` and Optuna give them.
        source: What the rows are from, for messages.
        skip: Leave out rows that do not fit, with a warning, instead of refusing all.

    Raises:
        UsageError: a parameter or metric has no column, a row does not fit, or there is none.
    """
    found = _columns(spec, columns, source)
    fitting: dict[tuple[object, ...], KnownResult] = {}
    bad: list[str] = []
    left_out = total = 0
    for row in rows:
        if found.outcome and str(row.cells.get(found.outcome, "")).strip().lower() not in _SUCCEEDED:
            left_out += 1
            continue
        total += 1
        result, problems = _result(spec, row, found)
        if problems:
            bad.append(f"{row.where}: {'; '.join(problems)}")
        else:
            fitting.setdefault(identity(result), result)
    if bad and not skip:
        raise _refusal(bad, total, source, spec.name)
    if not fitting:
        why = "no trial in it has succeeded" if left_out and not total else "no row of it fits"
        raise UsageError(f"{source} has no result: {why if left_out or total else 'it is empty'}")
    warnings = []
    if found.ignored:
        ignored = ", ".join(map(repr, found.ignored))
        warnings.append(f"{source}: ignored, as they are no parameters or needed metrics of {spec.name}: {ignored}")
    if left_out:
        warnings.append(f"{source}: left out, as their trials did not succeed: {left_out} of {left_out + total} rows")
    if bad:
        warnings.append(f"{source}: left out, as they do not fit: {len(bad)} of {total} rows; the first is {bad[0]}")
    return Known(source, tuple(fitting.values()), tuple(warnings))


def said(found: Known) -> list[str]:
    """What a person should hear of it, with what of it is new."""
    count = len(found.trials)
    known_before = "" if count else ", for all are attached already"
    return [f"{count} result{'' if count == 1 else 's'} of {found.source} attached{known_before}", *found.warnings]


def new_of(found: Known, earlier: Iterable[KnownResult | TrialFact]) -> Known:
    """What of these results is not among the earlier ones, whichever source those are from: tables overlap."""
    seen = {identity(result) for result in earlier}
    return replace(found, trials=tuple(result for result in found.trials if identity(result) not in seen))


def each_once(sources: Iterable[Known], earlier: Iterable[KnownResult | TrialFact] = ()) -> list[Known]:
    """The same sources, each with what neither the earlier results have nor a source before it."""
    told = [*earlier]
    once: list[Known] = []
    for found in sources:
        once.append(new_of(found, told))
        told += once[-1].trials
    return once


def identity(result: KnownResult | TrialFact) -> tuple[object, ...]:
    """What makes two results the same."""
    # To Python true is 1 and 1 is 1.0, and to a training script they are not.
    parameters = tuple(sorted((name, repr(value)) for name, value in result.parameters.items()))
    return parameters, tuple(sorted(result.values.items())), tuple(sorted(result.sems.items()))


def _refusal(bad: Sequence[str], total: int, source: str, name: str) -> UsageError:
    lines = [f"  {each}" for each in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  and {len(bad) - _SHOWN} more")
    fit = total - len(bad)
    return UsageError(
        "\n".join([f"{source}: {len(bad)} of {total} rows cannot be results of this sweep; {fit} fit", *lines]),
        hint="correct or remove them, or widen the parameters; to leave them out, begin without this source, and then: "
        f"axk8s attach {name} {source} --skip (in Python: attach(…, skip=True))",
    )


def _columns(spec: SweepSpec, columns: Sequence[str], source: str) -> _Columns:
    found = _Columns()
    aliases = {f"values_{index}": each.metric for index, each in enumerate(spec.objectives)}
    aliases |= {f"user_attrs_{metric}": metric for metric in spec.metrics}
    if len(spec.objectives) == 1:
        aliases["value"] = spec.objectives[0].metric
    prefixed = {name for column in columns if (name := _bare(column, spec)) is not None}
    for column in columns:
        bare = _bare(column, spec)
        shared = column in prefixed and (column in spec.metrics or column in _UNSAID or column in _OUTCOME)
        name = column if column in spec.parameters and not shared else bare
        metric = column if column in spec.metrics else aliases.get(column)
        of = column.removesuffix("_sem")
        if name is not None:
            _place(found.parameters, name, column, source)
        elif metric is not None and (metric == column or metric not in columns):
            _place(found.metrics, metric, column, source)
        elif column != of and (of in spec.metrics or of in aliases):
            _place(found.sems, aliases.get(of, of), column, source)
        elif column in _OUTCOME:
            found.outcome = column
        elif column not in _UNSAID:
            found.ignored.append(column)
    needed = [name for name, each in spec.parameters.items() if each.type != "fixed" and not each.when]
    missing = [name for name in needed if name not in found.parameters]
    missing += [metric for metric in spec.metrics if metric not in found.metrics]
    if missing:
        raise UsageError(
            f"{source} says nothing of {', '.join(map(repr, missing))}",
            hint=f"each parameter and each metric of the sweep needs a column; it has {', '.join(columns) or 'none'}",
        )
    return found


def _bare(column: str, spec: SweepSpec) -> str | None:
    """The parameter in `params_lr`."""
    if column in spec.parameters:
        return None
    bare = (column.removeprefix(prefix) for prefix in PREFIXES if column.startswith(prefix))
    return next((name for name in bare if name in spec.parameters), None)


def _place(places: dict[str, str], name: str, column: str, source: str) -> None:
    if name in places:
        raise UsageError(
            f"{source}: the columns {places[name]!r} and {column!r} both are {name!r}", hint="remove one of them"
        )
    places[name] = column


def _result(spec: SweepSpec, row: Row, columns: _Columns) -> tuple[KnownResult, list[str]]:
    """A row's result, and what is wrong with it."""
    problems: list[str] = []
    if None in row.cells:
        problems.append("it has more cells than there are columns")
    parameters: dict[str, Scalar] = {}
    for name, column in columns.parameters.items():
        cell = row.cells.get(column)
        if _absent(cell):
            continue
        try:
            parameters[name] = _scalar(spec.parameters[name], cell)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if not problems:
        problems += [
            f"{each.key}: {each.message}" if each.key else each.message for each in spec.check_parameters(parameters)
        ]
    values: dict[str, float] = {}
    for metric, column in columns.metrics.items():
        number = _number(row.cells.get(column))
        if number is None or not math.isfinite(number):
            problems.append(f"{metric}: {_said(row.cells.get(column))} is no finite number")
        else:
            values[metric] = number
    sems: dict[str, float] = {}
    for metric, column in columns.sems.items():
        if _absent(row.cells.get(column)):
            continue
        number = _number(row.cells.get(column))
        if number is None or not 0 <= number < math.inf:
            problems.append(f"{column}: {_said(row.cells.get(column))} is no standard error")
        else:
            sems[metric] = number
    return KnownResult(spec.complete_parameters(parameters), values, sems), problems


def _absent(cell: object) -> bool:
    """Whether a cell is empty: a parameter that does not exist in this trial."""
    if isinstance(cell, str):
        return not cell.strip()
    plain = _plain(cell)
    # What pandas has in an empty cell, by its name: pandas itself is not needed here.
    nothing = plain is None or type(plain).__name__ in ("NAType", "NaTType")
    return nothing or (isinstance(plain, float) and math.isnan(plain))


def _said(cell: object) -> str:
    return "an empty cell" if _absent(cell) else repr(cell)


def _plain(cell: object) -> object:
    item = getattr(cell, "item", None)  # of a NumPy scalar
    return item() if callable(item) else cell


def _scalar(parameter: Parameter, cell: object) -> Scalar:
    """A cell as a value of the parameter.

    Raises:
        ValueError: it is none.
    """
    if isinstance(cell, str):
        for text in _readings(cell.strip()):
            try:
                return parameter.parse(text)
            except ValueError:
                continue
        raise ValueError(f"{cell.strip()!r} is not {parameter.describe()}")
    plain = _plain(cell)
    if isinstance(plain, float) and plain.is_integer() and not parameter.contains(plain):
        plain = int(plain)
    if not parameter.contains(plain) or not isinstance(plain, (str, int, float)):
        raise ValueError(f"{plain!r} is not {parameter.describe()}")
    return float(plain) if parameter.python_type is float and not isinstance(plain, str) else plain


def _readings(text: str) -> Iterator[str]:
    """A text, and what it may stand for: pandas writes True, and in a column with gaps 64.0."""
    yield text
    number = _number(text)
    if number is not None and number.is_integer():
        yield str(int(number))
    yield text.lower()


def _number(cell: object) -> float | None:
    plain = _plain(cell)
    if isinstance(plain, bool) or not isinstance(plain, (str, int, float)):
        return None
    try:
        return float(plain)
    except (ValueError, OverflowError):
        return None
