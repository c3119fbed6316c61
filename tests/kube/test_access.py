from __future__ import annotations

import json
from pathlib import Path

import pytest

from axk8s.kube.access import open_access
from axk8s.kube.client import Kube
from axk8s.kube.errors import ClusterAccessError
from axk8s.kube.rate import Patience, TokenBucket
from tests.kube.server import Answer, Request, Server, refusal


def write(path: Path, *names: str, current: str = "", namespace: str = "") -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example"}} for name in names],
        "users": [{"name": name, "user": {"token": f"token-{name}"}} for name in names],
        "contexts": [
            {
                "name": name,
                "context": {"cluster": name, "user": name, **({"namespace": namespace} if namespace else {})},
            }
            for name in names
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_the_current_context_is_meant_unless_another_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "config", "one", "two", current="one", namespace="team")

    first, second = open_access(kubeconfig=file), open_access(kubeconfig=file, context="two", namespace="mine")

    assert (first.server, first.context, first.namespace) == ("https://one.example", "one", "team")
    assert (second.server, second.context, second.namespace) == ("https://two.example", "two", "mine")
    assert open_access(kubeconfig=write(tmp_path / "bare", "one", current="one")).namespace == "default"


def test_the_variable_comes_before_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / ".kube" / "config", "home", current="home")
    assert open_access().context == "home"

    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "other", "other", current="other")))
    assert open_access().context == "other"


def test_several_files_are_one_configuration(tmp_path: Path) -> None:
    files = [write(tmp_path / name, name, current=name) for name in ("one", "two")]

    assert open_access(kubeconfig=":".join(map(str, files)), context="two").server == "https://two.example"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kubeconfig": "/nowhere/config"}, "there is no kubeconfig at /nowhere/config"),
        ({}, "there is no kubeconfig at ~/.kube/config"),
        ({"kubeconfig": "CONFIG", "context": "tow"}, "did you mean 'two'?"),
        ({"kubeconfig": "EMPTY"}, "has no current context"),
        ({"kubeconfig": "BROKEN"}, "cannot be used"),
    ],
)
def test_what_cannot_be_used_says_where_it_is_and_what_there_is(
    tmp_path: Path, given: dict[str, str], said: str
) -> None:
    write(tmp_path / "CONFIG", "one", "two", current="one")
    write(tmp_path / "EMPTY", "one")
    (tmp_path / "BROKEN").write_text("clusters: 3\n")
    arguments = {key: str(tmp_path / value) if value.isupper() else value for key, value in given.items()}

    with pytest.raises(ClusterAccessError) as caught:
        open_access(**arguments)  # type: ignore[arg-type]  # names of arguments
    assert said in str(caught.value)


def test_credentials_that_were_renewed_in_another_window_are_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "config"
    tokens: list[str] = []

    def script(request: Request) -> Answer:
        tokens.append(request.headers["authorization"])
        if tokens[-1] == "Bearer old":
            server.kubeconfig(file, token="new")  # somebody logs in
            return refusal(401, "Unauthorized", "expired")
        return Answer(200, {"gitVersion": "v1.35.4"})

    server = Server(script)
    try:
        access = open_access(kubeconfig=server.kubeconfig(file, token="old"))
        kube = Kube(access, bucket=TokenBucket(0), patience=Patience(sleep=lambda _: None))

        assert kube.version() == "v1.35.4"
        assert tokens == ["Bearer old", "Bearer new"]
    finally:
        server.close()
