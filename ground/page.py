"""The page: one frame's story in one HTML file, for a responder and for a reviewer.

The file is complete in itself: pictures are inlined as data URIs, style and script stand in the
page, and its content security policy forbids every request. It works without script (the
pictures, the figures and the choice of uncertainty are plain HTML and CSS); script adds the
linked crosshair, the fade slider and the reading of values.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from ground import palette
from ground.maps import Shares, Sheet, shares
from ground.palette import U8, Floats
from ground.place import ground_matrix, lonlat_text, pixel_size, pixel_to_lonlat
from onboard import classes
from onboard.errors import ProductError
from onboard.files import write_text
from onboard.georef import Georef

TEMPLATES = Path(__file__).with_name("templates")
SHOWN = 1280
"""Longest side of a picture in the page, in pixels."""
SCALED = 99.0
"""Per cent of the epistemic map within its colour scale; a few blocks far above the others would
leave the rest black."""
KNOTS = 9
"""Points per side of the grid from which the page reads longitude and latitude: bilinear
between them, which on a frame of 100 km is right to a few metres."""


@dataclass(frozen=True)
class Link:
    """What became of the transfer frames, counted over all copies.

    Attributes:
        frames_sent: transfer frames that left the satellite.
        frames_received: those that arrived.
        copies: how often each product was sent.
        products_sent: different products that were sent.
        products_whole: those that the ground emitted, whole and verified.
    """

    frames_sent: int
    frames_received: int
    copies: int
    products_sent: int
    products_whole: int

    @property
    def frames_lost(self) -> int:
        """Transfer frames that did not arrive."""
        return self.frames_sent - self.frames_received


@dataclass(frozen=True)
class Scores:
    """Agreement with the truth over pixels that both observed; each 0–1, NaN where undefined.

    Attributes:
        iou: intersection over union of water.
        accuracy: share of pixels with the right class.
        precision: share of the mask's water that is water.
        recall: share of the true water that the mask found.
    """

    iou: float
    accuracy: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Story:
    """All that the page tells.

    Attributes:
        title: name of the frame.
        sheet: mask, uncertainty, grid and labels.
        raw_bytes: size of the raw frame.
        sent_bytes: bytes on the link for it, all copies, headers and idle fill included.
        stages: (name, seconds) in the order of the work.
        link: what became of the transfer frames; None where no link took part.
        rgb: uint8 ``(h, w, 3)``, the frame; None where it stayed on board.
        truth: uint8 ``(H, W)`` of ``onboard.classes``; None where it is not known.
        scores: against ``truth``.
        notes: sentences that a reader must know, such as "The frame is synthetic."
        files: (relative path, description) of the files beside the page.
    """

    title: str
    sheet: Sheet
    raw_bytes: int
    sent_bytes: int
    stages: tuple[tuple[str, float], ...] = ()
    link: Link | None = None
    rgb: U8 | None = None
    truth: U8 | None = None
    scores: Scores | None = None
    notes: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.truth is not None and self.truth.shape != self.sheet.mask.shape:
            raise ProductError(
                f"truth is {self.truth.shape}, the mask {self.sheet.mask.shape}: not one grid"
            )


@dataclass(frozen=True)
class Figure:
    """One big number: its value, its unit, what it is, and what stands behind it."""

    value: str
    unit: str
    label: str
    detail: str


def write_page(path: Path, story: Story) -> Path:
    """Write the page.

    Returns:
        ``path``.

    Raises:
        OutputError: the folder cannot be written.
        ProductError: the mask holds a value that is no class, or its CRS is unknown.
    """
    write_text(path, render(story))
    return path


def render(story: Story) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(byte_text=byte_text, grouped=grouped)
    sheet = story.sheet
    part = shares(sheet.mask)
    return environment.get_template("demo.html.j2").render(
        story=story,
        subject=sheet.labels.subject,
        lead=lead(story, part),
        figures=figures(story, part),
        pictures=_pictures(story),
        key=_key(sheet, part),
        ratio=_aspect_ratio(sheet.georef),
        scale=palette.scale_css(),
        epistemic_top=_top(sheet.epistemic, SCALED),
        stages=_stage_rows(story.stages),
        total=seconds(sum(spent for _, spent in story.stages)),
        provenance=[*sheet.labels.rows(), *place_rows(sheet)],
        agreement=_agreement_key(),
        scores=_score_rows(story.scores),
        mean_entropy=number(sheet.mean_entropy, 4),
        mean_epistemic=number(sheet.mean_epistemic, 4),
        nodata_css=palette.css(palette.NODATA_RGB),
        sent_share=css_share(_divided(story.sent_bytes, story.raw_bytes)),
        lost_share=_lost_share(story.link),
        probe=probe(sheet),
    )


def lead(story: Story, part: Shares) -> str:
    """Say in plain words what the page shows."""
    volume = f"The satellite sent {byte_text(story.sent_bytes)} in place of a frame of "
    volume += f"{byte_text(story.raw_bytes)}."
    if part.not_observed == 1.0:
        return f"Nothing of this frame was observed, so it says nothing about the ground. {volume}"
    subject = story.sheet.labels.subject.capitalize()
    return (
        f"{subject} covers {percent(part.water)} of this frame; "
        f"{percent(part.not_observed)} of it was not observed. {volume}"
    )


def figures(story: Story, part: Shares) -> list[Figure]:
    """Choose the big numbers of the page, from what the story knows."""
    found = [_volume_figure(story), *_map_figures(story, part)]
    if story.scores is not None:
        scores = story.scores
        detail = f"accuracy {percent(scores.accuracy)}, precision {percent(scores.precision)}, "
        detail += f"recall {percent(scores.recall)}"
        found.append(Figure(number(scores.iou, 3), "", "IoU against the truth", detail))
    if story.link is not None:
        link = story.link
        detail = f"{grouped(link.frames_received)} of {grouped(link.frames_sent)} arrived, "
        detail += f"{counted(link.copies, 'copy', 'copies')} sent; "
        detail += f"{link.products_whole} of {counted(link.products_sent, 'product')} whole"
        label = "frames lost on the link" if link.frames_lost != 1 else "frame lost on the link"
        found.append(Figure(grouped(link.frames_lost), "", label, detail))
    return found


def _volume_figure(story: Story) -> Figure:
    ratio = _divided(story.raw_bytes, story.sent_bytes)
    detail = f"{grouped(story.raw_bytes)} B raw, {grouped(story.sent_bytes)} B sent"
    digits = 0 if ratio >= 100 else 1
    return Figure(number(ratio, digits), "times", "less to send", detail)


def _map_figures(story: Story, part: Shares) -> list[Figure]:
    sheet, subject = story.sheet, story.sheet.labels.subject
    observed = "nothing was observed"
    if part.not_observed < 1.0:
        observed = f"{percent(part.water_of_observed)} of what was observed"
    if sheet.water_area_m2 is not None:
        observed += f"; {sheet.water_area_m2 / 1e6:.4g}\u00a0km²"
    hidden = f"cloud {percent(part.cloud)}, no data {percent(part.nodata)}"
    model = f"of it epistemic {number(sheet.mean_epistemic, 4)}; the scale ends at 0.693"
    return [
        Figure(number(100 * part.water, 1), "%", f"of the frame is {subject}", observed),
        Figure(number(100 * part.not_observed, 1), "%", "not observed", hidden),
        Figure(number(sheet.mean_entropy, 4), "nats", "mean uncertainty", model),
    ]


def place_rows(sheet: Sheet) -> list[tuple[str, str]]:
    """Return (name, value) of where the frame lies and how large it is."""
    georef = sheet.georef
    rows = [("frame", f"{georef.width} × {georef.height} pixels")]
    matrix = ground_matrix(georef)
    if matrix is None:
        return [*rows, ("place", "the frame came without coordinates")]
    width, height = pixel_size(matrix)
    lon, lat = pixel_to_lonlat(
        georef, np.array([georef.width / 2.0]), np.array([georef.height / 2.0])
    )
    return [
        *rows,
        ("pixel", f"{width:.3g} × {height:.3g} m on the ground"),
        ("centre", lonlat_text(float(lon[0]), float(lat[0]))),
        ("CRS", georef.crs if len(georef.crs) < 40 else "as WKT in the GeoTIFF"),
    ]


def probe(sheet: Sheet) -> dict[str, Any]:
    """Return what the page's script reads values from, as plain JSON types.

    Uncertainty is one byte a block, 0–254 in steps of 1/254 of its scale, 255 not observed.
    """
    georef = sheet.georef
    names = palette.class_names(sheet.labels.subject)
    colours = {
        palette.css(rgb): names[value] for value, rgb in palette.mask_colours() if value in names
    }
    matrix = ground_matrix(georef)
    top = _top(sheet.epistemic)
    return {
        "width": georef.width,
        "height": georef.height,
        "block": sheet.block,
        "columns": sheet.entropy.shape[1],
        "entropy": {"top": palette.MAX_NATS, "bytes": _levels(sheet.entropy, palette.MAX_NATS)},
        "epistemic": {"top": top, "bytes": _levels(sheet.epistemic, top)},
        "colours": colours,
        "lonlat": None if matrix is None else _lonlat_knots(georef),
        "metres": None if matrix is None else pixel_size(matrix)[0],
    }


def _levels(nats: Floats, top: float) -> str:
    seen = np.isfinite(nats)
    levels = np.full(nats.shape, 255, np.uint8)
    levels[seen] = np.rint(np.clip(nats[seen] / top, 0.0, 1.0) * 254)
    return base64.b64encode(levels.tobytes()).decode("ascii")


def _lonlat_knots(georef: Georef) -> list[list[float]]:
    """Return longitude and latitude at ``KNOTS × KNOTS`` points, row by row, in degrees."""
    columns, rows = np.meshgrid(
        np.linspace(0.0, georef.width, KNOTS), np.linspace(0.0, georef.height, KNOTS)
    )
    lon, lat = pixel_to_lonlat(georef, columns, rows)
    # A frame across the antimeridian must not be interpolated around the globe.
    lon = lon[0, 0] + (lon - lon[0, 0] + 180.0) % 360.0 - 180.0
    knots = np.stack([lon.ravel(), lat.ravel()], axis=1)
    return [[round(x, 6), round(y, 6)] for x, y in knots.tolist()]


def _pictures(story: Story) -> dict[str, str | None]:
    sheet = story.sheet
    step = max(1, -(-max(sheet.mask.shape) // SHOWN))
    mask = sheet.mask[::step, ::step]
    shape = (sheet.georef.height, sheet.georef.width)

    def shaded(nats: Floats, top: float) -> str:
        fine = palette.enlarge(nats, shape, sheet.block)[::step, ::step]
        return data_uri(palette.png_bytes(palette.uncertainty_rgba(fine, top)))

    agreement = None
    if story.truth is not None:
        agreement = palette.agreement_rgba(mask, story.truth[::step, ::step])
    return {
        "frame": None if story.rgb is None else data_uri(palette.jpeg_bytes(story.rgb)),
        "mask": data_uri(palette.png_bytes(palette.mask_rgba(mask))),
        "entropy": shaded(sheet.entropy, palette.MAX_NATS),
        "epistemic": shaded(sheet.epistemic, _top(sheet.epistemic, SCALED)),
        "agreement": None if agreement is None else data_uri(palette.png_bytes(agreement)),
    }


def _key(sheet: Sheet, part: Shares) -> list[tuple[str, str, str, bool]]:
    """Return (name, share, colour, hatched) of each class, water first."""
    names = palette.class_names(sheet.labels.subject)
    order: Sequence[tuple[int, float]] = (
        (classes.WATER, part.water),
        (palette.PERMANENT, part.permanent),
        (classes.LAND, part.land),
        (classes.CLOUD, part.cloud),
        (classes.NODATA, part.nodata),
    )
    hidden = (classes.CLOUD, classes.NODATA)
    return [
        (names[value], percent(share), palette.css(palette.CLASS_RGB[value]), value in hidden)
        for value, share in order
        if value in names
    ]


def _score_rows(scores: Scores | None) -> list[tuple[str, str, str, str]]:
    """Return (name, value, width of its bar, meaning) of each score."""
    if scores is None:
        return []
    rows = (
        ("IoU", scores.iou, "of water in mask or truth, the share that is in both"),
        ("Accuracy", scores.accuracy, "of all compared pixels, the share that is right"),
        ("Precision", scores.precision, "of the water in the mask, the share that is true"),
        ("Recall", scores.recall, "of the true water, the share that the mask found"),
    )
    return [(name, number(value, 3), css_share(value), meaning) for name, value, meaning in rows]


def _stage_rows(stages: tuple[tuple[str, float], ...]) -> list[tuple[str, str, str]]:
    """Return (name, time, width of its bar) of each stage."""
    longest = max((spent for _, spent in stages), default=0.0)
    return [(name, seconds(spent), css_share(_divided(spent, longest))) for name, spent in stages]


def _lost_share(link: Link | None) -> str:
    return percent(_divided(link.frames_lost, link.frames_sent) if link else math.nan)


def _divided(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _agreement_key() -> list[tuple[str, str]]:
    return [
        ("water, found", palette.css(palette.HIT_RGB)),
        ("water, missed", palette.css(palette.MISS_RGB)),
        ("false alarm", palette.css(palette.FALSE_ALARM_RGB)),
        ("land in both", palette.css(palette.LAND_RGB)),
        ("not compared", palette.css(palette.CLOUD_RGB)),
    ]


def _aspect_ratio(georef: Georef) -> float:
    """Width over height of the frame as it lies on the ground."""
    matrix = ground_matrix(georef)
    width, height = (1.0, 1.0) if matrix is None else pixel_size(matrix)
    return round(georef.width * width / (georef.height * height), 5)


def _top(nats: Floats, share: float = 100.0) -> float:
    """Return the end of a scale that holds ``share`` per cent of a map, rounded up."""
    seen = nats[np.isfinite(nats)]
    peak = float(np.percentile(seen, share)) if seen.size else 0.0
    if peak <= 0.0:
        return palette.MAX_NATS
    unit = 10.0 ** (math.floor(math.log10(peak)) - 1)
    return min(palette.MAX_NATS, round(math.ceil(peak / unit - 1e-9) * unit, 12))


def data_uri(image: bytes) -> str:
    """Return a PNG or JPEG as a data URI (RFC 2397)."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def byte_text(count: int) -> str:
    """Write a number of bytes with an SI unit: ``41.3 kB``."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


def grouped(count: int) -> str:
    """Write a whole number in groups of three digits: ``8 388 608``."""
    return f"{count:,}".replace(",", "\u202f")


def counted(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun: ``1 copy``, ``3 copies``."""
    return f"{grouped(count)} {one if count == 1 else many or one + 's'}"


def number(value: float | None, digits: int) -> str:
    """Write a number with fixed digits; a dash where it is not defined."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def percent(share: float) -> str:
    """Write a share of 0–1 as per cent, ``27.8 %``, with a space that does not break."""
    return f"{number(100 * share, 1)}\u00a0%"


def css_share(share: float) -> str:
    """Write a share of 0–1 as a CSS length; nothing where it is not defined."""
    return f"{100 * min(1.0, share):.3f}%" if math.isfinite(share) else "0%"


def seconds(spent: float) -> str:
    """Write a duration: ``0.123 s``, ``12.3 s``."""
    return f"{spent:.3f} s" if spent < 1 else f"{spent:.1f} s"
