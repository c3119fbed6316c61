"""The ground that tests of a real cluster stand on: one cluster for all of them, a namespace for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from axk8s.kube.errors import ClusterAccessError, KubeError
from tests.cluster import cluster as clusters
from tests.cluster import kind, kwok, landlord
from tests.cluster import namespace as namespaces
from tests.cluster.audit import Audit
from tests.cluster.cluster import Cluster
from tests.cluster.groups import NODES, SHARED, group, place
from tests.cluster.kwok import FakeNodes
from tests.cluster.lack import PLACE, lack, lacks, summary
from tests.cluster.namespace import Namespace
from tests.cluster.proxy import Proxy
from tests.cluster.stage import Stage, staged

ROOT = Path(__file__).parents[2]

_TWO_WORKERS = pytest.StashKey[ExitStack]()

NewNamespace: TypeAlias = Callable[..., Namespace]
"""Called with labels."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest group begins first; the others do when the tests that need no cluster have had the machine."""
    seen: set[str] = set()
    for item in items:
        if name := group(item.path):
            # The first one waits for the cluster, for which an image may be pulled.
            item.add_marker(pytest.mark.timeout(900 if name in seen else 1800))
            seen.add(name)
    items.sort(key=lambda item: place(item.path))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The nodes that only one group needs go with its last test: a cluster keeps the cores busy, also with nothing."""
    if group(item.path) == NODES and (nextitem is None or group(nextitem.path) != NODES):
        item.config.stash.get(_TWO_WORKERS, ExitStack()).close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What lacks for many tests is one thing: pytest folds those of one place into one line of its summary."""
    report = yield
    if isinstance(report.longrepr, tuple) and lacks(report.longrepr[2]):
        report.longrepr = (*PLACE, report.longrepr[2])
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The one line on what was skipped for want of a cluster, also where pytest was not asked to list what it skips."""
    if terminalreporter.hasopt("skipped"):
        return
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", ())]
    if line := summary([where[2] for where in skipped if isinstance(where, tuple)]):
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _no_cluster_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What names no kubeconfig finds none; not even by mistake is a test on the cluster of whoever runs it."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """The cluster of AXK8S_TEST_KUBECONFIG; else one that is made for this run, where `kind` and `docker` are."""
    if given := os.environ.get(landlord.GIVEN):
        try:
            return clusters.foreign(Path(given))
        except (ClusterAccessError, KubeError) as error:
            pytest.fail(f"the cluster of AXK8S_TEST_KUBECONFIG cannot be used: {error}", pytrace=False)
    if reason := kind.missing():
        lack(f"{reason}, and AXK8S_TEST_KUBECONFIG names no cluster")
    return landlord.ask(SHARED)


@pytest.fixture
def new_namespace(cluster: Cluster, tmp_path: Path) -> Iterator[NewNamespace]:
    """Makes namespaces with the labels that it is called with; they are deleted at the end of the test."""
    made: list[Namespace] = []

    def new(**labels: str) -> Namespace:
        made.append(namespaces.create(cluster, tmp_path, labels))
        return made[-1]

    yield new
    for each in made:
        namespaces.delete(each.admin, each.name)


@pytest.fixture
def namespace(new_namespace: NewNamespace, request: pytest.FixtureRequest) -> Namespace:
    """A namespace of the test's own; `parametrize("namespace", [{…}], indirect=True)` gives it labels."""
    return new_namespace(**getattr(request, "param", {}))


@pytest.fixture
def stage(namespace: Namespace, tmp_path: Path) -> Iterator[Stage]:
    """The command line in a folder with a sweep, with the rights of the manifest in the test's namespace."""
    with staged(tmp_path / "project", namespace) as made:
        made.write()
        yield made


@pytest.fixture(scope="session")
def two_workers(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of several nodes, which may be broken; the one of the other tests must stay whole."""
    if os.environ.get(landlord.GIVEN):
        lack("several nodes, or images of their own, tests have only in a cluster that they have made themselves")
    if reason := kind.missing():
        lack(f"{reason}, and AXK8S_TEST_KUBECONFIG names no cluster")
    with ExitStack() as until_the_last:
        pytestconfig.stash[_TWO_WORKERS] = until_the_last
        yield until_the_last.enter_context(clusters.own(tmp_path_factory.mktemp("two"), workers=2))


@pytest.fixture(scope="session")
def torch_image(two_workers: Cluster) -> str:
    """An image with PyTorch on the workers, built as its users build it."""
    build = ["docker", "build", "--quiet", "--network", "host", "--tag", clusters.TORCH_IMAGE]
    kind.run(*build, str(ROOT / "components"), seconds=900)
    two_workers.load_image(clusters.TORCH_IMAGE)
    return clusters.TORCH_IMAGE


@pytest.fixture
def there(two_workers: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """As `stage`, on several nodes; its parameter is the namespace's labels."""
    namespace = namespaces.create(two_workers, tmp_path, getattr(request, "param", {}))
    with staged(tmp_path / "project", namespace) as made:
        made.write()
        yield made
    namespaces.delete(namespace.admin, namespace.name)


@pytest.fixture
def audit(cluster: Cluster) -> Audit:
    """The API server's own record of what it was asked."""
    if cluster.audit_log is None:
        lack("the audit log of the cluster of AXK8S_TEST_KUBECONFIG cannot be read")
    return Audit(cluster.audit_log, cluster.kube())


@pytest.fixture(scope="module")
def fake_nodes(cluster: Cluster) -> Iterator[FakeNodes]:
    """Two nodes that kwok plays, for 5000 pods each; `kwok-stages.yaml` says what pods can ask for."""
    if reason := kwok.missing():
        lack(reason)
    with kwok.played(cluster, count=2) as nodes:
        yield nodes


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy before the API server that makes faults; only what is led through it meets them."""
    made = Proxy(cluster.entry(), tmp_path)
    yield made
    made.close()
