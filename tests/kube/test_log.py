"""A container's lines arrive once each and in order, whatever the connection does in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axk8s.kube import log
from axk8s.kube.errors import InvalidError, NotFoundError, UnreachableError
from tests.kube.server import Answer, Request, refusal

if TYPE_CHECKING:
    from tests.kube.conftest import Serve

NOT_STARTED = refusal(400, "BadRequest", 'container "main" in pod "p" is waiting to start: ContainerCreating')
GONE = refusal(404, "NotFound", 'pods "p" not found')
RUNNING = Answer(
    200, {"status": {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}}]}}
)
ENDED = Answer(200, {"status": {"containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 0}}}]}})


def stamp(seconds: float) -> str:
    """A time as the kubelet writes it: always with nine digits."""
    whole = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=int(seconds))
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{round(seconds % 1 * 1e9):09d}Z"


def said(*lines: tuple[float, str]) -> bytes:
    return "".join(f"{stamp(at)} {text}\n" for at, text in lines).encode()


def sent(*parts: bytes, cut: bool = False) -> Answer:
    return Answer(events=iter(parts), cut=cut)


class Pod:
    """Answers for its log and for itself, one after the other and then the last; notes what was asked of the log."""

    def __init__(self, logs: Sequence[Answer], pods: Sequence[Answer] = (ENDED,)) -> None:
        self.logs, self.pods = list(logs), list(pods)
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: Request) -> Answer:
        if request.path.endswith("/log"):
            self.asked.append(request.query)
            assert request.path == "/api/v1/namespaces/team/pods/p/log"
            return self.logs.pop(0) if len(self.logs) > 1 else self.logs[0]
        return self.pods.pop(0) if len(self.pods) > 1 else self.pods[0]

    @property
    def since(self) -> list[str]:
        return [query.get("sinceTime", "") for query in self.asked]


def follow(serve: Serve, pod: Pod, **more: Any) -> tuple[list[str], list[float]]:
    """All lines, and how often it would have waited."""
    waits: list[float] = []
    _, kube = serve(pod)
    return list(log.follow(kube, "p", "main", namespace="team", wait=waits.append, **more)), waits


def test_what_was_printed_is_read_line_by_line(serve: Serve) -> None:
    pod = Pod([Answer(200, "one\n\nthree \u2028 ü\r\nrest")])
    _, kube = serve(pod)

    assert list(log.lines(kube, "p", "main", namespace="team")) == ["one", "", "three \u2028 ü\r", "rest"]
    assert pod.asked == [{"container": "main"}]


def test_a_line_may_come_in_pieces_and_hold_any_bytes(serve: Serve) -> None:
    _, kube = serve(Pod([sent(b"fir", b"st\nse", b"c\xff", b"ond\n", b"\xc3", b"\xbc\n")]))

    assert list(log.lines(kube, "p", "main", namespace="team")) == ["first", "sec\ufffdond", "ü"]


def test_only_a_part_of_it_may_be_asked_for(serve: Serve) -> None:
    pod = Pod([Answer(200, "")])
    _, kube = serve(pod)
    since = datetime(2026, 1, 1, 14, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))

    assert list(log.lines(kube, "p", "main", namespace="team", since=since, tail=5, previous=True, limit=9)) == []
    assert pod.asked == [
        {
            "container": "main",
            "sinceTime": "2026-01-01T12:00:00Z",
            "tailLines": "5",
            "previous": "true",
            "limitBytes": "9",
        }
    ]


@pytest.mark.parametrize(("answer", "kind"), [(NOT_STARTED, InvalidError), (GONE, NotFoundError)])
def test_what_cannot_be_read_is_an_error(serve: Serve, answer: Answer, kind: type[Exception]) -> None:
    _, kube = serve(Pod([answer]))

    with pytest.raises(kind):
        list(log.lines(kube, "p", "main", namespace="team"))


def test_a_connection_that_is_cut_while_it_is_read_is_an_error(serve: Serve) -> None:
    _, kube = serve(Pod([sent(b"one\ntw", cut=True)]))
    lines = log.lines(kube, "p", "main", namespace="team")

    assert next(lines) == "one"
    with pytest.raises(UnreachableError, match="cut off"):
        next(lines)


def test_lines_are_followed_without_their_times_until_the_container_has_ended(serve: Serve) -> None:
    whole = said((1, "one"), (1.5, ""), (2, "three: a b"))
    pod = Pod([sent(whole[:10], whole[10:]), sent(said((2, "three: a b")))])

    lines, waits = follow(serve, pod)

    assert lines == ["one", "", "three: a b"]
    assert waits == []
    assert pod.asked[0] == {"container": "main", "follow": "true", "timestamps": "true"}


def test_a_cut_connection_is_taken_up_at_the_last_line(serve: Serve) -> None:
    pod = Pod(
        [
            sent(said((1, "one"), (2.25, "two")), b"2026-01-01T12:00:0", cut=True),
            # The kubelet goes by whole seconds.
            sent(said((2, "before"), (2.25, "two"), (2.5, "three")), cut=True),
            sent(said((2, "before"), (2.25, "two"), (2.5, "three"), (3, "four"))),
        ]
    )
    lines, waits = follow(serve, pod)

    assert lines == ["one", "two", "three", "four"]
    assert pod.since[:3] == ["", stamp(2.25), stamp(2.5)]
    assert len(waits) == 2


def test_lines_of_one_moment_are_neither_repeated_nor_lost(serve: Serve) -> None:
    pod = Pod(
        [
            sent(said((1, "a"), (1, "b"), (1, "b")), cut=True),
            sent(said((1, "a"), (1, "b"), (1, "b"), (1, "b"), (1, "c")), cut=True),
            sent(said((1, "a"), (1, "b"), (1, "b"), (1, "b"), (1, "c"), (1, "d"), (2, "e"))),
        ]
    )
    assert follow(serve, pod)[0] == ["a", "b", "b", "b", "c", "d", "e"]


def test_a_connection_that_ends_before_the_container_does_is_taken_up_too(serve: Serve) -> None:
    first, last = said((1, "one")), said((1, "one"), (2, "two"), (3, "three"))
    pod = Pod([sent(first), sent(first), sent(last)], [RUNNING, ENDED])

    lines, waits = follow(serve, pod)

    # The container ended just when the second connection did: its last lines come with the third.
    assert lines == ["one", "two", "three"]
    assert len(waits) == 1


def test_a_line_without_its_end_is_told_whole_and_once(serve: Serve) -> None:
    cut = said((1, "one"), (2, "tw"))[:-1]
    pod = Pod([sent(cut), sent(said((1, "one"), (2, "two")))], [RUNNING, ENDED])
    assert follow(serve, pod)[0] == ["one", "two"]

    last = said((1, "one"), (2, "no newline"))[:-1]
    assert follow(serve, Pod([sent(last), sent(last)]))[0] == ["one", "no newline"]
    assert follow(serve, Pod([sent(last), GONE], [ENDED]))[0] == ["one", "no newline"]


def test_a_line_that_looks_older_is_not_lost(serve: Serve) -> None:
    """Two streams are stamped apart from each other, and a node's clock may be set back."""
    whole = said((5, "one"), (4.9, "two"), (3, "three"), (5, "four"), (5.1, "five"), (5.05, "six"))
    pod = Pod([sent(whole, cut=True), sent(whole, said((6, "seven"), (5, "eight")))])

    assert follow(serve, pod)[0] == ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    assert pod.since[1] == stamp(5.1)


