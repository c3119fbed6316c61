"""Output is handed on line by line: whole lines, all of them, whatever bytes they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from axk8s.schedulers.local import logs

if TYPE_CHECKING:
    from tests.schedulers.local.conftest import Desk


def test_files_are_read_one_after_the_other_with_their_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\r\ntwo\n\n")
    (tmp_path / "b").write_bytes(b"\xff three")
    files = [tmp_path / "a", tmp_path / "missing", tmp_path / "b"]
    assert list(logs.follow(files)) == ["one\r\n", "two\n", "\n", "\ufffd three"]


def test_following_waits_for_the_rest_of_a_line_and_ends_with_the_job(tmp_path: Path) -> None:
    log = tmp_path / "log"
    steps = iter([b"fir", b"st\nsecond\nthi", b"rd", None])

    def ended() -> bool:
        # Called once a round: each round finds a little more.
        step = next(steps)
        if step is not None:
            with log.open("ab") as file:
                file.write(step)
        return step is None

    assert list(logs.follow([log], ended)) == ["first\n", "second\n", "third"]


def test_a_progress_bar_is_handed_on_while_it_is_drawn(tmp_path: Path) -> None:
    log = tmp_path / "log"
    steps = iter([b"\r 1%", b"\r 2%\r 3%", b"\r 4%\n", None])

    def ended() -> bool:
        step = next(steps)
        if step is not None:
            with log.open("ab") as file:
                file.write(step)
        return step is None

    found = list(logs.follow([log], ended))
    assert "".join(found) == "\r 1%\r 2%\r 3%\r 4%\n"
    assert len(found) > 1


def test_the_tail_is_of_the_named_replica_stderr_last(desk: Desk) -> None:
    script = "for i in 1 2 3; do echo out ${replica_id} $$i; done; echo err ${replica_id} >&2"
    desk.submit(desk.shell(script, num_replicas=2))
    desk.ended()
    assert logs.tail(desk.folder / "job", lines=2) == ("out 0 3", "err 0")
    assert logs.tail(desk.folder / "job", "main-1", lines=9) == ("out 1 1", "out 1 2", "out 1 3", "err 1")


def test_the_tail_of_a_huge_file_is_read_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "stdout.log").write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert logs.tail(tmp_path, lines=2) == ("line 99998", "line 99999")
    assert logs.tail(tmp_path / "nowhere") == ()
