"""Moments of stochastic passes and what they say of the uncertainty.

For T passes with water probabilities ``p_t``, ``H`` the entropy of a Bernoulli variable in nats:

- *predictive entropy* ``entropy = H(mean p_t)``, in ``[0, ln 2]``;
- *aleatoric* part ``mean H(p_t)``: noise that more training would not remove;
- *epistemic* part ``entropy - aleatoric``: the mutual information between prediction and
  weights (Houlsby et al. 2011, BALD), what the model does not know.

Both parts are ≥ 0 and add up to the entropy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onboard.arrays import Array

LN2 = float(np.log(2.0))
BLOCK_ROWS = 16


class Moments(NamedTuple):
    """What an engine returns for one tile: means over some passes, each float ``(H, W)``.

    Attributes:
        p_water: mean probability of water given clear sky, 0…1.
        p_cloud: probability of cloud, 0…1.
        aleatoric: mean entropy of the passes, nats, 0…ln 2.
        p_water_2: mean of the squared water probabilities.
    """

    p_water: Array
    p_cloud: Array
    aleatoric: Array
    p_water_2: Array


class Maps(NamedTuple):
    """Per-pixel results, each float32 ``(H, W)``; entropies in nats."""

    p_water: Array
    p_cloud: Array
    entropy: Array
    aleatoric: Array
    epistemic: Array


def bernoulli_entropy(p: Array) -> Array:
    """``H(p) = -p ln p - (1-p) ln(1-p)`` in nats, of any shape; 0 at 0 and 1."""
    p = np.clip(p, 0.0, 1.0)
    # Where a factor is 0 its logarithm must only be finite.
    least = np.finfo(p.dtype).tiny
    total = np.zeros_like(p)
    for part in (p, 1 - p):
        log = np.maximum(part, least)
        np.log(log, out=log)
        log *= part
        total -= log
    return np.asarray(total)


def combine(parts: list[tuple[int, Moments]]) -> Moments:
    """Moments over all passes from moments over disjoint sets of passes.

    Args:
        parts: number of passes and their moments; at least one.
    """
    total = sum(count for count, _ in parts)
    if len(parts) == 1:
        return parts[0][1]
    columns = zip(*(moments for _, moments in parts))
    counts = [count for count, _ in parts]
    return Moments(*(sum(n * a for n, a in zip(counts, arrays)) / total for arrays in columns))


def maps(moments: Moments) -> Maps:
    """Split the predictive entropy of pooled passes into its two parts.

    Rounding can push the mean entropy a hair above the entropy of the mean; it is bounded by it,
    so that the identity and both signs hold to the last bit that float32 has.
    """
    p_water, p_cloud, aleatoric, _ = (a.astype(np.float32, copy=False) for a in moments)
    entropy = np.empty_like(p_water)
    for top in range(0, len(entropy), BLOCK_ROWS):
        # A few rows at a time stay in the processor's cache.
        rows = slice(top, top + BLOCK_ROWS)
        entropy[rows] = bernoulli_entropy(p_water[rows])
    aleatoric = np.clip(aleatoric, 0, entropy)
    return Maps(p_water, p_cloud, entropy, aleatoric, entropy - aleatoric)
