from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from axk8s.metrics.log import LINE_LIMIT, TAIL_BUDGET, TAIL_WIDTH, Scan, clean, combine, tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "stdout.log"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m and \x1b]8;;http://x\x07link\x1b]8;;\x07", "red and link"),
        ("\r 10%|█  |\r 50%|██ |\r100%|███|", "100%|███|"),
        ("windows\r", "windows"),
        ("100%|███|\r   \r", "100%|███|"),
        ("\x00\x00bell\x07\tkept tab", "bell\tkept tab"),
        ("  indented  ", "  indented"),
        ("\r\r", ""),
        ("stray \udce9", "stray ?"),
    ],
    ids=range(9),
)
def test_a_line_is_cleaned_to_what_a_terminal_shows(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_the_tail_is_the_last_lines_that_are_not_blank(log: Path) -> None:
    log.write_text("".join(f"line {number}\n\n" for number in range(100)))

    assert tail(log, 3) == ["line 97", "line 98", "line 99"]


def test_a_file_that_is_not_there_has_no_tail(log: Path) -> None:
    assert tail(log) == []


def test_bytes_that_are_not_utf_8_are_replaced(log: Path) -> None:
    log.write_bytes(b"caf\xe9\n")

    assert tail(log) == ["caf�"]


def test_the_tail_of_gigabytes_costs_little_memory(log: Path) -> None:
    with log.open("wb") as file:
        file.truncate(4 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast words\nand one more")

    tracemalloc.start()
    lines = tail(log)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert lines == ["last words", "and one more"]
    assert peak < 8 << 20


def test_marked_lines_of_a_long_log_are_found_in_bounded_memory(log: Path) -> None:
    with log.open("wb") as file:
        file.write(b'axk8s: {"step": 0}\n')
        file.truncate(128 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b'\raxk8s: {"step": 1}\n' + b"x" * (3 * LINE_LIMIT) + b'axk8s: {"step": 2}\nend')

    tracemalloc.start()
    scan = Scan(log)
    found = [line[-18:] for line in scan.marked()]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found == [f'axk8s: {{"step": {step}}}' for step in range(3)]
    assert scan.lines == 4
    assert peak < 32 << 20


def test_lines_are_numbered_over_blocks(log: Path) -> None:
    lines = [f"{number}:" + "x" * 997 for number in range(1, 3001)]
    log.write_text("\n".join(lines))

    scan = Scan(log)
    numbered = list(scan.all())

    assert [f"{number}:" for number, _ in numbered] == [line.split(":")[0] + ":" for _, line in numbered]
    assert (len(numbered), scan.lines, scan.complete) == (3000, 3000, False)


def test_both_streams_share_the_tail_and_stderr_goes_last() -> None:
    out, err = [f"out {n}" for n in range(20)], [f"err {n}" for n in range(20)]

    assert combine(out, err) == (*out[-10:], *err[-10:])
    assert combine(out, err[-3:]) == (*out[-17:], *err[-3:])
    assert combine(out[-3:], err) == (*out[-3:], *err[-17:])
    assert combine(out, []) == tuple(out)
    assert combine([], err) == tuple(err)
    assert combine([], []) == ()


def test_the_tail_stays_small_enough_for_a_journal_line(log: Path) -> None:
    log.write_text("".join(f"{number} {'é' * 10_000}\n" for number in range(20)))

    lines = combine(tail(log), [])

    assert sum(len(line.encode()) for line in lines) <= TAIL_BUDGET
    assert all(len(line) <= TAIL_WIDTH for line in lines)
    assert lines[-1].startswith("19 ")
