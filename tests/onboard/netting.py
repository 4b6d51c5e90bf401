"""Nets and tables of random weights: what they code is right, only not small."""

from __future__ import annotations

import numpy as np

from onboard import doubts, nets, outlines, tables
from onboard.nets import Net
from onboard.reduced import Scale
from onboard.tables import COVER, ENTROPY, EPISTEMIC, FLOOD, WATER, Tables

LOW = Scale((0.1, 0.25, 0.4), (0.05, 0.17, 0.3, 0.5))
HIGH = Scale((0.01, 0.03, 0.05), (0.005, 0.02, 0.04, 0.06))


def random_net(inputs: int, seed: int) -> Net:
    """A net that says something else of every context."""
    rng = np.random.default_rng(seed)
    return nets.from_layers(
        [
            (rng.integers(-90, 90, (inputs, 6)), rng.integers(-90, 90, 6), 1),
            (rng.integers(-60, 60, (6, 4)), rng.integers(-900, 900, 4), 5),
            (rng.integers(-90, 90, (4, 1)), rng.integers(-900, 900, 1), 3),
        ]
    )


def random_tables(seed: int = 0, block: int = 8) -> Tables:
    """Tables with a dictionary, and an id."""
    sizes = {
        COVER: outlines.inputs(False),
        WATER: outlines.inputs(False),
        FLOOD: outlines.inputs(True),
        ENTROPY: doubts.inputs(len(LOW.values), False),
        EPISTEMIC: doubts.inputs(len(LOW.values), True),
    }
    made = {name: random_net(size, seed + at) for at, (name, size) in enumerate(sizes.items())}
    return tables.unpack(tables.pack(Tables(block, LOW, HIGH, b"sentinel2_l1c balanced", made)))
