"""The Bayesian objective: what dropout training owes to the prior over the weights.

Dropout training minimises, up to constants and per training example, the negative evidence lower
bound of a variational posterior whose weight columns are switched off with probability ``p``
(Gal & Ghahramani, ICML 2016, eq. 7). The prior, a zero-mean Gaussian of length-scale ``l``,
becomes a squared norm

    l² · keep / (2 N) · ‖M‖²

for the variational weights ``M``. Masks here are scaled by ``1/keep``, so the stored weights are
``w = keep · M`` and the factor on ``‖w‖²`` is ``l² / (2 N keep)``. Layers without dropout have
``keep = 1``. The classification likelihood has no precision to set (τ = 1).

*Concrete dropout* (Gal, Hron & Kendall, NIPS 2017) also learns the rates: the masks are relaxed
so that gradients reach ``p``, and the Kullback-Leibler term keeps its share that depends on ``p``:
``-K/N · H(p)`` for ``K`` switched channels, ``H`` the entropy of a Bernoulli.

``N`` is the number of training chips, not of pixels: pixels of one chip are not independent
draws, and counting them as such would let the prior vanish.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from onboard.network import Site

Tensor = Any

TEMPERATURE = 0.1
"""Of the relaxed masks; as in the paper."""

LIMIT = 6.0
"""Largest logit of a rate: rates stay within 0.25 % … 99.75 %."""


@dataclass(frozen=True)
class Prior:
    """A Gaussian prior over the weights.

    Attributes:
        length_scale: ``l``; 0 leaves the weights free.
        count: ``N``, training chips.
    """

    length_scale: float
    count: int

    def decay(self, keep: float = 1.0) -> float:
        """The factor on a layer's squared norm."""
        return self.length_scale**2 / (2 * self.count * keep)


class ConcreteMask(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Uniform noise ``(N, 1, 1, C)`` in, a relaxed dropout mask scaled by ``1/keep`` out.

    Args:
        site: where the mask acts; its rate is where learning starts.
        prior: gives ``N`` for the term that keeps the rate away from 0.
    """

    def __init__(self, site: Site, prior: Prior) -> None:
        super().__init__(name=f"concrete_{site.name}")
        self._site, self._prior = site, prior

    def build(self, shape: Any) -> None:
        """Make the one weight: the logit of the rate."""
        start = ops.log(self._site.rate / self._site.keep)
        self.logit = self.add_weight(name="rate_logit", initializer=lambda *_, **__: start)
        self.built = True

    def call(self, noise: Tensor) -> Tensor:
        """Relaxed Bernoulli by the Gumbel trick (eq. 5 of the paper)."""
        logit = ops.clip(self.logit, -LIMIT, LIMIT)
        rate = ops.sigmoid(logit)
        entropy = ops.softplus(logit) - rate * logit
        self.add_loss(-entropy * self._site.channels / self._prior.count)
        noise = ops.clip(noise, 1e-6, 1 - 1e-6)
        dropped = ops.sigmoid((logit + ops.log(noise) - ops.log1p(-noise)) / TEMPERATURE)
        return (1.0 - dropped) / (1.0 - rate)

    @property
    def rate(self) -> float:
        """The learned probability that a channel is dropped."""
        return float(ops.sigmoid(ops.clip(self.logit, -LIMIT, LIMIT)))
