"""Each difference between TorchX's own request and what is sent stands in the documentation, and none that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from axk8s.kube.client import Object
from tests.schedulers.volcano.documents import APPS, documents, torchx

PAGE = Path(__file__).parents[3] / "docs" / "volcano.md"
ABSENT = object()


def differences() -> set[str]:
    """Where any of the apps has something else; namespaced, for that is always said."""
    sent = documents()
    return {path for name in APPS for path in differing(torchx(name), sent[name])}


def differing(theirs: Object, ours: Object) -> Iterator[str]:
    """Fields below `job`, `task`, `pod` and `container`, as deep as both have mappings."""
    one, other = ({key: value for key, value in job["spec"].items() if key != "tasks"} for job in (theirs, ours))
    yield from unlike("job", {**theirs, "spec": one}, {**ours, "spec": other})
    for task, own in zip(theirs["spec"]["tasks"], ours["spec"]["tasks"], strict=True):
        yield from unlike("task", *({k: v for k, v in each.items() if k != "template"} for each in (task, own)))
        pods = [each["template"] for each in (task, own)]
        bare = [
            {**pod, "spec": {key: value for key, value in pod["spec"].items() if key != "containers"}} for pod in pods
        ]
        yield from unlike("pod", *bare)
        (container,), (changed,) = (pod["spec"]["containers"] for pod in pods)
        yield from unlike("container", container, changed)


def unlike(path: str, theirs: object, ours: object) -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        # What is empty and what is not there are the same to Kubernetes.
        for key in theirs.keys() | ours.keys():
            yield from unlike(f"{path}.{key}", theirs.get(key, ABSENT), ours.get(key, ABSENT))
    elif theirs != ours and [one for one in (theirs, ours) if one not in (ABSENT, None, {}, [])]:
        yield path


def told() -> list[str]:
    """The first column of the page's table of differences."""
    text = PAGE.read_text("utf-8").partition("## What is sent")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [path for row in rows for path in re.findall("`([^`]+)`", row)]


def covers(path: str, found: str) -> bool:
    return found == path or found.startswith((f"{path}.", f"{path}/"))


def test_each_difference_has_its_reason_on_the_page() -> None:
    assert [found for found in sorted(differences()) if not any(covers(path, found) for path in told())] == []


def test_each_reason_is_for_a_difference_that_exists() -> None:
    known = differences() | {"job.metadata.namespace"}
    assert [path for path in told() if not any(covers(path, found) for found in known)] == []
