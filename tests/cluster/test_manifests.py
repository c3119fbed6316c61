"""Every manifest that is kept as a golden file is taken by a real server, strictly."""

from __future__ import annotations

import pytest

from axk8s.kube.client import Object
from axk8s.kube.resource import CONFIG_MAPS, JOBS, SERVICES
from tests.cluster.namespace import Namespace
from tests.schedulers.kubernetes_job.documents import documents

KINDS = {"Job": JOBS, "Service": SERVICES, "ConfigMap": CONFIG_MAPS}


def known() -> dict[str, Object]:
    """What every server has: of a JobSet, which most do not, the Jobs that are made of it."""
    found = {name: made for name, made in documents().items() if made["kind"] in KINDS}
    for name, made in documents().items():
        for part in made["spec"]["replicatedJobs"] if made["kind"] == "JobSet" else ():
            metadata = {"name": f"{name}-{part['name']}-0", **part["template"]["metadata"]}
            found[metadata["name"]] = {"kind": "Job", **part["template"], "metadata": metadata}
    return found


@pytest.mark.parametrize("name", sorted(known()))
def test_a_golden_manifest_is_accepted(name: str, namespace: Namespace) -> None:
    document = known()[name]

    answer = namespace.kube.create(KINDS[document["kind"]], document, dry_run=True)

    assert answer["metadata"]["name"] == document["metadata"]["name"]
