"""Ground: the chips that experiments train on, judge on, and are led astray by.

The *full* experiments stand on `dfc24`: two thirds of the places that do not belong to the test
train, the others judge. Two other domains lie beyond: a Landsat 5 scene of another place, in
top-of-atmosphere reflectance, and chips of another camera, ΦSat-2 as its simulator makes it of
Sentinel-2, at 4.75 m. The *quick* ones stand on generated chips, so that they run anywhere: four
biomes at home, and two others under a hazy top-of-atmosphere sky as the other domain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from onboard.classes import CLOUD, NODATA, WATER
from onboard.errors import ConfigError
from onboard.sensor import VNIR4, Sensor
from training.chips import UNKNOWN, Chip, ChipFolder
from training.splits import Fold, fold_ids

SIDE = 128
FOLD = Fold(0, 3)
MOST_CLOUD = 0.2
ELSEWHERE = "landsat5"
OTHER_CAMERA = "phisat2_sim"
HOME, AWAY = ("temperate", "delta", "prairie", "savanna"), ("dry", "highland")
GENERATED_SEED = 4000


class Effort(NamedTuple):
    """How much an experiment does.

    Attributes:
        quick: two minutes, on generated chips.
        widths: of the network.
        crop: side of the training crops, pixels.
        steps: of a training.
        seeds: how many trainings a figure stands on.
        passes: stochastic passes where an experiment does not vary them.
    """

    quick: bool
    widths: tuple[int, ...]
    crop: int
    steps: int
    seeds: int
    passes: int


QUICK = Effort(True, (8, 12, 16), 64, 60, 2, 10)
FULL = Effort(False, (16, 32, 48), 64, 400, 3, 20)
OWN: dict[str, dict[str, int]] = {
    "epistemic-aleatoric": {"seeds": 5},
    "trust-the-uncertainty": {"seeds": 5},
    "single-pass": {"seeds": 5},
    "active-learning": {"steps": 300},
    "prior": {"steps": 300},
}
"""What full experiments do otherwise: more seeds where a seed trains few networks, fewer steps
where it trains many. From 200 to 400 steps the IoU of all chips gains a hundredth."""


def full(name: str) -> Effort:
    """The effort of a full experiment, by its name."""
    return FULL._replace(**OWN.get(name, {}))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Held:
    """A chip in memory; fits `training.stream.ChipSource`."""

    chip: Chip

    def read(self, sensor: Sensor) -> Chip:
        """The chip; it was read for this sensor."""
        return self.chip


@dataclass(frozen=True)
class Ground:
    """Chips in memory, water labels known, all of `VNIR4`.

    Attributes:
        pool: of the places that may train.
        judge: of other places of the same domain.
        away: of other domains, by what they are.
        home_name: what the own domain is, for tables.
    """

    pool: list[Chip]
    judge: list[Chip]
    away: dict[str, list[Chip]]
    home_name: str

    def places(self, share: float, seed: int) -> list[Chip]:
        """The chips of a random share of the pool's places, one place at least."""
        names = sorted({chip.group for chip in self.pool})
        order = np.random.default_rng(seed).permutation(len(names))
        kept = {names[i] for i in order[: max(1, round(share * len(names)))]}
        return [chip for chip in self.pool if chip.group in kept]


def real(data: Path) -> Ground:
    """The full experiments' ground, from the data folder.

    Raises:
        ConfigError: the folder lacks what they need.
    """
    for name in ("dfc24", "clouds", OTHER_CAMERA):
        if not (data / name / "dataset.toml").exists():
            raise ConfigError(
                f"{data / name}: is not there; the full experiments need the data folder "
                "(--data, FLOODSAT_DATA); --quick runs on generated chips"
            )
    folder, clouds = ChipFolder.open(data / "dfc24"), ChipFolder.open(data / "clouds")
    camera = ChipFolder.open(data / OTHER_CAMERA)
    train, held = fold_ids(folder, FOLD)
    scene = clouds.read(ELSEWHERE, VNIR4)
    return Ground(
        [folder.read(chip, VNIR4) for chip in train],
        [folder.read(chip, VNIR4) for chip in held],
        {
            "Landsat 5 scene, top of atmosphere": _cut(scene),
            "ΦSat-2 as simulated, 4.75 m": [camera.read(chip, VNIR4) for chip in camera.ids],
        },
        "dfc24, other places",
    )


def _cut(scene: Chip) -> list[Chip]:
    """Chips of a scene that are mostly clear; clouds stay unlabelled in them."""
    height, width = scene.water.shape
    parts = [
        (slice(row, row + SIDE), slice(col, col + SIDE))
        for row in range(0, height - SIDE + 1, SIDE)
        for col in range(0, width - SIDE + 1, SIDE)
    ]
    chips = [
        replace(
            scene,
            id=f"{scene.id}-{i}",
            reflectance=scene.reflectance[part],
            water=scene.water[part],
            cloud=scene.cloud[part],
        )
        for i, part in enumerate(parts)
    ]
    return [chip for chip in chips if (chip.cloud == 1).mean() <= MOST_CLOUD]


def generated(
    pool: int = 24, judge: int = 10, away: int = 8, on_chip: Callable[[], None] = lambda: None
) -> Ground:
    """The quick experiments' ground: generated chips of 64 pixels, the same on every machine."""
    parts = []
    for kind, count in enumerate((pool, judge, away)):
        biomes = AWAY if kind == 2 else HOME
        chips = []
        for i in range(count):
            chips.append(_generate(1000 * kind + i, biomes[i % len(biomes)], away=kind == 2))
            on_chip()
        parts.append(chips)
    return Ground(
        parts[0],
        parts[1],
        {"generated, other biomes, hazy": parts[2]},
        "generated, other places",
    )


@functools.cache
def _generate(number: int, biome: str, away: bool) -> Chip:
    from training.synth.frame import synthesise
    from training.synth.recipe import random_recipe

    sky = {"toa": True, "haze": 0.8, "turbidity": 0.9} if away else {"toa": False, "haze": 0.1}
    recipe = random_recipe(
        seed=GENERATED_SEED + number,
        width=64,
        height=64,
        gsd_m=30.0,
        biome=biome,
        flood_fraction=0.25,
        cloud_fraction=0.1 if number % 3 == 0 else 0.0,
        **sky,
    )
    frame = synthesise(recipe)
    label = frame.label
    unknown = (label == CLOUD) | (label == NODATA)
    return Chip(
        id=str(number),
        group=str(number),
        reflectance=frame.dn.astype(np.float32) * np.float32(VNIR4.scale),
        water=np.where(unknown, UNKNOWN, label == WATER).astype(np.uint8),
        cloud=(label == CLOUD).astype(np.uint8),
    )


def refs(chips: Sequence[Chip]) -> list[Held]:
    """Chips as a training stream takes them."""
    return [Held(chip) for chip in chips]
