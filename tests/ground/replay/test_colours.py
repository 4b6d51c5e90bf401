"""The page's colours can be told apart by colour-blind eyes, in light and in dark."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

CSS = Path(__file__).resolve().parents[3] / "ground" / "templates" / "replay" / "page.css"
F64 = npt.NDArray[np.float64]

# G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, IEEE TVCG 15 (2009), 1291-1298, table 1:
# severity 1.0, on linear RGB.
EYES = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip
LINES = ("raw", "lossless", "masks", "flagged", "prioritised")
KINDS = ("alert", "product", "chip", "housekeeping")
APART = 15.0
"""Of CIE 1976 colour difference; 2.3 is just noticeable side by side."""


def themes() -> list[dict[str, str]]:
    """The variables of both themes, light first."""
    blocks = re.findall(r":root \{(.*?)\}", CSS.read_text("utf-8"), re.S)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]


def linear(colour: str) -> F64:
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb: F64) -> F64:
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
         [0.0193339, 0.1191920, 0.9503041]]
    )  # fmt: skip
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, two: str) -> float:
    light = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ linear(c)) for c in (one, two))
    return (light[1] + 0.05) / (light[0] + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("names", [LINES, KINDS], ids=["lines", "kinds"])
@pytest.mark.parametrize("eyes", EYES)
def test_no_two_look_alike(theme: int, names: tuple[str, ...], eyes: str) -> None:
    colours = {name: lab(EYES[eyes] @ linear(themes()[theme][name])) for name in names}
    for one, two in itertools.combinations(names, 2):
        assert np.linalg.norm(colours[one] - colours[two]) >= APART, (one, two)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_lines_stand_out_from_the_paper(theme: int) -> None:
    """WCAG 2.2, criterion 1.4.11: 3 to 1 for graphics."""
    colours = themes()[theme]
    for name in (*LINES, "accent", "alert", "product"):
        assert contrast(colours[name], colours["paper"]) >= 3.0, name
