"""Oddity: how unlike the chips that the network was fitted on a crop of a frame is.

A network is as sure of nonsense as of water. This module looks at the input itself, crop by crop
of 128 pixels, for what no clear training chip shows, in four *kinds* of statistics:

- ``levels``: how dark the darkest and the middling pixels of each band are. Haze lifts the dark
  ones, raw numbers are no reflectance, exchanged bands are of another colour.
- ``texture``: how much neighbours differ, band against band. A dead band has no texture, or only
  noise; and detail that belongs to one band betrays it in the place of another.
- ``stuck``: the largest share of samples that sit at their band's highest value, as saturated and
  dead ones do.
- ``registration``: how much better the fine detail of a band is explained by that of the others
  where it lies than 2 to 6 pixels away, as ``ln((1 - R² away) / (1 - R² here))`` of a linear
  regression of its Laplacian on theirs. It is positive for bands that lie on each other whatever
  the sign of their contrasts, and negative for a band that has been shifted.

Below 0, where an atmospheric correction leaves some dark water, all reflectance counts as 0, as it
does for the network. A fifth kind is ``epistemic``, the network's own mean mutual information
over the crop.

Each kind gives one number, large where odd: a Mahalanobis distance for the first two (Lee et al.,
"A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018, have it on
features of a network), one-sided values for the others. Each is read as a tail probability on the
calibration places, whose tail is taken as exponential (Pickands 1975), and the least probable
kind speaks for the crop. `Oddity.score` is in *decades*: 2 is as odd as one calibration crop in
100, 3 as one in 1,000, which goes beyond what so few crops can show and only orders them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from onboard.arrays import Array, Flags
from onboard.mirror import mirror

if TYPE_CHECKING:
    from onboard.segment import Source

SIDE = 128
KINDS = ("levels", "texture", "stuck", "registration", "epistemic")
MIN_VALID = 0.5
TAIL = 0.25

# Every eighth row and column is enough for levels, every eighth row for texture.
STEP = 8
LEVELS = (0.02, 0.5)
DARK_OFFSET = 0.05
TEXTURE_FLOOR = 3e-4
STUCK_FLOOR = 2e-3
EPISTEMIC_FLOOR = 1e-5

# Registration: pixels binned 2 × 2, a window around the middle, lags of up to 2 bins.
BIN, WINDOW, LAG = 2, 32, 2
RIDGE, BEST, POWER_FLOOR = 1e-3, 0.999, 1e-6


class Features(NamedTuple):
    """What is measured of ``N`` crops of ``B`` bands, float64.

    Attributes:
        levels: ``(N, 2 B)``, logarithms of reflectance.
        texture: ``(N, B)``, logarithms: the mean over the bands, then band against band before.
        stuck: ``(N,)``, logarithm of a share.
        registration: ``(N,)``, of the worst band, negated; large where a band is shifted.
    """

    levels: Array
    texture: Array
    stuck: Array
    registration: Array


def measure(crops: Array, valid: Flags) -> Features:
    """The input statistics of some crops.

    Args:
        crops: reflectance, floating ``(N, H, W, B)``, at least 100 pixels a side.
        valid: bool ``(N, H, W)``; pixels without data count nowhere but in the registration.
    """
    rows = np.maximum(crops[:, ::STEP].transpose(0, 3, 1, 2), 0, dtype=np.float64, order="C")
    seen = np.ascontiguousarray(valid[:, ::STEP])
    return Features(
        _levels(rows[..., ::STEP], seen[..., ::STEP]),
        _texture(rows, seen),
        _stuck(rows, seen),
        _registration(crops),
    )


def _levels(samples: Array, valid: Flags) -> Array:
    """Logarithms of the quantiles `LEVELS` of every band, ``(N, 2 B)``."""
    count, bands = samples.shape[:2]
    flat = np.where(valid[:, None], samples, np.inf).reshape(count, bands, -1)
    flat.sort(axis=-1)
    number = np.maximum(1, valid.reshape(count, -1).sum(axis=-1))
    at = np.stack([np.floor(q * (number - 1)).astype(np.intp) for q in LEVELS], axis=-1)
    picked = np.take_along_axis(flat, at[:, None, :], axis=-1)
    picked = np.where(np.isfinite(picked), picked, 0.0)
    return np.asarray(np.log(picked + DARK_OFFSET)).reshape(count, -1)


def _texture(rows: Array, valid: Flags) -> Array:
    """Mean difference between neighbours in a row, as logarithms ``(N, B)``."""
    both = valid[:, None, :, 1:] & valid[:, None, :, :-1]
    steps = np.abs(np.diff(rows, axis=-1))
    if not both.all():
        steps = steps * both
    number = np.maximum(1, both.sum(axis=(-2, -1)))
    logs = np.log(steps.sum(axis=(-2, -1)) / number + TEXTURE_FLOOR)
    return np.concatenate([logs.mean(axis=1, keepdims=True), np.diff(logs, axis=1)], axis=1)


def _stuck(rows: Array, valid: Flags) -> Array:
    """Logarithm of the largest share of samples at the top of their band's range, ``(N,)``."""
    number = np.maximum(1, valid.sum(axis=(-2, -1)))
    values = rows if valid.all() else np.where(valid[:, None], rows, -np.inf)
    top = values.max(axis=(-2, -1), keepdims=True)
    at_top = np.count_nonzero((values == top) & valid[:, None], axis=(-2, -1)).max(axis=1)
    # One sample is always the largest.
    return np.asarray(np.log(np.maximum(at_top - 1, 0) / number + STUCK_FLOOR))


