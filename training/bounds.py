"""Bounds: the figures of a parity report, and what each must keep to."""

from __future__ import annotations

from typing import Any

import numpy as np

Figure = dict[str, Any]
"""``value``, ``bound``, ``rule`` and ``holds``, plain JSON types; see `training.parity.report`."""
Figures = dict[str, Figure]

PROBABILITY = 1e-5
AGREEMENT = 0.999
IOU = ECE = 0.005
AUROC = 0.01
CORRELATION = 0.95
MASK_VALUE = 1e-6
"""Relative; what the float32 scale of an integer tensor rounds."""
LOGIT_BITS = 16


def at_most(value: float, bound: float, **more: Any) -> Figure:
    """A figure that must not exceed ``bound``; one that is no number does not hold."""
    holds = bool(np.isfinite(value) and value <= bound)
    return {"value": plain(value), "bound": bound, "rule": "at most", "holds": holds, **more}


def at_least(value: float, bound: float, **more: Any) -> Figure:
    """A figure that must reach ``bound``; one that is no number does not hold."""
    holds = bool(np.isfinite(value) and value >= bound)
    return {"value": plain(value), "bound": bound, "rule": "at least", "holds": holds, **more}


def unbounded(value: float, **more: Any) -> Figure:
    """A figure that is told and not judged."""
    return {"value": plain(value), "bound": None, "rule": None, "holds": None, **more}


def not_measured(why: str) -> Figure:
    """A figure that could not be taken here."""
    return unbounded(float("nan"), note=f"not measured: {why}")


def plain(value: float) -> float | None:
    """JSON knows no NaN and no infinity."""
    return float(value) if np.isfinite(value) else None
