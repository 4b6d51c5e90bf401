"""Distillation: what finished networks say of the training chips becomes a part of their labels.

The target of a pixel is ``(1 - a) y + a q`` with its label ``y``, the teachers' probability ``q``
and a share ``a`` (Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network", 2015,
at their temperature of 1); where there is no label it is ``q`` alone, so that unlabelled chips
teach too. The teachers are asked once, about every chip as it is, and their mean over members and
the eight symmetries of the square is kept in the run folder; the student sees the chip augmented
and has to say the same.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from onboard import files, masks
from onboard.errors import ConfigError
from onboard.sensor import Sensor
from training.chips import UNKNOWN, Chip
from training.finished import Finished
from training.stream import ChipRef
from training.trainer import predict

FOLDER = "taught"
Soft = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TaughtRef(ChipRef):
    """A chip whose labels are mixed with what the teachers said of it.

    Attributes:
        soft: file of their probabilities, float16 ``(H, W, 2)``.
        share: of the teachers in the target of a labelled pixel, 0…1.
        labelled: False where the chip's own labels are to be left alone.
    """

    soft: Path
    share: float
    labelled: bool

    def read(self, sensor: Sensor) -> Chip:
        """The chip, with `Chip.soft`.

        Raises:
            ConfigError: the teachers' word is damaged, or of another chip.
        """
        chip = super().read(sensor)
        try:
            said = np.load(io.BytesIO(self.soft.read_bytes())).astype(np.float32)
            return replace(chip, soft=mixed(chip, said, self.share if self.labelled else 1.0))
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(
                f"{self.soft}: cannot be used ({error}); delete it to ask the teachers again"
            ) from error


def mixed(chip: Chip, said: Soft, share: float) -> Soft:
    """Targets ``(H, W, 2)`` of water and cloud: labels and the teachers' probabilities mixed."""
    labels = np.stack([chip.water, chip.cloud], axis=-1).astype(np.float32)
    return np.where(labels == UNKNOWN, said, (1 - share) * labels + share * said)


def say(teachers: Sequence[Finished], chip: Chip) -> Soft:
    """Mean probabilities of water and cloud ``(H, W, 2)`` over members and symmetries."""
    every = np.stack([_one(teacher, chip) for teacher in teachers])
    return np.asarray(every.mean(axis=0), np.float32)


def _one(teacher: Finished, chip: Chip) -> Soft:
    tile = teacher.normalisation.apply(chip.reflectance, np.ones(chip.water.shape, bool))
    stride = teacher.network.stride
    height, width = chip.water.shape
    # Mirrored to a size that the network takes, turned or not.
    side = -(-max(height, width) // stride) * stride
    tile = np.pad(tile, ((0, side - height), (0, side - width), (0, 0)), mode="symmetric")
    given = {f"mask_{k}": v.reshape(1, 1, 1, -1) for k, v in masks.ones(teacher.network).items()}
    tau = np.array([teacher.temperature, 1.0], np.float32)
    total = np.zeros((side, side, len(tau)), np.float32)
    # One at a time: eight large chips in a large network would take gigabytes.
    for way in range(8):
        turned = np.ascontiguousarray(_turn(tile, way))[None]
        total += _back(expit(predict(teacher.model, {"tile": turned, **given})[0] / tau), way)
    return (total / 8)[:height, :width]


def _turn(image: Soft, way: int) -> Soft:
    turned = np.rot90(image, way % 4)
    return turned[:, ::-1] if way >= 4 else turned


def _back(image: Soft, way: int) -> Soft:
    return np.rot90(image[:, ::-1] if way >= 4 else image, -(way % 4))


@dataclass(frozen=True)
class Teaching:
    """Teachers, and unlabelled chips to be taught on beside the others.

    Attributes:
        teachers: finished networks of the same bands.
        share: see `TaughtRef`.
        unlabelled: more chips, whose labels are left alone.
    """

    teachers: tuple[Finished, ...]
    share: float
    unlabelled: tuple[ChipRef, ...] = ()

    def over(
        self,
        refs: Sequence[ChipRef],
        sensor: Sensor,
        run: Path,
        on_chip: Callable[[int, int], None] = lambda done, of: None,
    ) -> list[ChipRef]:
        """The chips that train, taught; what ``run`` holds already is not asked again."""
        every = [*((ref, True) for ref in refs), *((ref, False) for ref in self.unlabelled)]
        taught: list[ChipRef] = []
        for number, (ref, labelled) in enumerate(every):
            folder = run / FOLDER / ref.folder.name
            path = folder / f"{ref.id}.npy"
            if not path.exists():
                files.make_folder(folder)
                buffer = io.BytesIO()
                np.save(buffer, say(self.teachers, ref.read(sensor)).astype(np.float16))
                files.write_bytes(path, buffer.getvalue())
            taught.append(TaughtRef(ref.folder, ref.id, path, self.share, labelled))
            on_chip(number + 1, len(every))
        return taught

    def to_json(self) -> dict[str, object]:
        """For the record of the run that is taught."""
        return {
            "teachers": [teacher.model_id for teacher in self.teachers],
            "share": self.share,
            "unlabelled": sorted({ref.folder.content_hash() for ref in self.unlabelled}),
            "unlabelled_chips": len(self.unlabelled),
        }
