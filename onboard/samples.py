"""Samples: the generated frame, the chips and the shipped bundle that come with FloodSat.

They lie in ``data_samples`` beside the packages, in a checkout as where a wheel is installed, so
that a first try needs nothing else.
"""

from __future__ import annotations

from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
"""Where the packages lie: the checkout, or ``site-packages``."""
FOLDER = HOME / "data_samples"
BUNDLE = FOLDER / "bundle"
"""The shipped bundle."""


def in_checkout() -> bool:
    """Whether FloodSat runs out of its source tree, and not as an installed wheel."""
    return (HOME / "pyproject.toml").is_file()
