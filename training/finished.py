"""A finished run, taken up again to predict with: to be judged, or to teach."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras

from onboard import bundle
from onboard.errors import ConfigError
from onboard.network import Network
from onboard.normalise import Normalisation
from onboard.sensor import Sensor
from training import run_record
from training.chips import ChipFolder
from training.config import TrainConfig
from training.fit import Fitted, chip_refs, shape
from training.network import set_weight_arrays
from training.splits import Fold
from training.stream import PlainStream
from training.trainer import build


class Finished(NamedTuple):
    """What a run folder holds of its network.

    Attributes:
        model: with the averaged weights.
        network: its shape, with the rates that were learned.
        normalisation: of its inputs.
        temperature: that divides its water logits.
        model_id: SHA-256 of the weights, hexadecimal.
    """

    model: keras.Model
    network: Network
    normalisation: Normalisation
    temperature: float
    model_id: str

    @classmethod
    def open(cls, run: Path) -> Finished:
        """Read it.

        Raises:
            ConfigError: the folder is no finished run.
        """
        try:
            record = run_record.read(run)
            arrays = bundle.read_arrays((run / "weights.npz").read_bytes())
            config = TrainConfig.from_dict(record["config"], str(run / "run.json"))
            network = shape(Sensor.from_json(record["sensor"]), config)
            rates = record["network"].get("rates")
            if rates is not None:
                network = dataclasses.replace(network, rates=tuple(rates))
            model = build(network)
            set_weight_arrays(model, arrays)
            return cls(
                model,
                network,
                Normalisation.from_json(record["normalisation"]),
                float(record["calibration"]["temperature"]),
                bundle.weights_id(arrays).hex(),
            )
        except run_record.NewerRunError:
            raise
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(
                f"{run}: is no finished run ({error}); train it to its end"
            ) from error

    def on(self, folders: Sequence[ChipFolder], sensor: Sensor, fold: Fold) -> Fitted:
        """The network with the chips that a fold holds out; it must not have trained on them."""
        held = chip_refs(folders, sensor, fold)[1]
        return Fitted(
            self.model, self.network, PlainStream(held, sensor, self.network, self.normalisation)
        )
