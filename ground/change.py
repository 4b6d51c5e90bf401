"""Change: what is otherwise on the second of two dates of one place.

What was not observed on a date is never counted as change: it is a class of its own. And a map lies
on the ground only as well as its camera knew where it looked. A shift by the error of position
moves every shore, and so makes strips along them that look like change. A change is therefore set
aside as *within the error of position* where no disc as wide as one standard deviation of the two
positions against each other fits into it, and where the other date shows the same within that
distance: a narrow strip along an old shore is set aside, a new pond is not, however small.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pyproj import Geod

from ground import palette
from ground.grids import OUTSIDE, brought, common_grid, pixel_m, same_lattice
from ground.palette import U8
from ground.place import pixel_to_lonlat
from ground.seen import Seen
from onboard import classes
from onboard.errors import ProductError
from onboard.georef import Georef

Flags = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]

CELL = 64
"""Side in pixels of the squares whose area is measured on the ellipsoid."""
WIDEST = 200
"""Error of position in pixels up to which strips are measured; beyond it every change is one."""


class Kind(enum.IntEnum):
    """What happened to a pixel; the values of the map of change."""

    DRY = 0
    STAYED = 1
    NEW = 2
    RECEDED = 3
    NEW_UNSURE = 4
    RECEDED_UNSURE = 5
    HIDDEN = 6
    SHOWN = 7
    PERMANENT = 8
    FALLEN = 9
    UNSEEN = 254
    OUTSIDE = 255

    def text(self, subject: str) -> str:
        """What it is called where the water is ``subject``, flood or water."""
        return _TEXTS[self].format(subject)


_TEXTS = {
    Kind.DRY: "dry on both dates",
    Kind.STAYED: "{} on both dates",
    Kind.NEW: "new {}",
    Kind.RECEDED: "{} receded",
    Kind.NEW_UNSURE: "new {}, within the error of position",
    Kind.RECEDED_UNSURE: "{} receded, within the error of position",
    Kind.HIDDEN: "became not observed",
    Kind.SHOWN: "became observed",
    Kind.PERMANENT: "permanent water",
    Kind.FALLEN: "permanent water, now dry",
    Kind.UNSEEN: "observed on neither date",
    Kind.OUTSIDE: "outside one of the maps",
}


class Amount(NamedTuple):
    """How much of the overlap is of one kind.

    Attributes:
        pixels: of the common grid.
        area_m2: on the ellipsoid WGS 84.
        share: of the pixels of the overlap that both dates observed; of all pixels of the overlap
            for what one of them did not observe. NaN where there are none.
    """

    pixels: int
    area_m2: float
    share: float


@dataclass(frozen=True, eq=False)
class Change:
    """What is otherwise on the second date.

    Attributes:
        before, after: the dates.
        georef: the common grid.
        kinds: uint8 ``(H, W)`` of `Kind`.
        subject: ``"flood"`` where both dates tell permanent water apart by one reference.
        sigma_m: one standard deviation of the positions against each other, metres.
        hidden_water_m2: water of the first date where the second did not observe.
        shown_water_m2: water of the second date where the first did not observe.
        notes: what a person should know.
    """

    before: Seen
    after: Seen
    georef: Georef
    kinds: U8
    subject: str
    sigma_m: float
    amounts: dict[Kind, Amount]
    hidden_water_m2: float
    shown_water_m2: float
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "before": _date_json(self.before),
            "after": _date_json(self.after),
            "subject": self.subject,
            "crs": self.georef.crs,
            "width": self.georef.width,
            "height": self.georef.height,
            "transform": list(self.georef.transform),
            "position_sigma_m": self.sigma_m,
            "kinds": {
                kind.name.lower(): {
                    "value": int(kind),
                    "text": kind.text(self.subject),
                    "pixels": amount.pixels,
                    "area_m2": amount.area_m2,
                    "share": None if math.isnan(amount.share) else amount.share,
                }
                for kind, amount in self.amounts.items()
            },
            "water_that_became_not_observed_m2": self.hidden_water_m2,
            "water_that_became_observed_m2": self.shown_water_m2,
            "notes": list(self.notes),
        }


def _date_json(seen: Seen) -> dict[str, Any]:
    return {
        "name": seen.name,
        "acquired": seen.acquired or None,
        "subject": seen.subject,
        "reference": seen.reference or None,
        "position_sigma_m": seen.sigma_m,
    }


def compare(before: Seen, after: Seen, sigma_m: float | None = None) -> Change:
    """Compare two dates of a place.

    Args:
        before: the first date.
        after: the second.
        sigma_m: one standard deviation of the positions against each other, metres; by what the
            two dates say of themselves where None.

    Raises:
        ProductError: they do not overlap.
        FrameError: one of them lies nowhere on Earth.
    """
    georef = common_grid(before.georef, after.georef)
    if georef is None:
        raise _apart(before, after)
    one, two = (brought(seen.mask, seen.georef, georef) for seen in (before, after))
    inside = (one != OUTSIDE) & (two != OUTSIDE)
    if not inside.any():
        raise _apart(before, after)
    flood, notes = _flood(before, after)
    if not flood:
        one, two = (np.where(m == palette.PERMANENT, classes.WATER, m) for m in (one, two))
    sigma, more = position_sigma(before, after, sigma_m)
    kinds = _kinds(one.astype(np.uint8), two.astype(np.uint8), inside, sigma / pixel_m(georef))
    areas = pixel_areas(georef)
    return Change(
        before,
        after,
        georef,
        kinds,
        "flood" if flood else "water",
        sigma,
        _amounts(kinds, areas),
        _sum_m2((kinds == Kind.HIDDEN) & _wet(one), areas),
        _sum_m2((kinds == Kind.SHOWN) & _wet(two), areas),
        (*notes, *more),
    )


def _apart(before: Seen, after: Seen) -> ProductError:
    return ProductError(
        f"{before.name} and {after.name}: do not overlap ({_where(before)} and {_where(after)}); "
        "give two dates of one place"
    )


def _where(seen: Seen) -> str:
    middle = np.array([seen.georef.width / 2]), np.array([seen.georef.height / 2])
    lon, lat = pixel_to_lonlat(seen.georef, *middle)
    return f"around {lat[0]:.4f}, {lon[0]:.4f}"


def _flood(before: Seen, after: Seen) -> tuple[bool, list[str]]:
    """Whether flood can be told from permanent water on both dates, and why not."""
    subjects = {before.subject, after.subject}
    if subjects == {"water"}:
        return False, []
    if subjects == {"water", "flood"}:
        return False, ["only one date tells permanent water apart: all of it is called water"]
    if before.reference != after.reference:
        return False, [
            f"the dates were held to two permanent-water references ({before.reference[:12]} and "
            f"{after.reference[:12]}): all of it is called water"
        ]
    return True, []


def position_sigma(before: Seen, after: Seen, given: float | None) -> tuple[float, list[str]]:
    """One standard deviation of two positions against each other in metres, and notes on it.

    Where the grids differ, nearest neighbour moves things by up to half a pixel either way: a
    uniform error, whose variance is a twelfth of the squared pixel.
    """
    if given is not None:
        return given, []
    notes = [
        f"{seen.name}: how well its position is known is not said; taken as exact, "
        "see --position-error"
        for seen in (before, after)
        if seen.sigma_m is None
    ]
    squares = [(seen.sigma_m or 0.0) ** 2 for seen in (before, after)]
    if not same_lattice(before.georef, after.georef):
        squares.append(max(pixel_m(before.georef), pixel_m(after.georef)) ** 2 / 12)
    return math.sqrt(sum(squares)), notes


def _wet(mask: U8) -> Flags:
    wet: Flags = (mask == classes.WATER) | (mask == palette.PERMANENT)
    return wet


def _kinds(one: U8, two: U8, inside: Flags, sigma_px: float) -> U8:
    """The map of change of two masks on one grid."""
    seen = [_wet(mask) | (mask == classes.LAND) for mask in (one, two)]
    wet = [_wet(mask) for mask in (one, two)]
    both = seen[0] & seen[1]
    permanent = (one == palette.PERMANENT) | (two == palette.PERMANENT)
    new, receded = both & ~wet[0] & wet[1], both & wet[0] & ~wet[1]
    kinds = np.full(one.shape, Kind.DRY, np.uint8)
    kinds[both & wet[0] & wet[1]] = Kind.STAYED
    kinds[new] = Kind.NEW
    kinds[receded] = Kind.RECEDED
    kinds[within_error(new & ~permanent, seen[0] & wet[0], sigma_px)] = Kind.NEW_UNSURE
    dry = seen[0] & ~wet[0]
    kinds[within_error(receded & ~permanent, dry, sigma_px)] = Kind.RECEDED_UNSURE
    kinds[both & permanent] = Kind.PERMANENT
    kinds[both & permanent & receded] = Kind.FALLEN
    kinds[seen[0] & ~seen[1]] = Kind.HIDDEN
    kinds[~seen[0] & seen[1]] = Kind.SHOWN
    kinds[~seen[0] & ~seen[1]] = Kind.UNSEEN
    kinds[~inside] = Kind.OUTSIDE
    return kinds


# --- the error of position ------------------------------------------------------------------


def within_error(changed: Flags, before: Flags, sigma_px: float) -> Flags:
    """Which pixels of a change a shift of the map would explain.

    Args:
        changed: bool ``(H, W)``, of one kind of change.
        before: bool ``(H, W)``, where the first date shows what the second one shows there.
        sigma_px: one standard deviation of the shift, pixels.

    Returns:
        bool ``(H, W)``: no disc of the diameter ``sigma_px`` that lies in ``changed`` holds the
        pixel, and ``before`` is no further away than that.
    """
    if sigma_px <= 1.0 or not changed.any():
        return np.zeros_like(changed)
    near = dilated(before, disc(2 * min(math.ceil(sigma_px), WIDEST) + 1)) & changed
    if sigma_px > WIDEST:
        return near
    return near & ~opened(changed, disc(math.ceil(sigma_px)))


def disc(diameter: int) -> list[tuple[int, int]]:
    """First column and length of each row of a disc, as pixels show it."""
    middle, radius = (diameter - 1) / 2, diameter / 2
    rows = []
    for row in range(diameter):
        half = math.sqrt(max(0.0, radius**2 - (row - middle) ** 2))
        first = math.ceil(middle - half - 1e-9)
        rows.append((first, diameter - 2 * first))
    return rows


def opened(flags: Flags, element: list[tuple[int, int]]) -> Flags:
    """Opening: all places of the element that lie within what is true, ``(H, W)``.

    Beyond the frame's edge everything counts as true: a change goes on there.
    """
    size = len(element)
    padded = np.pad(flags, size, constant_values=True)
    eroded = _swept(padded, element, every=True)
    grown = _swept(eroded, [(size - first - length, length) for first, length in element[::-1]])
    # Each sweep takes from the upper left: forth by one element, back by its mirror image.
    moved = np.roll(grown, (size - 1, size - 1), axis=(0, 1))
    return np.asarray(moved[size:-size, size:-size] & flags)


def dilated(flags: Flags, element: list[tuple[int, int]]) -> Flags:
    """Where an element of odd size around a pixel meets what is true, ``(H, W)``."""
    size = len(element)
    padded = np.pad(flags, size // 2, constant_values=False)
    height, width = flags.shape
    return _swept(padded, element)[:height, :width]


def _swept(flags: Flags, element: list[tuple[int, int]], every: bool = False) -> Flags:
    """Whether any (or every) pixel of the element, its upper left corner laid on a pixel, is true.

    What lies beyond the lower and right edge is false.
    """
    height, width = flags.shape
    size = len(element)
    sums = np.zeros((height + size, width + size + 1), np.int32)
    np.cumsum(flags, axis=1, out=sums[:height, 1 : width + 1], dtype=np.int32)
    sums[:height, width + 1 :] = sums[:height, width : width + 1]
    out = np.full(flags.shape, every)
    for row, (first, length) in enumerate(element):
        part = sums[row : row + height]
        count = part[:, first + length : first + length + width] - part[:, first : first + width]
        if every:
            out &= count == length
        else:
            out |= count > 0
    return out


# --- areas ----------------------------------------------------------------------------------


def pixel_areas(georef: Georef) -> F64:
    """Area of a pixel in square metres on the ellipsoid WGS 84, by squares of `CELL` pixels.

    Returns:
        float64 ``(⌈H / CELL⌉, ⌈W / CELL⌉)``.
    """
    geod = Geod(ellps="WGS84")
    rows, columns = -(-georef.height // CELL), -(-georef.width // CELL)
    areas = np.zeros((rows, columns))
    along = np.linspace(0.0, 1.0, 4, endpoint=False)
    right = np.concatenate([along, along * 0 + 1, 1 - along, along * 0])
    down = np.concatenate([along * 0, along, along * 0 + 1, 1 - along])
    for row in range(rows):
        # The last row and column of squares are cut.
        height = min(CELL, georef.height - row * CELL)
        for column in range(columns):
            width = min(CELL, georef.width - column * CELL)
            lon, lat = pixel_to_lonlat(
                georef, right * width + column * CELL, down * height + row * CELL
            )
            area, _ = geod.polygon_area_perimeter(lon, lat)
            areas[row, column] = abs(area) / (width * height)
    return areas


def _sum_m2(flags: Flags, areas: F64) -> float:
    return float((_counts(flags) * areas).sum())


def _counts(flags: Flags) -> F64:
    """How many pixels of each square are true."""
    height, width = flags.shape
    rows = np.add.reduceat(flags, np.arange(0, height, CELL), axis=0, dtype=np.int64)
    counts = np.add.reduceat(rows, np.arange(0, width, CELL), axis=1, dtype=np.int64)
    return np.asarray(counts, np.float64)


def _amounts(kinds: U8, areas: F64) -> dict[Kind, Amount]:
    """Pixels, area and share of every kind but `Kind.OUTSIDE`."""
    counts = np.bincount(kinds.ravel(), minlength=256)
    overlap = int(counts.sum() - counts[Kind.OUTSIDE])
    partly = (Kind.HIDDEN, Kind.SHOWN, Kind.UNSEEN)
    both = overlap - int(sum(counts[kind] for kind in partly))
    found: dict[Kind, Amount] = {}
    for kind in Kind:
        whole = overlap if kind in partly else both
        share = float(counts[kind]) / whole if whole else math.nan
        if kind is not Kind.OUTSIDE:
            found[kind] = Amount(int(counts[kind]), _sum_m2(kinds == kind, areas), share)
    return found
