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
    """``H(p) = -p ln p - (1-p) ln(1-p)`` in nats; 0 at 0 and 1."""
    p = np.clip(p, 0.0, 1.0)
    q = 1.0 - p
    with np.errstate(divide="ignore", invalid="ignore"):
        h = -(np.where(p > 0, p * np.log(p), 0.0) + np.where(q > 0, q * np.log(q), 0.0))
    return np.asarray(h, dtype=p.dtype)


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
    entropy = bernoulli_entropy(moments.p_water.astype(np.float64))
    aleatoric = np.clip(moments.aleatoric.astype(np.float64), 0.0, entropy)
    return Maps(
        moments.p_water.astype(np.float32),
        moments.p_cloud.astype(np.float32),
        entropy.astype(np.float32),
        aleatoric.astype(np.float32),
        (entropy - aleatoric).astype(np.float32),
    )
