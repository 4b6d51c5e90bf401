"""A training run's settings: every one with its default, read from and written to TOML."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onboard.errors import ConfigError


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `training.fit.fit`.

    Attributes:
        seed: fixes weights, order, augmentation and dropout masks.
        epochs: passes over the training chips.
        batch_size: chips per step.
        crop: side of the training crops in pixels, a multiple of the network's stride.
        learning_rate: peak of the cosine schedule.
        weight_decay: decoupled (AdamW), per step.
        widths: feature channels per level, full resolution first.
        dropout: probability that a channel of a site is dropped.
        dice_weight: weight of the soft Dice term beside the cross-entropy of water.
        cloud_weight: weight of the cloud head's cross-entropy.
        label_smoothing: how far targets are drawn from 0 and 1 towards 1/2.
        rescale: share of training chips that are resampled to another ground sample distance.
        clouds: share of training chips that generated clouds and shadows are laid over.
        average: momentum of the weights' moving average; the average is what is kept.
    """

    seed: int = 1
    epochs: int = 60
    batch_size: int = 12
    crop: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    widths: tuple[int, ...] = (8, 16, 32, 48)
    dropout: float = 0.2
    dice_weight: float = 0.5
    cloud_weight: float = 0.5
    label_smoothing: float = 0.02
    rescale: float = 0.4
    clouds: float = 0.4
    average: float = 0.99

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
            raise ConfigError(f"{path}: cannot be read as TOML ({error})") from error
        return cls.from_dict(data, str(path))

    @classmethod
    def from_dict(cls, data: dict[str, Any], source: str) -> TrainConfig:
        """Settings from plain types; ``source`` names them in errors."""
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
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(int(v) for v in value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        kind = "list" if isinstance(default, tuple) else type(default).__name__
        raise ConfigError(f"{source}: {key} = {value!r} should be of kind {kind}")
    return value


def _check(config: TrainConfig, source: str) -> None:
    stride = 2 ** (len(config.widths) - 1)
    ranges: dict[str, bool] = {
        "epochs": config.epochs >= 1,
        "batch_size": config.batch_size >= 1,
        "learning_rate": config.learning_rate > 0,
        "weight_decay": config.weight_decay >= 0,
        "widths": len(config.widths) >= 2 and min(config.widths) >= 1,
        "crop": config.crop >= stride and config.crop % stride == 0,
        "dropout": 0 <= config.dropout < 1,
        "dice_weight": config.dice_weight >= 0,
        "cloud_weight": config.cloud_weight >= 0,
        "label_smoothing": 0 <= config.label_smoothing < 0.5,
        "rescale": 0 <= config.rescale <= 1,
        "clouds": 0 <= config.clouds <= 1,
        "average": 0 <= config.average < 1,
    }
    for key, good in ranges.items():
        if not good:
            raise ConfigError(f"{source}: {key} = {getattr(config, key)!r} is out of range")


def _toml_value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(str(v) for v in value) + "]"
    return repr(value)
