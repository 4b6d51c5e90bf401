"""Items of an archive: STAC for the six bands of ``floodsat segment`` and the frame beneath them.

As `ground.stac`, which describes what came down from a satellite. An item vouches for its file by
length and SHA-256, and says of the frame where it lay, how long it was and when it last changed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import onboard
from ground import stac
from ground.areas import outline
from ground.catalogue import day_name
from ground.lonlat import Box
from ground.place import ground_matrix, pixel_size
from onboard import classes
from onboard.conditions import condition_names
from onboard.errors import ProductError
from onboard.georef import Georef
from onboard.items import file_of
from onboard.mapfile import BANDS

if TYPE_CHECKING:
    from ground.archive.recipe import Ready, Recipe
    from onboard.scene import OpenFrame

FRAME, MAPS = "frame", "maps"
"""Names of the assets: what was segmented, and what came of it."""
SCENE = "floodsat:scene_id"
GEOTIFF = "image/tiff; application=geotiff"
_TEXTS = {
    "class": "0 land, 1 water, 2 cloud, 255 no data",
    "p_water": "probability of water where the sky is clear",
    "p_cloud": "probability of cloud",
    "entropy": "entropy of water or not, of the mean over the passes",
    "aleatoric": "the part of it that is the image's",
    "epistemic": "the part of it that is the model's, the mutual information",
}


def seen(frame: Path) -> dict[str, Any]:
    """What a frame's asset says of its file: address, length in bytes, and last change.

    What a web server has may be without a time of change: then its address and length count.

    Raises:
        OSError: it is not there.
    """
    found = file_of(frame).stat()
    when = datetime.fromtimestamp(found.st_mtime, UTC)
    return {
        "href": str(frame.resolve()),
        "file:size": found.st_size,
        **({"updated": stac.time_text(when)} if found.st_mtime else {}),
    }


def item(
    frame: OpenFrame,
    recipe: Recipe,
    ready: Ready,
    target: Path,
    scene_id: bytes,
    counts: npt.NDArray[np.int64],
) -> tuple[dict[str, Any], list[str]]:
    """Describe the maps of a frame.

    Args:
        frame: open.
        recipe: how it was segmented.
        ready: the same on this machine.
        target: the maps; the item will lie beside them and have their stem as its id.
        scene_id: SHA-256 of the frame's samples.
        counts: pixels of each class, ``(256,)``.

    Returns:
        The item, and notes for people.
    """
    grid, place, notes = _place(frame)
    stem, time = target.stem, frame.capture.milliseconds
    day = day_name(stac.moment(time), stem)
    matrix = ground_matrix(grid)
    found: dict[str, Any] = {
        "title": f"Water maps of {stem}",
        **stac.times(time),
        "instruments": [frame.sensor.name],
        "gsd": None if matrix is None else round(max(pixel_size(matrix)), 3),
        **stac.projection(grid),
        "processing:level": "L2",
        "processing:lineage": (
            f"Segmented on the ground in {recipe.passes} passes with Monte Carlo dropout"
        ),
        "processing:software": {"FloodSat": onboard.__version__, **_engine(ready)},
        "floodsat:subject": "water",
        SCENE: scene_id.hex(),
        **recipe.settings,
        "floodsat:conditions": list(condition_names(frame.conditions)),
        "floodsat:share": _share(counts, classes.WATER),
        "floodsat:not_observed_share": _share(counts, classes.CLOUD, classes.NODATA),
        "floodsat:located": grid.located,
    }
    nullable = {"datetime"}
    described = {
        "type": "Feature",
        "stac_version": stac.VERSION,
        "stac_extensions": stac.EXTENSIONS,
        "id": stem,
        "collection": stac.COLLECTION,
        **place,
        "properties": {k: v for k, v in found.items() if v is not None or k in nullable},
        "links": stac.links(day),
        "assets": {FRAME: _frame(frame.path), MAPS: _maps(target)},
    }
    return described, [*frame.notes, *notes]


def _place(frame: OpenFrame) -> tuple[Georef, dict[str, Any], list[str]]:
    """A frame's grid and outline; a grid that lies nowhere on Earth is left out, with a note."""
    try:
        geometry, box = outline(frame.georef)
        return frame.georef, _outlined(geometry, box), []
    except ProductError as error:
        bare = Georef(frame.georef.width, frame.georef.height)
        return bare, _outlined(None, None), [f"its item has no place: {error}"]


def _outlined(geometry: Any, box: Box | None) -> dict[str, Any]:
    return {
        "geometry": None if geometry is None else stac.plain(geometry),
        **({} if box is None else {"bbox": list(box)}),
    }


def _engine(ready: Ready) -> dict[str, str]:
    """``tflite (ai-edge-litert 2.3.0)`` as a name and a version."""
    name, _, version = ready.segmenter.engine.name.partition(" ")
    return {name: version.strip("()") or "not known"}


def _share(counts: npt.NDArray[np.int64], *values: int) -> float:
    return round(float(counts[list(values)].sum() / counts.sum()), 6)


def _frame(path: Path) -> dict[str, Any]:
    return {**seen(path), "title": "Frame", "roles": ["source"]}


def _maps(target: Path) -> dict[str, Any]:
    return {
        **stac.asset(target.name, "Classes, probabilities and uncertainty", GEOTIFF, "data"),
        "bands": [
            {"name": name, "description": _TEXTS[name], "data_type": "float32", "nodata": "nan"}
            for name in BANDS
        ],
        **stac.file_facts(target),
    }
