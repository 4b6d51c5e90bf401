"""The close-up: one frame from the camera to the map, as a section of a replay's page.

It shows what the overview leaves out: both kinds of uncertainty, where the mask errs, what each
stage took, and what the link did to the frame's bytes. It is plain HTML and needs no script.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ground import palette
from ground.maps import Shares, Sheet, shares
from ground.palette import U8, Floats
from ground.place import ground_matrix, lonlat_text, pixel_size, pixel_to_lonlat
from ground.replay.words import Figure
from ground.wording import (
    byte_text,
    counted,
    css_share,
    data_uri,
    grouped,
    number,
    percent,
    seconds,
)
from onboard import classes
from onboard.errors import ProductError
from onboard.georef import Georef

SHOWN = 640
"""Longest side of a picture, in pixels."""
SCALED = 99.0
"""Per cent of the epistemic map within its colour scale; a few blocks far above the others would
leave the rest black."""


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
class Closeup:
    """All that the section tells.

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
        notes: sentences that a reader must know, such as "The frame is generated."
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

    def __post_init__(self) -> None:
        if self.truth is not None and self.truth.shape != self.sheet.mask.shape:
            raise ProductError(
                f"truth is {self.truth.shape}, the mask {self.sheet.mask.shape}: not one grid"
            )

    @property
    def subject(self) -> str:
        """``flood`` or ``water``."""
        return self.sheet.labels.subject

    def lead(self) -> str:
        """Say in plain words what the section shows."""
        part = shares(self.sheet.mask)
        volume = f"The satellite sent {byte_text(self.sent_bytes)} in place of a frame of "
        volume += f"{byte_text(self.raw_bytes)}."
        if part.not_observed == 1.0:
            return f"Nothing of this frame was observed, so it says nothing of the ground. {volume}"
        return (
            f"{self.subject.capitalize()} covers {percent(part.water)} of this frame; "
            f"{percent(part.not_observed)} of it was not observed. {volume}"
        )

    def figures(self) -> list[Figure]:
        """The big numbers, from what is known."""
        found = [self._volume(), *self._shares(shares(self.sheet.mask))]
        if self.scores is not None:
            scores = self.scores
            detail = f"accuracy {percent(scores.accuracy)}, "
            detail += f"precision {percent(scores.precision)}, recall {percent(scores.recall)}"
            found.append(Figure(number(scores.iou, 3), "", "IoU against the truth", detail))
        if self.link is not None:
            found.append(_link_figure(self.link))
        return found

    def _volume(self) -> Figure:
        ratio = _divided(self.raw_bytes, self.sent_bytes)
        detail = f"{grouped(self.raw_bytes)} B raw, {grouped(self.sent_bytes)} B sent"
        digits = 0 if ratio >= 100 else 1
        return Figure(number(ratio, digits), "times", "less to send", detail)

    def _shares(self, part: Shares) -> list[Figure]:
        sheet = self.sheet
        observed = "nothing was observed"
        if part.not_observed < 1.0:
            observed = f"{percent(part.water_of_observed)} of what was observed"
        if sheet.water_area_m2 is not None:
            observed += f"; {sheet.water_area_m2 / 1e6:.4g}\u00a0km²"
        hidden = f"cloud {percent(part.cloud)}, no data {percent(part.nodata)}"
        model = f"of it epistemic {number(sheet.mean_epistemic, 4)}; the scale ends at 0.693"
        return [
            Figure(number(100 * part.water, 1), "%", f"of the frame is {self.subject}", observed),
            Figure(number(100 * part.not_observed, 1), "%", "not observed", hidden),
            Figure(number(sheet.mean_entropy, 4), "nats", "mean uncertainty", model),
        ]

    def key(self) -> list[tuple[str, str, str, bool]]:
        """(name, share, colour, hatched) of each class, water first."""
        part = shares(self.sheet.mask)
        names = palette.class_names(self.sheet.labels.subject)
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

    def score_rows(self) -> list[tuple[str, str, str, str]]:
        """(name, value, width of its bar, meaning) of each score."""
        if self.scores is None:
            return []
        scores = self.scores
        rows = (
            ("IoU", scores.iou, "of water in mask or truth, the share that is in both"),
            ("Accuracy", scores.accuracy, "of all compared pixels, the share that is right"),
            ("Precision", scores.precision, "of the water in the mask, the share that is true"),
            ("Recall", scores.recall, "of the true water, the share that the mask found"),
        )
        return [(name, number(one, 3), css_share(one), meaning) for name, one, meaning in rows]

    def stage_rows(self) -> list[tuple[str, str, str]]:
        """(name, time, width of its bar) of each stage."""
        longest = max((spent for _, spent in self.stages), default=0.0)
        return [
            (name, seconds(spent), css_share(_divided(spent, longest)))
            for name, spent in self.stages
        ]

    def total(self) -> str:
        """The time of all stages."""
        return seconds(sum(spent for _, spent in self.stages))

    def link_rows(self) -> list[tuple[str, str]]:
        """(name, value) of what the link did."""
        if self.link is None:
            return []
        link = self.link
        share = percent(_divided(link.frames_lost, link.frames_sent))
        return [
            ("Transfer frames sent", grouped(link.frames_sent)),
            ("Received", grouped(link.frames_received)),
            ("Lost", f"{grouped(link.frames_lost)} ({share})"),
            ("Copies of each product", grouped(link.copies)),
            ("Products whole and verified", f"{link.products_whole} of {link.products_sent}"),
        ]

    def provenance(self) -> list[tuple[str, str]]:
        """(name, value) of where it comes from."""
        return [*self.sheet.labels.rows(), *place_rows(self.sheet)]

    def ratio(self) -> float:
        """Width over height of the frame as it lies on the ground."""
        georef = self.sheet.georef
        matrix = ground_matrix(georef)
        width, height = (1.0, 1.0) if matrix is None else pixel_size(matrix)
        return round(georef.width * width / (georef.height * height), 5)

    def epistemic_top(self) -> float:
        """End of the epistemic map's scale, nats."""
        return scale_top(self.sheet.epistemic)

    def pictures(self) -> dict[str, str]:
        """Name → data URI of each picture that there is."""
        sheet = self.sheet
        step = max(1, -(-max(sheet.mask.shape) // SHOWN))
        mask = sheet.mask[::step, ::step]
        found = {
            "mask": palette.mask_rgba(mask),
            "entropy": self._shaded(sheet.entropy, palette.MAX_NATS, step),
            "epistemic": self._shaded(sheet.epistemic, self.epistemic_top(), step),
        }
        if self.truth is not None:
            found["agreement"] = palette.agreement_rgba(mask, self.truth[::step, ::step])
        made = {name: data_uri(palette.png_bytes(image)) for name, image in found.items()}
        if self.rgb is not None:
            thin = max(1, -(-max(self.rgb.shape) // SHOWN))
            made["frame"] = data_uri(palette.jpeg_bytes(self.rgb[::thin, ::thin]))
        return made

    def _shaded(self, nats: Floats, top: float, step: int) -> U8:
        shape = (self.sheet.georef.height, self.sheet.georef.width)
        fine = palette.enlarge(nats, shape, self.sheet.block)[::step, ::step]
        return palette.uncertainty_rgba(fine, top)


def _link_figure(link: Link) -> Figure:
    detail = f"{grouped(link.frames_received)} of {grouped(link.frames_sent)} arrived, "
    detail += f"{counted(link.copies, 'copy', 'copies')} sent; "
    detail += f"{link.products_whole} of {counted(link.products_sent, 'product')} whole"
    label = "frames lost on the link" if link.frames_lost != 1 else "frame lost on the link"
    return Figure(grouped(link.frames_lost), "", label, detail)


def place_rows(sheet: Sheet) -> list[tuple[str, str]]:
    """Return (name, value) of where the frame lies and how large it is."""
    georef = sheet.georef
    rows = [("frame", f"{georef.width} × {georef.height} pixels")]
    matrix = ground_matrix(georef)
    if matrix is None:
        return [*rows, ("place", "the frame came without coordinates")]
    width, height = pixel_size(matrix)
    return [
        *rows,
        ("pixel", f"{width:.3g} × {height:.3g} m on the ground"),
        ("centre", _centre(georef)),
        ("CRS", georef.crs if len(georef.crs) < 40 else "as WKT in the GeoTIFF"),
    ]


def _centre(georef: Georef) -> str:
    lon, lat = pixel_to_lonlat(
        georef, np.array([georef.width / 2.0]), np.array([georef.height / 2.0])
    )
    return lonlat_text(float(lon[0]), float(lat[0]))


def scale_top(nats: Floats, share: float = SCALED) -> float:
    """Return the end of a scale that holds ``share`` per cent of a map ``(H, W)``, rounded up."""
    seen = nats[np.isfinite(nats)]
    peak = float(np.percentile(seen, share)) if seen.size else 0.0
    if peak <= 0.0:
        return palette.MAX_NATS
    unit = 10.0 ** (math.floor(math.log10(peak)) - 1)
    return min(palette.MAX_NATS, round(math.ceil(peak / unit - 1e-9) * unit, 12))


def _divided(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
