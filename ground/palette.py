"""The palette: one colour per class, one colour scale for uncertainty, everywhere the same.

The GeoTIFF's colour table, the quicklook and the page take their colours from here. The class
colours differ in lightness as well as in hue (blue against sand is safe for every common form
of colour blindness), and what was *not observed* is hatched grey: it can never be read as dry.
Uncertainty uses matplotlib's perceptually uniform ``magma``, from 0 (dark) to ln 2 (pale).
"""

from __future__ import annotations

import io
import math
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image

from onboard import classes

Rgb = tuple[int, int, int]
Subject = Literal["water", "flood"]
U8 = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]

LAND_RGB: Final[Rgb] = (232, 223, 202)
WATER_RGB: Final[Rgb] = (11, 97, 164)
PERMANENT_RGB: Final[Rgb] = (122, 178, 212)
CLOUD_RGB: Final[Rgb] = (176, 178, 184)
NODATA_RGB: Final[Rgb] = (112, 115, 122)
HATCH_RGB: Final[Rgb] = (142, 145, 152)

PERMANENT: Final[int] = 3
"""On the ground's flood maps alone: water that the permanent-water reference knows. Masks on
board have no such class, for there water is water."""

CLASS_RGB: Final[dict[int, Rgb]] = {
    classes.LAND: LAND_RGB,
    classes.WATER: WATER_RGB,
    PERMANENT: PERMANENT_RGB,
    classes.CLOUD: CLOUD_RGB,
    classes.NODATA: NODATA_RGB,
}

# Truth against mask: agreement is quiet, the two kinds of error are vermilion and dark purple.
HIT_RGB: Final[Rgb] = (86, 140, 190)
MISS_RGB: Final[Rgb] = (213, 94, 0)
FALSE_ALARM_RGB: Final[Rgb] = (112, 24, 112)

MAX_NATS: Final[float] = math.log(2.0)
"""The largest entropy of a Bernoulli, in nats: the top of the uncertainty scale."""

UNCERTAINTY_SCALE: Final[str] = "magma"


def class_names(subject: Subject) -> dict[int, str]:
    """Name each class as a reader should see it.

    Args:
        subject: ``"flood"`` where a permanent-water reference was used, else ``"water"``.

    Returns:
        Class value to name; water bears the subject's name, and cloud and nodata say that
        they were not observed. Only a flood map has the class permanent water.
    """
    permanent = {PERMANENT: "permanent water"} if subject == "flood" else {}
    return {
        classes.LAND: "land",
        classes.WATER: subject,
        **permanent,
        classes.CLOUD: "cloud (not observed)",
        classes.NODATA: "no data (not observed)",
    }


def colour_table() -> dict[int, tuple[int, int, int, int]]:
    """Return the RGBA colour table of a class raster, 0–255 each; nodata is transparent."""
    opaque = {value: (*rgb, 255) for value, rgb in CLASS_RGB.items()}
    return {**opaque, classes.NODATA: (*NODATA_RGB, 0)}


