"""Heteroscedastic noise on the water logit: a variance that the network says itself, per pixel.

The logit becomes ``f + s ε`` with ``ε`` standard normal (Kendall & Gal, "What uncertainties do we
need in Bayesian deep learning for computer vision?", NIPS 2017, section 3.3), and what the loss
sees is the probability over the noise, ``E[σ(f + s ε)]``. The paper samples ``ε``; in one dimension
Gauss-Hermite quadrature gives the expectation itself.

A label of one pixel depends on that probability alone. Many pairs of ``f`` and ``s`` give the same
one, so the data do not say which: the variance is what the network's shape makes of it, and has to
be judged by what it is good for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from scipy.special import roots_hermitenorm

Tensor = Any

NODES = 9
LIMIT = 6.0
"""Largest logarithm of the variance, either side: deviations of 0.05 to 20."""

_ROOTS, _SHARES = roots_hermitenorm(NODES)
POINTS = _ROOTS.astype(np.float32)
LOG_SHARES = np.log(_SHARES / _SHARES.sum()).astype(np.float32)


def marginal_logit(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The logit of the probability over the noise.

    Args:
        mean: ``(…, 1)``, the logit without noise.
        log_variance: ``(…, 1)``, clipped to ± `LIMIT`.

    Returns:
        ``(…, 1)``; nearer to 0 than ``mean``, and as finite.
    """
    deviation = ops.exp(0.5 * ops.clip(log_variance, -LIMIT, LIMIT))
    drawn = mean + deviation * POINTS
    # Sums of logarithms, so that a sure pixel keeps its gradient.
    water = ops.logsumexp(ops.subtract(LOG_SHARES, ops.softplus(-drawn)), axis=-1, keepdims=True)
    land = ops.logsumexp(ops.subtract(LOG_SHARES, ops.softplus(drawn)), axis=-1, keepdims=True)
    return water - land
