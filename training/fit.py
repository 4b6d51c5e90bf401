"""Fitting: from chip folders to a run folder with weights, settings and provenance.

A run folder holds ``config.toml``, ``run.json`` (sensor, network, normalisation, data hashes,
versions, figures), ``history.csv``, TensorBoard events and, when finished, ``curves.png``, the
chips that an export needs (`training.kept`) and ``weights.npz``: the moving average of the weights
over the steps. ``checkpoint.npz`` lets a killed run go on where its last whole epoch ended.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import io
import itertools
import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from onboard import __version__, files, formats, masks
from onboard.errors import ConfigError, DatasetError
from onboard.network import Network
from onboard.normalise import Normalisation
from onboard.sensor import Sensor
from training import curves, kept, run_record
from training.calibrate import Calibration, Floats, calibrate
from training.chips import UNKNOWN, ChipFolder
from training.config import TrainConfig
from training.network import weight_arrays
from training.placement import LOGIT, ResearchNetwork
from training.splits import Fold, fold_ids, split_ids
from training.start import Start
from training.stream import ChipRef, PlainStream, TrainingStream, measure_normalisation
from training.teacher import Teacher
from training.trainer import Row, Trainer, predict

if TYPE_CHECKING:
    from training.distil import Teaching
    from training.group import Group

CALIBRATION_PASSES = 10


@dataclass(frozen=True)
class Epoch:
    """Progress, given to the caller's callback after every epoch."""

    number: int
    of: int
    row: Row


class Fitted(NamedTuple):
    """A finished network.

    Attributes:
        model: with the averaged weights, as `training.trainer.build` shapes it.
        network: its shape, with the rates that were learned.
        held: the chips that were held out.
    """

    model: keras.Model
    network: Network
    held: PlainStream


def shape(sensor: Sensor, config: TrainConfig) -> Network:
    """The network that the settings ask for: the one that flies, or one for comparison."""
    bands = len(sensor.bands)
    if config.teacher:
        return Teacher(bands, config.widths)
    if config.placement != LOGIT or config.heteroscedastic:
        return ResearchNetwork(
            bands,
            config.widths,
            config.dropout,
            placement=config.placement,
            heteroscedastic=config.heteroscedastic,
        )
    return Network(bands, config.widths, config.dropout)


def chip_refs(
    folders: Iterable[ChipFolder], sensor: Sensor, fold: Fold | None = None
) -> tuple[list[ChipRef], list[ChipRef]]:
    """The chips that train and those that are held out for calibration, over several folders.

    By the splits, or, with ``fold``, by that part of a cross-validation. Every folder must have
    the sensor's bands.

    Raises:
        DatasetError: a missing band, or no chip at all to train on or to hold out.
    """
    folders = list(folders)
    parts: tuple[list[ChipRef], list[ChipRef]] = ([], [])
    for folder in folders:
        folder.check_sensor(sensor)
        ids = fold_ids(folder, fold) if fold else _split(folder)
        for refs, own in zip(parts, ids, strict=True):
            refs += [ChipRef(folder, chip) for chip in own]
    for name, refs in zip(("train", "calibration"), parts, strict=True):
        if not refs:
            names = ", ".join(str(folder.path) for folder in folders)
            if len({(f.name, group) for f in folders for group in f.groups.values()}) == 1:
                raise DatasetError(
                    f"{names}: all chips are of one place; places are never divided between "
                    "training and calibration, so add chips of others or name them in index.csv"
                )
            raise DatasetError(
                f"{names}: no chip falls into the split {name!r}; chips of one group are never "
                "divided, so add chips of more groups"
            )
    return parts


def _split(folder: ChipFolder) -> tuple[list[str], list[str]]:
    return split_ids(folder, "train"), split_ids(folder, "calibration")


def deciders(held: Sequence[ChipRef], sensor: Sensor) -> list[bool]:
    """Which calibration chips decide on water: the real ones, or all where no real one can.

    Read before training starts, so that a bad chip is not found hours later.

    Raises:
        DatasetError: an unusable chip, or none has a pixel labelled land or water.
    """
    labelled = [bool((ref.read(sensor).water != UNKNOWN).any()) for ref in held]
    if not any(labelled):
        raise DatasetError(
            f"{held[0].folder.path}: no calibration chip has a pixel labelled land or water, so "
            "nothing can set the thresholds; add labelled chips of more groups"
        )
    real = [has and not ref.folder.generated for has, ref in zip(labelled, held, strict=True)]
    return real if any(real) else labelled


