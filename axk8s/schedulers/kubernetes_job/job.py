"""An AppDef of one role as one Indexed Job, and the Service through which its replicas find each other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchx.specs import AppDef, Role

from axk8s import names
from axk8s.errors import ComponentError
from axk8s.schedulers.kubernetes_job import overlay, pod
from axk8s.schedulers.kubernetes_job.options import Options, is_label_key, is_label_value

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
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
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The Job of an AppDef.

    Args:
        app: of one role.
        options: the scheduler's.
        name: the Job's.
        namespace: where it will be; None leaves it out.
        restricted: whether the namespace's PodSecurity level is `restricted`.
        changes: the pod overlay, already read.

    Raises:
        ComponentError: the AppDef cannot be one Job.
    """
    role = _only_role(app)
    if len(name) + len(str(role.num_replicas - 1)) > _LONGEST_NAME:
        raise ComponentError(f"the name {name!r} is too long for a Job: at most {_LONGEST_NAME - 2} characters")
    labels, annotations = _metadata(app, options)
    alone = role.num_replicas == 1
    service = options.service or name
    template = pod.spec(
        role,
        options,
        app=name,
        rank0_host="localhost" if alone else rank0_host(f"{name}-0", service, namespace, options),
        restricted=restricted,
    )
    if not alone:
        template["subdomain"] = service
    if restricted and not any(one["name"] == "HOME" for one in template["containers"][0]["env"]):
        # The user of a number that the image does not know has no home, and libraries cache there.
        template["containers"][0]["env"].append({"name": "HOME", "value": "/tmp"})  # noqa: S108  (in the container)
    if changes is not None:
        template = overlay.merged(template, changes)
    own = {}
    if options.queue is not None:
        own[QUEUE_LABEL] = options.queue
        if options.priority_class is not None:
            own[QUEUE_PRIORITY_LABEL] = options.priority_class
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            **({"namespace": namespace} if namespace is not None else {}),
            "labels": {**labels, **own},
            "annotations": annotations,
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": role.num_replicas,
            "parallelism": role.num_replicas,
            **_failure(role),
            "ttlSecondsAfterFinished": options.ttl_seconds,
            # Kueue suspends it anyway; this way no pod can be started before it has seen the Job.
            **({"suspend": True} if options.queue is not None else {}),
            "template": {
                "metadata": {
                    "labels": {**labels, **({names.LABEL_ROLE: role.name} if is_label_value(role.name) else {})},
                    "annotations": pod.default_container(annotations),
                },
                "spec": template,
            },
        },
    }


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
            f"{app.name} has {len(app.roles)} roles, and this version makes Jobs of one",
            hint="let one role with several replicas do it, or use TorchX's `kubernetes` scheduler (Volcano)",
        )
    role = app.roles[0]
    if role.num_replicas < 1:
        raise ComponentError(f"role {role.name!r} has {role.num_replicas} replicas")
    return role


def _metadata(app: AppDef, options: Options) -> tuple[dict[str, str], dict[str, str]]:
    """What the AppDef says of itself: labels where it can be labels, annotations otherwise."""
    known = {str(key): str(value) for key, value in app.metadata.items() if is_label_key(str(key))}
    labels = {key: value for key, value in known.items() if is_label_value(value)}
    annotations = {key: value for key, value in known.items() if key not in labels}
    return ours({**labels, **options.labels}), {**annotations, **options.annotations}


def _failure(role: Role) -> dict[str, Any]:
    """Who begins anew after a failure, and when the whole Job has failed."""
    policy = str(getattr(role.retry_policy, "value", role.retry_policy))
    disrupted = [{"type": "DisruptionTarget"}]
    if role.num_replicas == 1:
        # A disrupted pod is replaced within the attempt, also while no controller runs.
        rules = [{"action": "Ignore", "onPodConditions": disrupted}]
        return {"backoffLimit": role.max_retries, "podFailurePolicy": {"rules": rules}}
    if role.max_retries == 0:
        # The others would wait for the one that is gone.
        exited: dict[str, Any] = {"containerName": pod.CONTAINER, "operator": "NotIn", "values": [0]}
        both = [{"action": "FailJob", "onPodConditions": disrupted}, {"action": "FailJob", "onExitCodes": exited}]
        return {"backoffLimit": 0, "podFailurePolicy": {"rules": both}}
    if policy == "REPLICA":
        rules = [{"action": "Ignore", "onPodConditions": disrupted}]
        return {
            "backoffLimitPerIndex": role.max_retries,
            "maxFailedIndexes": 0,
            "podFailurePolicy": {"rules": rules},
        }
    raise ComponentError(
        f"role {role.name!r}: a Job of several replicas cannot begin anew as a whole (retry policy {policy})",
        hint="use max_retries=0, and let the sweep retry, or RetryPolicy.REPLICA",
    )
