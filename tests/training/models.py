"""Setting and feeding Keras models of the network."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from onboard import masks
from onboard.network import Network
from training.folding import Weights


def load_weights(model: keras.Model, weights: Weights) -> None:
    """Set every variable of ``model`` from ``<layer>/<variable>`` names."""
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(weights[f"{layer.name}/{variable.name}"])


def mask_inputs(network: Network, drawn: masks.Masks) -> dict[str, npt.NDArray[np.float32]]:
    """Masks by site as the Keras models take them: input name → ``(T, 1, 1, C)``."""
    return {f"mask_{s.name}": drawn[s.name].reshape(-1, 1, 1, s.channels) for s in network.sites}
