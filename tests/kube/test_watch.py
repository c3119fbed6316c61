"""The watch through everything that a connection does; each wait is for an event, none for a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from axk8s.kube.client import Object
from axk8s.kube.errors import KubeError
from axk8s.kube.resource import JOBS
from axk8s.kube.watch import Watcher
from tests.kube.server import Answer, Request, refusal

if TYPE_CHECKING:
    from tests.kube.conftest import Serve


class Notes:
    """A reader that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: queue.Queue[tuple[str, Any]] = queue.Queue()

    def listed(self, objects: Sequence[Object], began: float) -> None:
        self.heard.put(("listed", [_name(each) for each in objects]))

    def changed(self, found: Object) -> None:
        self.heard.put(("changed", _name(found)))

    def deleted(self, found: Object) -> None:
        self.heard.put(("deleted", _name(found)))

    def troubled(self, error: KubeError | None) -> None:
        self.heard.put(("troubled", error is not None))

    def take(self, count: int) -> list[tuple[str, Any]]:
        return [self.heard.get(timeout=30) for _ in range(count)]


def _name(found: Object) -> str:
    return str(found["metadata"]["name"])


def thing(name: str, version: int) -> Object:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def listing(version: int, *names: str) -> Answer:
    return Answer(200, {"metadata": {"resourceVersion": str(version)}, "items": [thing(name, 1) for name in names]})


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": thing(name, version)}


class Script:
    """Answers lists and watches from two queues; a watch beyond the last one stays open and silent."""

    def __init__(self, lists: list[Answer], watches: list[list[Any] | Answer]) -> None:
        self.lists, self.watches = iter(lists), iter(watches)
        self.over = threading.Event()

    def __call__(self, request: Request) -> Answer:
        if request.query.get("watch") != "true":
            return next(self.lists)
        found = next(self.watches, None)
        if isinstance(found, Answer):
            return found
        return Answer(events=self._open() if found is None else iter(found))

    def _open(self) -> Iterator[Any]:
        self.over.wait(30)
        yield from ()


def watched(serve: Serve, lists: list[Answer], watches: list[list[Any] | Answer], count: int) -> tuple[Any, Any]:
    """What a watcher of this script says first, and what it asked."""
    script = Script(lists, watches)
    server, kube = serve(script)
    notes = Notes()
    watcher = Watcher(kube, JOBS, notes, labels="a=b")
    watcher.start()
    heard = notes.take(count)
    opened = 1 + len(watches)
    server.until(lambda asked: sum(each.query.get("watch") == "true" for each in asked) >= opened)
    watcher.close()
    script.over.set()
    assert notes.heard.empty()
    assert not watcher._thread.is_alive()
    return heard, [each.query.get("resourceVersion") for each in server.requests]


def test_first_all_that_there_is_then_what_changes(serve: Serve) -> None:
    events = [event("ADDED", "b", 6), event("MODIFIED", "a", 7), event("DELETED", "b", 8)]
    heard, _ = watched(serve, [listing(5, "a")], [events], 4)

    assert heard == [("listed", ["a"]), ("changed", "b"), ("changed", "a"), ("deleted", "b")]


def test_a_watch_that_ends_goes_on_from_the_last_version_it_saw(serve: Serve) -> None:
    first = [event("ADDED", "b", 6), event("BOOKMARK", "", 60)]
    heard, versions = watched(serve, [listing(5)], [first, [event("ADDED", "c", 61)]], 3)

    assert heard == [("listed", []), ("changed", "b"), ("changed", "c")]
    assert versions == [None, "5", "60", "61"]


def test_410_means_a_new_list_whether_it_comes_as_answer_or_as_event(serve: Serve) -> None:
    error = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
    lists = [listing(5, "a"), listing(50, "b"), listing(500, "c")]
    heard, versions = watched(serve, lists, [refusal(410, "Expired", "too old"), [error]], 3)

    assert heard == [("listed", ["a"]), ("listed", ["b"]), ("listed", ["c"])]
    assert versions == [None, "5", None, "50", None, "500"]


def test_an_outage_is_told_and_its_end_too_and_nothing_is_lost(serve: Serve) -> None:
    down = refusal(500, "InternalError", "etcd is away")
    heard, versions = watched(serve, [listing(5, "a")], [down, down, [event("ADDED", "b", 6)]], 5)

    assert heard[0] == ("listed", ["a"])
    assert heard[1:3] == [("troubled", True)] * 2
    assert heard[3:] == [("troubled", False), ("changed", "b")]
    assert set(versions) == {None, "5", "6"}
    assert versions.count(None) == 1


def test_closing_ends_a_watch_that_says_nothing(serve: Serve) -> None:
    heard, _ = watched(serve, [listing(5, "a")], [], 1)

    assert heard == [("listed", ["a"])]
