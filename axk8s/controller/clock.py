"""The time of the world; tests and simulations bring clocks of their own."""

from __future__ import annotations

import time


class WallClock:
    """Unix seconds, as the controller's port `Clock`."""

    def now(self) -> float:
        return time.time()


WALL_CLOCK = WallClock()
