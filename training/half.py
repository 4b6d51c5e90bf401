"""The VPU's arithmetic, emulated: the network in float16, as its ONNX graph computes it.

Batch norm is folded first, weights and masks are rounded to float16, and so is what every
operation gives. Inside an operation sums are kept

- in ``float32`` and rounded once at the end, as hardware with wide accumulators does it; or
- in ``float16``, rounded after every product and every addition: a convolution goes tap by tap
  (rows before columns) and within a tap channel by channel, starts at zero and adds its bias
  last; a mean over the passes is a convolution too.

No CPU engine computes either by itself. Not emulated: the order in which a given VPU really
adds, and, inside a sum only, products below 2^-14, which keep more digits than float16 has there
(the difference is below 2^-24 each).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onboard.engines import reference
from onboard.engines.myriad import weighed
from onboard.masks import Masks
from onboard.network import CONVS_PER_BLOCK, STEM_STRIDE, Network
from onboard.uncertainty import Moments
from training.folding import Weights, folded

Floats = npt.NDArray[np.float32]
FLOAT16_MAX = 65504.0
ACCUMULATIONS = ("float32", "float16")
SAFE = 32768.0
"""Sums whose terms cannot pass this, all taken as positive, need no look-out for overflow."""


class Emulated(NamedTuple):
    """What one tile gives.

    Attributes:
        moments: of the tile's core, float16 values in float32.
        largest: largest magnitude before the last rounding, by tensor of the ONNX graph (those
            of several passes together), in its order; beyond `FLOAT16_MAX` it overflows, and
            what follows is infinite or NaN.
        seen: the activations themselves ``(h, w, channels)``, by the same names.
    """

    moments: Moments
    largest: dict[str, float]
    seen: dict[str, Floats]


def emulate(
    network: Network,
    weights: Weights,
    tile: npt.NDArray[Any],
    masks: Masks,
    accumulation: str = "float32",
) -> Emulated:
    """Moments of a tile's core in float16 arithmetic.

    Args:
        network: its shape.
        weights: as exported, by name.
        tile: ``(S, S, bands)``, normalised; S a multiple of the stride.
        masks: site name → ``(passes, channels)``.
        accumulation: one of `ACCUMULATIONS`.
    """
    graph = _Graph(weights, accumulation == "float16")
    with np.errstate(over="ignore", invalid="ignore"):
        features = _features(graph, network, graph.keep("tile", np.asarray(tile, np.float32)))
        water, p_cloud = _heads(graph, _crop(features[0], network.margin(0)))
        correction = _correction(graph, network, features, masks)
        moments = _moments(graph, correction, water, p_cloud)
    return Emulated(moments, graph.largest, graph.seen)


def rounded(x: npt.NDArray[Any]) -> Floats:
    """The nearest float16 of every value, any shape, ties to even, as float32; inf beyond it."""
    with np.errstate(over="ignore"):
        return np.asarray(np.asarray(x).astype(np.float16).astype(np.float32))


def _round_in_place(x: Floats) -> None:
    """`rounded` for values in float16's normal range, several times faster: on the bits."""
    bits = x.view(np.uint32)
    step = bits >> np.uint32(13)
    step &= np.uint32(1)
    step += np.uint32(0x0FFF)
    bits += step
    bits &= np.uint32(0xFFFFE000)


def sum_of_products(pairs: list[tuple[Floats, Floats]], bound: float) -> Floats:
    """``Σ a·b`` in order, every product and every sum rounded to float16.

    Args:
        pairs: factors that broadcast against each other, of float16 values.
        bound: nothing on the way exceeds it in magnitude.
    """
    if not bound < SAFE:
        return _careful_sum(pairs)
    total = np.zeros(np.broadcast_shapes(*(a.shape for a in pairs[0])), np.float32)
    product = np.empty_like(total)
    for a, b in pairs:
        # A product of two float16 is exact in float32; so is the sum, but for a rounding that is
        # too fine to move the one to float16 (Figueroa, "When is double rounding innocuous?").
        np.multiply(a, b, out=product)
        _round_in_place(product)
        np.add(total, product, out=total)
        _round_in_place(total)
    return total


