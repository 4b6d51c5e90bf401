"""Wording: numbers as people read them, each with its unit.

Spaces inside a figure do not break: a narrow screen never parts a number from its unit.
"""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime

NARROW = "\u202f"
FIRM = "\u00a0"


def byte_text(count: float) -> str:
    """Write a number of bytes with an SI unit: ``41.3 kB``."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{significant(count / size)}{FIRM}{unit}"
    return f"{count:.0f}{FIRM}B"


def significant(value: float) -> str:
    """Write three significant digits, and never a power of ten: ``41.3``, ``1 250``."""
    if abs(value) >= 100:
        return grouped(round(value))
    return f"{value:.3g}"


def grouped(count: int) -> str:
    """Write a whole number in groups of three digits: ``8 388 608``."""
    return f"{count:,}".replace(",", NARROW)


def counted(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun: ``1 copy``, ``3 copies``."""
    return f"{grouped(count)} {one if count == 1 else many or one + 's'}"


def number(value: float | None, digits: int) -> str:
    """Write a number with fixed digits; a dash where it is not defined."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def percent(share: float) -> str:
    """Write a share of 0–1 as per cent, ``27.8 %``."""
    return f"{number(100 * share, 1)}{FIRM}%"


def css_share(share: float) -> str:
    """Write a share of 0–1 as a CSS length; nothing where it is not defined."""
    return f"{100 * min(1.0, share):.3f}%" if math.isfinite(share) else "0%"


def seconds(spent: float) -> str:
    """Write a duration of a program: ``0.123 s``, ``12.3 s``."""
    return f"{spent:.3f}{FIRM}s" if spent < 1 else f"{spent:.1f}{FIRM}s"


def split_duration(spent: float | None) -> tuple[str, str]:
    """Return a duration as (number, unit) in the unit that reads best; a dash where unknown."""
    if spent is None or not math.isfinite(spent):
        return "–", ""
    if spent < 59.5:
        return f"{spent:.0f}", "s"
    if spent < 5370:
        return f"{spent / 60:.0f}", "min"
    if spent < 172_800:
        return f"{spent / 3600:.1f}", "h"
    return f"{spent / 86_400:.1f}", "days"


def duration(spent: float | None) -> str:
    """Write a duration: ``42 s``, ``47 min``, ``3.4 h``, ``5.2 days``."""
    return FIRM.join(part for part in split_duration(spent) if part)


def area(km2: float | None) -> str:
    """Write an area: ``164 km²``; a dash where it is not known."""
    return "–" if km2 is None else f"{significant(km2)}{FIRM}km²"


def moment(at_ms: int | None) -> str:
    """Write UTC milliseconds since 1970 to the minute: ``2026-07-14 10:21``."""
    if at_ms is None:
        return "–"
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def day(at_ms: int) -> str:
    """Write the date of UTC milliseconds since 1970: ``14 July 2026``."""
    when = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{when.day} {when:%B %Y}"


def data_uri(image: bytes) -> str:
    """Return a PNG, WebP or JPEG as a data URI (RFC 2397)."""
    kind = "jpeg"
    if image.startswith(b"\x89PNG"):
        kind = "png"
    elif image[:4] == b"RIFF":
        kind = "webp"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"
