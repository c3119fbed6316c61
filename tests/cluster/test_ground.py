"""The ground holds: a real cluster, the manifest's rights, the audit log, fake nodes, and each fault of the proxy."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from axk8s.kube.client import Kube, Object
from axk8s.kube.errors import (
    AlreadyExistsError,
    ForbiddenError,
    GoneError,
    KubeError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from axk8s.kube.rate import Patience
from axk8s.kube.resource import CONFIG_MAPS, JOBS, NAMESPACES, PODS, Resource
from axk8s.kube.watch import Watcher
from tests.cluster.audit import Audit
from tests.cluster.cluster import IMAGE, NODES, Cluster
from tests.cluster.deadline import until
from tests.cluster.kwok import FakeNodes
from tests.cluster.namespace import Namespace
from tests.cluster.proxy import WATCHES, Proxy

if TYPE_CHECKING:
    from tests.cluster.conftest import NewNamespace

SECRETS = Resource("", "v1", "secrets")
ONCE = Patience(deadline=0)
"""What fails fails at once."""


def job(name: str, pod: Object, **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": pod, **spec}}


def pod(*command: str, **annotations: str) -> Object:
    container = {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": list(command)}
    played = {f"axk8s.test/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {"metadata": {"annotations": played}, "spec": {"restartPolicy": "Never", "containers": [container]}}


def note(name: str) -> Object:
    """The cheapest object: nothing happens because of it."""
    return {"metadata": {"name": name}}


def suspended(name: str) -> Object:
    """A job that comes to nothing, to be seen by watches."""
    return job(name, pod("true"), suspend=True)


def end_of(kube: Kube, name: str) -> str:
    """The end of a job, once it has come."""

    def ended() -> str:
        conditions = kube.get(JOBS, name)["status"].get("conditions", ())
        return next((str(each["type"]) for each in conditions if each["type"] in ("Complete", "Failed")), "")

    return until(f"{name} ends", ended)


def pod_of(kube: Kube, name: str) -> Object:
    """The one pod of a job."""

    def found() -> list[Object]:
        return kube.list_all(PODS, labels=f"batch.kubernetes.io/job-name={name}")[0]

    (only,) = until(f"{name} has a pod", found)
    return only


def terminated(kube: Kube, name: str) -> Object:
    """What became of a job's one container."""
    state: Object = pod_of(kube, name)["status"]["containerStatuses"][0]["state"]["terminated"]
    return state


class Notes:
    """A reader of a watch that writes down the jobs it hears of."""

    def __init__(self) -> None:
        self.heard: queue.Queue[str] = queue.Queue()

    def listed(self, objects: Sequence[Object], began: float) -> None:
        for each in objects:
            self.changed(each)

    def changed(self, found: Object) -> None:
        self.heard.put(str(found["metadata"]["name"]))

    def deleted(self, found: Object) -> None:
        self.heard.put(f"no {found['metadata']['name']}")

    def troubled(self, error: KubeError | None) -> None:
        self.heard.put("trouble" if error else "no trouble")

    def until(self, word: str) -> None:
        while self.heard.get(timeout=60) != word:
            pass


@pytest.fixture
def pauses() -> list[float]:
    """How long the client would have slept."""
    return []


