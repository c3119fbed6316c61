"""Is all well? The sweep file, its code and its optimizer; and the place where its jobs would run."""

from __future__ import annotations

from collections.abc import Iterator

from axk8s.errors import SpecError
from axk8s.launch import inspection
from axk8s.launch.check import check
from axk8s.optimize.capability import check as check_capability
from axk8s.schedulers.kubernetes_job.preflight import Finding, Level
from axk8s.spec.sweep import SweepSpec


def validated(spec: SweepSpec, *, reach: bool) -> list[str]:
    """Everything that can be known before the first trial; warnings for a person.

    Args:
        spec: the sweep.
        reach: whether a cluster that does not answer is an error; otherwise it is a warning.

    Raises:
        UsageError: what is wrong, and what to do about it.
        KubeError: the cluster does not answer, and must.
    """
    said = _checked(spec)
    findings = list(inspection.inspect(spec))
    error = inspection.unreached(findings)
    if error is not None and not reach:
        return [*said, f"{spec.where('scheduler')}: the cluster was not asked: {error.message}"]
    inspection.refuse(findings)
    return said + [f"{one.subject}: {one.text}; {one.hint}" for one in findings if one.level is Level.WARNING]


def inspected(spec: SweepSpec, *, cluster_only: bool = False) -> Iterator[Finding]:
    """What was found of a sweep and its cluster, one thing after the other.

    Raises:
        UsageError: the sweep itself is wrong.
    """
    said = _checked(spec)
    for text in () if cluster_only else said:
        yield Finding("sweep", Level.WARNING, text)
    if not said and not cluster_only:
        yield Finding("sweep", Level.GOOD, f"{spec.name}: the file, its code and its optimizer fit")
    yield from inspection.inspect(spec)


def _checked(spec: SweepSpec) -> list[str]:
    problems = check_capability(spec)
    if problems:
        raise SpecError(problems)
    return check(spec)
