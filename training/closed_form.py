"""The closed form: what dropout does to the water logit, without drawing a mask.

The logit is linear in the masks (`onboard.network`): ``z = base + Σ m_c u_c``, where ``u_c`` is
what channel ``c`` of a site adds once it is weighed and up-sampled. The masks are independent, of
mean 1 and variance ``rate / keep``, so that over all masks

    E[z] = base + Σ u_c          Var[z] = Σ (rate_c / keep_c) u_c²

exactly. What has to be assumed is the shape: with some ninety channels ``z`` is close to normal,
and the moments of the probability follow by Gauss-Hermite quadrature in one dimension. Sampling
assumes nothing and errs by its number of passes.

It is no cheaper on board: variances do not survive up-sampling, so each of the channels has to be
brought to full resolution, where ten passes bring ten sums there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from scipy.special import expit, roots_hermitenorm

from onboard import masks
from onboard.engines.reference import bilinear
from onboard.network import Network
from onboard.uncertainty import bernoulli_entropy

Floats = npt.NDArray[np.floating[Any]]

NODES = 15


class Linear(NamedTuple):
    """The water logit as a linear function of the masks.

    Attributes:
        base: ``(H, W)``, the logit with all masks 0.
        parts: ``(H, W, C)``, what each channel adds; the sites end to end, in their order.
        variance: ``(C,)``, of one channel's mask.
    """

    base: Floats
    parts: Floats
    variance: Floats

    def sampled(self, drawn: masks.Masks) -> Floats:
        """Logits ``(T, H, W)`` under masks as `onboard.masks.draw` gives them."""
        switched = np.concatenate(list(drawn.values()), axis=1).astype(self.parts.dtype)
        return np.asarray(self.base + np.moveaxis(self.parts @ switched.T, -1, 0))

    def mean(self) -> Floats:
        """Mean of the logit over all masks, ``(H, W)``."""
        return np.asarray(self.base + self.parts.sum(axis=-1))

    def spread(self) -> Floats:
        """Variance of the logit over all masks, ``(H, W)``."""
        return np.asarray((self.parts**2) @ self.variance.astype(self.parts.dtype))


class Probability(NamedTuple):
    """Moments of a probability whose logit is normal, each of the logit's shape.

    Attributes:
        mean: 0…1.
        aleatoric: mean entropy, nats.
    """

    mean: Floats
    aleatoric: Floats

    @property
    def entropy(self) -> Floats:
        """Entropy of the mean, nats."""
        return bernoulli_entropy(self.mean)

    @property
    def epistemic(self) -> Floats:
        """Mutual information, nats."""
        return np.maximum(self.entropy - self.aleatoric, 0)


def of_normal(mean: Floats, variance: Floats) -> Probability:
    """Moments of ``σ(z)`` for normal ``z`` of any one shape, by quadrature."""
    roots, shares = roots_hermitenorm(NODES)
    p_mean, aleatoric = np.zeros_like(mean), np.zeros_like(mean)
    for root, share in zip(roots, shares / shares.sum(), strict=True):
        p = expit(mean + np.sqrt(variance) * mean.dtype.type(root))
        p_mean += mean.dtype.type(share) * p
        aleatoric += mean.dtype.type(share) * bernoulli_entropy(p)
    return Probability(p_mean, aleatoric)


class Linearised:
    """A trained network, taken apart into its base logit and what its channels add.

    Args:
        model: as `training.network.build` shapes it.
        network: its shape; dropout on the corrections only, no heteroscedastic head.
    """

    def __init__(self, model: keras.Model, network: Network) -> None:
        corrections = [model.get_layer(f"correct_{site.name}") for site in network.sites]
        # Behind the masks, which are all ones below.
        inside = [layer.input for layer in corrections]
        self._model = keras.Model(model.inputs, [model.output, *inside])
        self._kernels = [np.asarray(layer.kernel)[0, 0, :, 0] for layer in corrections]
        self._network = network

    def __call__(self, tile: npt.NDArray[np.float32]) -> Linear:
        """The logit of one tile ``(H, W, bands)``, normalised."""
        given = {
            f"mask_{name}": mask.reshape(1, 1, 1, -1)
            for name, mask in masks.ones(self._network).items()
        }
        found = self._model({"tile": tile[None], **given}, training=False)
        logits, *features = (keras.ops.convert_to_numpy(each)[0] for each in found)
        parts = []
        for site, kernel, feature in zip(self._network.sites, self._kernels, features, strict=True):
            part = feature * kernel
            for _ in range(site.stride.bit_length() - 1):
                part = bilinear(part)
            parts.append(part)
        joined = np.concatenate(parts, axis=-1).astype(np.float32)
        variance = np.concatenate(
            [np.full(site.channels, site.rate / site.keep) for site in self._network.sites]
        )
        return Linear(logits[..., 0] - joined.sum(axis=-1), joined, variance)
