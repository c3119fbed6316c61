"""Who we are and which cluster is meant: a kubeconfig's context, or the service account of the pod that we run in.

The official client is imported where credentials are read: it takes half a second, which sweeps on `local` are spared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from yaml import YAMLError

from axk8s.errors import suggestion
from axk8s.kube.errors import ClusterAccessError

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "in-cluster"
"""The context's name for a pod's own service account."""


@dataclass(slots=True)
class Access:
    """A way to one cluster; only its credentials change, when they are renewed."""

    settings: Any
    """The official client's `Configuration`: credentials that renew themselves."""
    pool: Any
    """Its connections, with their TLS and proxy settings."""
    server: str
    context: str
    namespace: str
    """The namespace that is meant when none is named."""
    reopen: Callable[[], Access] | None = None
    """Reads the credentials again from where they came."""

    def renew(self) -> None:
        """Take up credentials that were renewed meanwhile: somebody may have logged in again, in another window.

        Raises:
            ClusterAccessError: there are none any more.
        """
        if self.reopen is not None:
            fresh = self.reopen()
            self.settings, self.pool = fresh.settings, fresh.pool

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        connect: float,
        read: float | None,
    ) -> Any:
        """One request as it is, not tried again; the answer's body is still to be read, whatever its status.

        Only the client's connections and credentials are used, which versions 36 and 37 share; how it sends requests
        differs between them.

        Raises:
            urllib3.exceptions.HTTPError: no answer within so many seconds.
        """
        credentials = {one["key"]: one["value"] for one in self.settings.auth_settings().values() if one["value"]}
        return self.pool.request(
            method,
            f"{self.server}{path}",
            body=body,
            headers={"User-Agent": "axk8s", **headers, **credentials},
            timeout=urllib3.Timeout(connect=connect, read=read),
            preload_content=False,
            redirect=False,
        )


def open_access(
    *,
    kubeconfig: str | os.PathLike[str] | None = None,
    context: str | None = None,
    namespace: str | None = None,
    connections: int = 32,
) -> Access:
    """Find the credentials, in the order in which people expect it.

    What is given wins; then `KUBECONFIG`; then, inside a pod, its service account; then `~/.kube/config`.

    Args:
        kubeconfig: a file, or several joined by `:`.
        context: one of its contexts; its current one by default.
        namespace: instead of the context's (or the pod's) own.
        connections: how many calls may be under way at once.

    Raises:
        ClusterAccessError: there are no credentials, or they make no sense; says where was looked.
    """
    named = os.fspath(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG")

    def opened() -> Access:
        if named is None and context is None and _in_pod():
            return _from_pod(namespace, connections)
        return _from_file(named or "~/.kube/config", context, namespace, connections)

    found = opened()
    found.reopen = opened
    return found


def _in_pod() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (_SERVICE_ACCOUNT / "token").exists()


def _from_pod(namespace: str | None, connections: int) -> Access:
    from kubernetes import client, config
    from kubernetes.config.config_exception import ConfigException

    made = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=made)
    except ConfigException as error:
        raise ClusterAccessError(f"the pod's service account cannot be used: {error}") from error
    file = _SERVICE_ACCOUNT / "namespace"
    own = file.read_text("utf-8").strip() if file.exists() else "default"
    return Access(made, _pool(made, connections), made.host, IN_CLUSTER, namespace or own)


def _from_file(named: str, context: str | None, namespace: str | None, connections: int) -> Access:
    from kubernetes import client, config
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.kube_config import KubeConfigMerger

    files = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    if not any(file.is_file() for file in files):
        raise ClusterAccessError(
            f"there is no kubeconfig at {named}",
            hint="log in to a cluster (`kubectl config view` shows what is known), or name a file with "
            "-cfg kubeconfig=… or KUBECONFIG",
        )
    path = os.pathsep.join(map(str, files))
    made = client.Configuration()
    try:
        # Not `list_kube_config_contexts`: it refuses a file without a current context, even where one is named.
        merged = KubeConfigMerger(path).config
        contexts: dict[str, Any] = {
            str(each["name"]): each.safe_get("context") for each in merged.safe_get("contexts") or ()
        }
        names = list(contexts)
        chosen = context or merged.safe_get("current-context")
        if chosen not in names:
            raise ClusterAccessError(
                f"{named} has no context {chosen!r}" if chosen else f"{named} has no current context",
                hint=suggestion(str(chosen or ""), names) if names else "it has no contexts at all",
            )
        config.load_kube_config(config_file=path, context=chosen, client_configuration=made)
    except (ConfigException, YAMLError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ClusterAccessError(f"the kubeconfig {named} cannot be used: {error}") from error
    own = (contexts[chosen] or {}).get("namespace") or "default"
    return Access(made, _pool(made, connections), made.host, str(chosen), namespace or own)


def _pool(made: Any, connections: int) -> Any:
    from kubernetes.client.rest import RESTClientObject

    made.connection_pool_maxsize = connections
    # Ours are the only retries: the client's own would multiply them, know no POST, and sleep where nothing can wake.
    made.retries = urllib3.Retry(0, read=False, connect=False, redirect=0)
    return RESTClientObject(made).pool_manager
