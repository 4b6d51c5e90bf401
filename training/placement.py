"""Placement: where dropout acts, in networks that are compared and never flown.

The network that flies keeps its whole trunk deterministic and lets masks act on linear corrections
of the water logit (`onboard.network`). Its rivals have no corrections; their masks act on the
features inside the trunk, so that a pass repeats every layer behind the first mask:

==============  ============================================================================
``every``       behind every block (Kendall, Badrinarayanan & Cipolla, "Bayesian SegNet", 2015)
``bottleneck``  behind the coarsest block of the encoder
``decoder``     behind every block of the decoder
``logit``       on the corrections, in a network that does not fly for another reason
==============  ============================================================================

A *heteroscedastic* head adds a variance of the water logit to every pixel; see
`training.heteroscedastic`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from onboard.errors import ConfigError
from onboard.network import CONVS_PER_BLOCK, STEM_KERNEL, STEM_STRIDE, Network, Site

LOGIT = "logit"
PLACEMENTS = (LOGIT, "every", "bottleneck", "decoder")


@dataclass(frozen=True)
class ResearchNetwork(Network):
    """A shape that training can make and no engine runs.

    Attributes:
        placement: one of `PLACEMENTS`.
        heteroscedastic: whether a head gives the variance of the water logit.
    """

    placement: str = LOGIT
    heteroscedastic: bool = False

    def __post_init__(self) -> None:
        if self.placement not in PLACEMENTS:
            raise ValueError(f"a placement is one of {', '.join(PLACEMENTS)}, not {self.placement}")
        super().__post_init__()

    @property
    def masked(self) -> tuple[str, ...]:
        """Blocks whose features a mask acts on inside the trunk, in the order they run."""
        encoder = [f"enc{level}" for level in range(self.depth + 1)]
        decoder = [f"dec{level}" for level in range(self.depth - 1, -1, -1)]
        blocks: dict[str, list[str]] = {
            LOGIT: [],
            "every": encoder + decoder,
            "bottleneck": encoder[-1:],
            "decoder": decoder,
        }
        return tuple(blocks[self.placement])

    @property
    def sites(self) -> list[Site]:
        """Where masks act, in the order they are drawn; those inside the trunk bear its names."""
        own = super().sites
        names = self.masked or [site.name for site in own]
        return [replace(site, name=name) for site, name in zip(own, names, strict=True)]

    @property
    def _levels(self) -> Sequence[int]:
        return [int(block[3:]) for block in self.masked] or super()._levels

    def to_json(self) -> dict[str, Any]:
        """The shape as plain JSON types; what marks it as not to be flown is in it."""
        more = {"placement": self.placement, "heteroscedastic": self.heteroscedastic}
        return {**super().to_json(), **more}


def masked_blocks(network: Network) -> tuple[str, ...]:
    """Blocks inside the trunk that masks act on; none in a network that flies."""
    return network.masked if isinstance(network, ResearchNetwork) else ()


def corrected_sites(network: Network) -> list[Site]:
    """The sites that correct the water logit."""
    return [] if masked_blocks(network) else network.sites


def is_heteroscedastic(network: Network) -> bool:
    """Whether a head gives the variance of the water logit."""
    return isinstance(network, ResearchNetwork) and network.heteroscedastic


def refuse_export(network: Mapping[str, Any], source: str) -> None:
    """Let only networks through that engines can run.

    Args:
        network: the shape as a run's record has it.
        source: names the run in the error.

    Raises:
        ConfigError: it is a network for comparison.
    """
    if network.get("placement", LOGIT) != LOGIT:
        raise ConfigError(
            f"{source}: its dropout is placed at {network['placement']!r}, which no engine runs; "
            f"train it with placement = {LOGIT!r} to export it"
        )
    if network.get("heteroscedastic"):
        raise ConfigError(
            f"{source}: has a heteroscedastic head, which no engine runs; train it with "
            "heteroscedastic = false to export it"
        )


@dataclass(frozen=True)
class Work:
    """Multiply-adds for one input pixel.

    Attributes:
        shared: of what no mask reaches, done once for all passes.
        passed: of what every pass does anew.
    """

    shared: float
    passed: float

    def over_one(self, passes: int) -> float:
        """What ``passes`` cost over one pass."""
        return (self.shared + passes * self.passed) / (self.shared + self.passed)


def work(network: Network) -> Work:
    """Multiply-adds of a network's passes, where all before the first mask is done once.

    A convolution that reads both masked and other features counts as masked. Bilinear
    up-sampling of a correction by two counts four multiply-adds for each of its outputs, the
    nearest-neighbour one of the trunk none.
    """
    masked = masked_blocks(network)
    shared = passed = 0.0
    reached: set[str] = set()
    for block, macs, inputs in _convolutions(network):
        if reached & set(inputs) or set(inputs) & set(masked):
            reached.add(block)
            passed += macs
        else:
            shared += macs
    passed += sum(site.channels / site.stride**2 for site in corrected_sites(network))
    return Work(shared, passed + _lifting(network))


def _lifting(network: Network) -> float:
    """Multiply-adds per pixel to bring the sum of corrections to full resolution."""
    sites = corrected_sites(network)
    stride, total = (sites[0].stride if sites else 1), 0.0
    while stride > 1:
        stride //= 2
        total += 4 / stride**2
    return total


def _convolutions(network: Network) -> list[tuple[str, float, tuple[str, ...]]]:
    """Name, multiply-adds per input pixel and the inputs' blocks, block by block and the head."""
    found: list[tuple[str, float, tuple[str, ...]]] = []
    for level, width in enumerate(network.widths):
        area = network.stride_of(level) ** 2
        first = (
            STEM_KERNEL**2 * network.bands * width
            if level == 0
            else 9 * network.widths[level - 1] * width
        )
        macs = (first + (CONVS_PER_BLOCK - 1) * 9 * width**2) / area
        found.append((f"enc{level}", macs, (f"enc{level - 1}",) if level else ()))
    below = f"enc{network.depth}"
    for level in range(network.depth - 1, -1, -1):
        width, area = network.widths[level], network.stride_of(level) ** 2
        given = network.widths[level + 1] + width
        macs = (9 * given * width + (CONVS_PER_BLOCK - 1) * 9 * width**2) / area
        found.append((f"dec{level}", macs, (below, f"enc{level}")))
        below = f"dec{level}"
    outputs = (3 if is_heteroscedastic(network) else 2) * STEM_STRIDE**2
    found.append(("head", network.widths[0] * outputs / STEM_STRIDE**2, (below,)))
    return found
