"""Clusters that several test processes live in: made by the process that began the others, when the first one asks.

They ask and are answered by files in a folder whose name they inherit as a variable of the environment.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest

from tests.cluster import cluster as clusters
from tests.cluster.cluster import Cluster
from tests.cluster.deadline import until

FOLDER = "AXK8S_TEST_CLUSTERS"
GIVEN = "AXK8S_TEST_KUBECONFIG"
"""The variable that names somebody's own cluster, which is used instead."""
_LONGEST = 1500.0
"""Seconds that a cluster may take to be there: its images may have to be pulled."""
_PAUSE = 0.2


class Landlord:
    """Makes the clusters that are asked for, and deletes them when it is closed."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="axk8s-clusters-"))
        os.environ[FOLDER] = str(self._folder)
        self._closing = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._watching = threading.Thread(target=self._watch, name="landlord", daemon=True)
        self._watching.start()

    def close(self) -> None:
        self._closing.set()
        for thread in (self._watching, *self._threads.values()):
            thread.join(300)
        shutil.rmtree(self._folder, ignore_errors=True)
        del os.environ[FOLDER]

    def _watch(self) -> None:
        while not self._closing.wait(_PAUSE):
            for file in self._folder.glob("*.wanted"):
                if file.stem not in self._threads:
                    self._threads[file.stem] = threading.Thread(target=self._keep, args=(file.stem,), name=file.stem)
                    self._threads[file.stem].start()

    def _keep(self, name: str) -> None:
        folder = self._folder / name
        folder.mkdir()
        try:
            with clusters.own(folder) as made:
                _write(self._folder / f"{name}.made", made.to_json())
                self._closing.wait()
        except AssertionError as error:
            _write(self._folder / f"{name}.failed", str(error))


def ask(name: str) -> Cluster:
    """The cluster of this name, for any of the processes."""
    folder = Path(os.environ[FOLDER])
    (folder / f"{name}.wanted").touch()
    made, failed = folder / f"{name}.made", folder / f"{name}.failed"
    until(f"there is a cluster {name}", lambda: made.exists() or failed.exists(), _LONGEST)
    if failed.exists():
        pytest.fail(f"the cluster {name} could not be made: {failed.read_text('utf-8')}", pytrace=False)
    return Cluster.from_json(made.read_text("utf-8"))


def _write(file: Path, text: str) -> None:
    fresh = file.with_suffix(".part")
    fresh.write_text(text, "utf-8")
    fresh.replace(file)
