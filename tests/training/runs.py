"""Finished run folders with random weights, for what comes after training."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from onboard.network import Network
from onboard.normalise import Normalisation
from onboard.sensor import VNIR4
from training import kept
from training.config import TrainConfig
from training.network import build, weight_arrays

WIDTHS = (2, 3, 3)


def record() -> dict[str, Any]:
    """What `training.fit.fit` leaves in ``run.json``."""
    config = TrainConfig(widths=WIDTHS)
    return {
        "sensor": VNIR4.to_json(),
        "network": Network(4, WIDTHS, config.dropout).to_json(),
        "data": [{"name": "nothing", "sha256": "0" * 64, "chips": 0}],
        "train_chips": 0,
        "calibration_chips": 0,
        "config": {**dataclasses.asdict(config), "widths": list(WIDTHS)},
        "normalisation": Normalisation((0.1,) * 4, (0.05,) * 4).to_json(),
        "versions": {"floodsat": "0"},
        "kept": {kept.REPRESENTATIVE: ["nothing/1"], kept.HELD: ["nothing/1"]},
        "final": {"epoch": 1, "loss": 1.0, "water_iou": 0.5, "cloud_iou": 0.5},
        "calibration": {
            "temperature": 1.25,
            "balanced": 0.4,
            "sensitive": 0.2,
            "cloud": 0.6,
            "pixels": 9,
        },
    }


def random_weights(seed: int = 0) -> dict[str, Any]:
    """Weights of the small network; every one is different from zero."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.uniform(0.2, 0.8, array.shape).astype(np.float32) * rng.choice([-1, 1])
        if "kernel" in name
        else rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        for name, array in weight_arrays(build(Network(4, WIDTHS, 0.2))).items()
    }


def finished_run(folder: Path) -> Path:
    """A run folder that can be exported."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record()), "utf-8")
    np.savez(folder / "weights.npz", **random_weights())
    rng = np.random.default_rng(3)
    chip = {
        "tile": rng.normal(0, 1, (64, 64, 4)).astype(np.float32),
        "water": rng.integers(0, 2, (64, 64), np.uint8),
        "cloud": np.zeros((64, 64), np.uint8),
    }
    for name in (kept.REPRESENTATIVE, kept.HELD):
        np.savez(folder / name, **{f"{part}:nothing/1": array for part, array in chip.items()})
    return folder
