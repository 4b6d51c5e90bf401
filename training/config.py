"""A training run's settings: every one with its default, read from and written to TOML."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onboard.errors import ConfigError
from training.placement import LOGIT, PLACEMENTS

MAX_LEVELS = 5
"""Deeper, the halo would leave no core in the tiles that an export makes."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `training.fit.fit`.

    Attributes:
        seed: fixes weights, order, augmentation and dropout masks.
        epochs: passes over the training chips.
        batch_size: chips per step.
        crop: side of the training crops in pixels, a multiple of the network's stride.
        learning_rate: peak of the cosine schedule.
        weight_decay: decoupled (AdamW), per step; has no part in the Bayesian objective.
        length_scale: of the Gaussian prior over the weights, which sets their squared norm in the
            loss from the dropout rates and the data size (`training.prior`); 0 for none.
        log_floor: reflectance added before the network is fed its logarithm; 0 feeds reflectance.
        widths: feature channels per level, half resolution first.
        teacher: train the plain U-Net of `training.teacher` instead, full resolution first; it is
            compared and taught from, and cannot be exported.
        dropout: probability that a channel of a site is dropped.
        placement: where dropout acts; only ``logit`` can be exported (`training.placement`).
        heteroscedastic: learn the variance of the water logit too; such a network cannot be
            exported (`training.heteroscedastic`).
        learned_dropout: learn a rate for each site, starting from ``dropout``.
        dice_weight: weight of the soft Dice term beside the cross-entropy of water.
        learned_weights: weigh the losses of the two heads by their learned uncertainty.
        cloud_weight: weight of the cloud head's cross-entropy where that is not learned.
        label_smoothing: how far targets are drawn from 0 and 1 towards 1/2.
        taught: share of the teachers' word in the labels of a distillation (`training.distil`).
        rescale: share of training chips that are resampled to another ground sample distance.
        clouds: share of training chips that generated clouds and shadows are laid over.
        average: momentum of the weights' moving average; the average is what is kept.
        per_chip: draw what happens to each chip of a batch from a generator of its own, so that
            several workers can share the batch; ``--workers`` sets it.
    """

    seed: int = 1
    epochs: int = 60
    batch_size: int = 12
    crop: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    length_scale: float = 0.0
    log_floor: float = 0.03
    widths: tuple[int, ...] = (16, 32, 48)
    teacher: bool = False
    dropout: float = 0.2
    placement: str = LOGIT
    heteroscedastic: bool = False
    learned_dropout: bool = False
    dice_weight: float = 0.5
    learned_weights: bool = False
    cloud_weight: float = 0.5
    label_smoothing: float = 0.02
    taught: float = 0.5
    rescale: float = 0.4
    clouds: float = 0.4
    average: float = 0.99
    per_chip: bool = False

    def to_toml(self) -> str:
        """All settings as TOML, one a line."""
        return "".join(f"{k} = {_toml_value(v)}\n" for k, v in dataclasses.asdict(self).items())

    @classmethod
    def read(cls, path: Path) -> TrainConfig:
        """Settings from a TOML file; what it does not name keeps its default.

        Raises:
            ConfigError: unreadable, an unknown key, or a value of the wrong kind or range.
        """
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path}: cannot be read as TOML ({error}); 'train --dump-config' shows how it "
                "should look"
            ) from error
        return cls.from_dict(data, str(path))

    @classmethod
    def from_dict(cls, data: dict[str, Any], source: str) -> TrainConfig:
        """Settings from plain types; ``source`` names them in errors.

        Raises:
            ConfigError: an unknown setting, or a value of another type or out of its range.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for key, value in data.items():
            if key not in defaults:
                raise ConfigError(f"{source}: unknown setting {key!r}; see train --dump-config")
            values[key] = _coerce(key, value, defaults[key], source)
        config = cls(**values)
        _check(config, source)
        return config


def _coerce(key: str, value: Any, default: Any, source: str) -> Any:
    # type() and not isinstance(): to Python a truth value is a whole number too.
    if isinstance(default, tuple):
        if type(value) is list and all(type(v) is int for v in value):
            return tuple(value)
    elif type(value) is type(default):
        return value
    elif isinstance(default, float) and type(value) is int:
        return float(value)
    kinds = {
        tuple: "a list of whole numbers",
        float: "a number",
        int: "a whole number",
        bool: "true or false",
        str: "a text",
    }
    raise ConfigError(f"{source}: {key} = {value!r} should be {kinds[type(default)]}")


def _check(config: TrainConfig, source: str) -> None:
    stride = 2 ** len(config.widths)
    levels = 2 <= len(config.widths) <= MAX_LEVELS and min(config.widths) >= 1
    # key → whether it is good, and what is
    rules: dict[str, tuple[bool, str]] = {
        "seed": (0 <= config.seed < 2**32, "0 to 2**32 - 1"),
        "epochs": (config.epochs >= 1, "1 or more"),
        "batch_size": (config.batch_size >= 1, "1 or more"),
        "learning_rate": (0 < config.learning_rate < math.inf, "a number above 0"),
        "weight_decay": (0 <= config.weight_decay < math.inf, "0 or more"),
        "length_scale": (0 <= config.length_scale < math.inf, "0 or more"),
        "log_floor": (0 <= config.log_floor < math.inf, "0 or more"),
        "widths": (levels, f"2 to {MAX_LEVELS} numbers of 1 or more"),
        "crop": (
            config.crop >= stride and config.crop % stride == 0,
            f"a multiple of the network's stride, {stride}",
        ),
        "dropout": (
            0 <= config.dropout < 1 and (config.dropout > 0 or not config.learned_dropout),
            "0 or more, below 1; above 0 where it is learned",
        ),
        "learned_dropout": (
            not (config.learned_dropout and config.teacher),
            "false: a teacher has no dropout",
        ),
        "placement": (
            config.placement in (PLACEMENTS[:1] if config.teacher else PLACEMENTS),
            f"one of {', '.join(PLACEMENTS)}; a teacher has no dropout and leaves the first",
        ),
        "heteroscedastic": (
            not (config.heteroscedastic and config.teacher),
            "false: a teacher has no such head",
        ),
        "dice_weight": (0 <= config.dice_weight < math.inf, "0 or more"),
        "cloud_weight": (0 <= config.cloud_weight < math.inf, "0 or more"),
        "label_smoothing": (0 <= config.label_smoothing < 0.5, "0 or more, below 0.5"),
        "taught": (0 <= config.taught <= 1, "0 to 1"),
        "rescale": (0 <= config.rescale <= 1, "0 to 1"),
        "clouds": (0 <= config.clouds <= 1, "0 to 1"),
        "average": (0 <= config.average < 1, "0 or more, below 1"),
    }
    for key, (good, span) in rules.items():
        if not good:
            value = getattr(config, key)
            raise ConfigError(f"{source}: {key} = {value!r} is out of range; choose {span}")


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    return str(list(value)) if isinstance(value, tuple) else repr(value)
