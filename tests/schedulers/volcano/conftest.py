"""A server that answers by a script, as for Jobs of Kubernetes' own."""

from __future__ import annotations

from tests.schedulers.kubernetes_job.conftest import _no_cluster_of_this_user, serve

__all__ = ["_no_cluster_of_this_user", "serve"]
