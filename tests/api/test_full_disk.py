"""A disk that is full in the middle of a sweep: a clear error, and nothing lost once there is room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from axk8s.api import Sweep
from axk8s.errors import Axk8sError

SWEEP = """\
name: full
command: "true"
parameters: {x: {type: float, min: 0, max: 1}}
objectives: [{metric: loss, direction: minimize}]
optimizer: random
trials: 40
parallelism: 2
"""
# Of no use to the model, but it takes the room: every trial leaves 64 KiB.
COMMAND = """sh -c 'head -c 65536 /dev/zero > "$AXK8S_OUTPUT_DIR"/blob; echo axk8s: "{{\\"loss\\": {x}}}"'"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "axk8s-test", place], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"this machine cannot mount a small file system: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_sweep_on_a_full_disk_says_so_and_goes_on_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(SWEEP.replace('"true"', ">-\n  " + COMMAND))
    sweep = Sweep.from_yaml(file, directory=small_disk)

    with pytest.raises(Axk8sError) as caught:
        sweep.run()

    assert "No space left on device" in str(caught.value)
    assert caught.value.hint
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    again = Sweep.from_yaml(file, directory=small_disk).run()
    assert again.summary.ended == 40
    assert [row.trial for row in sweep.trials()] == list(range(40))
    assert again.summary.outcomes.get("succeeded", 0) >= 30
