"""A desk at which a test submits real jobs to this machine; nothing that it started outlives the test."""

from __future__ import annotations

import os
import queue
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torchx.specs import AppDef, Resource, Role

from axk8s.names import ENV_GPU_SLOTS_DIR, ENV_STATE_DIR
from axk8s.schedulers.local import record
from axk8s.schedulers.local.observer import LocalObserver
from axk8s.schedulers.local.scheduler import LocalScheduler
from axk8s.sweep.model import JobView, Phase

PATIENCE = 60.0


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scheduler = LocalScheduler("session")
        self.views: list[JobView] = []
        self._queue: queue.Queue[JobView] = queue.Queue()
        self.observer = LocalObserver(self._queue.put)

    def role(self, script: str, **fields: Any) -> Role:
        """A role that runs a Python script."""
        gpu = fields.pop("gpu", 0)
        return Role(
            name=fields.pop("name", "main"),
            image="",
            entrypoint=sys.executable,
            args=["-u", "-c", script],
            resource=Resource(cpu=1, gpu=gpu, memMB=10),
            **fields,
        )

    def shell(self, script: str, **fields: Any) -> Role:
        """A role that runs a shell script, which starts faster."""
        role = self.role(script, **fields)
        role.entrypoint, role.args = "/bin/sh", ["-c", script]
        return role

    def submit(self, *roles: Role, name: str = "job", **cfg: Any) -> str:
        app = AppDef(name, roles=list(roles))
        options = {"name": name, "folder": str(self.folder / name), **cfg}
        return str(self.scheduler.submit(app, options))

    def follow(self, name: str = "job") -> None:
        self.observer.follow(name, self.folder / name)

    def view(self, name: str, *phases: Phase) -> JobView:
        """The first view of this job in one of these phases, as the observer reports it."""
        while True:
            for view in self.views:
                if view.job == name and view.phase in phases:
                    return view
            self.views.append(self._queue.get(timeout=PATIENCE))

    def running(self, name: str = "job") -> JobView:
        self.follow(name)
        return self.view(name, Phase.RUNNING)

    def ended(self, name: str = "job") -> JobView:
        self.follow(name)
        return self.view(name, Phase.ENDED, Phase.LOST)

    def line(self, text: str, name: str = "job", role: str = "main", k: int = 0) -> str:
        """Wait for a line of output with this text."""
        for line in self.scheduler.log_iter(name, role, k, should_tail=True):
            if text in line:
                return str(line)
        raise AssertionError(f"{name} ended without saying {text}")

    def text(self, log: str = "stdout.log", name: str = "job") -> str:
        return (self.folder / name / log).read_text()

    def gone(self, pid: int) -> None:
        """Wait for the end of any process, ours or not."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            assert select.select([descriptor], [], [], PATIENCE)[0], f"process {pid} lives on"
        finally:
            os.close(descriptor)

    def close(self) -> None:
        waiting = []
        for folder in (path.parent for path in self.folder.glob("*/job.json")):
            found = record.read(folder)
            if found is not None and found.exit is None:
                self.scheduler.cancel(found.app_id)
                record.cancel(folder)
                waiting.append(folder.name)
        for name in waiting:
            self.views = [view for view in self.views if view.job != name]
            self.follow(name)
        for name in waiting:
            self.view(name, Phase.ENDED, Phase.LOST)
        self.observer.close()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees or leaves anything in the user's own register, or in the machine's GPU slots."""
    monkeypatch.setenv(ENV_STATE_DIR, str(tmp_path / "state"))
    monkeypatch.setenv(ENV_GPU_SLOTS_DIR, str(tmp_path / "slots"))
    return tmp_path / "state"


@pytest.fixture
def desk(tmp_path: Path, state: Path) -> Iterator[Desk]:
    folder = tmp_path / "jobs"
    folder.mkdir()
    found = Desk(folder)
    yield found
    found.close()
