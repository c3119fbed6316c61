"""A namespace for one test, with the rights that the shipped manifest gives, and a user who has no others."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from axk8s.kube.access import open_access
from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import NotFoundError
from axk8s.kube.rate import Patience, TokenBucket
from axk8s.kube.resource import ACCESS_REVIEWS, NAMESPACES, Resource
from tests.cluster import kubeconfig
from tests.cluster.cluster import Cluster
from tests.cluster.deadline import until

MANIFEST = Path(__file__).parents[2] / "manifests" / "rbac.yaml"
ACCOUNT = "axk8s"

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings")
_KINDS = {"ServiceAccount": SERVICE_ACCOUNTS, "Role": ROLES, "RoleBinding": ROLE_BINDINGS}


@dataclass(frozen=True)
class Namespace:
    """A namespace, and its user."""

    name: str
    kubeconfig: Path
    """Its one user has the Role of the manifest; its one context, `test`, has this namespace."""
    user: str
    """As audit logs and refusals name it."""
    token: str
    admin: Kube
    """Everything is allowed to this one; it is the cluster's administrator."""
    kube: Kube
    """Only what the Role says is allowed to this one."""


def create(cluster: Cluster, folder: Path, labels: dict[str, str]) -> Namespace:
    """Make one of a new name, in which the user's rights are in force."""
    name = f"axk8s-test-{secrets.token_hex(4)}"
    admin = cluster.kube(name)
    admin.create(NAMESPACES, {"metadata": {"name": name, "labels": labels}})
    try:
        return _furnished(cluster, folder, name, admin)
    except BaseException:
        delete(admin, name)
        raise


def delete(admin: Kube, name: str) -> None:
    """Let it be deleted with all that is in it; that goes on after we have left."""
    admin.delete(NAMESPACES, name)


def client_of(file: Path, *, patience: Patience | None = None) -> Kube:
    """A client as a kubeconfig says, as fast as it can."""
    return Kube(open_access(kubeconfig=file), bucket=TokenBucket(0), patience=patience)


def _furnished(cluster: Cluster, folder: Path, name: str, admin: Kube) -> Namespace:
    for document in _manifest(name):
        admin.create(_KINDS[document["kind"]], document)
    token = _token(admin, name)
    file = kubeconfig.write(folder / f"{name}.kubeconfig", cluster.entry(), token=token, namespace=name)
    kube = client_of(file)
    # Roles are in force, and the account exists without which there are no pods, a moment after they were asked for.
    until("the Role is in force", lambda: _may_list_jobs(kube, name))
    until("the namespace's default account exists", lambda: _exists(admin, "default"))
    return Namespace(name, file, f"system:serviceaccount:{name}:{ACCOUNT}", token, admin, kube)


def _manifest(namespace: str) -> list[Object]:
    """The shipped documents, moved into a namespace."""
    documents: list[Object] = [each for each in YAML(typ="safe").load_all(MANIFEST.read_text("utf-8")) if each]
    for document in documents:
        document["metadata"]["namespace"] = namespace
        for subject in document.get("subjects", ()):
            subject["namespace"] = namespace
    return documents


def _token(admin: Kube, namespace: str) -> str:
    # To create a part of an object is the one verb that our own client does not have.
    answer = admin.access.send(
        "POST",
        SERVICE_ACCOUNTS.path(namespace, ACCOUNT, "token"),
        headers={"Accept": "application/json", "Content-Type": "application/json"},
        body=json.dumps({"spec": {"expirationSeconds": 4 * 3600}}).encode(),
        connect=5.0,
        read=30.0,
    )
    content = json.loads(answer.data)
    assert answer.status == 201, content
    return str(content["status"]["token"])


def _may_list_jobs(kube: Kube, namespace: str) -> bool:
    asked = {"namespace": namespace, "verb": "list", "group": "batch", "resource": "jobs"}
    answer = kube.create(ACCESS_REVIEWS, {"spec": {"resourceAttributes": asked}})
    return bool(answer["status"]["allowed"])


def _exists(admin: Kube, account: str) -> bool:
    try:
        return bool(admin.get(SERVICE_ACCOUNTS, account))
    except NotFoundError:
        return False
