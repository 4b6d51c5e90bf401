"""Nets: small networks that give the chance of the next bit, in whole numbers only.

A net has two hidden layers. Weights, sums and activations are whole numbers, and no sum of a
layer can pass 2^24, up to which float32 holds whole numbers exactly: so a matrix product gives
the same sums in any order, on any processor, with or without fused multiply-add. Encoder and
decoder need that, for one wrong chance would garble all that follows.
"""

from __future__ import annotations

import decimal
import functools
import struct
from typing import NamedTuple

import numpy as np

from onboard.arrays import Array
from onboard.errors import ProductError

EXACT = 2**24
"""Whole numbers below this are exact in float32."""
TOP = 255
"""Largest activation of a hidden layer."""
LOGIT_STEPS = 64
"""Steps of a logit per unit."""
LOGIT_TOP = 12 * LOGIT_STEPS
CHANCE_BITS = 20
"""Chances are whole multiples of 2^-20."""
MAX_SIZE = 512
"""Most inputs, and most units of a hidden layer."""
MAX_SHIFT = 24

_HEAD = struct.Struct(">HHHBBB")


class Layer(NamedTuple):
    """One layer; what it gives is ``floor(sums / 2^shift)``, cut to 0…``TOP`` if it is hidden.

    Attributes:
        weights: float32 (inputs, outputs), whole numbers.
        bias: float32 (outputs,), whole numbers.
        shift: 0…``MAX_SHIFT``.
    """

    weights: Array
    bias: Array
    shift: int = 0

    def hidden(self, values: Array) -> Array:
        """What the layer makes of float32 (n, inputs) of whole numbers: float32 (n, outputs)."""
        sums = self.sums(values)
        np.maximum(sums, 0, out=sums)
        return np.asarray(np.minimum(sums, TOP, out=sums))

    def sums(self, values: Array) -> Array:
        """The same, not cut to what a hidden layer gives."""
        # Scaled by a power of two first, sums are as exact as they would be unscaled.
        scale = np.float32(2.0**-self.shift)
        sums = values @ (self.weights * scale)
        sums += self.bias * scale
        return np.asarray(np.floor(sums, out=sums))


class Net(NamedTuple):
    """One net: bits to the chance of the next bit."""

    first: Layer
    second: Layer
    last: Layer

    @property
    def inputs(self) -> int:
        """How many bits it looks at."""
        return int(self.first.weights.shape[0])

    def chances(self, bits: Array) -> Array:
        """The chances that the next bits are 1.

        Args:
            bits: float32 (n, inputs) of 0 and 1.

        Returns:
            float64 (n,), whole multiples of 2^-``CHANCE_BITS``, never 0 or 1.
        """
        hidden = self.second.hidden(self.first.hidden(bits))
        logits = np.clip(self.last.sums(hidden)[:, 0], -LOGIT_TOP, LOGIT_TOP)
        steps = logits.astype(np.intp)
        return np.asarray(_chances()[steps + LOGIT_TOP])


def from_layers(layers: list[tuple[Array, Array, int]]) -> Net:
    """A net of three layers of whole numbers: weights ``(in, out)``, bias ``(out,)`` and shift.

    Raises:
        ProductError: the layers do not fit each other, or a sum could pass 2^24.
    """
    made = [
        Layer(weights.astype(np.float32), bias.astype(np.float32), shift)
        for weights, bias, shift in layers
    ]
    for top, (weights, bias, _) in zip((1, TOP, TOP), layers):
        own, other = weights.astype(np.int64), bias.astype(np.int64)
        if (top * np.abs(own).sum(axis=0) + np.abs(other)).max() >= EXACT:
            raise ProductError("a net's sums may pass 2^24, where they are not exact any more")
    return Net(*made)


def pack(net: Net) -> bytes:
    """The net's bytes: its sizes and shifts, then per layer weights and bias.

    Weights are int16, biases int32, big-endian, the last dimension fastest.
    """
    first, second, last = net
    sizes = (*first.weights.shape, second.weights.shape[1])
    parts = [_HEAD.pack(*sizes, first.shift, second.shift, last.shift)]
    for layer in net:
        parts += [layer.weights.astype(">i2").tobytes(), layer.bias.astype(">i4").tobytes()]
    return b"".join(parts)


def unpack(data: bytes) -> Net:
    """Undo `pack`.

    Raises:
        ProductError: the bytes are no net, or one whose sums might not be exact.
    """
    if len(data) < _HEAD.size:
        raise ProductError("a net of the coding tables is cut short")
    inputs, first, second, *shifts = _HEAD.unpack_from(data)
    sizes = (inputs, first, second, 1)
    wanted = _HEAD.size + sum(2 * a * b + 4 * b for a, b in zip(sizes, sizes[1:]))
    sound = min(sizes) >= 1 and max(sizes) <= MAX_SIZE and max(shifts) <= MAX_SHIFT
    if not sound or len(data) != wanted:
        raise ProductError("a net of the coding tables has sizes that make no sense")
    layers, start = [], _HEAD.size
    for a, b, shift in zip(sizes, sizes[1:], shifts):
        weights = np.frombuffer(data, ">i2", a * b, start).reshape(a, b)
        bias = np.frombuffer(data, ">i4", b, start + 2 * a * b)
        layers.append((weights, bias, shift))
        start += 2 * a * b + 4 * b
    return from_layers(layers)


@functools.cache
def _chances() -> Array:
    """The chance that a bit is 1 by its logit, -``LOGIT_TOP``…``LOGIT_TOP``.

    By decimal arithmetic, which rounds alike everywhere; a platform's exp need not.
    """
    whole = 2**CHANCE_BITS
    table = np.empty(2 * LOGIT_TOP + 1, np.float64)
    with decimal.localcontext() as context:
        context.prec = 30
        for step in range(LOGIT_TOP + 1):
            share = 1 / (1 + (decimal.Decimal(step) / LOGIT_STEPS).exp())
            rounded = max(1, int((share * whole).to_integral_value(decimal.ROUND_HALF_EVEN)))
            table[LOGIT_TOP - step] = rounded / whole
            table[LOGIT_TOP + step] = (whole - rounded) / whole
    table.setflags(write=False)
    return table
