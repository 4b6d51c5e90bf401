"""A *biome* is a kind of countryside: which soils, how much forest and crop, how big the fields.

Shares are of the ground where the cover can stand; reflectances are surface reflectance in the
bands blue, green, red, nir.
"""

from __future__ import annotations

from dataclasses import dataclass

Spectrum = tuple[float, float, float, float]


@dataclass(frozen=True)
class Biome:
    """One kind of countryside.

    Attributes:
        weight: how often ``random_recipe`` draws it.
        dark_soil: the dark, moist end of its soils.
        bright_soil: the bright, dry end.
        tree: closed canopy.
        forest: share of forest where fields and towns leave room.
        crop: share of flat dry land that is farmed.
        field_m: typical side of a field, metres.
        order: 0 fields grown over centuries, 1 surveyed square land.
        hedges: share of field edges with trees.
        green: green cover at season 0 and season 1.
        wet: how far wetland reaches above the water, metres.
        tint: spread of soil colour from parcel to parcel, 0…1.
    """

    weight: float
    dark_soil: Spectrum
    bright_soil: Spectrum
    tree: Spectrum
    forest: float
    crop: float
    field_m: float
    order: float
    hedges: float
    green: tuple[float, float]
    wet: float
    tint: float


BIOMES: dict[str, Biome] = {
    "temperate": Biome(
        weight=0.30,
        dark_soil=(0.040, 0.066, 0.080, 0.130),
        bright_soil=(0.080, 0.126, 0.158, 0.240),
        tree=(0.018, 0.036, 0.024, 0.275),
        forest=0.22,
        crop=0.80,
        field_m=430.0,
        order=0.45,
        hedges=0.25,
        green=(0.12, 0.85),
        wet=0.5,
        tint=0.8,
    ),
    "delta": Biome(
        weight=0.20,
        dark_soil=(0.050, 0.072, 0.085, 0.120),
        bright_soil=(0.090, 0.125, 0.155, 0.215),
        tree=(0.022, 0.043, 0.028, 0.290),
        forest=0.12,
        crop=0.88,
        field_m=190.0,
        order=0.3,
        hedges=0.35,
        green=(0.25, 0.85),
        wet=0.7,
        tint=0.6,
    ),
    "prairie": Biome(
        weight=0.15,
        dark_soil=(0.036, 0.055, 0.064, 0.105),
        bright_soil=(0.078, 0.118, 0.148, 0.220),
        tree=(0.018, 0.036, 0.025, 0.250),
        forest=0.12,
        crop=0.92,
        field_m=780.0,
        order=1.0,
        hedges=0.06,
        green=(0.06, 0.80),
        wet=0.5,
        tint=0.9,
    ),
    "savanna": Biome(
        weight=0.13,
        dark_soil=(0.050, 0.075, 0.115, 0.175),
        bright_soil=(0.085, 0.135, 0.235, 0.330),
        tree=(0.026, 0.050, 0.045, 0.240),
        forest=0.22,
        crop=0.35,
        field_m=260.0,
        order=0.2,
        hedges=0.05,
        green=(0.08, 0.60),
        wet=0.4,
        tint=0.7,
    ),
    "dry": Biome(
        weight=0.09,
        dark_soil=(0.080, 0.120, 0.175, 0.235),
        bright_soil=(0.140, 0.205, 0.290, 0.375),
        tree=(0.032, 0.058, 0.056, 0.230),
        forest=0.03,
        crop=0.30,
        field_m=330.0,
        order=0.7,
        hedges=0.02,
        green=(0.03, 0.22),
        wet=0.3,
        tint=0.8,
    ),
    "boreal": Biome(
        weight=0.08,
        dark_soil=(0.028, 0.040, 0.048, 0.090),
        bright_soil=(0.060, 0.085, 0.105, 0.170),
        tree=(0.012, 0.025, 0.018, 0.170),
        forest=0.72,
        crop=0.06,
        field_m=360.0,
        order=0.3,
        hedges=0.1,
        green=(0.25, 0.75),
        wet=1.0,
        tint=0.4,
    ),
    "highland": Biome(
        weight=0.05,
        dark_soil=(0.060, 0.080, 0.098, 0.135),
        bright_soil=(0.105, 0.135, 0.165, 0.215),
        tree=(0.014, 0.030, 0.021, 0.215),
        forest=0.50,
        crop=0.25,
        field_m=240.0,
        order=0.2,
        hedges=0.2,
        green=(0.15, 0.75),
        wet=0.4,
        tint=0.5,
    ),
}
