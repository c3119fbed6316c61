"""Custom kinds as small as they can be: the server stores and watches them, with a status apart, and judges nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import AlreadyExistsError, NotFoundError
from axk8s.kube.resource import Resource
from tests.cluster.deadline import until

DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)


def installed(admin: Kube, resource: Resource) -> bool:
    """Whether the cluster knows the kind, whoever brought it."""
    try:
        admin.get(DEFINITIONS, str(resource))
    except NotFoundError:
        return False
    return True


@contextlib.contextmanager
def known(admin: Kube, kinds: Mapping[Resource, str]) -> Iterator[bool]:
    """These kinds in the cluster; tells whether they have to be played, because nobody else has brought the first."""
    if installed(admin, next(iter(kinds))):
        yield False
        return
    try:
        for resource, kind in kinds.items():
            install(admin, resource, kind)
        yield True
    finally:
        for resource in kinds:
            admin.delete(DEFINITIONS, str(resource))
        # Who comes next must not take what is going for what is there.
        until("the kinds are gone", lambda: not any(installed(admin, resource) for resource in kinds))


def install(admin: Kube, resource: Resource, kind: str) -> None:
    """Make the kind known; returns when objects of it can be made."""
    with contextlib.suppress(AlreadyExistsError):
        admin.create(DEFINITIONS, _definition(resource, kind))
    until(f"{resource} is served", lambda: _established(admin, resource))


def _established(admin: Kube, resource: Resource) -> bool:
    conditions = admin.get(DEFINITIONS, str(resource)).get("status", {}).get("conditions") or ()
    if not any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
        return False
    try:
        # Established a moment before every handler has heard of it.
        admin.list_all(resource)
    except NotFoundError:
        return False
    return True


def _definition(resource: Resource, kind: str) -> Object:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": anything},
        "subresources": {"status": {}},
    }
    names = {"plural": resource.plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    return {
        "metadata": {
            "name": str(resource),
            # Without this word the server keeps names below *.k8s.io for those that were reviewed.
            "annotations": {"api-approved.kubernetes.io": "unapproved, experimental-only"},
        },
        "spec": {
            "group": resource.group,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": names,
            "versions": [version],
        },
    }