def fit(
    folders: Sequence[ChipFolder],
    sensor: Sensor,
    config: TrainConfig,
    run: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_step: Callable[[int, int], None] = lambda done, of: None,
    fold: Fold | None = None,
    start: Start | None = None,
    teaching: Teaching | None = None,
    group: Group | None = None,
) -> Fitted:
    """Train, or go on training, the network in the run folder ``run``.

    ``fold`` holds other chips out than the splits do; see `training.splits.fold_ids`. ``start``
    gives the weights to begin with, and the normalisation. ``teaching`` mixes what finished
    networks say into the labels; not in a ``group``, whose workers share every batch. Of a group
    the chief alone writes and calls back.

    Raises:
        ConfigError: the folder holds a run with other settings or data, or a damaged one; the
            workers of the group have not all the same settings and chips.
        DatasetError: unusable chips, or the loss became NaN.
        OutputError: the folder cannot be written.
        WorkerLostError: another worker of the group ended.
    """
    network = shape(sensor, config)
    train, held = chip_refs(folders, sensor, fold)
    chief = group is None or group.chief
    if group is not None:
        _agree(group, config, sensor, train, held)
    deciding = deciders(held, sensor) if chief else []
    if chief:
        files.make_folder(run)
    keras.utils.set_random_seed(config.seed)
    begun = functools.partial(
        _start_record, run, folders, sensor, network, config, train, held, start, teaching
    )
    record = begun() if group is None else group.share_json(begun)
    normalisation = Normalisation.from_json(record["normalisation"])
    seen = train if teaching is None else teaching.over(train, sensor, run, on_step)
    share = (0, 1) if group is None else (group.index, group.count)
    stream = TrainingStream(seen, sensor, network, normalisation, config, share)
    calm = PlainStream(held, sensor, network, normalisation)
    steps = config.epochs * len(stream)
    weights, head_only = (None, False) if start is None else (start.weights, start.head_only)
    trainer = Trainer(network, config, steps, len(seen), weights, head_only, group)
    history = _train(run, config, trainer, stream, calm, chief, on_epoch, on_step)
    fitted = Fitted(trainer.averaged(), trainer.network, calm)
    if chief:
        record["network"] = trainer.network.to_json()
        _conclude(run, trainer, record, history, fitted, train, deciding, sensor)
    if group is not None:
        # Together to the end: who leaves early looks lost to the others.
        group.wait()
    return fitted


def _train(
    run: Path,
    config: TrainConfig,
    trainer: Trainer,
    stream: TrainingStream,
    calm: PlainStream,
    chief: bool,
    on_epoch: Callable[[Epoch], None],
    on_step: Callable[[int, int], None],
) -> list[Row]:
    """Train the epochs that the run still lacks, the chief keeping each; the course of them all.

    Raises:
        DatasetError: the loss became NaN.
    """
    history = trainer.restore(run)
    for epoch in range(len(history), config.epochs):
        stream.epoch = epoch
        loss = trainer.epoch(stream, on_step)
        if not np.isfinite(loss):
            raise DatasetError(
                f"{run}: the loss became {loss} in epoch {epoch + 1}; train into a new folder "
                f"with a learning_rate below {config.learning_rate}"
            )
        iou = trainer.score(calm)
        history.append({"epoch": epoch + 1, "loss": loss, **iou})
        if chief:
            trainer.checkpoint(run, history)
            files.write_text(run / "history.csv", _csv(history))
            curves.log(run, history[-1])
            on_epoch(Epoch(epoch + 1, config.epochs, history[-1]))
    return history


def _conclude(
    run: Path,
    trainer: Trainer,
    record: dict[str, Any],
    history: list[Row],
    fitted: Fitted,
    train: Sequence[ChipRef],
    deciding: Sequence[bool],
    sensor: Sensor,
) -> None:
    """Calibrate, keep the chips that an export needs, and write what is finished."""
    calibration = _calibrate(fitted, deciding)
    held, normalisation = fitted.held.refs, Normalisation.from_json(record["normalisation"])
    judges = [ref for ref, decides in zip(held, deciding, strict=True) if decides]
    record["kept"] = {
        name: kept.keep(run / name, refs, sensor, normalisation)
        for name, refs in ((kept.REPRESENTATIVE, train), (kept.HELD, judges))
    }
    _finish(run, trainer, record, history, calibration)


