"""The evidence of objects, and what is seen in it."""

from __future__ import annotations

from typing import Any

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job.facts import JobFacts, PodFacts
from axk8s.schedulers.kubernetes_job.view import Evidence, view
from axk8s.sweep.model import JobView, Phase
from tests.schedulers.kubernetes_job.objects import NAME


def known(found: Object | None, *pods: Object, gone: bool = False, gone_pods: Any = (), **more: Any) -> Evidence:
    """The evidence of these objects, the pods in `gone_pods` being deleted by now."""
    facts = [PodFacts.read(one) for one in pods] + [PodFacts.read(one, gone=True) for one in gone_pods]
    return Evidence(NAME, None if found is None else JobFacts.read(found, gone=gone), tuple(facts), **more)


def seen(evidence: Evidence) -> JobView:
    found = view(evidence)
    assert found is not None
    assert found.job == NAME
    assert (found.exit is not None) == (found.phase in (Phase.ENDED, Phase.LOST))
    return found
