"""Ctrl-C and SIGTERM while a sweep is driven: once leaves in order, twice at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType

_INTERRUPTED = 130
_SHOW_CURSOR = b"\x1b[?25h\n"


class Interrupts:
    """From `__enter__` to `__exit__` signals call `leave` instead of ending the process.

    Before `leave` is set (nothing is driven yet) they end it as usual, by KeyboardInterrupt. SIGHUP counts too, so
    that a closed terminal ends the controller in order; where it is ignored (`nohup`) it stays so.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.leave: Callable[[], None] | None = None
        self._seen = False
        self._before: dict[
            signal.Signals, signal.Handlers | Callable[[int, FrameType | None], object] | int | None
        ] = {}

    def __enter__(self) -> Interrupts:
        for number in self._SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN or number is not signal.SIGHUP:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _handle(self, *_signal: object) -> None:
        if self._seen:
            # Other threads may hold any lock: nothing but the cursor is put right.
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)
            os._exit(_INTERRUPTED)
        if self.leave is None:
            raise KeyboardInterrupt
        self._seen = True
        self.leave()
