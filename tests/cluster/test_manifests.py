"""Every manifest that is kept as a golden file is taken by a real server, strictly."""

from __future__ import annotations

import pytest

from axk8s.kube.resource import CONFIG_MAPS, JOBS, SERVICES
from tests.cluster.namespace import Namespace
from tests.schedulers.kubernetes_job.documents import documents

KINDS = {"Job": JOBS, "Service": SERVICES, "ConfigMap": CONFIG_MAPS}


@pytest.mark.parametrize("name", sorted(documents()))
def test_a_golden_manifest_is_accepted(name: str, namespace: Namespace) -> None:
    document = documents()[name]

    answer = namespace.kube.create(KINDS[document["kind"]], document, dry_run=True)

    assert answer["metadata"]["name"] == document["metadata"]["name"]
