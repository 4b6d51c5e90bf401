"""The files of a change: a GeoTIFF, polygons, a picture and the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from rasterio import features
from shapely.geometry import mapping, shape

from ground import palette
from ground.area_text import area_text
from ground.areas import MAX_PATCHES
from ground.change import Change, Kind
from ground.lonlat import Globe, bounds
from ground.place import crs_of, ground_matrix, metres_text, pixel_size, round_length
from onboard import files
from onboard.errors import OutputError
from onboard.files import replacing
from onboard.rasters import GDAL_ERRORS, check_written

STEM = "change"
COLOURS: dict[Kind, palette.Rgb] = {
    Kind.DRY: palette.LAND_RGB,
    Kind.STAYED: palette.WATER_RGB,
    Kind.NEW: (213, 94, 0),
    Kind.RECEDED: (0, 158, 115),
    Kind.NEW_UNSURE: (240, 188, 150),
    Kind.RECEDED_UNSURE: (160, 215, 195),
    Kind.HIDDEN: palette.CLOUD_RGB,
    Kind.SHOWN: (214, 204, 222),
    Kind.PERMANENT: palette.PERMANENT_RGB,
    Kind.FALLEN: (240, 228, 66),
    Kind.UNSEEN: palette.NODATA_RGB,
    Kind.OUTSIDE: palette.NODATA_RGB,
}
"""Change in the two colours of Okabe and Ito that no common colour blindness confuses."""
UNCHANGED = (Kind.DRY, Kind.OUTSIDE)
"""What gets no polygon: all that no other polygon covers."""
DRAWN = 2048
DPI = 100


def write_change(change: Change, folder: Path) -> list[Path]:
    """Write ``change.tif``, ``change.geojson``, ``change.png`` and ``change.json``.

    Returns:
        Their paths; without the GeoJSON where there are too many polygons for one.

    Raises:
        OutputError: the folder cannot be written.
        ProductError: the grid lies nowhere on Earth.
    """
    paths = [folder / f"{STEM}.{ending}" for ending in ("tif", "geojson", "png", "json")]
    write_map(change, paths[0])
    found = polygons(change)
    if found is None:
        paths[1].unlink(missing_ok=True)
    else:
        files.write_text(paths[1], json.dumps(found) + "\n")
    write_picture(change, paths[2])
    files.write_text(paths[3], json.dumps(change.to_json(), indent=1) + "\n")
    return [path for path in paths if path.exists()]


def write_map(change: Change, path: Path) -> None:
    """Write the kinds as a cloud-optimised GeoTIFF with a colour table.

    Raises:
        OutputError: it cannot be written.
    """
    grid = change.georef
    profile = {
        "driver": "COG",
        "compress": "DEFLATE",
        "blocksize": 256,
        "overview_resampling": "mode",
        "dtype": "uint8",
        "count": 1,
        "nodata": int(Kind.OUTSIDE),
        "height": grid.height,
        "width": grid.width,
        "crs": crs_of(grid),
        "transform": rasterio.Affine(*grid.transform),
    }
    table = {int(kind): (*rgb, 255) for kind, rgb in COLOURS.items()}
    table[int(Kind.OUTSIDE)] = (*COLOURS[Kind.OUTSIDE], 0)
    names = {f"CLASS_{int(kind)}": kind.text(change.subject) for kind in Kind}
    try:
        with replacing(path) as part:
            quiet = rasterio.Env(GDAL_PAM_ENABLED=False)
            with quiet, rasterio.open(part, "w", **profile) as tif:
                tif.write(change.kinds, 1)
                tif.write_colormap(1, table)
                tif.set_band_description(1, "change")
                tif.update_tags(1, **names)
                tif.update_tags(
                    FLOODSAT_BEFORE=change.before.name,
                    FLOODSAT_AFTER=change.after.name,
                    FLOODSAT_SUBJECT=change.subject,
                    FLOODSAT_POSITION=f"± {change.sigma_m:g} m (1 sigma, one against the other)",
                )
            check_written(part, path)
    except GDAL_ERRORS as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path}: cannot be written ({error}); choose another folder") from error


def polygons(change: Change) -> dict[str, Any] | None:
    """The kinds as a GeoJSON feature collection (RFC 7946); areas on the ellipsoid WGS 84.

    None where there are more than `MAX_PATCHES`: speckle, that nobody reads as polygons.

    Raises:
        ProductError: the grid lies nowhere on Earth.
    """
    globe = Globe(change.georef)
    wanted = ~np.isin(change.kinds, UNCHANGED)
    found: list[dict[str, Any]] = []
    geometries = []
    # Without a transform, positions are columns and rows.
    for raw, value in features.shapes(change.kinds, mask=wanted):
        if len(found) == MAX_PATCHES:
            return None
        geometry, area_m2 = globe.geometry(_valid(raw))
        geometries.append(geometry)
        kind = Kind(int(value))
        found.append(
            {
                "type": "Feature",
                "geometry": mapping(geometry),
                "properties": {
                    "kind": kind.name.lower(),
                    "text": kind.text(change.subject),
                    "area_m2": round(area_m2, 1),
                    "before": change.before.acquired or None,
                    "after": change.after.acquired or None,
                    "position_sigma_m": change.sigma_m,
                },
            }
        )
    box = bounds(geometries)
    return {
        "type": "FeatureCollection",
        **({} if box is None else {"bbox": [box[0], box[1], box[2], box[3]]}),
        "features": found,
    }


def _valid(raw: Any) -> Any:
    """An outline of pixels; a ring that touches itself in a corner is mended."""
    outline = shape(raw)
    return outline if outline.is_valid else shapely.make_valid(outline)


# --- the picture ----------------------------------------------------------------------------


def write_picture(change: Change, path: Path) -> None:
    """Draw a change as a PNG with legend, areas and scale; the same change, the same picture.

    Raises:
        OutputError: it cannot be written.
    """
    with style.context("default"):
        figure = Figure(figsize=(14, 9), dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        _draw(figure, change)
        with replacing(path) as part:
            figure.savefig(part, format="png", dpi=DPI, metadata={"Software": None})


def _draw(figure: Figure, change: Change) -> None:
    grid = change.georef
    axes = figure.add_axes((0.03, 0.05, 0.62, 0.83))
    step = max(1, -(-max(grid.height, grid.width) // DRAWN))
    box = (0.0, float(grid.width), float(grid.height), 0.0)
    axes.imshow(picture(change.kinds[::step, ::step]), extent=box)
    axes.set_anchor("NW")
    axes.set_xticks([])
    axes.set_yticks([])
    matrix = ground_matrix(grid)
    if matrix is not None:
        width, height = pixel_size(matrix)
        axes.set_aspect(height / width)
        metres = round_length(0.3 * grid.width * width)
        length = metres / width / grid.width
        place = axes.transAxes
        axes.add_patch(Rectangle((0.02, 0.02), length + 0.04, 0.06, transform=place, fc="white"))
        axes.plot([0.04, 0.04 + length], [0.035] * 2, color="#22262c", lw=3, transform=place)
        axes.text(0.04 + length / 2, 0.045, metres_text(metres), ha="center", transform=place)
    dates = [seen.acquired or f"{seen.name} (date not known)" for seen in _dates(change)]
    figure.text(0.03, 0.945, f"Change of {change.subject}", fontsize=20, color="#22262c")
    figure.text(0.03, 0.91, f"{dates[0]}  →  {dates[1]}", fontsize=11, color="#5c636e")
    _legend(figure, change)


def _dates(change: Change) -> tuple[Any, Any]:
    return change.before, change.after


def _legend(figure: Figure, change: Change) -> None:
    handles = [
        Patch(
            facecolor=palette.css(COLOURS[kind]),
            edgecolor=palette.css(palette.HATCH_RGB),
            hatch="////" if kind in _HATCHED else None,
            label=f"{kind.text(change.subject)}   {area_text(amount.area_m2)}",
        )
        for kind, amount in change.amounts.items()
        if amount.pixels
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.64, 0.89),
        frameon=False,
        fontsize=10,
        labelcolor="#22262c",
    )
    words = [
        f"Position of one date against the other: ± {change.sigma_m:.3g} m (1 sigma).",
        "What was not observed is never counted as change.",
    ]
    figure.text(0.65, 0.06, "\n".join(words), fontsize=9, color="#5c636e", linespacing=1.6)


_HATCHED = (Kind.HIDDEN, Kind.SHOWN, Kind.UNSEEN, Kind.OUTSIDE)


def picture(kinds: palette.U8) -> palette.U8:
    """Colour a map of change, uint8 ``(H, W, 3)``; what one date did not observe is hatched."""
    table = np.zeros((256, 3), np.uint8)
    for kind, rgb in COLOURS.items():
        table[kind] = rgb
    painted = table[kinds]
    stripes = palette.hatch((kinds.shape[0], kinds.shape[1])) & np.isin(kinds, _HATCHED)
    painted[stripes] = palette.HATCH_RGB
    return painted
