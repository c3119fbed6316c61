"""Which cluster and namespace are meant, and what the namespace is like; asked for once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from axk8s.errors import SchedulerConfigError
from axk8s.kube.errors import ClusterAccessError, ForbiddenError
from axk8s.schedulers.kubernetes_job.connection import Connection, Connections, Place
from tests.kube.server import Answer, refusal
from tests.schedulers.kubernetes_job.apps import options
from tests.schedulers.kubernetes_job.routes import SPACE, Routes

if TYPE_CHECKING:
    from tests.schedulers.kubernetes_job.conftest import Serve

LEVEL = "pod-security.kubernetes.io/enforce"


def test_a_namespace_is_known_by_its_uid_and_its_level_and_asked_for_once(serve: Serve) -> None:
    routes = Routes()
    routes.on("GET namespace", {"metadata": {**SPACE["metadata"], "labels": {LEVEL: "restricted"}}})
    server = serve(routes)
    connection = Connection(options())

    assert connection.place() == connection.place() == Place("team", "space-1", "restricted")
    assert connection.restricted(options())
    assert len(server.requests) == 1


def test_a_namespace_that_is_not_there_is_named_with_its_cluster(serve: Serve) -> None:
    server = serve(lambda _: refusal(404, "NotFound", 'namespaces "team" not found'))

    with pytest.raises(SchedulerConfigError) as caught:
        Connection(options()).place()
    assert f"there is no namespace 'team' on {server.url}" in str(caught.value)
    assert "-cfg namespace=" in str(caught.value)


def test_a_namespace_that_may_not_be_read_may_not_be_there(serve: Serve) -> None:
    serve(lambda _: refusal(403, "Forbidden", 'User "u" cannot get resource "namespaces"'))

    with pytest.raises(ForbiddenError, match=r"\(or there is no such namespace\)"):
        Connection(options()).place()


@pytest.mark.parametrize("status", [403, 404])
def test_without_an_answer_pods_need_not_be_restricted(serve: Serve, status: int) -> None:
    serve(lambda _: refusal(status, "Any", "no"))

    assert not Connection(options()).restricted(options())
    assert Connection(options()).restricted(options(security="restricted"))


def test_what_was_not_answered_is_asked_for_again(serve: Serve) -> None:
    routes = Routes()
    routes.on("GET namespace", refusal(403, "Forbidden", "no"), Answer(200, SPACE))
    serve(routes)
    connection = Connection(options())
    with pytest.raises(ForbiddenError):
        connection.place()

    assert connection.place().uid == "space-1"


def test_there_is_one_connection_for_each_way_of_naming_a_cluster(serve: Serve) -> None:
    serve(Routes())
    connections = Connections()

    first = connections.of(options(image="a:1"))
    assert connections.of(options(image="b:1")) is first
    other = connections.of(options(namespace="other"))
    assert other is not first
    assert other.namespace == "other"
    assert connections.last() is other
    assert connections.of(options()) is connections.last() is first


def test_before_any_job_the_default_is_meant(serve: Serve) -> None:
    serve(Routes())

    assert Connections({"namespace": "mine"}).last().namespace == "mine"


def test_a_kubeconfig_is_found_from_the_base(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(Routes())
    monkeypatch.delenv("KUBECONFIG")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "config").rename(tmp_path / "sweeps" / "kube.conf")

    assert Connection(options(kubeconfig="kube.conf", base=str(tmp_path / "sweeps"))).namespace == "team"


def test_without_credentials_only_the_options_say_the_namespace() -> None:
    connections = Connections()

    assert connections.namespace(options()) is None
    assert connections.namespace(options(namespace="team")) == "team"
    assert not connections.restricted(options(namespace="team"))
    assert connections.restricted(options(security="restricted"))
    with pytest.raises(ClusterAccessError):
        connections.last()


def test_a_closed_connection_tries_nothing_again(serve: Serve) -> None:
    server = serve(lambda _: refusal(503, "ServiceUnavailable", "etcd is away"))
    connections = Connections()
    connection = connections.of(options())
    connections.close()

    assert not connection.restricted(options())
    assert len(server.requests) == 1
