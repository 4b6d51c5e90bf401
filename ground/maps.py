"""Maps: a verified product as files that a geographic information system opens.

A *sheet* is what is needed to draw a product: its class mask at full resolution, its uncertainty
by blocks of pixels, its grid, and the labels that say where it comes from. A sheet becomes two
cloud-optimised GeoTIFFs (OGC 21-026): the mask with its colour table, and the uncertainty in
nats on the coarser grid of blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from ground import palette
from ground.palette import U8, Subject
from ground.place import coarser, crs_of
from onboard import classes
from onboard.conditions import condition_names
from onboard.errors import OutputError, ProductError
from onboard.files import replacing
from onboard.georef import Georef
from onboard.product import Product
from onboard.rasters import GDAL_ERRORS, check_written, unlocated_is_fine
from onboard.reference_water import PERMANENT, Reference

F32 = npt.NDArray[np.float32]

COG_OPTIONS: Mapping[str, Any] = {
    "driver": "COG",
    "compress": "DEFLATE",
    "blocksize": 256,
    "overviews": "IGNORE_EXISTING",
}

NOT_OBSERVED = (
    "cloud and nodata are not observed: nothing is said about the ground there, "
    "and they must not be read as dry"
)


@dataclass(frozen=True)
class Labels:
    """Where a product comes from, as it stands on every map.

    Attributes:
        product_id: the product's id, hexadecimal.
        scene_id: SHA-256 of the frame's samples, hexadecimal.
        model_id: SHA-256 of the float32 weights, hexadecimal.
        sensor: name of the sensor.
        engine: name and version of the inference engine.
        passes: Monte Carlo passes, T.
        seed: of the dropout masks.
        subject: ``"flood"`` where the permanent-water reference is at hand, else ``"water"``.
        acquired: when the frame was taken, ISO 8601 in UTC; ``""`` where unknown.
        clock: how that time is known.
        position_sigma_m: one standard deviation of the position on the ground, in metres; None
            where unknown.
        thresholds: (name, probability) of every threshold that made the mask.
        operating_point: name of the point they belong to.
        reference: version of the permanent-water reference that the satellite used; ``""``
            where it had none.
        conditions: flags of the frame, in words.
        acquired_ms: when the frame was taken, UTC milliseconds since 1970; None where unknown.
    """

    product_id: str
    scene_id: str
    model_id: str
    sensor: str
    engine: str
    passes: int
    seed: int
    subject: Subject = "water"
    acquired: str = ""
    clock: str = ""
    position_sigma_m: float | None = None
    thresholds: tuple[tuple[str, float], ...] = ()
    operating_point: str = ""
    reference: str = ""
    conditions: tuple[str, ...] = ()
    acquired_ms: int | None = None

    def rows(self) -> list[tuple[str, str]]:
        """Return (name, value) of every label, in the order in which they are shown."""
        thresholds = ", ".join(f"{name} ≥ {value:g}" for name, value in self.thresholds)
        sigma = self.position_sigma_m
        clock = f" ({self.clock})" if self.acquired and self.clock else ""
        return [
            ("product", self.product_id),
            ("acquired", f"{self.acquired}{clock}" if self.acquired else "not known"),
            ("position", "accuracy not known" if sigma is None else f"± {sigma:g} m (1 sigma)"),
            ("sensor", self.sensor),
            ("scene", self.scene_id),
            ("model", self.model_id),
            ("engine", self.engine),
            ("passes", str(self.passes)),
            ("seed", str(self.seed)),
            ("thresholds", thresholds or "not given"),
            ("operating point", self.operating_point or "not given"),
            ("conditions", ", ".join(self.conditions) or "none of note"),
            ("subject", self.subject),
            ("reference", self.reference or "none: permanent water is not known"),
        ]


@dataclass(frozen=True)
class Sheet:
    """Everything that is drawn.

    Attributes:
        mask: uint8 ``(H, W)`` of ``onboard.classes``, and on a flood map `palette.PERMANENT`.
        entropy: float32 ``(h, w)``, nats, NaN where not observed; ``h = ⌈H / block⌉``.
        epistemic: as ``entropy``, the mutual information.
        block: side of a block of the uncertainty maps, in pixels of the mask.
        georef: the mask's grid.
        labels: where it comes from.
        mean_entropy: over observed pixels, nats; None where nothing was observed.
        mean_epistemic: as ``mean_entropy``, the mutual information.
        water_area_m2: of the subject, flood or water; None where the grid is not in metres.
    """

    mask: U8
    entropy: F32
    epistemic: F32
    block: int
    georef: Georef
    labels: Labels
    mean_entropy: float | None = None
    mean_epistemic: float | None = None
    water_area_m2: float | None = None

    def __post_init__(self) -> None:
        shape = (self.georef.height, self.georef.width)
        if self.mask.shape != shape or self.mask.dtype != np.uint8:
            raise ProductError(
                f"mask is {self.mask.dtype} {self.mask.shape}; the grid wants uint8 {shape}"
            )
        grid = coarser(self.georef, self.block)
        for name in ("entropy", "epistemic"):
            if getattr(self, name).shape != (grid.height, grid.width):
                raise ProductError(
                    f"{name} is {getattr(self, name).shape}; blocks of {self.block} pixels "
                    f"want {(grid.height, grid.width)}"
                )


@dataclass(frozen=True)
class Shares:
    """Shares of all pixels of a mask, each 0–1; they add up to 1."""

    land: float
    water: float
    permanent: float
    cloud: float
    nodata: float

    @property
    def not_observed(self) -> float:
        """Cloud and nodata together."""
        return self.cloud + self.nodata

    @property
    def water_of_observed(self) -> float:
        """The subject among the pixels that were observed; NaN where none was."""
        observed = self.land + self.water + self.permanent
        return self.water / observed if observed else float("nan")


def shares(mask: U8) -> Shares:
    """Count the classes of a sheet's ``mask``, uint8 ``(H, W)``.

    Raises:
        ProductError: a value that is no class.
    """
    counts = np.bincount(mask.ravel(), minlength=256)
    known = [classes.LAND, classes.WATER, palette.PERMANENT, classes.CLOUD, classes.NODATA]
    if counts[known].sum() != mask.size:
        strange = sorted(set(np.flatnonzero(counts).tolist()) - set(known))
        raise ProductError(f"mask holds values that are no class: {strange}")
    return Shares(*(float(counts[value]) / mask.size for value in known))


def sheet_of(product: Product, reference: Reference | None = None) -> Sheet:
    """Return the sheet of a verified product.

    Args:
        product: as received. Its mask shows all water.
        reference: permanent water. Only the very reference that the product names makes its
            sheet a flood map; without it the sheet shows water.
    """
    found = product.statistics
    flood = sheet_subject(product, reference) == "flood"
    mask = product.mask
    if reference is not None and flood:
        permanent = reference.on(product.georef) == PERMANENT
        mask = np.where(permanent & (mask == classes.WATER), np.uint8(palette.PERMANENT), mask)
    return Sheet(
        mask=mask,
        entropy=product.entropy_nats,
        epistemic=product.epistemic_nats,
        block=product.block,
        georef=product.georef,
        labels=_labels(product, "flood" if flood else "water"),
        mean_entropy=found.mean_entropy,
        mean_epistemic=found.mean_epistemic,
        water_area_m2=found.flood_area_m2 if flood else found.water_area_m2,
    )


def sheet_subject(product: Product, reference: Reference | None) -> palette.Subject:
    """What a product's sheet may speak of with the reference that is at hand."""
    known = reference is not None and reference.version == product.reference_version
    return "flood" if known else "water"