def _careful_sum(pairs: list[tuple[Floats, Floats]]) -> Floats:
    """The same by numpy's own float16, which overflows where float16 does."""
    total: Any = np.float16(0)
    for a, b in pairs:
        total = total + a.astype(np.float16) * b.astype(np.float16)
    return np.asarray(total, np.float32)


@dataclass
class _Graph:
    """Operations that round what they give, and note how large it was."""

    weights: Weights
    narrow: bool
    largest: dict[str, float] = field(default_factory=dict)
    seen: dict[str, Floats] = field(default_factory=dict)

    def keep(self, name: str, x: npt.NDArray[Any]) -> Floats:
        """An operation's result, rounded."""
        largest = float(np.abs(x).max())
        self.largest[name] = float("inf") if np.isnan(largest) else largest
        self.seen[name] = rounded(x)
        return self.seen[name]

    def conv(
        self, x: Floats, name: str, kernel: npt.NDArray[Any], bias: Any = None, stride: int = 1
    ) -> Floats:
        """A convolution from ``(k, k, in, out)`` that keeps the size, over the stride."""
        height, width, _ = x.shape
        side = len(kernel)
        around = (side - stride) // 2
        padded = np.pad(x, ((around, around), (around, around), (0, 0)))
        taps = [
            (padded[dy : dy + height : stride, dx : dx + width : stride], rounded(kernel[dy, dx]))
            for dy in range(side)
            for dx in range(side)
        ]
        total: Any = self._by_channels(taps) if self.narrow else sum(a @ b for a, b in taps)
        return self.keep(name, total if bias is None else total + rounded(bias))

    def _by_channels(self, taps: list[tuple[Floats, Floats]]) -> Floats:
        depth = len(taps[0][1])
        pairs = [(a[..., c, None], b[c]) for a, b in taps for c in range(depth)]
        reach = sum(np.abs(b).sum(axis=0) for _, b in taps)
        return sum_of_products(pairs, float(max(np.abs(a).max() for a, _ in taps) * reach.max()))

    def lift(self, x: Floats, name: str) -> Floats:
        """Bilinear up-sampling by two."""
        if not self.narrow:
            planes = [reference.bilinear(plane) for plane in np.moveaxis(x, -1, 0)]
            return self.keep(name, np.stack(planes, axis=-1))
        for axis in (0, 1):
            x = np.moveaxis(x, axis, 0)
            before, after = np.concatenate([x[:1], x[:-1]]), np.concatenate([x[1:], x[-1:]])
            pair = [rounded(rounded(0.25 * y) + rounded(0.75 * x)) for y in (before, after)]
            x = np.moveaxis(np.stack(pair, axis=1).reshape(-1, *x.shape[1:]), 0, axis)
        return self.keep(name, x)

    def mean(self, name: str, x: Floats) -> Floats:
        """Over the passes, the last axis: a convolution whose weights are 1/K, rounded too."""
        share = rounded(np.array([1 / x.shape[-1]]))
        if not self.narrow:
            return self.keep(name, x @ np.repeat(share, x.shape[-1]))
        pairs = [(x[..., k, None], share) for k in range(x.shape[-1])]
        return self.keep(name, sum_of_products(pairs, float(np.abs(x).max()))[..., 0])


def _crop(x: Floats, pixels: int) -> Floats:
    return x[pixels:-pixels, pixels:-pixels] if pixels else x


def _block(graph: _Graph, x: Floats, name: str) -> Floats:
    for i in range(CONVS_PER_BLOCK):
        kernel, bias = folded(graph.weights, name, i)
        stride = STEM_STRIDE if name == "enc0" and i == 0 else 1
        x = graph.conv(x, f"{name}_conv{i}", kernel, bias, stride)
        x = graph.keep(f"{name}_relu{i}", np.maximum(x, 0))
    return x


