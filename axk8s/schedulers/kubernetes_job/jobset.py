"""An AppDef of several roles as one JobSet: an Indexed Job a role, of which none goes on without the others. Pure.

Written so that nothing is left for JobSet's webhook to fill in: what is stored is what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torchx.specs import AppDef, Role

from axk8s.errors import ComponentError
from axk8s.schedulers.kubernetes_job import job
from axk8s.schedulers.kubernetes_job.changes import Changes
from axk8s.schedulers.kubernetes_job.options import Options, is_label_value

ABSENT = "JobSet is not installed in this cluster, and jobs of several roles are JobSets"
INSTALL = "have it installed (https://jobset.sigs.k8s.io), or let one role with several replicas do it"
_LONGEST_POD = 63
"""Characters of a pod's name, which is `<JobSet>-<role>-0-<index>-` and five more: it is a host's name as well."""
_APPLICATION = "APPLICATION"


def jobset(
    app: AppDef,
    options: Options,
    *,
    name: str,
    namespace: str | None,
    restricted: bool,
    changes: Changes | None = None,
) -> dict[str, Any]:
    """The JobSet of an AppDef.

    Args:
        app: of at least one role; the first replica of the first one speaks for all.
        options: the scheduler's.
        name: the JobSet's; also of the headless Service that its controller makes.
        namespace: where it will be; None leaves it out.
        restricted: whether the namespace's PodSecurity level is `restricted`.
        changes: to the pods, already read.

    Raises:
        ComponentError: the AppDef cannot be one JobSet.
        SchedulerConfigError: the changes are for a role that it does not have.
    """
    changes = changes or Changes()
    _check(app.roles)
    changes.check(app.roles)
    parts = _parts(name, app.roles)
    labels, annotations = job.metadata(app, options)
    host = job.rank0_host(f"{name}-{parts[0]}-0-0", name, namespace, options)
    jobs: list[dict[str, Any]] = []
    before = 0
    for role, part in zip(app.roles, parts, strict=True):
        template = job.template(
            role,
            options,
            app=name,
            rank0_host=host,
            restricted=restricted,
            changes=changes,
            labels=labels,
            annotations=annotations,
            before=before,
        )
        spec = {
            "completionMode": "Indexed",
            "completions": role.num_replicas,
            "parallelism": role.num_replicas,
            **_child_failure(role),
            "template": template,
        }
        child = {"metadata": {"labels": {**labels}, "annotations": {**annotations}}, "spec": spec}
        jobs.append({"name": part, "replicas": 1, "template": child})
        before += role.num_replicas
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {
            "name": name,
            **({"namespace": namespace} if namespace is not None else {}),
            "labels": {**labels, **job.queue_labels(options)},
            "annotations": annotations,
        },
        "spec": {
            "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True, "subdomain": name},
            "successPolicy": {"operator": "All"},
            "startupPolicy": {"startupPolicyOrder": "AnyOrder"},
            **_failure(app.roles, parts),
            "ttlSecondsAfterFinished": options.ttl_seconds,
            **job.suspension(options),
            "replicatedJobs": jobs,
        },
    }


def _check(roles: Sequence[Role]) -> None:
    seen: set[str] = set()
    for role in roles:
        job.check_replicas(role)
        if not role.name or not is_label_value(role.name):
            raise ComponentError(
                f"role {role.name!r}: among several, a role needs a name by which its pods are found",
                hint="at most 63 of letters, digits, '-', '_' and '.'",
            )
        if role.name in seen:
            raise ComponentError(
                f"two roles are called {role.name!r}", hint="give each its own name, or one role several replicas"
            )
        seen.add(role.name)


def _parts(name: str, roles: Sequence[Role]) -> list[str]:
    """A name for each role's Job: the role's own where it can be, shortened where it would be too long."""
    found: list[str] = []
    for role in roles:
        room = _LONGEST_POD - len(f"{name}--0-{role.num_replicas - 1}-abcde")
        if room < 2:
            longest = len(name) + room - 2
            raise ComponentError(f"the name {name!r} is too long for a JobSet: at most {longest} characters")
        # In a pod's name a role follows a '-', so that it may begin with a digit.
        part = re.sub(r"[^a-z0-9]+", "-", role.name.lower()).strip("-")[:room].rstrip("-") or "r"
        number = 2
        while part in found:
            part = f"{part[: room - len(str(number))].rstrip('-0123456789')}{number}"
            number += 1
        found.append(part)
    return found


def _child_failure(role: Role) -> dict[str, Any]:
    """When a role's Job has failed; with it fails the JobSet, or begins anew."""
    if role.max_retries > 0 and job.retry_policy(role) == _APPLICATION:
        # Of the Job itself nothing is tried again; the reason of its failure tells the JobSet a disruption, which is a
        # matched policy, from anything else.
        return job.failure(replace(role, max_retries=0), alone=False)
    if role.max_retries > 0 and job.retry_policy(role) != "REPLICA":
        raise ComponentError(
            f"role {role.name!r}: JobSet does not have the retry policy {job.retry_policy(role)}",
            hint="use RetryPolicy.APPLICATION (all roles begin anew) or REPLICA, or max_retries=0",
        )
    return job.failure(role, alone=False)


def _failure(roles: Sequence[Role], parts: Sequence[str]) -> dict[str, Any]:
    """How often all roles begin anew when one has failed; by default never."""
    retried = [role for role in roles if role.max_retries > 0 and job.retry_policy(role) == _APPLICATION]
    if not retried:
        return {}
    if len({role.max_retries for role in retried}) > 1:
        said = ", ".join(f"{role.name}: {role.max_retries}" for role in retried)
        raise ComponentError(
            f"all roles begin anew together, and their max_retries differ: {said}",
            hint="give them the same max_retries, or 0 to those after whose failure nothing shall begin anew",
        )
    final = [part for role, part in zip(roles, parts, strict=True) if role not in retried]
    fails = {"name": "final", "action": "FailJobSet", "targetReplicatedJobs": final}
    disrupted = {
        "name": "disrupted",
        "action": "RestartJobSetAndIgnoreMaxRestarts",
        "onJobFailureReasons": ["PodFailurePolicy"],
    }
    return {
        "failurePolicy": {
            "maxRestarts": retried[0].max_retries,
            # The old pods are gone before the new ones begin: they may hold the same files.
            "restartStrategy": "BlockingRecreate",
            "rules": [*([fails] if final else []), disrupted],
        }
    }
