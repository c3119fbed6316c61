"""An AppDef of one role as one Indexed Job, and the Service through which its replicas find each other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchx.specs import AppDef, Role

from axk8s import names
from axk8s.errors import ComponentError
from axk8s.schedulers.kubernetes_job import pod
from axk8s.schedulers.kubernetes_job.changes import Changes
from axk8s.schedulers.kubernetes_job.options import Options, is_label_key, is_label_value

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
QUEUE_LEAST = "kueue.x-k8s.io/job-min-parallelism"
QUEUE_SHRINKS = "kueue.x-k8s.io/job-completions-equal-parallelism"
"""Annotations: with how few pods a Job may begin, and that it has to complete no more of them than begin."""
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
_LONGEST_NAME = 52
"""Characters: a pod's name is the Job's with an index and six characters more, and its host name has at most 63."""


def job(
    app: AppDef,
    options: Options,
    *,
    name: str,
    namespace: str | None,
    restricted: bool,
    changes: Changes | None = None,
) -> dict[str, Any]:
    """The Job of an AppDef.

    Args:
        app: of one role.
        options: the scheduler's.
        name: the Job's.
        namespace: where it will be; None leaves it out.
        restricted: whether the namespace's PodSecurity level is `restricted`.
        changes: to the pods, already read.

    Raises:
        ComponentError: the AppDef cannot be one Job.
        SchedulerConfigError: the changes are for a role that it does not have.
    """
    role, changes = _only_role(app), changes or Changes()
    changes.check(app.roles)
    if len(name) + len(str(role.num_replicas - 1)) > _LONGEST_NAME:
        raise ComponentError(f"the name {name!r} is too long for a Job: at most {_LONGEST_NAME - 2} characters")
    labels, annotations = metadata(app, options)
    alone = role.num_replicas == 1
    service = options.service or name
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            **({"namespace": namespace} if namespace is not None else {}),
            "labels": {**labels, **queue_labels(options)},
            "annotations": {**annotations, **_partial_admission(role, options)},
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": role.num_replicas,
            "parallelism": role.num_replicas,
            **failure(role, alone=alone),
            "ttlSecondsAfterFinished": options.ttl_seconds,
            **suspension(options),
            "template": template(
                role,
                options,
                app=name,
                rank0_host="localhost" if alone else rank0_host(f"{name}-0", service, namespace, options),
                restricted=restricted,
                changes=changes,
                labels=labels,
                annotations=annotations,
                subdomain=None if alone else service,
            ),
        },
    }


def template(
    role: Role,
    options: Options,
    *,
    app: str,
    rank0_host: str,
    restricted: bool,
    changes: Changes,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    subdomain: str | None = None,
    before: int = 0,
) -> dict[str, Any]:
    """The template of a role's pods.

    Args:
        role: the role.
        options: the scheduler's.
        app: the name of the Job or JobSet.
        rank0_host: where its first replica is.
        restricted: whether the namespace's PodSecurity level is `restricted`.
        changes: what the user wants to be different.
        labels: of the Job or JobSet; the role's name is added.
        annotations: of the Job or JobSet.
        subdomain: the Service through which pods have names, where the controller does not see to it.
        before: the number of replicas of the roles before this one.

    Raises:
        ComponentError: as `pod.spec`, or what the role carries is no part of a pod.
    """
    spec = pod.spec(role, options, app=app, rank0_host=rank0_host, restricted=restricted, before=before)
    if subdomain is not None:
        spec["subdomain"] = subdomain
    if restricted and not any(one["name"] == "HOME" for one in spec["containers"][0]["env"]):
        # The user of a number that the image does not know has no home, and libraries cache there.
        spec["containers"][0]["env"].append({"name": "HOME", "value": "/tmp"})  # noqa: S108  (in the container)
    known = {
        "labels": {**labels, **({names.LABEL_ROLE: role.name} if is_label_value(role.name) else {})},
        "annotations": pod.default_container(annotations),
    }
    return changes.applied({"metadata": known, "spec": spec}, role)


def queue_labels(options: Options) -> dict[str, str]:
    """What Kueue reads of a Job or JobSet."""
    if options.queue is None:
        return {}
    priority = {QUEUE_PRIORITY_LABEL: options.priority_class} if options.priority_class is not None else {}
    return {QUEUE_LABEL: options.queue, **priority}


def _partial_admission(role: Role, options: Options) -> dict[str, str]:
    """What lets Kueue begin an elastic role with fewer replicas where there is no quota for all."""
    if options.queue is None or not is_elastic(role):
        return {}
    return {QUEUE_LEAST: str(_least(role)), QUEUE_SHRINKS: "true"}


def suspension(options: Options) -> dict[str, Any]:
    """Kueue suspends it anyway; this way no pod can be started before it has seen the object."""
    return {"suspend": True} if options.queue is not None else {}


def service(
    name: str, namespace: str | None, *, labels: Mapping[str, str], selector: Mapping[str, str]
) -> dict[str, Any]:
    """A headless Service: each replica is `<job>-<index>.<name>`, also before it is ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            **({"namespace": namespace} if namespace is not None else {}),
            "labels": dict(labels),
        },
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": dict(selector)},
    }


