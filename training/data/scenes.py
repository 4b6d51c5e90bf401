"""Sentinel-2 scenes with labels, cut into chips: bands chosen, labels made ours, fill ignored.

A scene is read window by window, so that its size does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window

from onboard.errors import ConfigError, DatasetError
from onboard.rasters import READ_ERRORS, unlocated_is_fine
from training.chips import UNKNOWN
from training.data.sources import S2_BANDS

LAND, WATER, CLOUD = 0, 1, 2
SMALLEST = 64
"""Pixels a side; what is left over at a scene's edge and smaller is dropped."""
LABELLED = 0.01
"""Share of labelled pixels below which a chip is dropped."""

Labels = npt.NDArray[np.uint8]
Coder = Callable[[npt.NDArray[Any], Path], Labels]


class Piece(NamedTuple):
    """A chip cut from a scene.

    Attributes:
        suffix: to the scene's name; empty where the scene is one chip.
        image: uint16 ``(bands, H, W)``, 0 where there is no data.
        label: uint8 ``(H, W)``: 0 land, 1 water, 2 cloud, 255 unlabelled or no data.
        crs: coordinate system, or None.
        transform: affine, pixel to coordinates.
    """

    suffix: str
    image: npt.NDArray[np.uint16]
    label: Labels
    crs: Any
    transform: Any


def band_indices(descriptions: Sequence[str | None], bands: Sequence[str], path: Path) -> list[int]:
    """Where bands stand in a file, from 1: by their description, else by the order of level 1C.

    Raises:
        DatasetError: the file has fewer bands than Sentinel-2.
    """
    names = [S2_BANDS[band] for band in bands]
    if all(name in descriptions for name in names):
        return [list(descriptions).index(name) + 1 for name in names]
    if len(descriptions) < len(S2_BANDS):
        raise DatasetError(
            f"{path}: has {len(descriptions)} bands without names instead of Sentinel-2's "
            f"{len(S2_BANDS)}; delete it and fetch it again"
        )
    return [list(S2_BANDS.values()).index(name) + 1 for name in names]


def check_bands(bands: Sequence[str]) -> None:
    """Raise `ConfigError` unless all are bands of Sentinel-2, each named once."""
    for band in bands:
        if band not in S2_BANDS:
            raise ConfigError(f"--bands {band}: is no band; known are {', '.join(S2_BANDS)}")
    if len(set(bands)) < len(bands) or not bands:
        raise ConfigError("--bands: name one band at least, and each of them once")


def code_sen1floods11(values: npt.NDArray[Any], path: Path) -> Labels:
    """−1 no data or not valid, 0 not water, 1 water. It does not tell cloud.

    Args:
        values: ``(1, H, W)``.
        path: for errors.
    """
    _expect(values, 1, (-1, 0, 1), path)
    return np.where(values[0] < 0, UNKNOWN, values[0]).astype(np.uint8)


def code_worldfloods(values: npt.NDArray[Any], path: Path) -> Labels:
    """Version 2 in two bands, version 1 in one.

    Version 2: 0 invalid, 1 clear, 2 cloud; and 0 invalid, 1 land, 2 water. Version 1: 0 invalid,
    1 land, 2 water, 3 cloud. Cloud hides what stands in the second band.

    Args:
        values: ``(2, H, W)`` or ``(1, H, W)``.
        path: for errors.
    """
    if len(values) == 1:
        _expect(values, 1, (0, 1, 2, 3), path)
        codes = np.array([UNKNOWN, LAND, WATER, CLOUD], np.uint8)
        return np.asarray(codes[values[0].astype(int)])
    _expect(values, 2, (0, 1, 2), path)
    cloud, water = values
    chosen = [cloud == 2, (cloud == 1) & (water == 1), (cloud == 1) & (water == 2)]
    return np.select(chosen, [CLOUD, LAND, WATER], UNKNOWN).astype(np.uint8)


def _expect(values: npt.NDArray[Any], bands: int, known: tuple[int, ...], path: Path) -> None:
    if len(values) != bands:
        raise DatasetError(f"{path}: has {len(values)} bands instead of {bands}; fetch it again")
    strange = sorted(set(np.unique(values).tolist()) - set(known))
    if strange:
        raise DatasetError(
            f"{path}: holds the value {strange[0]}, which the set's documentation does not name; "
            "see whether the set has changed"
        )


def cut(
    image_path: Path, label_path: Path, bands: Sequence[str], side: int, code: Coder
) -> Iterator[Piece | None]:
    """Cut a scene into chips of ``side`` pixels at most; None for each that was dropped.

    Dropped are those with hardly a labelled pixel, and slivers at the edge.

    Raises:
        DatasetError: unreadable, of another form than documented, or label and image differ in
            shape.
    """
    try:
        with (
            unlocated_is_fine(),
            rasterio.open(image_path) as image,
            rasterio.open(label_path) as label,
        ):
            if image.shape != label.shape:
                raise DatasetError(
                    f"{label_path}: is {label.width}×{label.height} pixels, its image "
                    f"{image.width}×{image.height}; see whether the set has changed"
                )
            indices = band_indices(image.descriptions, bands, image_path)
            for window in _windows(image.width, image.height, side):
                values = code(label.read(window=window), label_path)
                samples = image.read(indices, window=window)
                yield _piece(window, samples, values, image, side)
    except READ_ERRORS as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f"{image_path}: or its label {label_path.name} cannot be read as a TIFF ({error}); "
            "delete both and fetch them again"
        ) from error


def _windows(width: int, height: int, side: int) -> Iterator[Window]:
    for row in range(0, height, side):
        for col in range(0, width, side):
            yield Window(col, row, min(side, width - col), min(side, height - row))


def _piece(
    window: Window, samples: npt.NDArray[Any], label: Labels, image: Any, side: int
) -> Piece | None:
    with np.errstate(invalid="ignore"):
        good = np.isfinite(samples).all(axis=0) & (samples != 0).any(axis=0)
        # A dark pixel may be below 0 after calibration; there is no number for it in a chip.
        whole = np.clip(np.rint(np.nan_to_num(samples)), 0, 65535).astype(np.uint16)
    label = np.where(good, label, UNKNOWN).astype(np.uint8)
    alone = max(image.width, image.height) <= side
    sliver = min(label.shape) < SMALLEST and not alone
    if sliver or np.mean(label != UNKNOWN) < LABELLED:
        return None
    suffix = "" if alone else f"_r{window.row_off:05d}c{window.col_off:05d}"
    transform = image.transform * image.transform.translation(window.col_off, window.row_off)
    return Piece(suffix, np.where(good, whole, 0).astype(np.uint16), label, image.crs, transform)
