"""Batches for training, read chip by chip from disk: memory does not grow with the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt

from onboard import masks
from onboard.network import Network
from onboard.normalise import Normalisation
from onboard.sensor import Sensor
from training import augment, clouds
from training.chips import Chip, ChipFolder
from training.config import TrainConfig

SAME_GSD = 1.05
"""Ground sample distances up to this ratio count as one."""


class ChipSource(Protocol):
    """Something that a chip can be read from, such as `ChipRef`."""

    def read(self, sensor: Sensor) -> Chip:
        """The chip, as the sensor would see it."""
        ...


Batch = tuple[dict[str, npt.NDArray[np.float32]], npt.NDArray[Any]]


@dataclass(frozen=True)
class ChipRef:
    """A chip that has not been read yet."""

    folder: ChipFolder
    id: str

    def read(self, sensor: Sensor) -> Chip:
        """Read it from disk, as the sensor would see it.

        A finer chip is degraded to the sensor's ground sample distance; a coarser one stays as it
        is, for there is no detail to add.
        """
        chip = self.folder.read(self.id, sensor)
        coarser = sensor.gsd_m / self.folder.gsd_m
        return augment.rescale(chip, coarser) if coarser > SAME_GSD else chip


def random_masks(
    network: Network, count: int, rng: np.random.Generator
) -> dict[str, npt.NDArray[np.float32]]:
    """Training masks, one set per sample: name → ``(count, 1, 1, C)``, scaled by ``1/keep``."""
    drawn = {}
    for site in network.sites:
        kept = rng.random((count, 1, 1, site.channels)) < site.keep
        drawn[f"mask_{site.name}"] = (kept / site.keep).astype(np.float32)
    return drawn


def random_noise(
    network: Network, count: int, rng: np.random.Generator
) -> dict[str, npt.NDArray[np.float32]]:
    """What masks are made of where their rates learn: uniform noise of the same shapes."""
    return {
        f"mask_{site.name}": rng.random((count, 1, 1, site.channels), np.float32)
        for site in network.sites
    }


def batch_of(
    chips: Sequence[Chip],
    normalisation: Normalisation,
    own_masks: dict[str, npt.NDArray[np.float32]],
) -> Batch:
    """Stack chips of one size into inputs by name and targets ``(N, H, W, 2)``.

    Targets are uint8 labels, or float32 probabilities where a teacher gave them.
    """
    tiles = [normalisation.apply(c.reflectance, np.ones(c.water.shape, dtype=bool)) for c in chips]
    targets = [np.stack([c.water, c.cloud], -1) if c.soft is None else c.soft for c in chips]
    return {"tile": np.stack(tiles), **own_masks}, np.stack(targets)


class TrainingStream(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Augmented crops in a random order, a pure function of the seed and of ``epoch``.

    Args:
        refs: the chips.
        sensor: whose bands.
        network: whose masks.
        normalisation: of its inputs.
        config: settings.
        share: which part of each batch to make, and of how many; all of it by default. Parts need
            ``config.per_chip``; together they are the batch, whatever their number.
    """

    def __init__(
        self,
        refs: Sequence[ChipSource],
        sensor: Sensor,
        network: Network,
        normalisation: Normalisation,
        config: TrainConfig,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        if share != (0, 1) and not config.per_chip:
            raise ValueError("a batch can be shared where per_chip is set only")
        self._refs, self._share = list(refs), share
        self._sensor, self._network, self._normalisation = sensor, network, normalisation
        self._config = config
        self._bank = (
            clouds.make_bank(config.crop, sensor.gsd_m, config.seed) if config.clouds else None
        )
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self._refs) // self._config.batch_size)

    def __getitem__(self, index: int) -> Batch:
        seed, size = self._config.seed, self._config.batch_size
        order = np.random.default_rng([seed, self.epoch]).permutation(len(self._refs))
        # A short last batch is filled from the front, so that every step weighs the same.
        picks = np.take(order, range(index * size, (index + 1) * size), mode="wrap")
        if self._config.per_chip:
            return self._own_draws(picks, index)
        rng = np.random.default_rng([seed, self.epoch, index])
        chips = [self._augmented(self._refs[i].read(self._sensor), rng) for i in picks]
        draw = random_noise if self._config.learned_dropout else random_masks
        own = draw(self._network, len(chips), rng)
        return batch_of(chips, self._normalisation, own)

    def _own_draws(self, picks: npt.NDArray[np.int64], index: int) -> Batch:
        """This worker's part of the batch: no chip's draws depend on the chips before it."""
        draw = random_noise if self._config.learned_dropout else random_masks
        chips, own = [], []
        for place in range(self._share[0], len(picks), self._share[1]):
            rng = np.random.default_rng([self._config.seed, self.epoch, index, place])
            chip = self._refs[picks[place]].read(self._sensor)
            chips.append(self._augmented(chip, rng))
            own.append(draw(self._network, 1, rng))
        drawn = {name: np.concatenate([each[name] for each in own]) for name in own[0]}
        return batch_of(chips, self._normalisation, drawn)

    def _augmented(self, chip: Chip, rng: np.random.Generator) -> Chip:
        """Rescale, crop, turn, cover with clouds and disturb one chip."""
        config = self._config
        if rng.random() < config.rescale:
            chip = augment.rescale(chip, float(np.exp(rng.uniform(np.log(0.6), np.log(1.8)))))
        chip = augment.flip(augment.crop(chip, config.crop, rng), rng)
        if self._bank is not None and rng.random() < config.clouds:
            chip = clouds.overcast(chip, self._sensor, self._bank, rng)
        return replace(chip, reflectance=augment.radiometry(chip.reflectance, rng))


