"""One fold: networks trained by one short schedule, and what they say of places never seen.

What many variants of the network are compared by has to be cheap. Each is trained for
`SCHEDULE` on the places of `training.crossval`'s first fold of three that are not held out, and
judged on those that are; test places are in neither. The real chips alone judge. A variant's
run folder holds its settings, its checkpoint and its predictions, so that a comparison that was
broken off goes on where it stood.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from scipy.special import expit

from onboard import files, masks
from onboard.bundle import read_arrays
from onboard.errors import ConfigError, DatasetError
from onboard.network import Network
from onboard.normalise import Normalisation
from onboard.sensor import Sensor
from onboard.uncertainty import bernoulli_entropy
from training import corruptions
from training.chips import UNKNOWN, ChipFolder
from training.closed_form import Linearised
from training.config import TrainConfig
from training.crossval import HeldOut
from training.fit import chip_refs, deciders, shape
from training.placement import ResearchNetwork
from training.splits import Fold
from training.stream import ChipRef, PlainStream, TrainingStream, measure_normalisation
from training.trainer import Row, Trainer, predict

Floats = npt.NDArray[np.floating[Any]]
Image = npt.NDArray[np.float32]

FOLD = Fold(0, 3)
SCHEDULE = TrainConfig(
    epochs=12,
    crop=96,
    dropout=0.3,
    rescale=0.3,
    clouds=0.4,
    learned_weights=True,
    average=0.97,
)
"""The shipped settings with fewer epochs, smaller crops and a shorter average."""

CONFIG = "config.toml"
MODEL = b"one fold"
"""Stands for a model id where masks are drawn: all variants draw alike."""


class Chips(NamedTuple):
    """The chips of the fold.

    Attributes:
        train: those that train.
        judge: those that judge: real ones of places that do not train.
        sensor: whose bands.
    """

    train: list[ChipRef]
    judge: list[ChipRef]
    sensor: Sensor

    @classmethod
    def of(cls, folders: Sequence[ChipFolder], sensor: Sensor, fold: Fold = FOLD) -> Chips:
        """The chips of some folders.

        Raises:
            DatasetError: none trains, or none can judge.
        """
        train, held = chip_refs(folders, sensor, fold)
        judging = deciders(held, sensor)
        return cls(train, [ref for ref, yes in zip(held, judging, strict=True) if yes], sensor)


class Variant(NamedTuple):
    """A trained network.

    Attributes:
        model: with the averaged weights.
        network: its shape, with the rates that were learned.
        normalisation: of its inputs.
    """

    model: keras.Model
    network: Network
    normalisation: Normalisation


def train(
    chips: Chips,
    config: TrainConfig,
    run: Path,
    start: Mapping[str, Any] | None = None,
    on_epoch: Callable[[int, float], None] = lambda number, loss: None,
) -> Variant:
    """Train a network in the folder ``run``, go on with it, or take it from there.

    Unlike `training.fit.fit` it neither scores every epoch nor chooses thresholds.

    Args:
        chips: of the fold.
        config: settings.
        run: folder.
        start: weights to begin with, of a network of the same shape; random ones if None.
        on_epoch: called with number and mean loss of every epoch.

    Raises:
        ConfigError: the folder holds a run with other settings.
        DatasetError: the loss became NaN.
    """
    files.make_folder(run)
    _same(run / CONFIG, config)
    network = shape(chips.sensor, config)
    normalisation = measure_normalisation(chips.train, chips.sensor, config.log_floor)
    keras.utils.set_random_seed(config.seed)
    stream = TrainingStream(chips.train, chips.sensor, network, normalisation, config)
    steps = config.epochs * len(stream)
    trainer = Trainer(network, config, steps, len(chips.train), start)
    history = trainer.restore(run)
    for epoch in range(len(history), config.epochs):
        stream.epoch = epoch
        loss = trainer.epoch(stream, lambda done, of: None)
        if not np.isfinite(loss):
            raise DatasetError(f"{run}: the loss became {loss} in epoch {epoch + 1}")
        row: Row = {"epoch": epoch + 1, "loss": loss}
        history.append(row)
        trainer.checkpoint(run, history)
        on_epoch(epoch + 1, loss)
    return Variant(trainer.averaged(), trainer.network, normalisation)


def _same(path: Path, config: TrainConfig) -> None:
    # Read, for a setting that came to be since then was at its default.
    if not path.exists():
        files.write_text(path, config.to_toml())
    elif TrainConfig.read(path) != config:
        raise ConfigError(
            f"{path}: this run was begun with other settings; name a new work folder, or delete it"
        )


def water_passes(variant: Variant, passes: int) -> Callable[[Image], Floats]:
    """What gives the water logits ``(T, H, W)`` of a normalised tile ``(H, W, bands)``.

    The network that flies is linear in its masks, so that one pass tells all others.
    """
    drawn = masks.draw(variant.network, 0, MODEL, b"", range(passes))
    if not isinstance(variant.network, ResearchNetwork):
        linearised = Linearised(variant.model, variant.network)
        return lambda tile: linearised(tile).sampled(drawn)
    given = {f"mask_{k}": v.reshape(-1, 1, 1, v.shape[1]) for k, v in drawn.items()}

    def run(tile: Image) -> Floats:
        tiles = np.repeat(tile[None], passes, axis=0)
        return predict(variant.model, {"tile": tiles, **given})[..., 0]

    return run


def held_out(variant: Variant, chips: Chips, passes: int, path: Path | None = None) -> HeldOut:
    """The passes' logits on the labelled pixels of the chips that judge.

    Args:
        variant: a trained network.
        chips: of the fold.
        passes: T.
        path: file that keeps the logits, and has them where they were made before.
    """
    calm = PlainStream(chips.judge, chips.sensor, variant.network, variant.normalisation)
    run = water_passes(variant, passes)
    kept = path is not None and path.exists()
    logits, water, places = [], [], []
    for index, place in enumerate(calm.places):
        inputs, target = calm[index]
        label = target[0, ..., 0]
        known = label != UNKNOWN
        water.append(label[known] == 1)
        places.append(np.full(water[-1].size, place))
        if not kept:
            logits.append(run(inputs["tile"][0])[:, known].astype(np.float16))
    if path is not None and kept:
        joined = read_arrays(path.read_bytes())["logits"]
    else:
        joined = np.concatenate(logits, axis=1)
        if path is not None:
            buffer = io.BytesIO()
            np.savez(buffer, logits=joined)
            files.write_bytes(path, buffer.getvalue())
    return HeldOut(joined, np.concatenate(water), np.concatenate(places), None)


def halves(held: HeldOut) -> list[HeldOut]:
    """Two halves of the places, so that each gets the temperature of the other.

    Places take turns in the order of their names.
    """
    names = np.unique(held.places)
    first = np.isin(held.places, names[::2])
    return [
        HeldOut(held.logits[:, part], held.water[part], held.places[part], None)
        for part in (first, ~first)
    ]


def odd_epistemic(
    variant: Variant, chips: Chips, passes: int, temperature: float, side: int, seed: int
) -> dict[str, Floats]:
    """Mean mutual information of crops as they are, ``""``, and under each corruption.

    A crop is the middle of a chip, cut out after the chip was corrupted.

    Args:
        variant: a trained network.
        chips: of the fold; those that judge are taken.
        passes: T.
        temperature: divides the logits.
        side: of the crops, pixels, a multiple of the stride; all of a smaller chip.
        seed: of the corruptions.
    """
    ways = corruptions.of(chips.sensor)
    run = water_passes(variant, passes)
    found: dict[str, list[float]] = {name: [] for name in ("", *ways)}
    for index, ref in enumerate(chips.judge):
        image = ref.read(chips.sensor).reflectance
        changed = {"": image}
        for number, (name, change) in enumerate(ways.items()):
            changed[name] = change(image, np.random.default_rng([seed, index, number]))
        for name, each in changed.items():
            rows, cols = (slice(max(0, (n - side) // 2), (n + side) // 2) for n in each.shape[:2])
            middle = each[rows, cols]
            tile = variant.normalisation.apply(middle, np.ones(middle.shape[:2], bool))
            found[name].append(_mutual_information(run(tile) / temperature))
    return {name: np.array(values) for name, values in found.items()}


def _mutual_information(logits: Floats) -> float:
    p = expit(logits.astype(np.float32))
    return float((bernoulli_entropy(p.mean(0)) - bernoulli_entropy(p).mean(0)).mean())
