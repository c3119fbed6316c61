"""A function to minimize in an instant: standard library only, so any Python can run the job."""

from __future__ import annotations

import math


def quadratic(x: float, y: float, kind: str = "bowl", ripple: float = 0.0) -> float:
    """0 at (0.3, -0.2) for a bowl without ripples; a valley is steep in one direction and flat in the other."""
    dx, dy = x - 0.3, y + 0.2
    if kind == "valley":
        return 10 * (dx - dy) ** 2 + 0.1 * (dx + dy) ** 2 + ripple * (1 - math.cos(20 * dx))
    return dx**2 + dy**2
