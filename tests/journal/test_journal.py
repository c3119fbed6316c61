"""The journal on a real disk: what was committed stays, a torn end is dropped, other damage is named."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from axk8s.errors import JournalError
from axk8s.journal import Journal, fold_file, read
from axk8s.sweep.records import Began, Noticed, Record, Suggested

BEGAN = Began(time=1.0, uid="a" * 32, name="s", spec={}, base="/")


def notice(number: int) -> Noticed:
    return Noticed(time=float(number), text=f"notice {number}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def write(path: Path, *records: Record) -> None:
    with Journal(path) as journal:
        for record in records:
            journal.append(record)
        journal.commit()


def test_what_was_committed_is_read_back_in_order(path: Path) -> None:
    write(path, BEGAN, notice(1))
    write(path, notice(2))

    assert list(read(path)) == [BEGAN, notice(1), notice(2)]


def test_what_was_not_committed_is_not_there(path: Path) -> None:
    with Journal(path) as journal:
        journal.append(BEGAN)

    assert path.read_bytes() == b""


def test_a_journal_cut_anywhere_gives_the_records_before_the_cut_and_can_go_on(path: Path) -> None:
    records: list[Record] = [BEGAN, notice(1), notice(2)]
    write(path, *records)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        complete = whole[:cut].count(b"\n")

        assert list(read(path)) == records[:complete]
        write(path, notice(9))
        assert list(read(path)) == [*records[:complete], notice(9)]


def test_a_torn_line_longer_than_a_block_is_dropped(path: Path) -> None:
    write(path, BEGAN)
    with path.open("ab") as file:
        file.write(b'{"type": "notice", "text": "' + b"x" * 200_000)

    write(path, notice(1))

    assert list(read(path)) == [BEGAN, notice(1)]


@pytest.mark.parametrize("damage", [b"\x00\x00\x00\n", b"{}\n", b'{"type":"nonsense"}\n', b"\xff\xfe\n", b"\n"])
def test_damage_in_the_middle_is_named_by_line_and_changes_nothing(path: Path, damage: bytes) -> None:
    write(path, BEGAN, notice(1))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + damage + lines[1])
    before = path.read_bytes()

    with pytest.raises(JournalError, match=r"journal\.jsonl:2:"):
        fold_file(path)

    assert path.read_bytes() == before


def test_records_that_contradict_each_other_are_named_by_line(path: Path) -> None:
    write(path, BEGAN, Suggested(time=1.0, trial=1, parameters={}, generator="g"))

    with pytest.raises(JournalError, match=r"journal\.jsonl:2: .*trial 1 where 0 is next") as caught:
        fold_file(path)

    assert "--fresh" in caught.value.hint


def test_a_second_sweep_in_the_file_is_refused(path: Path) -> None:
    write(path, BEGAN, BEGAN)

    with pytest.raises(JournalError, match="two sweeps"):
        fold_file(path)


def test_no_journal_and_an_empty_one_are_told_apart(path: Path) -> None:
    with pytest.raises(JournalError, match="no journal"):
        fold_file(path)
    path.touch()
    with pytest.raises(JournalError, match="no complete record"):
        fold_file(path)


def test_a_full_disk_loses_nothing_and_goes_on_when_there_is_room(path: Path) -> None:
    """The file-size limit of the process stands for the disk's: the same short write, the same OSError."""
    program = f"""
import resource, signal
from pathlib import Path
from axk8s.errors import JournalError
from axk8s.journal import Journal, read
from axk8s.sweep.records import Began, Noticed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path({str(path)!r})
journal = Journal(path)
journal.append(Began(time=1.0, uid="a" * 32, name="s", spec={{}}, base="/"))
journal.commit()
before = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, resource.RLIM_INFINITY))
journal.append(Noticed(time=2.0, text="one"))
try:
    journal.commit()
except JournalError as error:
    assert "File too large" in error.message and error.hint, error
else:
    raise SystemExit("no error")
assert path.read_bytes() == before
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append(Noticed(time=3.0, text="two"))
journal.commit()
assert [r.kind for r in read(path)] == ["began", "notice", "notice"]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY


def test_a_commit_outlives_a_kill(path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from axk8s.journal import Journal
from axk8s.sweep.records import Began, Noticed
journal = Journal(Path({str(path)!r}))
journal.append(Began(time=1.0, uid="a" * 32, name="s", spec={{}}, base="/"))
journal.commit()
journal.append(Noticed(time=2.0, text="lost"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)

    assert done.returncode == -signal.SIGKILL
    assert list(read(path)) == [BEGAN]


def test_a_folder_in_place_of_the_journal_is_an_error_of_ours(path: Path) -> None:
    path.mkdir()

    with pytest.raises(JournalError, match="cannot be read"):
        list(read(path))
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(path)


def test_the_file_descriptor_is_not_inherited_and_closing_twice_is_fine(path: Path) -> None:
    journal = Journal(path)
    assert not os.get_inheritable(journal._fd)
    journal.close()
    journal.close()
