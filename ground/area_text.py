"""Areas in words."""

from __future__ import annotations

import math


def area_text(square_metres: float) -> str:
    """An area with the unit that reads best."""
    if not math.isfinite(square_metres):
        return "not known"
    if square_metres >= 1e5:
        return f"{square_metres / 1e6:.2f} km²"
    return f"{square_metres / 1e4:.2f} ha" if square_metres >= 1e3 else f"{square_metres:.0f} m²"
