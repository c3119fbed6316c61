"""GPU leases between all jobs of this machine: one locked file a GPU. Standard library only.

A lease is an advisory lock (flock(2)) on a file that stands for the GPU. The kernel gives it back when the last process
that holds it has ended, however it ended. Files are readable by every user, and that is all a lock needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from axk8s.names import ENV_GPU_SLOTS_DIR

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"


class Gpu(NamedTuple):
    """One GPU that a job here may use."""

    token: str
    """What stands for it in `CUDA_VISIBLE_DEVICES`: an index, a UUID, a MIG name."""
    slot: str
    """Its name on this machine, the same whichever token another job uses for it."""


def directory(environment: Mapping[str, str]) -> Path:
    """Where the leases are: not under `TMPDIR`, which differs between users."""
    return Path(environment.get(ENV_GPU_SLOTS_DIR) or "/tmp/axk8s-gpu-slots")  # noqa: S108 - opened with care below


def gpus(environment: Mapping[str, str]) -> list[Gpu]:
    """The GPUs that this environment allows: those in `CUDA_VISIBLE_DEVICES`, or all when it is not set."""
    listed = _installed()
    given = environment.get(VISIBLE)
    if given is None:
        return [Gpu(str(index), uuid) for index, uuid in enumerate(listed)]
    found: list[Gpu] = []
    for name in (part.strip() for part in given.split(",")):
        if name in ("", "-1"):  # CUDA itself reads the list only up to the first name that is none
            break
        found.append(Gpu(name, _slot(name, listed)))
    return found


class Leases:
    """The slots that one job holds; they are open files, so a process that inherits them holds them too."""

    def __init__(self, directory: Path, allowed: list[Gpu], holder: str) -> None:
        self._directory = directory
        self._allowed = allowed
        self._holder = holder
        self._held: dict[str, int] = {}
        self._turn: int | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(self._held.values())

    def take(self, count: int) -> list[Gpu] | None:
        """`count` GPUs, or None when not that many are free now: nothing is held while one waits, so nobody deadlocks.

        Jobs with the same GPUs take turns: whoever waits for two is not starved by those that want one.
        """
        self._directory_made()
        if self._turn is None:
            turn = self._opened("turn-" + "-".join(sorted(_safe(gpu.slot) for gpu in self._allowed))[:200])
            if not _locked(turn):
                os.close(turn)
                return None
            self._turn = turn
        taken: list[Gpu] = []
        for gpu in self._allowed:
            if len(taken) == count:
                break
            descriptor = self._opened(f"gpu-{_safe(gpu.slot)}")
            if _locked(descriptor):
                self._held[gpu.slot] = descriptor
                taken.append(gpu)
            else:
                os.close(descriptor)
        if len(taken) < count:
            self._give_back()
            return None
        self._end_turn()
        for descriptor in self._held.values():
            # Only for the sentence that others show while they wait; another user's file may not be ours to write.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, self._holder.encode(), 0)
        return taken

    def holders(self) -> list[str]:
        """Who has the GPUs that this job may use, as far as they can be read."""
        found: list[str] = []
        for gpu in self._allowed:
            with contextlib.suppress(OSError):
                descriptor = self._opened(f"gpu-{_safe(gpu.slot)}")
                try:
                    if not _locked(descriptor):
                        name = os.pread(descriptor, 400, 0).decode(errors="replace").strip()
                        if name and name not in found:
                            found.append(name)
                finally:
                    os.close(descriptor)
        return found

    def release(self) -> None:
        """Give all back now, also where a process that outlived the job still has the files open."""
        self._give_back()
        self._end_turn()

    def _give_back(self) -> None:
        for descriptor in self._held.values():
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
        self._held.clear()

    def _end_turn(self) -> None:
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None

    def _directory_made(self) -> None:
        try:
            self._directory.mkdir(parents=True)
        except FileExistsError:
            return
        self._directory.chmod(0o1777)

    def _opened(self, name: str) -> int:
        path = self._directory / name
        flags = os.O_CLOEXEC | os.O_NOFOLLOW
        # Opened before created: Linux refuses O_CREAT on another user's file in such a directory (protected_regular).
        for attempt in (os.O_RDWR, os.O_RDONLY):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                return os.open(path, attempt | flags)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, 0o666)
        except FileExistsError:
            return os.open(path, os.O_RDONLY | flags)
        os.fchmod(descriptor, 0o666)
        return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _slot(token: str, listed: list[str]) -> str:
    if token.isdecimal():
        return listed[int(token)] if int(token) < len(listed) else token
    # CUDA accepts the beginning of a UUID where only one GPU's begins so.
    matches = [uuid for uuid in listed if uuid.startswith(token)]
    return matches[0] if len(matches) == 1 else token


def _safe(slot: str) -> str:
    return "".join(char if char.isalnum() or char in "-." else "_" for char in slot)


def _installed() -> list[str]:
    """The UUIDs of this machine's NVIDIA GPUs, in the order of their PCI addresses."""
    found: list[str] = []
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with contextlib.suppress(OSError):
            for line in information.read_text(encoding="utf-8").splitlines():
                name, _, value = line.partition(":")
                if name.strip() == "GPU UUID":
                    found.append(value.strip())
    if found:
        return found
    try:
        command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []  # no driver, no GPUs; a driver that does not answer has none to give either
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
