"""GPU leases never overlap, whichever process asks and whatever it calls the GPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from axk8s.schedulers.local import process, record
from axk8s.schedulers.local.slots import Gpu, Leases, gpus
from axk8s.sweep.model import Phase

if TYPE_CHECKING:
    from tests.schedulers.local.conftest import Desk


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("0,1", ["0", "1"]),
        ("3", ["3"]),
        ("", []),
        ("-1", []),
        ("0,-1,2", ["0"]),
        ("GPU-abc, MIG-1", ["GPU-abc", "MIG-1"]),
    ],
)
def test_the_inherited_list_is_read_as_cuda_reads_it(visible: str, names: list[str]) -> None:
    assert [gpu.token for gpu in gpus({"CUDA_VISIBLE_DEVICES": visible})] == names


def test_without_a_list_all_gpus_of_the_machine_count_and_a_number_is_the_same_as_a_uuid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands in for the driver's own tool, which this machine may not have.
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf 'GPU-aa11\\nGPU-bb22\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert gpus({}) == [Gpu("0", "GPU-aa11"), Gpu("1", "GPU-bb22")]
    assert gpus({"CUDA_VISIBLE_DEVICES": "1"}) == [Gpu("1", "GPU-bb22")]
    assert gpus({"CUDA_VISIBLE_DEVICES": "GPU-bb"}) == [Gpu("GPU-bb", "GPU-bb22")]


def leases(tmp_path: Path, holder: str, *names: str) -> Leases:
    return Leases(tmp_path / "leases", [Gpu(name, name) for name in names], holder)


def test_a_lease_is_exclusive_until_it_is_released(tmp_path: Path) -> None:
    first, second = leases(tmp_path, "first", "0", "1"), leases(tmp_path, "second", "0", "1")
    assert first.take(1) == [Gpu("0", "0")]
    assert second.take(2) is None
    assert second.holders() == ["first"]
    first.release()
    assert second.take(2) == [Gpu("0", "0"), Gpu("1", "1")]
    second.release()


def test_one_that_wants_two_is_not_overtaken_by_those_that_want_one(tmp_path: Path) -> None:
    first, big, small = (leases(tmp_path, name, "0", "1") for name in ("first", "big", "small"))
    assert first.take(1)
    assert big.take(2) is None
    assert small.take(1) is None
    first.release()
    assert big.take(2)
    big.release()
    assert small.take(1)
    small.release()


def test_one_that_gives_up_waiting_lets_the_next_one_try(tmp_path: Path) -> None:
    first, big, small = (leases(tmp_path, name, "0", "1") for name in ("first", "big", "small"))
    assert first.take(1)
    assert big.take(2) is None
    big.release()
    assert small.take(1) == [Gpu("1", "1")]
    first.release()
    small.release()


def test_those_that_may_use_other_gpus_do_not_wait(tmp_path: Path) -> None:
    first, other = leases(tmp_path, "first", "0"), leases(tmp_path, "other", "1")
    assert first.take(1)
    assert other.take(1)
    first.release()
    other.release()


def test_the_kernel_gives_a_dead_holders_lease_back(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom axk8s.schedulers.local.slots import Gpu, Leases\n"
        "held = Leases(Path(sys.argv[1]), [Gpu('0', '0')], 'dead'); assert held.take(1); print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "leases")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        mine = leases(tmp_path, "mine", "0")
        assert mine.take(1) is None
        holder.send_signal(signal.SIGKILL)
    assert mine.take(1)
    mine.release()


def test_leases_are_open_to_other_users(tmp_path: Path) -> None:
    mine = leases(tmp_path, "mine", "0")
    mine.take(1)
    mine.release()
    assert (tmp_path / "leases").stat().st_mode & 0o7777 == 0o1777
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "leases").iterdir()} == {0o666}


SUBMIT = """
import sys
from torchx.specs import AppDef, Resource, Role
from axk8s.schedulers.local.scheduler import LocalScheduler
folder, name = sys.argv[1:]
# Takes the lock of each GPU that it was given, which nobody else may have at that time.
script = '''
for gpu in $$(echo "$$CUDA_VISIBLE_DEVICES" | tr , ' '); do
    mkdir busy-$$gpu || exit 1
    echo "$$gpu"
done
sleep 0.05
for gpu in $$(echo "$$CUDA_VISIBLE_DEVICES" | tr , ' '); do rmdir busy-$$gpu; done
'''
for number in range(6):
    resource = Resource(cpu=1, gpu=1 + number % 2, memMB=1)
    role = Role("main", "", entrypoint="/bin/sh", args=["-c", script], resource=resource)
    job = f"{name}-{number}"
    LocalScheduler("s").submit(AppDef(job, roles=[role]), {"name": job, "folder": f"{folder}/{job}", "cwd": folder})
