"""Controllers that are played: each looks at what there is again and again, and does the next thing to it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from axk8s.kube.client import Kube
from axk8s.kube.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError

LATE = (ConflictError, NotFoundError, InvalidError, ForbiddenError)
"""What is said to a controller that is late: the object has changed, is gone, or its namespace is."""
_PAUSE = 0.25


class Player(ABC):
    """A controller for one namespace, in a thread of its own."""

    def __init__(self, admin: Kube) -> None:
        self._admin = admin
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__module__, daemon=True)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Play meanwhile."""
        self._thread.start()
        try:
            yield
        finally:
            self._closing.set()
            self._thread.join(30)

    def _run(self) -> None:
        while not self._closing.wait(_PAUSE):
            with suppress(*LATE):  # it looks different next time
                self.look()

    @abstractmethod
    def look(self) -> None:
        """Do the next thing to each object."""
