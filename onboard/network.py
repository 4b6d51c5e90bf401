"""The shape of the network: what training builds, engines run and tiles depend on.

A compact U-Net looks at the tile once and gives a deterministic logit map for water and one for
cloud at full resolution. The Bayesian part is a sum of *stochastic corrections* to the water
logit: features at 1/8, 1/4 and 1/2 resolution, each channel switched by a dropout mask, mixed by
one linear 1×1 weight vector per *site* and up-sampled. A pass costs almost nothing beyond the
shared part, and the logit is linear in the masks.

    tile ─ stem, enc0 ─ enc1 ─ enc2 ┐
                  └──────┴─ dec1 ─ dec0 ─ head ─▶ base logits (water, cloud)
               enc2·m8   dec1·m4  dec0·m2 ─ 1×1, up-sampled ─▶ water correction

The stem is the first convolution, 6×6 with stride 2: it sees every pixel and spares the network
all work at full resolution, where a small one would spend most of its time moving memory. The
head gives each feature pixel the logits of its 2×2 pixels. Between them every block is two 3×3
convolutions, batch-normalised, with ReLU; blocks meet by 2×2 max pooling on the way down and
nearest-neighbour up-sampling on the way up; corrections are up-sampled bilinearly. No layer pools
over the whole tile, so a pixel depends on its receptive field only.

A tile is its *core* and a *halo* of context. Only the encoder looks at the halo: from the
bottleneck on, engines cut the features to the core and the few pixels around it that the
remaining convolutions reach (`Network.margin`), so that a halo costs a part of the network only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

CONVS_PER_BLOCK = 2
CORRECTED_SCALES = 3
STEM_STRIDE = 2
STEM_KERNEL = 6

if TYPE_CHECKING:
    Span = tuple[int, int]


@dataclass(frozen=True)
class Site:
    """A place in the network where a dropout mask acts.

    Attributes:
        name: also the suffix of the model input, ``mask_<name>``.
        channels: length of the mask, one value per feature channel.
        stride: resolution of the features, in input pixels per feature pixel.
        rate: probability that a channel is dropped.
    """

    name: str
    channels: int
    stride: int
    rate: float

    @property
    def keep(self) -> float:
        """Probability that a channel is kept; kept channels are scaled by its inverse."""
        return 1.0 - self.rate


@dataclass(frozen=True)
class Network:
    """The hyper-parameters that fix the network's shape.

    Attributes:
        bands: input channels.
        widths: feature channels of the encoder blocks, half resolution first; each block but
            the first halves the resolution, so the stride is ``2 ** len(widths)``.
        rate: dropout probability at every site.
        rates: one for each site instead, coarsest first, where they were learned.
    """

    bands: int = 4
    widths: tuple[int, ...] = (16, 32, 48)
    rate: float = 0.2
    rates: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.widths) < 2:
            raise ValueError(f"a U-Net needs two levels at least, got widths {self.widths}")
        for rate in (self.rate, *(self.rates or ())):
            if not 0.0 <= rate < 1.0:
                raise ValueError(f"a dropout rate lies in [0, 1), got {rate}")
        if self.rates is not None and len(self.rates) != len(self._levels):
            raise ValueError(f"{len(self._levels)} sites need as many rates, got {self.rates}")

    @property
    def depth(self) -> int:
        """Index of the coarsest level."""
        return len(self.widths) - 1

    def stride_of(self, level: int) -> int:
        """Input pixels per feature pixel of a level; level 0 is the stem's."""
        return STEM_STRIDE << level

    @property
    def stride(self) -> int:
        """Tile origins and sizes are multiples of this, in pixels."""
        return self.stride_of(self.depth)

    @property
    def sites(self) -> list[Site]:
        """Where masks act, coarsest first. Masks are drawn in this order."""
        rates = self.rates or (self.rate,) * len(self._levels)
        return [
            Site(f"s{self.stride_of(i)}", self.widths[i], self.stride_of(i), rate)
            for i, rate in zip(self._levels, rates)
        ]

    @property
    def _levels(self) -> Sequence[int]:
        """Levels whose features carry a correction."""
        return range(self.depth, max(self.depth - CORRECTED_SCALES, -1), -1)

    @property
    def receptive_radius(self) -> int:
        """How far, in pixels, an output may depend on the input around it; exact."""
        reach = 0
        for pixel in range(self.stride):
            low, high = self._seen_from(pixel)
            reach = max(reach, pixel - low, high - pixel)
        return reach

    def _seen_from(self, pixel: int) -> Span:
        """First and last input index that the output at ``pixel`` depends on, along one axis."""
        own = pixel // STEM_STRIDE
        spans = [self._decoder_span(0, (own, own))]
        span, stride = (pixel, pixel), 1
        for site in reversed(self.sites):
            while stride < site.stride:
                # Half-pixel bilinear: an even index lies between i-1 and i, an odd one i and i+1.
                span, stride = ((span[0] - 1) // 2, (span[1] + 1) // 2), stride * 2
            spans.append(self._decoder_span((stride // STEM_STRIDE).bit_length() - 1, span))
        return min(low for low, _ in spans), max(high for _, high in spans)

    def _decoder_span(self, level: int, span: Span) -> Span:
        """Input span of a decoder block's output; the coarsest level has an encoder block only."""
        if level == self.depth:
            return self._encoder_span(level, span)
        low, high = span[0] - CONVS_PER_BLOCK, span[1] + CONVS_PER_BLOCK
        skip = self._encoder_span(level, (low, high))
        deep = self._decoder_span(level + 1, (low // 2, high // 2))
        return min(skip[0], deep[0]), max(skip[1], deep[1])

    def _encoder_span(self, level: int, span: Span) -> Span:
        """Input span of an encoder block's output."""
        low, high = span[0] - CONVS_PER_BLOCK, span[1] + CONVS_PER_BLOCK
        if level:
            return self._encoder_span(level - 1, (2 * low, 2 * high + 1))
        # The stem takes the place of the first 3×3 convolution.
        around = (STEM_KERNEL - STEM_STRIDE) // 2
        low, high = STEM_STRIDE * (low + 1), STEM_STRIDE * (high - 1) + STEM_STRIDE - 1
        return low - around, high + around

    def margin(self, level: int) -> int:
        """Feature pixels kept around the core where the decoder works, at one level.

        Zero padding at the cut spoils a ring as wide as the convolutions reach; the finer level
        and the bilinear up-sampling of corrections need as many good pixels again.
        """
        return CONVS_PER_BLOCK if level == self.depth else 2 * CONVS_PER_BLOCK

    def cut(self, level: int) -> int:
        """Feature pixels that the decoder drops on each side of a whole tile, at one level."""
        return self.halo // self.stride_of(level) - self.margin(level)

    @property
    def halo(self) -> int:
        """The receptive radius, rounded up to the stride: what a tile needs around its core, px."""
        return -(-self.receptive_radius // self.stride) * self.stride

    def to_json(self) -> dict[str, Any]:
        """The shape as plain JSON types."""
        plain = {"bands": self.bands, "widths": list(self.widths), "rate": self.rate}
        return plain if self.rates is None else {**plain, "rates": list(self.rates)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Network:
        """The inverse of `to_json`."""
        rates = data.get("rates")
        return cls(
            int(data["bands"]),
            tuple(int(w) for w in data["widths"]),
            float(data["rate"]),
            None if rates is None else tuple(float(rate) for rate in rates),
        )
