"""The trainer: a network in the shape that learns, its weights' moving average, its checkpoint.

What learns is the network of `training.network` between two layers of its own: masks that may be
relaxed so that their rates learn (`training.prior`), and the heads' learned uncertainty
(`training.losses`).
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import numpy.typing as npt

from onboard import files
from onboard.ahead import ahead
from onboard.bundle import read_arrays
from onboard.errors import ConfigError
from onboard.network import Network
from training import network as flying
from training import teacher
from training.config import TrainConfig
from training.losses import HEADS, HeadIoU, TaskUncertainty, fixed_weights, flood_loss
from training.network import set_weight_arrays
from training.prior import ConcreteMask, Prior
from training.shared_step import shared_step, synchronise
from training.stream import PlainStream, TrainingStream

if TYPE_CHECKING:
    from training.group import Group

Floats = npt.NDArray[np.floating[Any]]
Weights = list[npt.NDArray[np.float32]]
Row = dict[str, float]


CHECKPOINT = "checkpoint.npz"
LAST = ("head", "correct_")
"""How the names of the last layers begin."""


def build(network: Network, prior: Prior | None = None) -> keras.Model:
    """The Keras network of a shape; see `training.network.build` and `training.teacher.build`."""
    if isinstance(network, teacher.Teacher):
        return teacher.build(network, prior)
    return flying.build(network, prior)


class Trainer:
    """A compiled network, the moving average of its weights, and their checkpoint.

    Args:
        network: its shape, with the rates that learning starts from.
        config: settings.
        steps: of the whole training.
        chips: that it sees, the data size of the prior.
        start: the weights that learning starts from; random ones if None.
        head_only: leave all but the last layers as they are: the head and the corrections.
        group: the workers that train it together; None for this process alone.

    Raises:
        ConfigError: ``start`` has not the shape of the network.
    """

    def __init__(
        self,
        network: Network,
        config: TrainConfig,
        steps: int,
        chips: int,
        start: Mapping[str, Any] | None = None,
        head_only: bool = False,
        group: Group | None = None,
    ) -> None:
        prior = Prior(config.length_scale, chips)
        self._shape, self._net, self._shadow = network, build(network, prior), build(network)
        if start is not None:
            set_weight_arrays(self._net, start)
        for layer in self._net.layers:
            layer.trainable = not head_only or layer.name.startswith(LAST)
        self._tasks = TaskUncertainty(name="tasks") if config.learned_weights else None
        self._concrete = (
            {f"mask_{site.name}": ConcreteMask(site, prior) for site in network.sites}
            if config.learned_dropout
            else {}
        )
        self.model = self._learner()
        warm = max(1, steps // 20)
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm), warmup_target=config.learning_rate, warmup_steps=warm
        )
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, clipnorm=1.0)
        # The prior is on weights, not on what weighs losses or sets rates.
        optimizer.exclude_from_weight_decay(var_names=["log_variance", "rate_logit"])
        weigh = self._tasks.weigh if self._tasks else fixed_weights(config.cloud_weight)
        self.model.compile(
            optimizer=optimizer,
            loss=flood_loss(config.dice_weight, config.label_smoothing, weigh),
        )
        optimizer.build(self.model.trainable_variables)
        self._momentum, self._group = config.average, group
        self._learn = self.model.train_on_batch
        if group is not None:
            synchronise(self._net)
            self._learn = shared_step(
                group,
                self.model,
                lambda total: flood_loss(config.dice_weight, config.label_smoothing, weigh, total),
            )
        self._average: Weights = self._net.get_weights()
        self._steps = 0
        self._prior = prior
        self._start = [np.array(variable) for variable in self._state()]

    def begin(self, seed: int) -> None:
        """Forget everything learned: as a new trainer whose random weights are of this seed."""
        for variable, value in zip(self._state(), self._start, strict=True):
            variable.assign(value)
        keras.utils.set_random_seed(seed)
        self._net.set_weights(build(self._shape, self._prior).get_weights())
        self._average = self._net.get_weights()
        self._steps = 0

    def _learner(self) -> keras.Model:
        """Noise or masks in, logits out; losses of prior and rates added on the way."""
        inputs = [keras.Input(given.shape[1:], name=given.name) for given in self._net.inputs]
        given = [
            self._concrete[made.name](made) if made.name in self._concrete else made
            for made in inputs
        ]
        logits = self._net(given)
        return keras.Model(inputs, self._tasks(logits) if self._tasks else logits)

    @property
    def network(self) -> Network:
        """The shape, with the rates that were learned."""
        if not self._concrete:
            return self._shape
        rates = tuple(round(layer.rate, 4) for layer in self._concrete.values())
        return dataclasses.replace(self._shape, rates=rates)

    def epoch(self, stream: TrainingStream, on_step: Callable[[int, int], None]) -> float:
        """One pass over the stream; returns the mean loss."""
        losses = []
        # A batch is made while the one before it is learned from.
        for inputs, target in ahead(partial(stream.__getitem__, i) for i in range(len(stream))):
            losses.append(float(self._learn(inputs, target)))
            if not np.isfinite(losses[-1]):
                # Nothing that follows would mend it.
                break
            self._steps += 1
            # Early on the average would be mostly the random start: let it forget faster.
            keep = min(self._momentum, (1 + self._steps) / (10 + self._steps))
            for mean, new in zip(self._average, self._net.get_weights(), strict=True):
                mean *= keep
                mean += (1 - keep) * new
            on_step(len(losses), len(stream))
        return float(np.mean(losses))

    def score(self, stream: PlainStream) -> Row:
        """IoU of both heads by the averaged weights, and what is learned beside them."""
        model = self.averaged()
        heads = [HeadIoU(0, "water_iou"), HeadIoU(1, "cloud_iou")]
        for index in range(*self._share(len(stream))):
            inputs, target = stream[index]
            logits = predict(model, inputs)
            for head in heads:
                head.update_state(target, logits)
        if self._group is not None:
            for head in heads:
                head.set_counts(self._group.sum(np.array(head.counts())).tolist())
        return {**{head.name: float(head.result()) for head in heads}, **self._learned()}

    def _share(self, count: int) -> tuple[int, int, int]:
        """Range of what this worker does of ``count`` things."""
        return (
            (0, count, 1) if self._group is None else (self._group.index, count, self._group.count)
        )

    def _learned(self) -> Row:
        rates = {
            f"rate_{site.name}": layer.rate
            for site, layer in zip(self._shape.sites, self._concrete.values(), strict=False)
        }
        if self._tasks is None:
            return rates
        weights = np.exp(-np.asarray(self._tasks.log_variance))
        return {**rates, **{f"{h}_weight": float(w) for h, w in zip(HEADS, weights, strict=True)}}

    def averaged(self) -> keras.Model:
        """The network with the averaged weights."""
        self._shadow.set_weights(self._average)
        return self._shadow

    def _state(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def checkpoint(self, run: Path, history: list[Row]) -> None:
        """Save everything that the next epoch depends on."""
        files.write_bytes(run / CHECKPOINT, self._packed(history))

    def _packed(self, history: list[Row]) -> bytes:
        arrays = {f"v{i}": np.asarray(v) for i, v in enumerate(self._state())}
        arrays.update({f"a{i}": a for i, a in enumerate(self._average)})
        buffer = io.BytesIO()
        np.savez(buffer, history=json.dumps(history), steps=self._steps, **arrays)
        return buffer.getvalue()

    def restore(self, run: Path) -> list[Row]:
        """Take up a checkpoint if there is one; returns its history.

        Of a group the chief reads it, and all begin with what the chief has.

        Raises:
            ConfigError: it is damaged.
        """
        path = run / CHECKPOINT
        if self._group is None and not path.exists():
            return []
        try:
            if self._group is None:
                return self._take_up(path.read_bytes())
            found = b""
            if self._group.chief:
                found = path.read_bytes() if path.exists() else self._packed([])
                read_arrays(found)
            return self._take_up(self._group.share(found))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ConfigError(
                f"{path}: is damaged ({error}); delete it to start this run again"
            ) from error

    def _take_up(self, data: bytes) -> list[Row]:
        saved = read_arrays(data)
        for i, variable in enumerate(self._state()):
            variable.assign(saved[f"v{i}"])
        self._average = [saved[f"a{i}"] for i in range(len(self._average))]
        self._steps = int(saved["steps"])
        history: list[Row] = json.loads(str(saved["history"]))
        return history


def predict(model: keras.Model, inputs: dict[str, npt.NDArray[np.float32]]) -> Floats:
    """Logits outside a compiled graph: up-sampling needs to know the size, and chips differ."""
    logits: Floats = keras.ops.convert_to_numpy(model(inputs, training=False))
    return logits