def hatch(shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return diagonal stripes, bool ``(H, W)``, with a period of about 1/64 of the long side."""
    period = max(4, max(shape) // 64)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    stripes: npt.NDArray[np.bool_] = (rows + columns) % period < period // 2
    return stripes


def mask_colours() -> list[tuple[int, Rgb]]:
    """Return (class, colour) of every colour that `mask_rgba` paints; no colour has two classes."""
    stripes = [(classes.CLOUD, HATCH_RGB), (classes.NODATA, _darker(NODATA_RGB))]
    return [*CLASS_RGB.items(), *stripes]


def mask_rgba(mask: U8) -> U8:
    """Colour a class mask.

    Args:
        mask: uint8 ``(H, W)`` of ``onboard.classes``.

    Returns:
        uint8 ``(H, W, 4)``, opaque; cloud and nodata are hatched, each in its own pair of greys.
    """
    table = np.zeros((256, 4), np.uint8)
    for value, rgb in CLASS_RGB.items():
        table[value] = (*rgb, 255)
    rgba = table[mask]
    stripes = hatch((mask.shape[0], mask.shape[1]))
    rgba[(mask == classes.CLOUD) & stripes] = (*HATCH_RGB, 255)
    rgba[(mask == classes.NODATA) & stripes] = (*_darker(NODATA_RGB), 255)
    return rgba


def water_rgba(mask: U8, opacity: float = 1.0) -> U8:
    """Colour what covers a frame: water and what was not observed; land is transparent.

    Args:
        mask: uint8 ``(H, W)`` of ``onboard.classes``.
        opacity: of water and of nodata, 0–1; cloud gets half of it, so that it is still seen.

    Returns:
        uint8 ``(H, W, 4)``.
    """
    rgba = mask_rgba(mask)
    rgba[..., 3] = round(255 * opacity)
    rgba[mask == classes.CLOUD, 3] = round(127 * opacity)
    rgba[mask == classes.LAND, 3] = 0
    return rgba


def uncertainty_rgba(nats: Floats, top: float = MAX_NATS) -> U8:
    """Colour a map of uncertainty.

    Args:
        nats: ``(h, w)``, in nats, NaN where not observed.
        top: the value that gets the palest colour; larger ones are clipped to it.

    Returns:
        uint8 ``(h, w, 4)``, opaque; what was not observed is hatched grey.
    """
    observed = np.isfinite(nats)
    unit = np.clip(np.where(observed, nats, 0.0) / top, 0.0, 1.0)
    rgba: U8 = colormaps[UNCERTAINTY_SCALE](unit, bytes=True)
    stripes = hatch((nats.shape[0], nats.shape[1]))
    rgba[~observed] = (*NODATA_RGB, 255)
    rgba[~observed & stripes] = (*HATCH_RGB, 255)
    return rgba


def agreement_rgba(mask: U8, truth: U8) -> U8:
    """Colour where a mask agrees with the truth and where it does not.

    Args:
        mask: uint8 ``(H, W)`` of ``onboard.classes`` and `PERMANENT`: what was sent; permanent
            water is water here.
        truth: uint8 ``(H, W)`` of ``onboard.classes``: what is there.

    Returns:
        uint8 ``(H, W, 4)``, opaque: water in both, water missed, water claimed on land; hatched
        where either one was not observed.
    """
    seen = np.isin(mask, (classes.LAND, classes.WATER, PERMANENT))
    seen &= np.isin(truth, (classes.LAND, classes.WATER))
    wet, truly = np.isin(mask, (classes.WATER, PERMANENT)), truth == classes.WATER
    rgba = mask_rgba(np.where(seen, np.uint8(classes.LAND), np.uint8(classes.CLOUD)))
    rgba[seen & wet & truly] = (*HIT_RGB, 255)
    rgba[seen & ~wet & truly] = (*MISS_RGB, 255)
    rgba[seen & wet & ~truly] = (*FALSE_ALARM_RGB, 255)
    return rgba


def scale_css(stops: int = 12) -> str:
    """Return the uncertainty scale as the colour stops of a CSS gradient, low to high."""
    colours = colormaps[UNCERTAINTY_SCALE](np.linspace(0.0, 1.0, stops), bytes=True)
    return ", ".join(css(tuple(int(c) for c in colour[:3])) for colour in colours)


def css(rgb: tuple[int, ...]) -> str:
    """Return a colour as CSS writes it, ``#rrggbb``."""
    return "#" + "".join(f"{channel:02x}" for channel in rgb)


def enlarge(blocks: Floats, shape: tuple[int, int], block: int) -> Floats:
    """Repeat each value of ``(h, w)`` into ``block × block`` pixels and cut to ``(H, W)``."""
    grown: Floats = np.repeat(np.repeat(blocks, block, axis=0), block, axis=1)
    return grown[: shape[0], : shape[1]]


def png_bytes(image: U8) -> bytes:
    """Encode uint8 ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)`` as PNG, the same bytes every time."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def jpeg_bytes(rgb: U8, quality: int = 90) -> bytes:
    """Encode uint8 ``(H, W, 3)`` as JPEG: for frames, which as PNG would swell the page."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _darker(rgb: Rgb) -> Rgb:
    red, green, blue = (channel * 3 // 4 for channel in rgb)
    return red, green, blue
