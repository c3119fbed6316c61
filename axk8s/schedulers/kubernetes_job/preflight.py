"""What can be known of a cluster before the first Job: one finding a question, each with its remedy."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from axk8s.errors import Axk8sError, SchedulerConfigError
from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import AlreadyExistsError, ForbiddenError, KubeError, NotFoundError
from axk8s.kube.resource import (
    ACCESS_REVIEWS,
    CONFIG_MAPS,
    EVENTS,
    JOBS,
    LIMIT_RANGES,
    LOCAL_QUEUES,
    NAMESPACES,
    POD_GROUPS,
    PODS,
    RESOURCE_QUOTAS,
    RULES_REVIEWS,
    SERVICES,
    VOLCANO_JOBS,
    WORKLOADS,
    Resource,
)
from axk8s.schedulers.kubernetes_job.connection import RULE_HINT, Connection
from axk8s.schedulers.kubernetes_job.jobset import ABSENT, INSTALL
from axk8s.schedulers.kubernetes_job.options import Options
from axk8s.schedulers.kubernetes_job.quantity import demand, number, shown
from axk8s.schedulers.kubernetes_job.request import KubernetesRequest
from axk8s.schedulers.volcano import options as volcano


class Level(StrEnum):
    """How a finding ends."""

    GOOD = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    """In one or two words: `permissions`, `quota`, …"""
    level: Level
    text: str
    hint: str = ""
    error: Axk8sError | None = None
    """What went wrong, where it was an error of ours."""


@dataclass(frozen=True, slots=True)
class Need:
    """A permission that a sweep uses."""

    verb: str
    resource: Resource
    part: str = ""

    @property
    def kind(self) -> str:
        """As a Role's rule names it."""
        return f"{self.resource.plural}/{self.part}" if self.part else self.resource.plural

    def __str__(self) -> str:
        group = f" ({self.resource.group})" if self.resource.group else ""
        return f"{self.verb} {self.kind}{group}"


def needs(request: KubernetesRequest, options: Options) -> list[Need]:
    """Exactly the permissions that a sweep of such jobs uses."""
    found = [Need(verb, request.resource) for verb in ("create", "get", "list", "watch", "delete")]
    found += [Need(verb, PODS) for verb in ("get", "list", "watch")]
    found += [Need("get", PODS, "log"), Need("list", EVENTS), Need("get", NAMESPACES)]
    found += [Need("list", RESOURCE_QUOTAS), Need("list", LIMIT_RANGES)]
    served = request.resource is JOBS and len(request.replicas) > 1
    shared = [*([CONFIG_MAPS] if options.code else []), *([SERVICES] if served else [])]
    found += [Need(verb, one) for one in shared for verb in ("create", "get", "list", "delete")]
    if request.resource is VOLCANO_JOBS:
        found += [Need("list", POD_GROUPS), Need("watch", POD_GROUPS)]
    elif options.queue is not None:
        found += [Need("get", LOCAL_QUEUES), Need("list", WORKLOADS), Need("watch", WORKLOADS)]
    return found


def inspect(connection: Connection, options: Options, request: KubernetesRequest) -> Iterator[Finding]:
    """Look at everything that a sweep of such jobs rests on; ends early where the rest would say nothing new."""
    kube = connection.kube.impatient(10.0)
    reached = _cluster(kube)
    yield reached
    if reached.level is Level.FAILED:
        return
    missing = yield from _permissions(kube, connection.namespace, needs(request, options))
    place = _namespace(connection, options)
    yield place
    if place.level is Level.FAILED and place.error is not None:
        return
    if ("list", "resourcequotas") not in missing:
        yield from _tried("quota", lambda: _quota(kube, request))
    if ("list", "limitranges") not in missing:
        yield from _tried("limit ranges", lambda: _limits(kube, request))
    kind, queued = request.resource.plural, options.queue is not None and request.resource is not VOLCANO_JOBS
    if queued and ("get", "localqueues") not in missing:
        yield from _tried("queue", lambda: _queue(kube, options.queue or "", connection.namespace))
    yield from _image(request)
    if request.resource is not JOBS and ("get", kind) not in missing:
        absent = list(_tried(request.kind, lambda: _installed(kube, request)))
        yield from absent
        if any(one.level is Level.FAILED for one in absent):
            return
    if ("create", kind) not in missing:
        yield from _tried("one trial's job", lambda: _accepted(kube, request))


