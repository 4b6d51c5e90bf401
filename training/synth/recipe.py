"""A *recipe* is everything that decides a generated frame: the same recipe, the same arrays."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from onboard.errors import ConfigError
from training.synth.biomes import BIOMES
from training.synth.draws import stream

MIN_SIZE = 16
MAX_SIZE = 4096
RECIPE_TAG = "FLOODSAT_RECIPE"
"""Tag of a generated GeoTIFF that holds its recipe."""
CLOUD_KINDS = ("cumulus", "stratus", "broken")

#: Inclusive range of every number in a recipe; the units are in the field's name or docstring.
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "weather": (0, 2**63 - 1),
    "width": (MIN_SIZE, MAX_SIZE),
    "height": (MIN_SIZE, MAX_SIZE),
    "gsd_m": (1.0, 120.0),
    "season": (0.0, 1.0),
    "relief_m": (0.0, 1500.0),
    "river_width_m": (0.0, 3000.0),
    "lake_fraction": (0.0, 0.6),
    "flood_fraction": (0.0, 0.8),
    "turbidity": (0.0, 1.0),
    "settlement": (0.0, 1.0),
    "cloud_fraction": (0.0, 1.0),
    "cirrus": (0.0, 1.0),
    "haze": (0.0, 1.0),
    "glint": (0.0, 0.1),
    "snow_fraction": (0.0, 0.9),
    "burn_fraction": (0.0, 0.5),
    "noise": (0.0, 10.0),
    "sun_azimuth_deg": (0.0, 360.0),
    "sun_elevation_deg": (15.0, 90.0),
    "nodata_wedge": (0.0, 0.5),
    "easting_m": (100_000.0, 900_000.0),
    "northing_m": (0.0, 9_500_000.0),
}


@dataclass(frozen=True)
class Recipe:
    """What to make. ``RANGES`` gives the range of every number.

    Attributes:
        seed: the place: terrain, rivers, fields, towns.
        weather: the moment: clouds, turbidity pattern, noise. Same seed with another weather is
            the same place on another day.
        width: columns, in pixels.
        height: rows, in pixels.
        gsd_m: ground sampling distance, metres per pixel.
        biome: a key of ``biomes.BIOMES``.
        season: 0 is the dead of the dry or cold season, 1 the height of growth.
        relief_m: height of the uplands over the valley floor; 0 is a plain without an end.
        river_width_m: width of the main river; 0 is none.
        lake_fraction: share of the ground under permanent lakes.
        flood_fraction: share of the ground under flood water, beside permanent water. It needs
            a river or a lake to come from.
        turbidity: 0 clear, 1 brown with sediment.
        settlement: 0 no house and no road, 1 towns, villages and roads.
        cloud_fraction: share of the frame whose cloud opacity passes the cloud threshold.
        cloud_kind: ``cumulus`` (heaps), ``stratus`` (sheets) or ``broken`` (between the two).
        cirrus: strength of thin ice cloud; it stays under the cloud threshold.
        haze: aerosol load, 0 none, 1 heavy.
        glint: strength of sun glint on water, in reflectance.
        snow_fraction: share of the ground under snow.
        burn_fraction: share of the ground that burnt lately.
        noise: camera noise as a multiple of the nominal camera's.
        toa: True for top-of-atmosphere reflectance, False for surface reflectance.
        sun_azimuth_deg: where the Sun stands, clockwise from north.
        sun_elevation_deg: the Sun's height over the horizon.
        nodata_wedge: share of the frame's width lost to the scan edge at its worst row.
        easting_m: UTM zone 45 north easting of the upper left corner.
        northing_m: its northing.
    """

    seed: int = 0
    weather: int = 0
    width: int = 1024
    height: int = 1024
    gsd_m: float = 30.0
    biome: str = "temperate"
    season: float = 0.6
    relief_m: float = 60.0
    river_width_m: float = 300.0
    lake_fraction: float = 0.01
    flood_fraction: float = 0.15
    turbidity: float = 0.7
    settlement: float = 0.5
    cloud_fraction: float = 0.1
    cloud_kind: str = "cumulus"
    cirrus: float = 0.0
    haze: float = 0.1
    glint: float = 0.0
    snow_fraction: float = 0.0
    burn_fraction: float = 0.0
    noise: float = 1.0
    toa: bool = False
    sun_azimuth_deg: float = 145.0
    sun_elevation_deg: float = 52.0
    nodata_wedge: float = 0.0
    easting_m: float = 640_000.0
    northing_m: float = 2_640_000.0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ConfigError(f"{name} is {value!r}; choose a number in {low:g}…{high:g}")
            if not (math.isfinite(value) and low <= value <= high):
                raise ConfigError(f"{name} is {value}; choose a value in {low:g}…{high:g}")
        for name in ("seed", "weather", "width", "height"):
            if not isinstance(getattr(self, name), int):
                raise ConfigError(f"{name} is {getattr(self, name)}; choose a whole number")
        self._check_words()

    def _check_words(self) -> None:
        if not isinstance(self.toa, bool):
            raise ConfigError(f"toa is {self.toa!r}; choose true or false")
        if self.biome not in BIOMES:
            raise ConfigError(f"biome is {self.biome!r}; choose one of {', '.join(BIOMES)}")
        if self.cloud_kind not in CLOUD_KINDS:
            raise ConfigError(
                f"cloud_kind is {self.cloud_kind!r}; choose one of {', '.join(CLOUD_KINDS)}"
            )
        if self.flood_fraction > 0 and not (self.river_width_m or self.lake_fraction):
            raise ConfigError(
                "flood_fraction is above 0 without permanent water to come from; "
                "give a river_width_m or a lake_fraction"
            )

    def to_json(self) -> str:
        """The recipe as one line of JSON, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what ``to_json`` wrote.

        Raises:
            ConfigError: not JSON, not an object, an unknown key or a value out of range.
        """
        try:
            values = json.loads(text)
            known = {field.name for field in fields(cls)}
            unknown = sorted(set(values) - known)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"recipe: not a JSON object ({error}); copy one of synth") from error
        if unknown or not isinstance(values, dict):
            raise ConfigError(f"recipe: unknown keys {unknown}; remove them")
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"recipe: {error}; write it with synth") from error


def random_recipe(
    seed: int,
    width: int = 128,
    height: int = 128,
    gsd_m: float = 30.0,
    **fixed: Any,
) -> Recipe:
    """Draw a varied recipe for a training set; ``fixed`` overrides what is drawn.

    The same arguments give the same recipe. About a fifth of the frames are dry, a third are
    cloudless, and one in eight has no river.

    Raises:
        ConfigError: a fixed value is out of range.
    """
    # The draws below scale with the GSD; what cannot be is refused first.
    checked = Recipe(seed=seed, width=width, height=height, gsd_m=gsd_m)
    draw = _Draws(checked.seed)
    biome = draw.choice(list(BIOMES), [b.weight for b in BIOMES.values()])
    river = 0.0 if draw.chance(0.12) else gsd_m * math.exp(draw.between(math.log(3), math.log(28)))
    flood = 0.0 if draw.chance(0.2) else 0.6 * draw.between(0.05, 1.0) ** 1.5
    clouds = 0.0 if draw.chance(0.35) else 0.6 * draw.between(0.1, 1.0) ** 1.6
    values: dict[str, Any] = {
        "seed": seed,
        "weather": int(draw.between(0, 2**31)),
        "biome": biome,
        "season": draw.between(0.0, 1.0),
        "relief_m": 0.0 if draw.chance(0.35) else math.exp(draw.between(2.0, 6.5)),
        "river_width_m": river,
        "lake_fraction": (0.25 * draw.between(0.0, 1.0) ** 3 if draw.chance(0.6) else 0.0)
        + (0.04 if river == 0 else 0.0),
        "flood_fraction": flood,
        "turbidity": draw.between(0.0, 1.0) ** 0.7,
        "settlement": draw.between(0.0, 1.0),
        "cloud_fraction": clouds,
        "cloud_kind": draw.choice(list(CLOUD_KINDS), [0.55, 0.15, 0.3]),
        "cirrus": draw.between(0.1, 1.0) if draw.chance(0.25) else 0.0,
        "haze": 0.7 * draw.between(0.0, 1.0) ** 2,
        "glint": draw.between(0.0, 0.05) if draw.chance(0.2) else 0.0,
        "snow_fraction": _snow(draw, biome),
        "burn_fraction": draw.between(0.02, 0.3) if draw.chance(0.1) else 0.0,
        "noise": draw.between(0.5, 2.0),
        "toa": draw.chance(0.3),
        "sun_azimuth_deg": draw.between(100.0, 260.0),
        "sun_elevation_deg": draw.between(25.0, 70.0),
        "nodata_wedge": draw.between(0.05, 0.3) if draw.chance(0.08) else 0.0,
        "easting_m": 500_000.0 + gsd_m * round(draw.between(0, 10_000) * 30 / gsd_m),
        "northing_m": 2_500_000.0 + gsd_m * round(draw.between(0, 10_000) * 30 / gsd_m),
    }
    values.update(fixed)
    unknown = sorted(set(values) - {field.name for field in fields(Recipe)})
    if unknown:
        raise ConfigError(f"recipe: unknown field {unknown[0]!r}; see synth.recipe")
    rounded: dict[str, Any] = {
        k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()
    }
    return Recipe(width=width, height=height, gsd_m=gsd_m, **rounded)


def _snow(draw: _Draws, biome: str) -> float:
    chance = 0.15 if biome in ("boreal", "highland") else 0.02
    return draw.between(0.02, 0.6) if draw.chance(chance) else 0.0


class _Draws:
    """Uniform draws in a fixed order, so that an added field does not shift the others."""

    def __init__(self, seed: int) -> None:
        self._rng = stream(seed, "recipe")

    def between(self, low: float, high: float) -> float:
        return float(low + (high - low) * self._rng.random())

    def chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def choice(self, words: list[str], weights: list[float]) -> str:
        at = self._rng.random() * sum(weights)
        for word, weight in zip(words, weights, strict=True):
            at -= weight
            if at < 0:
                return word
        return words[-1]
