"""The quicklook: one picture that can be mailed, printed and understood on its own.

It shows the mask (over the frame, where the frame is at hand), the uncertainty beside it, what
the colours mean and how much of the frame each covers, a scale bar, north, coordinates, and the
ids that lead back to the product. The same sheet gives the same picture.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib import patheffects, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator

from ground import palette
from ground.maps import Sheet, shares
from ground.palette import U8
from ground.place import (
    F64,
    crs_of,
    ground_matrix,
    metres_text,
    north,
    pixel_size,
    round_length,
)
from onboard import classes
from onboard.files import replacing
from onboard.georef import Georef

LAYOUT = (16.0, 10.0)
"""Inches for which the texts are set; a picture of another size shows them smaller or larger."""
INK = "#22262c"
FAINT = "#5c636e"
FRAME_RGB = (120, 120, 120)
DRAWN = 2048
"""Pixels of a map's longest side that are drawn; more cannot be seen."""


def write_quicklook(
    sheet: Sheet, path: Path, rgb: U8 | None = None, size: tuple[int, int] = (1600, 1000)
) -> Path:
    """Draw ``sheet`` as a PNG.

    Args:
        sheet: what to draw.
        path: where to write it.
        rgb: uint8 ``(h, w, 3)``, the frame over the same ground at any resolution; drawn in
            grey under the mask. None where the frame stayed on board.
        size: width and height of the picture, in pixels.

    Returns:
        ``path``.

    Raises:
        OutputError: the folder cannot be written.
    """
    with style.context("default"):
        dpi = min(pixels / inches for pixels, inches in zip(size, LAYOUT, strict=True))
        # A hair more, for matplotlib cuts what a division leaves just under a whole pixel.
        figsize = ((size[0] + 1e-6) / dpi, (size[1] + 1e-6) / dpi)
        figure = Figure(figsize=figsize, dpi=dpi, facecolor="white")
        FigureCanvasAgg(figure)
        _draw(figure, sheet, rgb)
        with replacing(path) as part:
            # The default metadata names matplotlib's version: it would change the bytes.
            figure.savefig(part, format="png", dpi=dpi, metadata={"Software": None})
    return path


def _draw(figure: Figure, sheet: Sheet, rgb: U8 | None) -> None:
    map_axes = figure.add_axes((0.065, 0.095, 0.585, 0.79))
    _draw_mask(map_axes, sheet, rgb)
    _draw_ticks(map_axes, sheet.georef)
    _draw_on_ground(map_axes, sheet.georef)
    side = figure.add_axes((0.69, 0.445, 0.285, 0.44))
    _draw_uncertainty(figure, side, sheet)
    _draw_legend(figure, sheet, over_frame=rgb is not None)
    _draw_words(figure, sheet)


def _draw_mask(axes: Axes, sheet: Sheet, rgb: U8 | None) -> None:
    box = (0.0, float(sheet.georef.width), float(sheet.georef.height), 0.0)
    mask = _thin(sheet.mask)
    if rgb is None:
        axes.imshow(palette.mask_rgba(mask), extent=box)
    else:
        grey = np.rint(rgb @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
        axes.imshow(grey, extent=box, cmap="gray", vmin=0, vmax=255)
        axes.imshow(palette.water_rgba(mask, 0.8), extent=box)
    axes.set_aspect(_aspect(sheet.georef))
    axes.set_anchor("NW")


def _draw_uncertainty(figure: Figure, axes: Axes, sheet: Sheet) -> None:
    georef, step = sheet.georef, _step(sheet.mask.shape)
    fine = palette.enlarge(sheet.entropy, (georef.height, georef.width), sheet.block)[
        ::step, ::step
    ]
    box = (0.0, float(sheet.georef.width), float(sheet.georef.height), 0.0)
    axes.imshow(palette.uncertainty_rgba(fine), extent=box)
    axes.set_aspect(_aspect(sheet.georef))
    axes.set_anchor("NW")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title("Uncertainty (entropy)", fontsize=11, loc="left", color=INK)
    bar_axes = figure.add_axes((0.69, 0.405, 0.285, 0.014))
    scale = ScalarMappable(Normalize(0.0, palette.MAX_NATS), palette.UNCERTAINTY_SCALE)
    bar = figure.colorbar(scale, cax=bar_axes, orientation="horizontal")
    bar.set_ticks([0.0, 0.2, 0.4, 0.6, palette.MAX_NATS], labels=["0", "0.2", "0.4", "0.6", "ln 2"])
    bar.set_label("nats; hatched: not observed", fontsize=9, color=FAINT)
    bar_axes.tick_params(labelsize=9, colors=INK)


def _draw_legend(figure: Figure, sheet: Sheet, over_frame: bool) -> None:
    share = shares(sheet.mask)
    names = palette.class_names(sheet.labels.subject)
    colours = {**palette.CLASS_RGB}
    if over_frame:
        names[classes.LAND], colours[classes.LAND] = "land (the frame, in grey)", FRAME_RGB
    parts = (
        (classes.WATER, share.water),
        (palette.PERMANENT, share.permanent),
        (classes.LAND, share.land),
        (classes.CLOUD, share.cloud),
        (classes.NODATA, share.nodata),
    )
    handles = [
        Patch(
            facecolor=palette.css(colours[value]),
            edgecolor=palette.css(palette.HATCH_RGB),
            hatch="////" if value in (classes.CLOUD, classes.NODATA) else None,
            label=f"{names[value]}   {100 * part:.1f} %",
        )
        for value, part in parts
        if value in names
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.683, 0.34),
        frameon=False,
        fontsize=11,
        labelcolor=INK,
        title="Share of the frame",
        title_fontsize=11,
        alignment="left",
    )


