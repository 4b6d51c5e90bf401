"""Learner: short trainings in memory, and what many passes of a trained network say."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops
from scipy.special import expit

from onboard.network import STEM_STRIDE, Network
from onboard.normalise import Normalisation
from onboard.sensor import VNIR4
from onboard.uncertainty import bernoulli_entropy
from training import scores
from training.chips import UNKNOWN, Chip
from training.config import TrainConfig
from training.lab.ground import Effort, refs
from training.placement import corrected_sites
from training.stream import Batch, TrainingStream, measure_normalisation, random_masks
from training.trainer import Trainer, build

Floats = npt.NDArray[np.floating[Any]]
Masks = dict[str, npt.NDArray[np.float32]]
Noise = Callable[[Network, int, int, np.random.Generator], Masks]
"""Network, samples, side of the tile in pixels, generator → masks by input name."""

TOGETHER = 20
"""Passes that are computed at once."""


def channels(network: Network, count: int, side: int, rng: np.random.Generator) -> Masks:
    """Bernoulli: whole channels are kept or dropped, as the flight network does it."""
    return random_masks(network, count, rng)


def pixels(network: Network, count: int, side: int, rng: np.random.Generator) -> Masks:
    """Bernoulli: every value of the features by itself, as Srivastava et al. 2014 do it."""
    drawn = {}
    for site in network.sites:
        size = -(-side // site.stride)
        kept = rng.random((count, size, size, site.channels), np.float32) < site.keep
        drawn[f"mask_{site.name}"] = (kept / site.keep).astype(np.float32)
    return drawn


def gaussian(network: Network, count: int, side: int, rng: np.random.Generator) -> Masks:
    """Multiplicative N(1, α) per channel, α = p / (1 - p): the mean and variance of `channels`."""
    drawn = {}
    for site in network.sites:
        alpha = site.rate / site.keep
        noise = rng.normal(1.0, np.sqrt(alpha), (count, 1, 1, site.channels))
        drawn[f"mask_{site.name}"] = noise.astype(np.float32)
    return drawn


def silent(network: Network, count: int, side: int, rng: np.random.Generator) -> Masks:
    """Ones: the deterministic pass."""
    return {
        f"mask_{site.name}": np.ones((count, 1, 1, site.channels), np.float32)
        for site in network.sites
    }


class NoisyStream(TrainingStream):
    """A training stream whose masks are of any `Noise`."""

    def __init__(self, *args: Any, noise: Noise) -> None:
        super().__init__(*args)
        self._noise = noise

    def __getitem__(self, index: int) -> Batch:
        """A batch, with masks of its own drawn anew."""
        inputs, target = super().__getitem__(index)
        if self._config.learned_dropout:
            return inputs, target
        rng = np.random.default_rng([self._config.seed, self.epoch, index, 1])
        tile = inputs["tile"]
        own = self._noise(self._network, len(tile), tile.shape[1], rng)
        return {"tile": tile, **own}, target


@dataclass(frozen=True)
class Learned:
    """A trained network.

    Attributes:
        model: logits for tiles and masks.
        network: its shape.
        normalisation: of the reflectance.
        noise: that it was trained with, and that its passes are drawn with.
    """

    model: keras.Model
    network: Network
    normalisation: Normalisation
    noise: Noise

    def tile(self, chip: Chip) -> npt.NDArray[np.float32]:
        """The chip as the network sees it, ``(1, H, W, bands)``."""
        return self.normalisation.apply(
            chip.reflectance, np.ones(chip.water.shape, dtype=bool)
        ).astype(np.float32)[None]

    @functools.cached_property
    def _parts(self) -> tuple[Any, Any]:
        """Tile → base logits and features; features and masks → correction of the water logit.

        What masks do not reach is computed once however many passes follow, as engines do it.
        Both are graphs, one for every size of tile and number of passes.
        """
        import tensorflow as tf

        sites = corrected_sites(self.network)
        blocks = ["enc" if site.stride == self.network.stride else "dec" for site in sites]
        levels = [(site.stride // STEM_STRIDE).bit_length() - 1 for site in sites]
        features = [
            self.model.get_layer(f"{block}{level}_relu1").output
            for block, level in zip(blocks, levels, strict=True)
        ]
        base = ops.nn.depth_to_space(self.model.get_layer("head").output, STEM_STRIDE)
        tile, *masks = self.model.inputs
        lifted = self.model.get_layer(f"lift_{sites[-1].name}").output
        look = keras.Model(tile, [base, *features])
        correct = keras.Model([*features, *masks], lifted)
        return (
            tf.function(lambda tiles: look(tiles, training=False)),
            tf.function(lambda given: correct(given, training=False)),
        )

    def seen(self, tiles: npt.NDArray[np.float32]) -> list[Any]:
        """What all passes share of tiles ``(N, H, W, bands)``: base logits, and features."""
        return list(self._parts[0](ops.convert_to_tensor(tiles)))

    def corrected(self, seen: Sequence[Any], masks: Masks) -> npt.NDArray[np.float32]:
        """Water logits of passes over what was `seen`, ``(N or T, H, W)``."""
        base, *features = seen
        drawn = [ops.convert_to_tensor(masks[f"mask_{site.name}"]) for site in self.network.sites]
        moved = self._parts[1]([*features, *drawn])
        return np.asarray(ops.convert_to_numpy(base[..., :1] + moved), np.float32)[..., 0]

    def logits(
        self, chip: Chip, passes: int, seed: int = 0, noise: Noise | None = None
    ) -> npt.NDArray[np.float32]:
        """Water logits of passes ``(T, H, W)``, by masks of the chip's own.

        As in flight, where every scene has its own: the chance of the draw then averages out over
        chips, where common masks would lean the figures of all of them to one side.
        """
        rng = np.random.default_rng([seed, 7, *hashlib.sha256(chip.id.encode()).digest()])
        tile, found = self.tile(chip), []
        seen = self.seen(tile)
        for start in range(0, passes, TOGETHER):
            count = min(TOGETHER, passes - start)
            drawn = (noise or self.noise)(self.network, count, tile.shape[1], rng)
            found.append(self.corrected(seen, drawn))
        return np.concatenate(found)

    def cloud(self, chip: Chip) -> npt.NDArray[np.float32]:
        """Cloud logits ``(H, W)``, which no mask reaches."""
        logits: npt.NDArray[np.float32] = ops.convert_to_numpy(self.seen(self.tile(chip))[0])
        return logits[0, ..., 1]


def settings(effort: Effort, seed: int, **changes: Any) -> TrainConfig:
    """The recipe of the experiments: the shipped one, shortened; real clouds are as they are."""
    config = TrainConfig(
        seed=seed, widths=effort.widths, crop=effort.crop, dropout=0.3, rescale=0.0, clouds=0.0
    )
    return replace(config, **changes)


def learn(
    chips: Sequence[Chip], effort: Effort, seed: int, noise: Noise = channels, **changes: Any
) -> Learned:
    """Train on chips for `Effort.steps` steps, however many chips there are.

    Args:
        chips: to train on.
        effort: how long, and how large a network.
        seed: of weights, order, augmentation and masks.
        noise: of the masks.
        changes: settings that differ from the recipe, by name.
    """
    config = settings(effort, seed, **changes)
    network = Network(bands=len(VNIR4.bands), widths=config.widths, rate=config.dropout)
    normalisation = measure_normalisation(refs(chips), VNIR4, config.log_floor)
    stream = NoisyStream(refs(chips), VNIR4, network, normalisation, config, noise=noise)
    # Only the prior asks for the number of chips.
    count = len(chips) if config.length_scale or config.learned_dropout else 1
    trainer = _trainer(network, replace(config, seed=0), effort.steps, count)
    trainer.begin(seed)
    done = 0
    while done < effort.steps:
        trainer.epoch(stream, lambda step, of: None)
        stream.epoch += 1
        done += len(stream)
    model = build(network)
    model.set_weights(trainer.averaged().get_weights())
    return Learned(model, trainer.network, normalisation, noise)


@functools.lru_cache(maxsize=4)
def _trainer(network: Network, config: TrainConfig, steps: int, chips: int) -> Trainer:
    """A trainer to begin anew with: tracing its graph takes as long as sixty steps of it."""
    return Trainer(network, config, steps, chips)


@dataclass(frozen=True)
class Said:
    """What passes say of the labelled pixels of some chips, end to end.

    Attributes:
        p: probabilities of water ``(T, N)``.
        true: ``(N,)`` bool, whether it is water.
    """

    p: npt.NDArray[np.float32]
    true: npt.NDArray[np.bool_]

    def first(self, passes: int) -> Said:
        """The same by the first passes only."""
        return Said(self.p[:passes], self.true)

    @functools.cached_property
    def mean(self) -> Floats:
        """Predictive mean ``(N,)``."""
        return np.asarray(self.p.mean(0))

    @functools.cached_property
    def entropy(self) -> Floats:
        """Predictive entropy ``(N,)``, nats."""
        return np.asarray(bernoulli_entropy(self.mean))

    @functools.cached_property
    def aleatoric(self) -> Floats:
        """Mean entropy of the passes ``(N,)``, nats."""
        # Pass by pass: the entropies of a hundred would not fit beside the probabilities.
        total = np.zeros_like(self.mean)
        for p in self.p:
            total += bernoulli_entropy(p)
        return total / np.float32(len(self.p))

    @functools.cached_property
    def epistemic(self) -> Floats:
        """Mutual information ``(N,)``, nats."""
        return np.maximum(self.entropy - self.aleatoric, 0)

    def figures(self, *keys: str) -> dict[str, float]:
        """Some of `FIGURES`, at the threshold 1/2, by name."""
        return {key: FIGURES[key](self) for key in keys}

    @functools.cached_property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """Where the mask is wrong ``(N,)``."""
        return np.asarray((self.mean >= 0.5) != self.true)


FIGURES: dict[str, Callable[[Said], float]] = {
    "iou": lambda said: scores.iou(said.mean >= 0.5, said.true),
    "nll": lambda said: scores.log_loss(said.mean, said.true),
    "ece": lambda said: scores.calibration_error(said.mean, said.true),
    "error_auroc_entropy": lambda said: scores.auroc(said.entropy, said.wrong),
    "error_auroc_epistemic": lambda said: scores.auroc(said.epistemic, said.wrong),
    "mean_entropy": lambda said: float(said.entropy.mean()),
    "mean_aleatoric": lambda said: float(said.aleatoric.mean()),
    "mean_epistemic": lambda said: float(said.epistemic.mean()),
}


def say(
    learned: Learned,
    chips: Sequence[Chip],
    passes: int,
    seed: int = 0,
    noise: Noise | None = None,
) -> Said:
    """What a network says of the labelled pixels of chips."""
    p, true = [], []
    for chip in chips:
        known = chip.water != UNKNOWN
        logits = learned.logits(chip, passes, seed, noise)
        p.append(expit(logits[:, known]))
        true.append(chip.water[known] == 1)
    return Said(np.concatenate(p, axis=1), np.concatenate(true))


def gradient(learned: Learned, chip: Chip) -> npt.NDArray[np.float32]:
    """Gradient of the water loss of the deterministic pass by the network's input ``(H, W, B)``.

    Of TensorFlow, which the project trains with.
    """
    import tensorflow as tf

    tile = tf.constant(learned.tile(chip))
    known = (chip.water != UNKNOWN)[None]
    target = (chip.water == 1).astype(np.float32)[None]
    ones = silent(learned.network, 1, tile.shape[1], np.random.default_rng(0))
    rest = {name: tf.constant(mask) for name, mask in ones.items()}
    with tf.GradientTape() as tape:
        tape.watch(tile)
        logit = learned.model({"tile": tile, **rest}, training=False)[..., 0]
        loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logit)
        total = tf.reduce_sum(tf.where(known, loss, 0.0))
    found: npt.NDArray[np.float32] = np.asarray(tape.gradient(total, tile))[0]
    return found