def _registration(crops: Array) -> Array:
    """How much a shift would explain of the band that fits its place worst, ``(N,)``."""
    # Single precision holds the sums of products to 1e-5; what is made of them is double.
    correlation = _correlations(_detail(crops)).astype(np.float64)
    count, bands = len(correlation), correlation.shape[-1]
    here = correlation.shape[1] // 2
    worst = np.full(count, -np.inf)
    for band in range(bands):
        others = [b for b in range(bands) if b != band]
        among = correlation[:, here, others][:, :, others] + RIDGE * np.eye(len(others))
        with_band = correlation[:, :, band, others].transpose(0, 2, 1)
        left = 1 - np.clip(_explained(among, with_band), 0.0, BEST)
        away = np.delete(left, here, axis=1).min(axis=1)
        worst = np.maximum(worst, np.log(left[:, here] / away))
    return worst


def _explained(among: Array, with_band: Array) -> Array:
    """R² of linear regressions, ``(N, lags)``: ``cᵀ A⁻¹ c`` by elimination of one band at a time.

    Not by LAPACK, whose threads wait for one another far longer than so small systems take.

    Args:
        among: correlations of the explaining bands, ``(N, O, O)``, positive definite.
        with_band: theirs with the band that is explained, ``(N, O, lags)``.
    """
    rest, open_ = among.copy(), with_band.copy()
    found = np.zeros((len(among), with_band.shape[2]))
    for band in range(among.shape[1]):
        pivot = rest[:, band, band, None]
        found += open_[:, band] ** 2 / pivot
        factor = rest[:, band + 1 :, band] / pivot
        open_[:, band + 1 :] -= factor[..., None] * open_[:, band, None]
        rest[:, band + 1 :, band + 1 :] -= factor[..., None] * rest[:, band, None, band + 1 :]
    return found


def _detail(crops: Array) -> Array:
    """Laplacian of the binned middle of each band, float32 ``(N, B, WINDOW - 2, WINDOW - 2)``."""
    side = WINDOW * BIN
    top, left = (crops.shape[1] - side) // 2, (crops.shape[2] - side) // 2
    middle = np.maximum(crops[:, top : top + side, left : left + side], 0)
    # Rows first: what then remains to be put into another order is a quarter of the samples.
    rows = middle[:, ::BIN] + middle[:, 1::BIN]
    binned = rows[:, :, ::BIN] + rows[:, :, 1::BIN]
    x = np.ascontiguousarray(binned.transpose(0, 3, 1, 2), dtype=np.float32)
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return np.asarray(4 * x[..., 1:-1, 1:-1] - around)