def _labels(product: Product, subject: palette.Subject) -> Labels:
    reference = product.reference_version
    return Labels(
        product_id=product.product_id.hex(),
        scene_id=product.scene_id.hex(),
        model_id=product.model_id.hex(),
        sensor=product.sensor,
        engine=product.engine,
        passes=product.passes,
        seed=product.seed,
        subject=subject,
        acquired=utc_text(product.acquired_ms),
        clock=clock_text(product),
        position_sigma_m=product.geolocation_sigma_m,
        thresholds=(("p_water", product.water_threshold), ("p_cloud", product.cloud_threshold)),
        operating_point=product.operating_point,
        reference="" if reference is None else reference.hex(),
        conditions=condition_names(product.conditions),
        acquired_ms=product.acquired_ms,
    )


def clock_text(product: Product) -> str:
    """How the time of a product is known, and how well."""
    sigma = product.acquired_sigma_s
    text: str = product.acquired_quality.text
    return text if sigma is None else f"{text}, ± {sigma:g} s (1 sigma)"


def utc_text(milliseconds: int | None) -> str:
    """Write UTC milliseconds since 1970 as ISO 8601 to the second; ``""`` for None."""
    if milliseconds is None:
        return ""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return f"{milliseconds} ms since 1970"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def write_maps(sheet: Sheet, folder: Path, stem: str) -> list[Path]:
    """Write ``<stem>.tif`` (classes) and ``<stem>_uncertainty.tif`` (nats) into ``folder``.

    Returns:
        The two paths, the mask first. Nothing else is left in the folder.

    Raises:
        OutputError: the folder cannot be written.
        ProductError: the CRS is unknown, or the mask holds a value that is no class.
    """
    shares(sheet.mask)
    mask_path, uncertainty_path = folder / f"{stem}.tif", folder / f"{stem}_uncertainty.tif"
    _write_mask(sheet, mask_path)
    _write_uncertainty(sheet, uncertainty_path)
    return [mask_path, uncertainty_path]