def test_words_of_the_kubelet_have_no_time_and_stay_whole(serve: Serve) -> None:
    words = b"unable to retrieve container logs for containerd://0123\n"
    pod = Pod([sent(said((1, "one")), words), sent(said((1, "one")))])

    assert follow(serve, pod)[0] == ["one", words.decode().strip()]
    assert pod.since == ["", stamp(1)]


def test_a_container_that_has_not_started_is_waited_for(serve: Serve) -> None:
    pod = Pod([NOT_STARTED, NOT_STARTED, sent(said((1, "one")))], [RUNNING, RUNNING, ENDED])

    lines, waits = follow(serve, pod)

    assert lines == ["one"]
    assert waits == [1.0, 1.0]


def test_a_container_that_will_never_start_ends_it(serve: Serve) -> None:
    failed = Answer(200, {"status": {"phase": "Failed", "reason": "Evicted"}})

    assert follow(serve, Pod([NOT_STARTED], [failed]))[0] == []


def test_an_answer_that_says_nothing_of_the_pod_does_not_end_it(serve: Serve) -> None:
    pod = Pod([sent(said((1, "one"))), sent(said((1, "one"), (2, "two")))], [refusal(403, "Forbidden", "no"), ENDED])

    assert follow(serve, pod)[0] == ["one", "two"]


