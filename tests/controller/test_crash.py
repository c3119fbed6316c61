"""Killed with SIGKILL at every single point, started again: the numbers are right and nothing is left behind."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from axk8s.folder import SweepFolder
from axk8s.journal import fold_file, read
from axk8s.sweep.model import Category, Outcome
from axk8s.sweep.records import PhaseChanged
from axk8s.sweep.state import State
from tests.cluster.deadline import until
from tests.controller.drive import Drivers

TRIALS = 3
_TOGETHER = 3
"""Sweeps at a time."""
SWEEP = """
name: crash
function: train.py:train
parameters:
  x: {type: float, min: 0, max: 1}
objectives: [{metric: loss, direction: minimize}]
optimizer: random
trials: 3
parallelism: 2
retries: 1
"""
TRAIN = """
import os, time
from axk8s import report

def train(x):
    with open(os.path.join(os.path.dirname(__file__), RUNS), "a") as file:
        file.write(os.environ["AXK8S_TRIAL"] + "." + os.environ["AXK8S_ATTEMPT"] + "\\n")
    # Long enough that a controller is killed and another one started while this runs.
    time.sleep(0.6)
    report(loss=x)
"""


@pytest.fixture(scope="module")
def drivers() -> Iterator[Drivers]:
    made = Drivers(_TOGETHER)
    yield made
    made.close()


@dataclass
class Case:
    """One sweep in a folder of its own."""

    root: Path
    drivers: Drivers

    def __post_init__(self) -> None:
        self.root.mkdir()
        (self.root / "sweep.yaml").write_text(SWEEP)
        runs = self.root / "runs"
        (self.root / "train.py").write_text(TRAIN.replace("RUNS", repr(str(runs))))

    @property
    def folder(self) -> SweepFolder:
        return SweepFolder(self.root / "sweeps" / "crash")

    def drive(self, kind: str = "never", count: int = 0) -> int:
        code = self.drivers.drive(self.root, kind, count, AXK8S_STATE_DIR=str(self.root / "state"))
        assert code in (0, -signal.SIGKILL), (self.root / "controller.out").read_text()
        return code

    def state(self) -> State:
        return fold_file(self.folder.journal)

    def check(self) -> None:
        """Everything that has to hold after the last controller has returned."""
        state = self.state()
        assert len(state.trials) == TRIALS
        assert state.counts == {Outcome.SUCCEEDED: TRIALS}
        runs = (self.root / "runs").read_text().split()
        assert sorted(runs) == [f"{number}.0" for number in range(TRIALS)], "an attempt ran twice, or not at all"
        assert not state.undeleted
        assert all(a.diagnosis and a.diagnosis.category is Category.SUCCEEDED for t in state.trials for a in t.attempts)
        # The nursery of a controller that was killed ends when it sees that.
        until("nothing is left behind", lambda: not leftovers(self.root))


def leftovers(root: Path) -> list[str]:
    """Processes whose environment or command line names this test's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(root).encode() in text:
            found.append(f"{entry.name}: {(entry / 'cmdline').read_bytes()!r}")
    return found


def enumerate_kills(drivers: Drivers, tmp_path: Path, kind: str, at_least: int) -> None:
    def one(count: int) -> bool:
        case = Case(tmp_path / f"{kind}-{count}", drivers)
        killed = case.drive(kind, count) == -signal.SIGKILL
        if killed:
            assert case.drive() == 0
        case.check()
        return killed

    killed = 0
    with ThreadPoolExecutor(_TOGETHER) as pool:
        for start in range(1, 200, _TOGETHER):
            answers = list(pool.map(one, range(start, start + _TOGETHER)))
            killed += sum(answers)
            if not all(answers):
                break
    assert killed >= at_least, "the bomb went off less often than there are points to be killed at"


@pytest.mark.timeout(600)
def test_a_kill_after_every_journal_write_leaves_exactly_the_trials_asked_for(drivers: Drivers, tmp_path: Path) -> None:
    # controller, and per trial: suggested, submitting, submitted, running, ended, diagnosed, outcome, deleted; finished
    enumerate_kills(drivers, tmp_path, "journal", 1 + 7 * TRIALS + 1)


@pytest.mark.timeout(600)
def test_a_kill_after_every_side_effect_and_before_its_record_does_too(drivers: Drivers, tmp_path: Path) -> None:
    # per trial: render, submit, harvest, delete
    enumerate_kills(drivers, tmp_path, "effect", 4 * TRIALS)


def test_two_kills_in_a_row_do_too(drivers: Drivers, tmp_path: Path) -> None:
    case = Case(tmp_path / "twice", drivers)
    for bomb in (("journal", 6), ("journal", 3), ("effect", 2)):
        case.drive(*bomb)
    assert case.drive() == 0

    case.check()


def test_running_jobs_are_found_again_with_the_same_process(drivers: Drivers, tmp_path: Path) -> None:
    case = Case(tmp_path / "adopt", drivers)
    # The ninth record: both first jobs are submitted, at least one is seen running.
    assert case.drive("journal", 9) == -signal.SIGKILL
    before = pids(case)
    assert before

    assert case.drive() == 0

    after = pids(case)
    assert all(after[key] == pids_of_key for key, pids_of_key in before.items())
    case.check()


def pids(case: Case) -> dict[tuple[int, int], set[int]]:
    found: dict[tuple[int, int], set[int]] = {}
    for record in read(case.folder.journal):
        if isinstance(record, PhaseChanged) and record.pid is not None:
            found.setdefault((record.trial, record.attempt), set()).add(record.pid)
    return found
