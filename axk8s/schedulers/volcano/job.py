"""TorchX's request for a Volcano Job as it is sent: its envelope completed, its pods made as those of our Jobs. Pure.

Nothing is left for Volcano's webhook to fill in: what is stored is what was sent, and it means the same without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torchx.specs import AppDef, Role

from axk8s import names
from axk8s.errors import ComponentError
from axk8s.schedulers.kubernetes_job import job
from axk8s.schedulers.kubernetes_job.changes import Changes
from axk8s.schedulers.kubernetes_job.facts import INDEX
from axk8s.schedulers.kubernetes_job.options import Options, is_label_key, is_label_value
from axk8s.schedulers.volcano.options import QUEUE

INSTANCE_LABEL = "app.kubernetes.io/instance"
_LONGEST_POD = 63
"""Characters of a pod's name, `<Job>-<task>-0`: it is a host's name as well."""
_HOST = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")
"""What Volcano calls a Service, and with it the Job."""
_TASK = re.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_ENDS = {"PodFailed": "TerminateJob", "PodEvicted": "TerminateJob"}
_BEGINS_ANEW = {"PodFailed": "RestartJob", "PodEvicted": "RestartJob"}
_APPLICATION = "APPLICATION"


def completed(
    request: Mapping[str, Any],
    app: AppDef,
    options: Options,
    *,
    name: str,
    namespace: str | None,
    restricted: bool,
    changes: Changes | None = None,
) -> dict[str, Any]:
    """The Volcano Job to send.

    Args:
        request: TorchX's own for this app, as plain JSON: one task a replica.
        app: the AppDef that it was made of.
        options: the scheduler's.
        name: the Job's.
        namespace: where it will be; None leaves it out.
        restricted: whether the namespace's PodSecurity level is `restricted`.
        changes: to the pods, already read.

    Raises:
        ComponentError: the AppDef cannot be one Volcano Job.
        SchedulerConfigError: the changes are for a role that it does not have.
    """
    changes = changes or Changes()
    check(app)
    changes.check(app.roles)
    tasks: list[Mapping[str, Any]] = list(request["spec"]["tasks"])
    _check_names(name, [task["name"] for task in tasks])
    labels, annotations = job.metadata(app, options)
    alone = len(tasks) == 1
    host = "localhost" if alone else job.rank0_host(f"{name}-{tasks[0]['name']}-0", name, namespace, options)
    made = []
    for task, (role, index, before) in zip(tasks, _replicas(app.roles), strict=True):
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
        made.append(
            {
                "name": task["name"],
                "replicas": task["replicas"],
                "minAvailable": task.get("minAvailable", task["replicas"]),
                "policies": _policies(role),
                "template": _numbered(_known(template, task["template"]["metadata"], name), index, before),
            }
        )
    asked = request["spec"]
    plugins = {plugin: words for plugin, words in asked["plugins"].items() if plugin != "svc" or not alone}
    return {
        **{key: request[key] for key in ("apiVersion", "kind")},
        "metadata": {
            "name": name,
            **({"namespace": namespace} if namespace is not None else {}),
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "schedulerName": asked["schedulerName"],
            "queue": options.queue or QUEUE,
            **({"priorityClassName": options.priority_class} if options.priority_class else {}),
            "minAvailable": sum(task["minAvailable"] for task in made),
            "maxRetry": _most_runs(app.roles),
            "ttlSecondsAfterFinished": options.ttl_seconds,
            "plugins": plugins,
            "tasks": made,
        },
    }


def check(app: AppDef) -> None:
    """What TorchX would meet while it makes its request, or make something else of.

    Raises:
        ComponentError: there are no roles or replicas, or a retry policy that Volcano does not have.
    """
    if not app.roles:
        raise ComponentError(f"{app.name} has no roles", hint="give the AppDef one Role a kind of process")
    several = sum(role.num_replicas for role in app.roles) > 1
    for role in app.roles:
        job.check_replicas(role)
        policy = job.retry_policy(role)
        if role.max_retries > 0 and several and policy != _APPLICATION:
            raise ComponentError(
                f"role {role.name!r}: Volcano cannot begin single replicas anew so often each (retry policy {policy})",
                hint="use RetryPolicy.APPLICATION, with which all begin anew, or max_retries=0",
            )


def _check_names(name: str, tasks: Sequence[str]) -> None:
    if not _HOST.fullmatch(name):
        raise ComponentError(
            f"{name!r} cannot be the name of a Volcano Job: it is a Service's as well",
            hint="begin it with a letter, and use a-z, 0-9 and '-'",
        )
    for number, task in enumerate(tasks):
        if not _TASK.fullmatch(task):
            raise ComponentError(
                f"{task!r} cannot be the name of a replica's task", hint="name roles with a-z, 0-9 and '-'"
            )
        if task in tasks[:number]:
            raise ComponentError(
                f"two replicas would both be {task!r}", hint="give each role a name of its own in a-z, 0-9 and '-'"
            )
        if len(f"{name}-{task}-0") > _LONGEST_POD:
            room = _LONGEST_POD - len(f"{name}--0")
            raise ComponentError(
                f"the replica {task!r} has too long a name beside the Job's, {name!r}: at most {room} characters",
                hint="give the role a shorter name",
            )


def _replicas(roles: Sequence[Role]) -> Iterator[tuple[Role, int, int]]:
    """Each replica: its role, its number there, and how many replicas other roles have before it."""
    before = 0
    for role in roles:
        yield from ((role, index, before) for index in range(role.num_replicas))
        before += role.num_replicas


def _policies(role: Role) -> list[dict[str, str]]:
    """What follows when a replica fails or is lost; without a word Volcano leaves its peers waiting for ever."""
    found = _BEGINS_ANEW if role.max_retries > 0 else _ENDS
    if job.is_elastic(role) and role.max_retries == 0:
        # The others go on until another has the place of one that was lost.
        found = {event: action for event, action in found.items() if event != "PodEvicted"}
    return [{"event": event, "action": action} for event, action in found.items()]


def _most_runs(roles: Sequence[Role]) -> int:
    """`maxRetry`, which counts runs, not retries: Volcano gives up when it has begun anew so often.

    TorchX means the fewest retries that a role has; those of roles after whose failure all ends do not count.
    """
    return 1 + min((role.max_retries for role in roles if role.max_retries > 0), default=0)


def _known(template: Mapping[str, Any], torchx: Mapping[str, Any], name: str) -> dict[str, Any]:
    """With TorchX's own labels and annotations, by which its tools and others find pods."""
    given = {**(torchx.get("labels") or {}), INSTANCE_LABEL: name}
    labels = {key: value for key, value in given.items() if is_label_key(key) and is_label_value(value)}
    own = template["metadata"]
    return {
        **template,
        "metadata": {
            **own,
            "labels": {**labels, **own["labels"]},
            "annotations": {**(torchx.get("annotations") or {}), **own["annotations"]},
        },
    }


def _numbered(template: Mapping[str, Any], index: int, before: int) -> dict[str, Any]:
    """With the replica's numbers in place: a task has one pod, and Volcano counts tasks and pods apart."""

    def numbered(one: Mapping[str, Any]) -> Mapping[str, Any]:
        if INDEX in str((one.get("valueFrom") or {}).get("fieldRef")):
            return {"name": one["name"], "value": str(index)}
        if before and one["name"] == names.ENV_REPLICA and one.get("value") == str(before):
            return {"name": one["name"], "value": str(before + index)}
        return one

    containers = [
        {**one, **({"env": [numbered(each) for each in one["env"]]} if "env" in one else {})}
        for one in template["spec"]["containers"]
    ]
    return {**template, "spec": {**template["spec"], "containers": containers}}