def test_a_pod_that_was_never_there_is_an_error(serve: Serve) -> None:
    with pytest.raises(NotFoundError):
        follow(serve, Pod([GONE]))


@pytest.mark.parametrize("pods", [[RUNNING], [GONE]], ids=["at the next connection", "at once"])
def test_a_pod_that_is_deleted_meanwhile_ends_it(serve: Serve, pods: list[Answer]) -> None:
    assert follow(serve, Pod([sent(said((1, "one"))), GONE], pods))[0] == ["one"]


def test_a_container_without_a_word_ends_it_also_when_its_pod_is_deleted(serve: Serve) -> None:
    assert follow(serve, Pod([sent(), GONE], [ENDED]))[0] == []


def test_it_may_begin_late_and_only_its_beginning_is_cut(serve: Serve) -> None:
    pod = Pod([NOT_STARTED, sent(said((7, "one")), cut=True), sent(said((7, "one"), (8, "two")))], [RUNNING, ENDED])
    since = datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)

    assert follow(serve, pod, since=since, tail=10)[0] == ["one", "two"]
    assert [query.get("tailLines") for query in pod.asked] == ["10", "10", None, None]
    assert pod.since[:3] == ["2026-01-01T12:00:05Z", "2026-01-01T12:00:05Z", stamp(7)]


@pytest.mark.parametrize(("late", "asked"), [(0, 2), (1, 2), (4, 2), (5, 3)])
def test_a_container_that_is_watched_is_never_read_and_its_late_end_costs_no_call(
    serve: Serve, late: int, asked: int
) -> None:
    answers = iter([False] * late)
    pod = Pod([sent(said((1, "one"))), sent(said((1, "one"), (2, "two")))], pods=())

    assert follow(serve, pod, over=lambda: next(answers, True)) == (["one", "two"], [1.0] * late)
    assert len(pod.asked) == asked, "after five seconds it may be the connection that has ended, and not the container"


def test_a_container_that_is_watched_and_has_not_started_is_asked_for_again_soon(serve: Serve) -> None:
    answers = iter([False])
    pod = Pod([NOT_STARTED, sent(said((1, "one")))], pods=())

    assert follow(serve, pod, over=lambda: next(answers, True)) == (["one"], [1.0])


class Kubelet:
    """A container that prints lines at given times; each connection brings some bytes and is cut, or ends."""

    def __init__(self, lines: list[tuple[float, str]], ends: list[tuple[int, bool]]) -> None:
        self.lines, self.ends = lines, iter(ends)
        self.printed = 0

    def __call__(self, request: Request) -> Answer:
        if not request.path.endswith("/log"):
            return ENDED if self.printed == len(self.lines) else RUNNING
        since = request.query.get("sinceTime", "")[:19]
        length, cut = next(self.ends, (None, False))
        if self.printed == len(self.lines) and not cut:
            length = None  # it had ended before, so nothing more is waited for
        self.printed = len(self.lines) if length is None else min(len(self.lines), self.printed + 2)
        whole = said(*(line for line in self.lines[: self.printed] if stamp(line[0])[:19] >= since))
        return sent(*self._parts(whole if length is None else whole[:length]), cut=cut)

    def _parts(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), 37):
            yield data[at : at + 37]


class Stage:
    """One server for many containers, one after the other."""

    def __init__(self, serve: Serve) -> None:
        self.container: Callable[[Request], Answer] = Pod([GONE])
        _, self.kube = serve(lambda request: self.container(request))


@pytest.fixture
def stage(serve: Serve) -> Stage:
    return Stage(serve)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0, 3.0]), max_size=8),
    ends=st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=6),
)
def test_whenever_it_is_cut_each_line_comes_once(
    stage: Stage, times: list[float], ends: list[tuple[int, bool]]
) -> None:
    lines = [(sum(times[: number + 1]), f"line {number}") for number in range(len(times))]
    stage.container = Kubelet(lines, ends)

    found = log.follow(stage.kube, "p", "main", wait=lambda _: None)

    assert list(found) == [text for _, text in lines]