def _agree(group: Group, config: TrainConfig, sensor: Sensor, *parts: Sequence[ChipRef]) -> None:
    """All workers must have the same settings, and index of chips: their names and places."""
    settings = json.dumps([config.to_toml(), sensor.to_json()])
    group.agree("settings", hashlib.sha256(settings.encode()).digest())
    index = hashlib.sha256()
    for ref in itertools.chain.from_iterable(parts):
        f = ref.folder
        said = [f.name, f.bands, f.scale, f.offset, f.gsd_m, f.classes, ref.id, f.groups[ref.id]]
        index.update(json.dumps(said).encode())
    group.agree("chips", index.digest())


def _start_record(
    run: Path,
    folders: Sequence[ChipFolder],
    sensor: Sensor,
    network: Network,
    config: TrainConfig,
    train: Sequence[ChipRef],
    held: Sequence[ChipRef],
    start: Start | None = None,
    teaching: Teaching | None = None,
) -> dict[str, Any]:
    """Write, or check against, what the run was started with."""
    fixed = {
        "sensor": sensor.to_json(),
        "data": [
            {"name": f.name, "sha256": f.content_hash(), "chips": len(f.ids)} for f in folders
        ],
        "train_chips": len(train),
        "calibration_chips": len(held),
        **({} if start is None else {"start": start.to_json()}),
        **({} if teaching is None else {"teaching": teaching.to_json()}),
    }
    path = run / "run.json"
    if path.exists():
        return _read_record(run, {**fixed, "config": _plain(config)})
    record = {
        "format": formats.RUN.version,
        **fixed,
        "config": _plain(config),
        "network": network.to_json(),
        "normalisation": measure_normalisation(train, sensor, config.log_floor).to_json()
        if start is None
        else start.normalisation,
        "versions": {
            "floodsat": __version__,
            "python": platform.python_version(),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "numpy": np.__version__,
        },
    }
    files.write_text(run / "config.toml", config.to_toml())
    files.write_text(path, json.dumps(record, indent=1))
    return record


def _read_record(run: Path, same: dict[str, Any]) -> dict[str, Any]:
    """The record of a run that goes on; what ``same`` names must not have changed."""
    try:
        record = run_record.read(run)
        # Settings that came to be since then were at their defaults.
        known = {**record, "config": {**_plain(TrainConfig()), **record["config"]}}
        changed = [key for key, value in same.items() if known[key] != value]
    except run_record.NewerRunError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{run / 'run.json'}: is no record of a run ({error}); name a new folder"
        ) from error
    if changed:
        raise ConfigError(
            f"{run}: holds a run with other settings or data ({changed[0]}); name a new folder, "
            "or give the same ones to go on with it"
        )
    return record


def _plain(config: TrainConfig) -> dict[str, Any]:
    return {**dataclasses.asdict(config), "widths": list(config.widths)}


def pass_logits(
    fitted: Fitted, inputs: dict[str, npt.NDArray[np.float32]], passes: int = CALIBRATION_PASSES
) -> tuple[Floats, Floats]:
    """Logits of one chip: of water for every pass ``(T, H, W)``, and of cloud ``(H, W)``.

    A network without dropout makes one pass.
    """
    if not fitted.network.sites:
        passes = 1
    drawn = masks.draw(fitted.network, 0, b"calibration", b"", range(passes))
    given = {f"mask_{k}": v.reshape(-1, 1, 1, v.shape[1]) for k, v in drawn.items()}
    tile = np.repeat(inputs["tile"], passes, axis=0)
    logits = predict(fitted.model, {"tile": tile, **given})
    return logits[..., 0], logits[0, ..., 1]


def _calibrate(fitted: Fitted, deciding: Sequence[bool]) -> Calibration:
    """Temperature and thresholds from the calibration chips."""
    # One chip at a time, read once: its label is asked for right before its logits.
    batch = functools.lru_cache(maxsize=1)(fitted.held.__getitem__)
    labels = (batch(index)[1][0] for index in range(len(fitted.held)))
    return calibrate(
        lambda index: pass_logits(fitted, batch(index)[0]),
        ((label[..., 0], label[..., 1]) for label in labels),
        deciding,
        fitted.held.places,
    )


def _finish(
    run: Path,
    trainer: Trainer,
    record: dict[str, Any],
    history: list[Row],
    calibration: Calibration,
) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **weight_arrays(trainer.averaged()))
    files.write_bytes(run / "weights.npz", buffer.getvalue())
    curves.draw(run, history)
    done = {**record, "final": history[-1], "calibration": calibration.to_json()}
    files.write_text(run / "run.json", json.dumps(done, indent=1))


def _csv(history: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