def _features(graph: _Graph, network: Network, x: Floats) -> dict[int, Floats]:
    """Level → features over the core and the level's margin."""
    skips = []
    for level in range(network.depth + 1):
        if level:
            x = graph.keep(f"pool{level}", reference.max_pool(x))
        x = _block(graph, x, f"enc{level}")
        skips.append(_crop(x, network.cut(level)))
    deep = skips[-1]
    found = {network.depth: deep}
    for level in range(network.depth - 1, -1, -1):
        both = np.concatenate([reference.repeat(deep), skips[level]], axis=-1)
        found[level] = _block(graph, graph.keep(f"skip{level}", both), f"dec{level}")
        if level:
            deep = _crop(found[level], network.margin(level) - CONVS_PER_BLOCK)
    return found


def _heads(graph: _Graph, x: Floats) -> tuple[Floats, Floats]:
    """The base logit of water ``(core, core)`` and ``p_cloud``."""
    kernel, bias = graph.weights["head/kernel"], graph.weights["head/bias"]
    water, cloud = (
        reference.spread(graph.conv(x, f"head_{name}", kernel[..., i::2], bias[i::2]))[..., 0]
        for i, name in enumerate(("water", "cloud"))
    )
    return water, graph.keep("p_cloud", reference.sigmoid(cloud))


def _correction(
    graph: _Graph, network: Network, features: dict[int, Floats], masks: Masks
) -> Floats:
    """The corrections of all passes, ``(core, core, K)``; coarse ones ride on finer ones."""
    total: Floats | None = None
    level = network.depth
    for site in network.sites:
        near = _crop(features[level], network.margin(level) - CONVS_PER_BLOCK)
        masked = graph.keep(f"masked_{site.name}", near[:, :, None] * rounded(masks[site.name]))
        vector = rounded(graph.weights[f"correct_{site.name}/kernel"][0, 0, :, 0])
        own = graph.keep(f"correct_{site.name}", _dot(graph, masked, vector))
        total = own if total is None else graph.keep(f"sum_{site.name}", total + own)
        total = _double(graph, total, site.name, level)
        level -= 1
    assert total is not None, "a network has a site at least"
    for finer in range(level, -1, -1):
        total = _double(graph, total, str(finer), finer)
    return total


def _dot(graph: _Graph, x: Floats, vector: Floats) -> Floats:
    if not graph.narrow:
        return np.asarray(x @ vector)
    pairs = [(x[..., c], vector[c : c + 1]) for c in range(len(vector))]
    return sum_of_products(pairs, float(np.abs(x).max() * np.abs(vector).sum()))


def _double(graph: _Graph, x: Floats, name: str, level: int) -> Floats:
    return _crop(graph.lift(x, f"lift_{name}"), CONVS_PER_BLOCK if level else 2 * CONVS_PER_BLOCK)


def _moments(graph: _Graph, correction: Floats, base: Floats, p_cloud: Floats) -> Moments:
    """``H = -log m + |l|·(1-m)`` with ``m = max(p, 1-p)``, then means over the passes."""
    logit = graph.keep("logit", correction + base[..., None])
    p = graph.keep("p", reference.sigmoid(logit))
    q = graph.keep("q", 1 - p)
    doubt = graph.keep("doubt", np.abs(logit) * np.minimum(p, q))
    log = graph.keep("log_surest", np.log(np.maximum(p, q)))
    squares = graph.keep("squares", p * p)
    mean_doubt, mean_log = graph.mean("mean_doubt", doubt), graph.mean("mean_log_surest", log)
    moments = Moments(
        graph.mean("p_water", p),
        p_cloud,
        graph.keep("aleatoric", mean_doubt - mean_log),
        graph.mean("p_water_2", squares),
    )
    return weighed(moments, p.shape[-1])