def _installed(kube: Kube, request: KubernetesRequest) -> Iterator[Finding]:
    roles = ", ".join(role for role, _ in request.roles)
    try:
        kube.get(request.resource, request.name)
    except NotFoundError as error:
        # The server answers for a kind that it does not know without saying which object is missing.
        if f'"{request.name}" not found' not in error.message:
            if request.resource is VOLCANO_JOBS:
                yield Finding("Volcano", Level.FAILED, volcano.ABSENT, volcano.INSTALL, error)
            else:
                yield Finding("JobSet", Level.FAILED, f"{ABSENT} (each trial has the roles {roles})", INSTALL, error)
            return
    if request.resource is VOLCANO_JOBS:
        yield Finding("Volcano", Level.GOOD, "installed")
    else:
        yield Finding("JobSet", Level.GOOD, f"installed; each trial is one, with the roles {roles}")


def _tried(subject: str, look: Any) -> Iterator[Finding]:
    try:
        yield from look()
    except KubeError as error:
        yield Finding(subject, Level.FAILED, error.message, error.hint, error)


def _cluster(kube: Kube) -> Finding:
    access = kube.access
    try:
        version = kube.version()
    except KubeError as error:
        return Finding("cluster", Level.FAILED, error.message, error.hint or _reach_hint(access.context), error)
    text = f"{access.server}, context {access.context}, Kubernetes {version}"
    minor = "".join(filter(str.isdigit, version.split(".")[1])) if version.count(".") >= 2 else ""
    if minor and int(minor) < 31:
        hint = "1.31 is the first whose Jobs tell a disruption from a failure in all cases"
        return Finding("cluster", Level.WARNING, f"{text}, older than what this is tested with", hint)
    return Finding("cluster", Level.GOOD, text)


def _reach_hint(context: str) -> str:
    return f"is the cluster of the context {context!r} running, and reachable from here (VPN, proxy)?"


def _permissions(kube: Kube, namespace: str, wanted: list[Need]) -> Generator[Finding, None, set[tuple[str, str]]]:
    """Returns what is missing, as verb and resource."""
    try:
        rules = kube.create(RULES_REVIEWS, _review("SelfSubjectRulesReview", {"namespace": namespace}))["status"]
        uncertain = [need for need in wanted if not _covered(need, rules.get("resourceRules") or ())]
        # What an authorizer cannot list it may allow all the same, so each of the rest is asked for.
        missing = [need for need in uncertain if not _allowed(kube, namespace, need)]
    except KubeError as error:
        yield Finding("permissions", Level.FAILED, error.message, error.hint, error)
        return {("get", "namespaces")}
    if missing:
        text = f"missing in {namespace}: {', '.join(map(str, missing))}"
        yield Finding("permissions", Level.FAILED, text, f"{RULE_HINT}, or add {_rules(missing)}")
    else:
        yield Finding("permissions", Level.GOOD, f"all {len(wanted)} that a sweep uses, in {namespace}")
    return {(need.verb, need.kind) for need in missing}


def _review(kind: str, spec: Mapping[str, Any]) -> Object:
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": dict(spec)}


def _covered(need: Need, rules: Any) -> bool:
    def has(values: Any, wanted: str) -> bool:
        return wanted in (values or ()) or "*" in (values or ())

    return any(
        has(rule.get("verbs"), need.verb)
        and has(rule.get("apiGroups"), need.resource.group)
        and has(rule.get("resources"), need.kind)
        and not rule.get("resourceNames")
        for rule in rules
    )