def _write_mask(sheet: Sheet, path: Path) -> None:
    names = palette.class_names(sheet.labels.subject)
    with _cog(path, sheet.georef, "uint8", 1, classes.NODATA, overview_resampling="mode") as tif:
        tif.write(sheet.mask, 1)
        tif.write_colormap(1, palette.colour_table())
        tif.set_band_description(1, "class")
        tif.update_tags(1, **{f"CLASS_{value}": name for value, name in names.items()})
        tif.update_tags(**tags(sheet))


def _write_uncertainty(sheet: Sheet, path: Path) -> None:
    grid = coarser(sheet.georef, sheet.block)
    options = {"overview_resampling": "average", "predictor": "YES"}
    with _cog(path, grid, "float32", 2, float("nan"), **options) as tif:
        for band, name in enumerate(("entropy", "epistemic"), start=1):
            tif.write(getattr(sheet, name).astype(np.float32), band)
            tif.set_band_description(band, name)
            tif.set_band_unit(band, "nat")
        tif.update_tags(**tags(sheet), FLOODSAT_BLOCK=str(sheet.block))


def tags(sheet: Sheet) -> dict[str, str]:
    """Return the GeoTIFF tags that make a map speak for itself."""
    georef = sheet.georef
    coordinates = georef.crs if georef.located else "none: the frame came without coordinates"
    rows = sheet.labels.rows()
    return {
        **{f"FLOODSAT_{name.upper().replace(' ', '_')}": value for name, value in rows},
        "FLOODSAT_COORDINATES": coordinates,
        "FLOODSAT_NOT_OBSERVED": NOT_OBSERVED,
        "FLOODSAT_UNCERTAINTY": "entropy = aleatoric + epistemic, in nats, 0 to ln 2 (0.693)",
        "TIFFTAG_SOFTWARE": "FloodSat",
    }


@contextmanager
def _cog(
    path: Path, grid: Georef, dtype: str, count: int, nodata: float, **options: str
) -> Iterator[Any]:
    """Open a cloud-optimised GeoTIFF that appears at ``path`` only when it is whole."""
    profile = {
        **COG_OPTIONS,
        **options,
        "dtype": dtype,
        "count": count,
        "nodata": nodata,
        "height": grid.height,
        "width": grid.width,
        "crs": crs_of(grid),
        "transform": rasterio.Affine(*grid.transform),
    }
    try:
        # A frame without coordinates is allowed, and its map says so in a tag.
        with replacing(path) as part, unlocated_is_fine():
            with rasterio.Env(GDAL_PAM_ENABLED=False), rasterio.open(part, "w", **profile) as tif:
                yield tif
            check_written(part, path)
    except GDAL_ERRORS as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{path}: cannot be written ({error}); check space and rights of the folder"
        ) from error
