"""`axk8s manifests`: the Kubernetes objects that a cluster may need."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from axk8s.api.manifests import manifest, manifest_names

EXAMPLE = """
axk8s manifests
axk8s manifests rbac --namespace ml | kubectl apply -f -
"""


def manifests(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="One of them: namespace, rbac, network-policy, local-queue. Left out: all.",
            show_default=False,
            autocompletion=lambda incomplete: [each for each in manifest_names() if each.startswith(incomplete)],
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "-n", "--namespace", envvar="AXK8S_NAMESPACE", metavar="NAME", help="For this namespace, not `sweeps`."
        ),
    ] = None,
) -> None:
    """Print what may be applied to a cluster: a namespaced Role with the reason of each rule, and what goes with it.

    Nothing else is ever installed; where you have the rights of the Role already, nothing at all.
    """
    texts = [manifest(each, namespace=namespace) for each in ([name] if name is not None else manifest_names())]
    sys.stdout.write("---\n".join(texts))