"""


def test_leases_of_two_submitters_in_different_processes_never_overlap(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    submitters = [subprocess.Popen([sys.executable, "-c", SUBMIT, str(desk.folder), name]) for name in "ab"]
    assert [submitter.wait() for submitter in submitters] == [0, 0]
    for name in (f"{letter}-{number}" for letter in "ab" for number in range(6)):
        view = desk.ended(name)
        assert view.exit is not None
        assert view.exit.code == 0, desk.text("stderr.log", name)
        used = desk.text("stdout.log", name).split()
        assert len(used) == 1 + int(name[-1]) % 2
        assert set(used) <= {"5", "7"}


def test_a_job_without_a_free_gpu_is_queued_says_why_and_can_be_cancelled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    desk.submit(desk.shell("exec sleep 600", gpu=1), name="holder")
    desk.running("holder")
    desk.submit(desk.shell("true", gpu=1), name="waiter")
    desk.follow("waiter")
    assert desk.view("waiter", Phase.QUEUED).reason == "waits for a GPU slot, held by holder"
    described = desk.scheduler.describe("waiter")
    assert described is not None
    assert (described.state.name, described.msg) == ("PENDING", "waits for a GPU slot, held by holder")
    desk.scheduler.cancel("waiter")
    view = desk.ended("waiter")
    assert view.exit is not None
    assert (view.exit.cause, view.started_at, view.pid) == ("cancelled", None, None)


def test_each_replica_gets_its_own_gpus(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,4,6")
    show = 'echo "$$CUDA_VISIBLE_DEVICES"'
    desk.submit(desk.shell(show, gpu=1, num_replicas=2), desk.shell(show, name="cpu"))
    desk.ended()
    assert [desk.text(f"{name}/stdout.log").strip() for name in ("main-0", "main-1", "cpu-0")] == ["2", "4", "2,4,6"]


def test_shared_gpus_are_not_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    desk.submit(desk.shell("exec sleep 600", gpu=1), name="holder")
    desk.running("holder")
    desk.submit(desk.shell('echo "$$CUDA_VISIBLE_DEVICES"', gpu=1), name="guest", share_gpus=True)
    desk.ended("guest")
    assert desk.text(name="guest") == "0\n"


def test_a_killed_supervisors_gpu_is_not_free_while_a_process_may_still_use_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    # The child of the replica does not die with the supervisor; nobody has cleaned up yet.
    desk.submit(desk.shell("sleep 600 & echo $$!; wait", gpu=1))
    child = int(desk.line(""))
    pid = desk.running().pid
    found = record.read(desk.folder / "job")
    assert found is not None
    assert pid is not None
    desk.observer.close()
    process.send(found.supervisor, signal.SIGKILL)
    desk.gone(pid)
    other = Leases(tmp_path / "slots", [Gpu("0", "0")], "other")
    assert other.take(1) is None
    assert record.read(desk.folder / "job") is not None  # whoever looks settles it
    desk.gone(child)
    assert other.take(1)
    other.release()