def rank0_host(pod_host: str, service: str, namespace: str | None, options: Options) -> str:
    """How all replicas name the first one: in full, so that its own pod knows it.

    The kubelet writes a pod's full name into its /etc/hosts. A shorter one would have to be asked of the cluster's DNS,
    which learns of a pod only after it has started: torchrun on replica 0 would then take itself for a guest.
    """
    return ".".join([pod_host, service, *([namespace, "svc", options.cluster_domain] if namespace else [])])


def ours(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels that tell our objects from everybody else's."""
    return {names.LABEL_MANAGED_BY: names.MANAGED_BY, **labels}


def _only_role(app: AppDef) -> Role:
    if len(app.roles) != 1:
        raise ComponentError(
            f"{app.name} has {len(app.roles)} roles, and a Job has one",
            hint="give the AppDef a role; one of several becomes a JobSet",
        )
    check_replicas(app.roles[0])
    return app.roles[0]


def check_replicas(role: Role) -> None:
    """Whether there is at least one.

    Raises:
        ComponentError: there is none.
    """
    if role.num_replicas < 1:
        raise ComponentError(f"role {role.name!r} has {role.num_replicas} replicas")


def metadata(app: AppDef, options: Options) -> tuple[dict[str, str], dict[str, str]]:
    """What the AppDef says of itself: labels where it can be labels, annotations otherwise."""
    known = {str(key): str(value) for key, value in app.metadata.items() if is_label_key(str(key))}
    labels = {key: value for key, value in known.items() if is_label_value(value)}
    annotations = {key: value for key, value in known.items() if key not in labels}
    return ours({**labels, **options.labels}), {**annotations, **options.annotations}


def disrupted() -> list[dict[str, str]]:
    """The condition of a pod that is ended from outside, for a rule."""
    return [{"type": "DisruptionTarget"}]


def retry_policy(role: Role) -> str:
    """Its name, in any version of TorchX."""
    return str(getattr(role.retry_policy, "value", role.retry_policy))


def is_elastic(role: Role) -> bool:
    """Whether it goes on with fewer replicas than it has: `min_replicas` of TorchX, `2:4x1` of its `dist.ddp`."""
    return _least(role) < int(role.num_replicas)


def _least(role: Role) -> int:
    return int(role.num_replicas if role.min_replicas is None else max(1, role.min_replicas))


def failure(role: Role, *, alone: bool) -> dict[str, Any]:
    """Who begins anew after a failure, and when the whole Job has failed.

    Args:
        role: the role.
        alone: whether nobody waits for its one replica.

    Raises:
        ComponentError: its retry policy cannot be had.
    """
    policy = retry_policy(role)
    if alone:
        # A disrupted pod is replaced within the attempt, also while no controller runs.
        rules = [{"action": "Ignore", "onPodConditions": disrupted()}]
        return {"backoffLimit": role.max_retries, "podFailurePolicy": {"rules": rules}}
    if role.max_retries == 0:
        # The others would wait for the one that is gone; those of an elastic role go on until another has its place.
        # Exit codes have no rule, because not one may fail anyway, and because of suspensions: what they end exits with
        # 143, which was seen to match such a rule, so that the Job failed of it.
        gone = "Ignore" if is_elastic(role) else "FailJob"
        return {"backoffLimit": 0, "podFailurePolicy": {"rules": [{"action": gone, "onPodConditions": disrupted()}]}}
    if policy == "REPLICA":
        rules = [{"action": "Ignore", "onPodConditions": disrupted()}]
        return {
            "backoffLimitPerIndex": role.max_retries,
            "maxFailedIndexes": 0,
            "podFailurePolicy": {"rules": rules},
        }
    raise ComponentError(
        f"role {role.name!r}: a Job of several replicas cannot begin anew as a whole (retry policy {policy})",
        hint="use max_retries=0, and let the sweep retry, or RetryPolicy.REPLICA",
    )