def _allowed(kube: Kube, namespace: str, need: Need) -> bool:
    attributes = {
        "namespace": namespace,
        "verb": need.verb,
        "group": need.resource.group,
        "resource": need.resource.plural,
        **({"subresource": need.part} if need.part else {}),
        **({"name": namespace} if need.resource is NAMESPACES else {}),
    }
    answer = kube.create(ACCESS_REVIEWS, _review("SelfSubjectAccessReview", {"resourceAttributes": attributes}))
    return bool(answer["status"].get("allowed"))


def _rules(missing: list[Need]) -> str:
    """The rules to add, as they stand in a Role."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for need in missing:
        verbs.setdefault((need.resource.group, need.kind), []).append(need.verb)
    return "; ".join(
        f'{{apiGroups: ["{group}"], resources: [{kind}], verbs: [{", ".join(names)}]}}'
        for (group, kind), names in verbs.items()
    )


def _namespace(connection: Connection, options: Options) -> Finding:
    try:
        place = connection.place()
    except (KubeError, SchedulerConfigError) as error:
        return Finding("namespace", Level.FAILED, error.message, error.hint, error)
    level = place.level or "none"
    how = "restricted" if connection.restricted(options) else "unrestricted"
    text = f"{place.name}, PodSecurity {level}: pods are made {how}"
    if place.level == "restricted" and how != "restricted":
        hint = "leave `security` at auto, or choose another namespace"
        return Finding("namespace", Level.FAILED, f"{text}, and the namespace takes no such pods", hint)
    return Finding("namespace", Level.GOOD, text)


def _quota(kube: Kube, request: KubernetesRequest) -> Iterator[Finding]:
    quotas, _ = kube.list_all(RESOURCE_QUOTAS)
    wanted = demand([spec for _, spec in request.roles])
    if request.resource is not JOBS:
        wanted[f"count/{request.resource}"] = Fraction(1)
    if request.resource is VOLCANO_JOBS:
        del wanted["count/jobs.batch"]
    ranges = None
    never, full, unsaid = [], [], []
    for quota in quotas:
        if (quota.get("spec") or {}).get("scopes") or (quota.get("spec") or {}).get("scopeSelector"):
            continue  # whether such a quota counts a pod is not ours to judge
        name = quota["metadata"]["name"]
        status = quota.get("status") or {}
        hard = status.get("hard") or (quota.get("spec") or {}).get("hard") or {}
        used = status.get("used") or {}
        for resource, text in hard.items():
            limit, need = number(text), wanted.get(resource)
            if need is None:
                ranges = ranges if ranges is not None else kube.list_all(LIMIT_RANGES)[0]
                if resource in _MUST_BE_SAID and not _has_default(ranges, resource):
                    unsaid.append(f"{resource} (quota {name})")
            elif need > limit:
                never.append(f"{resource}: one trial needs {shown(need)}, quota {name} has {shown(limit)} in all")
            elif need > limit - number(used.get(resource, "0")):
                left = shown(max(limit - number(used.get(resource, "0")), Fraction(0)))
                full.append(f"{resource}: one trial needs {shown(need)}, and {left} of {shown(limit)} is left")
    if never:
        yield Finding("quota", Level.FAILED, "; ".join(never), "ask for less in `resources`, or for a larger quota")
    elif unsaid:
        hint = "say them in `resources` (cpu, memory): a namespace with such a quota takes no pod without"
        yield Finding("quota", Level.FAILED, f"the jobs do not say their {', '.join(unsaid)}", hint)
    elif full:
        yield Finding("quota", Level.WARNING, "; ".join(full), "jobs will wait until others have ended")
    else:
        yield Finding(
            "quota", Level.GOOD, f"one trial fits into {_counted(len(quotas), 'quota')}" if quotas else "none"
        )


_MUST_BE_SAID = {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"}


def _has_default(ranges: list[Object], resource: str) -> bool:
    kind, _, name = resource.rpartition(".")
    keys = ("default",) if kind == "limits" else ("defaultRequest", "default")
    items = [item for one in ranges for item in one["spec"].get("limits") or () if item.get("type") == "Container"]
    return any(name in (item.get(key) or {}) for item in items for key in keys)


def _limits(kube: Kube, request: KubernetesRequest) -> Iterator[Finding]:
    """Whether a container is within what the namespace allows one to ask for."""
    ranges, _ = kube.list_all(LIMIT_RANGES)
    wrong = []
    containers = _containers(request)
    for item in (item for one in ranges for item in one["spec"].get("limits") or () if item.get("type") == "Container"):
        for container in containers:
            resources = container.get("resources") or {}
            for name, text in (item.get("max") or {}).items():
                asked = (resources.get("limits") or resources.get("requests") or {}).get(name)
                if asked is not None and number(asked) > number(text):
                    wrong.append(f"{name}: {asked}, and a container may have at most {text}")
            for name, text in (item.get("min") or {}).items():
                asked = (resources.get("requests") or {}).get(name)
                if asked is not None and number(asked) < number(text):
                    wrong.append(f"{name}: {asked}, and a container must ask for at least {text}")
    if wrong:
        yield Finding("limit ranges", Level.FAILED, "; ".join(wrong), "change `resources`")


def _queue(kube: Kube, queue: str, namespace: str) -> Iterator[Finding]:
    try:
        found = kube.get(LOCAL_QUEUES, queue)
    except NotFoundError as error:
        # The server answers for a kind that it does not know without saying which object is missing.
        known = f'"{queue}" not found' not in error.message
        text = "Kueue is not installed in this cluster" if known else f"there is no LocalQueue {queue!r} in {namespace}"
        hint = "leave `queue` out: Jobs then start as soon as nodes and quotas have room"
        if not known:
            hint = "have it made (`axk8s manifests local-queue` shows how), or leave `queue` out"
        yield Finding("queue", Level.FAILED, text, hint, error)
        return
    conditions = (found.get("status") or {}).get("conditions") or ()
    active = next((one for one in conditions if one["type"] == "Active"), None)
    if active is None or active["status"] != "False":
        yield Finding("queue", Level.GOOD, f"LocalQueue {queue}")
        return
    text = f"LocalQueue {queue} admits nothing now ({active.get('reason')}: {active.get('message')})"
    missing = "DoesNotExist" in str(active.get("reason"))
    hint = "have its ClusterQueue made" if missing else "jobs will wait until it does"
    yield Finding("queue", Level.FAILED if missing else Level.WARNING, text, hint)


def _image(request: KubernetesRequest) -> Iterator[Finding]:
    images = {(str(one.get("image")), one.get("imagePullPolicy")): None for one in _containers(request)}
    for image, policy in images:
        if image.endswith(":latest"):
            hint = "give it a tag of its own: what `latest` means may change in the middle of a sweep"
            yield Finding("image", Level.WARNING, f"{image} is pulled anew for every trial", hint)
        else:
            yield Finding("image", Level.GOOD, f"{image}, pulled {_PULLED.get(policy or '', 'once a node')}")


def _containers(request: KubernetesRequest) -> list[Object]:
    return [one for _, spec in request.roles for one in spec["template"]["spec"]["containers"]]


_PULLED: dict[str | None, str] = {"Always": "for every trial", "Never": "never: it must be on the nodes"}


def _accepted(kube: Kube, request: KubernetesRequest) -> Iterator[Finding]:
    """Let the server judge one trial's job, strictly, without making it."""
    try:
        kube.create(request.resource, request.job, namespace=request.namespace or None, dry_run=True)
    except AlreadyExistsError:
        pass
    except ForbiddenError as error:
        yield Finding("one trial's job", Level.FAILED, error.message, error.hint or "the namespace refuses it", error)
        return
    except KubeError as error:
        hint = error.hint or "is it the pod_overlay, or a name? `axk8s plan` shows the whole of it"
        yield Finding("one trial's job", Level.FAILED, error.message, hint, error)
        return
    yield Finding("one trial's job", Level.GOOD, "accepted by the server (dry run, strict)")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