@pytest.fixture
def through(proxy: Proxy, namespace: Namespace, pauses: list[float]) -> Kube:
    """The restricted client behind the proxy; it does not sleep before it tries again."""
    return proxy.kube(namespace, patience=Patience(sleep=pauses.append))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits three seconds for answers, instead of thirty; three longer than it asked for at watches."""
    monkeypatch.setitem(Kube._send.__kwdefaults__ or {}, "read_timeout", 3.0)
    monkeypatch.setattr("axk8s.kube.client.READ_TIMEOUT", 3.0)


# The cluster and its user


def test_a_job_of_the_restricted_user_runs_and_its_log_can_be_read(namespace: Namespace) -> None:
    kube = namespace.kube
    kube.create(JOBS, job("hello", pod("python", "-c", "print('hello from a pod')")))

    assert end_of(kube, "hello") == "Complete"
    name = pod_of(kube, "hello")["metadata"]["name"]
    assert kube.text(PODS, name, "log") == "hello from a pod\n"


def test_the_restricted_user_has_no_other_rights(namespace: Namespace, new_namespace: NewNamespace) -> None:
    for resource in (SECRETS, NODES, NAMESPACES):
        with pytest.raises(ForbiddenError, match=namespace.user):
            namespace.kube.list_all(resource)
    with pytest.raises(ForbiddenError):
        namespace.kube.list_all(JOBS, namespace=new_namespace().name)
    assert namespace.admin.list_all(SECRETS)[0] == []


@pytest.mark.parametrize("namespace", [{"pod-security.kubernetes.io/enforce": "restricted"}], indirect=True)
def test_a_namespace_has_the_labels_that_a_test_wants(namespace: Namespace) -> None:
    with pytest.raises(ForbiddenError, match="violates PodSecurity"):
        namespace.admin.create(PODS, {**pod("true"), "metadata": {"name": "careless"}})


def test_the_cluster_knows_its_nodes(cluster: Cluster) -> None:
    assert set(cluster.nodes) <= {node["metadata"]["name"] for node in cluster.kube().list_all(NODES)[0]}
    assert cluster.nodes
    assert cluster.containers == (cluster.nodes if cluster.is_kind else ())


# The audit log


def test_the_audit_log_counts_exactly_the_calls_that_were_made(namespace: Namespace, audit: Audit) -> None:
    kube = namespace.kube
    kube.create(CONFIG_MAPS, note("before"))
    mark = audit.mark()

    kube.create(CONFIG_MAPS, note("a"))
    kube.get(CONFIG_MAPS, "a")
    _, version = kube.list_all(CONFIG_MAPS)
    kube.delete(CONFIG_MAPS, "a")
    with pytest.raises(ForbiddenError):
        kube.list_all(SECRETS)
    watch = kube.watch(JOBS, version, seconds=1)
    assert [kind for kind, _ in watch if kind != "BOOKMARK"] == []

    calls = audit.calls(namespace.user, since=mark)
    assert [str(each) for each in calls] == [
        "create configmaps/a 201",
        "get configmaps/a 200",
        "list configmaps 200",
        "delete configmaps/a 200",
        "list secrets 403",
        "watch jobs 200",
    ]
    assert calls[-1].uri.startswith(f"/apis/batch/v1/namespaces/{namespace.name}/jobs?watch=true")
    assert {each.user_agent for each in calls} == {"axk8s"}
    assert [each.at for each in calls] == sorted(each.at for each in calls)
    assert audit.calls(namespace.user, since=audit.mark()) == []


# Fake nodes


def played(namespace: Namespace, nodes: FakeNodes, name: str, **annotations: str) -> None:
    template = pod("true", **annotations)
    namespace.kube.create(JOBS, job(name, {**template, "spec": nodes.placed(template["spec"])}))


def test_a_pod_on_a_fake_node_ends_as_it_asks_to(namespace: Namespace, fake_nodes: FakeNodes) -> None:
    kube = namespace.kube
    played(namespace, fake_nodes, "good", seconds="0.1", message='{"loss": 0.5}')
    played(namespace, fake_nodes, "bad", seconds="0.1", exit_code="3")
    played(namespace, fake_nodes, "big", seconds="0.1", exit_code="137", reason="OOMKilled")
    played(namespace, fake_nodes, "evicted", seconds="0.1", disruption="TerminationByKubelet")
    told = pod("true")["spec"]
    told["containers"][0]["env"] = [{"name": "AXK8S_TEST_EXIT_CODE", "value": "4"}]
    kube.create(JOBS, job("told", {"spec": fake_nodes.placed(told)}))

    ends = [end_of(kube, name) for name in ("good", "bad", "big", "evicted", "told")]
    assert ends == ["Complete", "Failed", "Failed", "Failed", "Failed"]
    assert pod_of(kube, "good")["spec"]["nodeName"] in fake_nodes.names
    good, bad, big = (terminated(kube, name) for name in ("good", "bad", "big"))
    assert (good["exitCode"], good["reason"], good["message"]) == (0, "Completed", '{"loss": 0.5}')
    assert (bad["exitCode"], bad["reason"], bad.get("message")) == (3, "Error", None)
    assert (big["exitCode"], big["reason"]) == (137, "OOMKilled")
    assert terminated(kube, "told")["exitCode"] == 4
    conditions = {each["type"]: each.get("reason") for each in pod_of(kube, "evicted")["status"]["conditions"]}
    assert conditions["DisruptionTarget"] == "TerminationByKubelet"
    with pytest.raises(NotFoundError):
        kube.text(PODS, pod_of(kube, "good")["metadata"]["name"], "log")


def test_a_pod_on_a_fake_node_waits_and_is_deleted_as_on_a_real_one(
    namespace: Namespace, fake_nodes: FakeNodes
) -> None:
    kube = namespace.kube
    played(namespace, fake_nodes, "stuck", waiting="ImagePullBackOff")
    played(namespace, fake_nodes, "long", seconds="3600")

    def state_of(name: str) -> Object:
        statuses = pod_of(kube, name)["status"].get("containerStatuses", [{}])
        return statuses[0].get("state", {})  # type: ignore[no-any-return]  # JSON

    assert until("it waits", lambda: state_of("stuck").get("waiting"))["reason"] == "ImagePullBackOff"
    assert until("it runs", lambda: state_of("long").get("running"))
    for name in ("stuck", "long"):
        kube.delete(JOBS, name)
    until("no pod is left", lambda: not kube.list_all(PODS)[0])


# The proxy's faults, and what our client makes of them


def test_the_proxy_passes_everything_on(namespace: Namespace, proxy: Proxy, through: Kube) -> None:
    _, version = through.list_all(JOBS)
    through.create(JOBS, suspended("a"))
    events = through.watch(JOBS, version, seconds=30)
    follow = iter(events)  # held: a watch that nobody reads any more ends
    assert next(follow)[1]["metadata"]["name"] == "a"
    assert proxy.watches() == 1
    events.close()
    until("the proxy sees that the watch is over", lambda: proxy.watches() == 0)

    assert through.get(JOBS, "a")["metadata"]["uid"] == namespace.admin.get(JOBS, "a")["metadata"]["uid"]
    assert through.delete(JOBS, "a")
    assert not through.delete(JOBS, "a")
    with pytest.raises(ForbiddenError, match=namespace.user):
        through.list_all(SECRETS)
    assert [method for method, _ in proxy.seen(containing="/jobs")] == ["GET", "POST", "GET", "GET", "DELETE", "DELETE"]


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_a_refused_call_is_made_again(proxy: Proxy, through: Kube, pauses: list[float], status: int) -> None:
    rule = proxy.refuse(status, method="POST", path="/configmaps", times=2, retry_after=7)

    through.create(CONFIG_MAPS, note("a"))

    assert rule.met == 2
    assert pauses == [7.0, 7.0]
    assert len(proxy.seen("POST")) == 3


def test_a_version_that_is_forgotten_ends_a_watch_and_begins_a_list_anew(proxy: Proxy, through: Kube) -> None:
    proxy.refuse(410, path=WATCHES)
    with pytest.raises(GoneError, match="played by the proxy"):
        through.watch(JOBS, "1")

    proxy.refuse(410, path="/configmaps.*continue=")
    through.create(CONFIG_MAPS, note("a"))
    objects, _ = through.list_all(CONFIG_MAPS, page=1)
    assert "a" in {each["metadata"]["name"] for each in objects}
    assert len(proxy.seen("GET", "/configmaps")) == 2 + len(objects)


def test_credentials_that_are_refused_once_are_shown_again(proxy: Proxy, through: Kube) -> None:
    proxy.refuse(401)
    through.list_all(JOBS)

    rule = proxy.refuse(401, times=None)
    with pytest.raises(UnauthorizedError):
        through.list_all(JOBS)
    assert rule.met == 2

    rule.lift()
    through.list_all(JOBS)


def test_a_create_whose_answer_is_lost_has_happened(proxy: Proxy, through: Kube) -> None:
    proxy.lose(method="POST")

    with pytest.raises(AlreadyExistsError):
        through.create(CONFIG_MAPS, note("a"))
    assert len(proxy.seen("POST")) == 2


@pytest.mark.usefixtures("impatient")
def test_a_create_that_is_never_answered_has_happened(proxy: Proxy, through: Kube) -> None:
    proxy.lose(method="POST", silence=None)

    with pytest.raises(AlreadyExistsError):
        through.create(CONFIG_MAPS, note("a"))


@pytest.mark.usefixtures("impatient")
def test_a_create_that_arrives_late_meets_the_one_that_was_made_instead(
    namespace: Namespace, proxy: Proxy, through: Kube
) -> None:
    proxy.delay(5.0, method="POST")

    uid = through.create(CONFIG_MAPS, note("a"))["metadata"]["uid"]

    assert len(proxy.seen("POST")) == 2
    assert namespace.admin.get(CONFIG_MAPS, "a")["metadata"]["uid"] == uid


@pytest.mark.parametrize("torn", [False, True])
def test_a_watch_is_cut_after_so_many_events(proxy: Proxy, through: Kube, torn: bool) -> None:
    _, version = through.list_all(JOBS)
    through.create(JOBS, suspended("a"))
    through.create(JOBS, suspended("b"))
    proxy.cut(after=1, torn=torn)

    events = iter(through.watch(JOBS, version, seconds=30))
    assert next(events)[1]["metadata"]["name"] == "a"
    with pytest.raises(UnreachableError, match="cut off"):
        next(events)


@pytest.mark.usefixtures("impatient")
def test_a_watch_that_falls_silent_is_given_up(proxy: Proxy, through: Kube) -> None:
    _, version = through.list_all(JOBS)
    through.create(JOBS, suspended("a"))
    proxy.stall(after=1)

    events = iter(through.watch(JOBS, version, seconds=1))
    assert next(events)[1]["metadata"]["name"] == "a"
    with pytest.raises(UnreachableError, match="cut off"):
        next(events)
    until("the proxy sees that the client has left", lambda: proxy.watches() == 0)


@pytest.mark.usefixtures("impatient")
def test_open_watches_can_fall_silent_too(namespace: Namespace, proxy: Proxy, through: Kube) -> None:
    _, version = through.list_all(JOBS)
    events = iter(through.watch(JOBS, version, seconds=1))
    until("the watch is open", lambda: proxy.watches() == 1)

    assert proxy.stall_all() == 1
    namespace.kube.create(JOBS, suspended("a"))

    with pytest.raises(UnreachableError, match="cut off"):
        next(events)


def test_a_watcher_survives_cuts_and_outages_and_misses_nothing(
    namespace: Namespace, proxy: Proxy, through: Kube
) -> None:
    notes = Notes()
    watcher = Watcher(proxy.kube(namespace, patience=ONCE), JOBS, notes)
    watcher.start()
    try:
        namespace.kube.create(JOBS, suspended("first"))
        notes.until("first")

        until("the watch is open", lambda: proxy.cut_all() == 1)
        namespace.kube.create(JOBS, suspended("second"))
        notes.until("second")

        proxy.shut()
        notes.until("trouble")
        with pytest.raises(UnreachableError, match=r"cannot be reached|does not answer"):
            proxy.kube(namespace, patience=ONCE).get(JOBS, "first")
        namespace.kube.create(JOBS, suspended("third"))
        proxy.shut(False)
        notes.until("third")
    finally:
        watcher.close()