def _correlations(detail: Array) -> Array:
    """Correlation of every band with every other shifted by every lag, ``(N, lags, B, B)``."""
    count, bands, side, _ = detail.shape
    lags = [(row, col) for row in range(2 * LAG + 1) for col in range(2 * LAG + 1)]
    core = side - 2 * LAG
    still = np.ascontiguousarray(detail[:, :, LAG:-LAG, LAG:-LAG]).reshape(count, bands, -1)
    found = np.empty((count, len(lags), bands, bands), detail.dtype)
    for at, (row, col) in enumerate(lags):
        moved = detail[:, :, row : row + core, col : col + core].reshape(count, bands, -1)
        np.matmul(still, moved.transpose(0, 2, 1), out=found[:, at])
    power = np.sqrt(np.einsum("nii->ni", found[:, len(lags) // 2])) + POWER_FLOOR
    return np.asarray(found / (power[:, None, :, None] * power[:, None, None, :]))


@dataclass(frozen=True)
class Tail:
    """An exponential tail: ``value`` is exceeded by `TAIL` of the calibration crops.

    Attributes:
        start: the value that a share of `TAIL` exceeds.
        scale: how far further e times fewer lie.
    """

    start: float
    scale: float

    def decades(self, value: Array) -> Array:
        """``-log10`` of how likely larger values are, ``(N,)``; below `start` it only orders."""
        return np.asarray((value - self.start) / self.scale / math.log(10) - math.log10(TAIL))


@dataclass(frozen=True)
class Density:
    """A normal density: centre ``(F,)`` and inverse covariance ``(F, F)``."""

    centre: Array
    precision: Array

    def distance(self, values: Array) -> Array:
        """Logarithm of the squared Mahalanobis distance per feature, of ``(N, F)`` → ``(N,)``."""
        off = values - self.centre
        squared = np.einsum("ni,ij,nj->n", off, self.precision, off) / len(self.centre)
        return np.asarray(np.log(squared + 1e-3))


@dataclass(frozen=True)
class Oddity:
    """The fitted score.

    Attributes:
        levels: density of `Features.levels`.
        texture: density of `Features.texture`.
        tails: kind → its tail on the calibration crops; all of `KINDS`.
        joint: tail of the oddest kind's decades.
        limit: decades from which a crop is called odd.
        crops: calibration crops behind the tails.
    """

    levels: Density
    texture: Density
    tails: Mapping[str, Tail]
    joint: Tail
    limit: float
    crops: int

    def values(self, features: Features, epistemic: Array | None = None) -> dict[str, Array]:
        """Kind → its number per crop, large where odd; ``epistemic`` in nats, ``(N,)``."""
        found = {
            "levels": self.levels.distance(features.levels),
            "texture": self.texture.distance(features.texture),
            "stuck": features.stuck,
            "registration": features.registration,
        }
        if epistemic is not None:
            found["epistemic"] = epistemic_value(epistemic)
        return found

    def decades(self, features: Features, epistemic: Array | None = None) -> dict[str, Array]:
        """Kind → how rare its number is on the calibration crops, ``(N,)``, in decades."""
        found = self.values(features, epistemic)
        return {kind: self.tails[kind].decades(value) for kind, value in found.items()}

    def combined(self, features: Features, epistemic: Array | None = None) -> Array:
        """The score of every crop, ``(N,)``."""
        worst = np.max(list(self.decades(features, epistemic).values()), axis=0)
        return self.joint.decades(worst)

    def score(self, reflectance: Array, valid: Flags, mi: float | None = None) -> float | None:
        """How odd one crop is, in decades; None where it cannot be told.

        Args:
            reflectance: floating ``(SIDE, SIDE, B)``, as `onboard.scene.Frame` reads it.
            valid: bool ``(SIDE, SIDE)``.
            mi: mean epistemic entropy over the crop's observed pixels, nats; None leaves it out.

        Returns:
            None where less than `MIN_VALID` of the crop has data.
        """
        if valid.mean() < MIN_VALID:
            return None
        known = None if mi is None else np.array([mi])
        return float(self.combined(measure(reflectance[None], valid[None]), known)[0])

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, numbers to 7 digits."""
        densities = {
            name: {"centre": _digits(d.centre), "precision": _digits(d.precision)}
            for name, d in (("levels", self.levels), ("texture", self.texture))
        }
        tails = {name: _digits([t.start, t.scale]) for name, t in self.tails.items()}
        return {
            "side": SIDE,
            **densities,
            "tails": tails,
            "joint": _digits([self.joint.start, self.joint.scale]),
            "limit": self.limit,
            "crops": self.crops,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Oddity:
        """The inverse of `to_json`."""
        levels, texture = (
            Density(*(np.array(data[name][part], np.float64) for part in ("centre", "precision")))
            for name in ("levels", "texture")
        )
        tails = {kind: Tail(*map(float, data["tails"][kind])) for kind in KINDS}
        joint = Tail(*map(float, data["joint"]))
        return cls(levels, texture, tails, joint, float(data["limit"]), int(data["crops"]))


class Survey(NamedTuple):
    """The scores of all crops of a frame, ``(rows, columns)`` of `SIDE` pixels each.

    The last row and column are moved back into the frame where it ends within them.

    Attributes:
        score: float64 decades; NaN where less than `MIN_VALID` of a crop is observed.
        epistemic: float64, mean over what is observed, nats; NaN where it was not given.
        kind: uint8, index into `KINDS` of the kind that spoke.
    """

    score: Array
    epistemic: Array
    kind: Array

    def share(self, limit: float, least: int = 1) -> float | None:
        """Share of the scored crops beyond ``limit``; None where fewer than ``least`` were."""
        scored = np.isfinite(self.score)
        if np.count_nonzero(scored) < least:
            return None
        return float((self.score[scored] > limit).mean())


def survey(
    oddity: Oddity,
    frame: Source,
    epistemic: Array | None = None,
    observed: Flags | None = None,
) -> Survey:
    """Score every crop of a frame, row of crops by row of crops.

    Args:
        oddity: the fitted score.
        frame: the frame; one smaller than a crop is mirrored at its border.
        epistemic: per pixel ``(H, W)`` in nats, NaN where there is no data; None leaves it out.
        observed: bool ``(H, W)``; what is not, as under cloud, counts like pixels without data.
    """
    rows, cols = (crop_origins(size) for size in (frame.height, frame.width))
    scores = np.full((len(rows), len(cols)), np.nan)
    means = scores.copy()
    kinds = np.zeros((len(rows), len(cols)), np.uint8)
    width = max(SIDE, frame.width)
    for index, row in enumerate(rows):
        strip = frame.read(row, 0, SIDE, width)
        seen = strip.valid
        if observed is not None:
            seen = seen & _mirrored(observed[row : row + SIDE], seen.shape)
        crops, valid = (
            np.stack([part[:, col : col + SIDE] for col in cols])
            for part in (strip.reflectance, seen)
        )
        known = None
        if epistemic is not None:
            nats = _mirrored(epistemic[row : row + SIDE], seen.shape)
            nats = np.where(seen & np.isfinite(nats), nats, 0.0)
            sums = np.array([nats[:, col : col + SIDE].sum(dtype=np.float64) for col in cols])
            known = means[index] = sums / np.maximum(1, valid.sum(axis=(1, 2)))
        found = oddity.decades(measure(crops, valid), known)
        stacked = np.stack(list(found.values()))
        enough = valid.mean(axis=(1, 2)) >= MIN_VALID
        scores[index] = np.where(enough, oddity.joint.decades(stacked.max(axis=0)), np.nan)
        kinds[index] = stacked.argmax(axis=0)
    return Survey(scores, means, kinds)


def crop_origins(size: int) -> list[int]:
    """First pixels of the crops along a side of ``size`` pixels."""
    last = max(0, size - SIDE)
    return [min(start, last) for start in range(0, max(size, 1), SIDE)]


def _mirrored(part: Array, shape: tuple[int, ...]) -> Array:
    """A map as wide and high as the frame was read, which is mirrored where it is too small."""
    if part.shape == shape:
        return part
    rows, cols = (mirror(0, count, size) for count, size in zip(shape, part.shape))
    return np.asarray(part[np.ix_(rows, cols)])


def epistemic_value(epistemic: Array) -> Array:
    """Mean epistemic entropies in nats, ``(N,)``, on the scale of their tail."""
    return np.asarray(np.log(np.maximum(epistemic, 0.0) + EPISTEMIC_FLOOR))


def _digits(values: Any) -> Any:
    if isinstance(values, (list, np.ndarray)):
        return [_digits(value) for value in values]
    return float(f"{float(values):.7g}")