def _draw_words(figure: Figure, sheet: Sheet) -> None:
    labels = sheet.labels
    date = labels.acquired or "date not known"
    figure.text(0.065, 0.945, f"{labels.subject.capitalize()} map", fontsize=20, color=INK)
    figure.text(0.065, 0.912, f"{date} · {labels.sensor}", fontsize=11, color=FAINT)
    if labels.subject == "water":
        hint = "Permanent water is not known here: rivers and lakes are part of the water."
    else:
        hint = f"Flood is water outside the reference {labels.reference[:12]}."
    lines = [
        hint,
        "Cloud and no data are not observed: never read them as dry.",
        f"product {labels.product_id[:32]}",
        f"model {labels.model_id[:16]} · {labels.engine}",
        f"{labels.passes} passes · seed {labels.seed}",
    ]
    figure.text(
        0.69, 0.045, "\n".join(lines), fontsize=9, color=FAINT, linespacing=1.6, va="bottom"
    )


def _draw_ticks(axes: Axes, georef: Georef) -> None:
    axes.tick_params(labelsize=9, colors=FAINT)
    a, b, c, d, e, f = georef.transform
    if not georef.located or b or d:
        axes.set_xlabel("column", fontsize=9, color=FAINT)
        axes.set_ylabel("row", fontsize=9, color=FAINT)
        return
    crs = crs_of(georef)
    unit = "°" if crs is not None and crs.is_geographic else ""
    east, north_ = ("longitude", "latitude") if unit else ("easting", "northing")
    x_at, x_text = coordinate_ticks(c, a, georef.width, unit)
    y_at, y_text = coordinate_ticks(f, e, georef.height, unit)
    axes.xaxis.set_major_locator(FixedLocator(x_at))
    axes.xaxis.set_ticklabels(x_text)
    axes.yaxis.set_major_locator(FixedLocator(y_at))
    axes.yaxis.set_ticklabels(y_text, rotation=90, va="center")
    name = georef.crs if len(georef.crs) < 24 else "the frame's CRS"
    axes.set_xlabel(f"{east} ({name})", fontsize=9, color=FAINT)
    axes.set_ylabel(north_, fontsize=9, color=FAINT)


def coordinate_ticks(
    origin: float, step: float, pixels: int, unit: str = ""
) -> tuple[list[float], list[str]]:
    """Place ticks at round coordinates along one side of a frame.

    Args:
        origin: coordinate of the first pixel's outer edge.
        step: coordinate units per pixel, of either sign.
        pixels: number of pixels along the side.
        unit: written after each number.

    Returns:
        Positions in pixels, and their texts.
    """
    ends = sorted((origin, origin + step * pixels))
    values = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(*ends)
    gap = float(values[1] - values[0])
    decimals = max(0, -math.floor(math.log10(gap) + 1e-9))
    # Near a corner the texts of both sides would touch.
    margin = 0.03 * (ends[1] - ends[0])
    inside = [float(v) for v in values if ends[0] + margin <= v <= ends[1] - margin]
    texts = [f"{value:,.{decimals}f}{unit}".replace(",", " ") for value in inside]
    return [(value - origin) / step for value in inside], texts


def _draw_on_ground(axes: Axes, georef: Georef) -> None:
    """Draw the scale bar and the north arrow, where the frame has a place on the ground."""
    matrix = ground_matrix(georef)
    if matrix is None:
        axes.set_title("frame without coordinates", fontsize=9, loc="right", color=FAINT)
        return
    metres = round_length(0.3 * georef.width * pixel_size(matrix)[0])
    length = metres / pixel_size(matrix)[0] / georef.width
    axes.add_patch(
        Rectangle(
            (0.02, 0.02), length + 0.04, 0.062, transform=axes.transAxes,
            facecolor="white", alpha=0.85, edgecolor="none",
        )
    )  # fmt: skip
    axes.plot([0.04, 0.04 + length], [0.035, 0.035], color=INK, lw=3, solid_capstyle="butt",
              transform=axes.transAxes)  # fmt: skip
    axes.text(0.04 + length / 2, 0.046, metres_text(metres), ha="center", va="bottom", fontsize=10,
              color=INK, transform=axes.transAxes)  # fmt: skip
    _draw_north(axes, georef, matrix)


def _draw_north(axes: Axes, georef: Georef, matrix: F64) -> None:
    """Draw an arrow that points north, in the upper right corner of the map."""
    right, down = north(matrix)
    width, height = pixel_size(matrix)
    reach = 0.035 * min(georef.width * width, georef.height * height)
    centre = (georef.width - 1.9 * reach / width, 1.9 * reach / height)
    across, along = reach * right / width, reach * down / height
    halo = [patheffects.withStroke(linewidth=4, foreground="white")]
    ends = {"arrowstyle": "-|>", "color": INK, "lw": 2, "mutation_scale": 18}
    arrow = axes.annotate(
        "", (centre[0] + across, centre[1] + along), (centre[0] - across, centre[1] - along),
        arrowprops={**ends, "path_effects": halo},
    )  # fmt: skip
    arrow.set_annotation_clip(False)
    axes.text(
        centre[0] - 1.25 * across, centre[1] - 1.25 * along, "N", ha="center", va="center",
        fontsize=12, fontweight="bold", color=INK, path_effects=halo,
    )  # fmt: skip


def _thin(mask: U8) -> U8:
    step = _step((mask.shape[0], mask.shape[1]))
    return mask[::step, ::step]


def _step(shape: tuple[int, ...]) -> int:
    return max(1, -(-max(shape) // DRAWN))


def _aspect(georef: Georef) -> float:
    """Height of a pixel over its width, on the ground."""
    matrix = ground_matrix(georef)
    if matrix is None:
        return 1.0
    width, height = pixel_size(matrix)
    return height / width