class PlainStream(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Chips as they are, one a batch, with the masks of the deterministic pass.

    Attributes:
        refs: the chips.
        places: data set and group of every chip.
    """

    def __init__(
        self,
        refs: Sequence[ChipRef],
        sensor: Sensor,
        network: Network,
        normalisation: Normalisation,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.refs, self._sensor = list(refs), sensor
        self.places = [f"{ref.folder.name}/{ref.folder.groups[ref.id]}" for ref in refs]
        self._stride, self._normalisation = network.stride, normalisation
        ones = masks.ones(network)
        self._masks = {f"mask_{k}": v.reshape(1, 1, 1, -1) for k, v in ones.items()}

    def __len__(self) -> int:
        return len(self.refs)

    def __getitem__(self, index: int) -> Batch:
        return batch_of([self.chip(index)], self._normalisation, self._masks)

    def chip(self, index: int) -> Chip:
        """One chip, padded to a size that the network takes."""
        chip = self.refs[index].read(self._sensor)
        side = -(-max(chip.water.shape) // self._stride) * self._stride
        return augment.crop(chip, side, np.random.default_rng(0))


def measure_normalisation(
    refs: Sequence[ChipSource], sensor: Sensor, floor: float = 0.0
) -> Normalisation:
    """Mean and spread per band over every 16th pixel of the chips.

    Args:
        refs: the chips that train.
        sensor: whose bands.
        floor: of the logarithm, see `onboard.normalise.Normalisation`.
    """
    bands = len(sensor.bands)
    plain = Normalisation((0.0,) * bands, (1.0,) * bands, floor=floor)
    count, total, squares = 0, np.zeros(bands), np.zeros(bands)
    for ref in refs:
        some: npt.NDArray[Any] = ref.read(sensor).reflectance[::4, ::4].reshape(-1, bands)
        some = plain.scaled(some).astype(np.float64)
        count += len(some)
        total += some.sum(axis=0)
        squares += (some**2).sum(axis=0)
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 1e-8))
    return Normalisation(
        tuple(round(float(m), 6) for m in mean),
        tuple(round(float(s), 6) for s in spread),
        floor=floor,
    )
