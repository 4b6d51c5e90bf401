"""Triage: what a frame is worth sending home.

Four outcomes, of which the first three may hold together (``docs/triage.md``):

- *alert*: where, when, how much and how sure, in one packet;
- *product*: the mask and how sure it is;
- *chip for labelling*: the tiles that are worth most to the next training;
- *nothing*.

The alert is decided at the *sensitive* operating point, which misses little; the mask that goes
down is the *balanced* one. So an alert may go alone: where water is possible but the balanced
mask holds too little of it, or is too unsure of it, to be worth a product's bytes. Every limit
lives in the bundle and yields to commands (`onboard.limits`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from onboard.limits import Limits
from onboard.uncertainty import LN2

__all__ = ["Decision", "Limits", "Outcome", "Sight", "decide"]

_M2_PER_KM2 = 1e6


class Outcome(enum.Enum):
    """What becomes of a frame; several may hold, ``NOTHING`` only alone."""

    ALERT = "alert"
    PRODUCT = "product"
    CHIP = "chip"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Sight:
    """What was seen in a frame.

    *Wet* means flood where there is a permanent-water reference, else water.

    Attributes:
        pixels: all pixels of the frame, at least 1.
        observed: neither cloud nor nodata.
        wet_sensitive: observed wet pixels at the sensitive operating point.
        wet_balanced: the same at the balanced point.
        entropy: mean predictive entropy of the wet pixels, nats, 0…ln 2: of the balanced point,
            where that has none of the sensitive one, where that has none 0.
        epistemic: mean mutual information of the same pixels, nats, 0…entropy.
        tile_epistemic: the largest mean mutual information of a tile that could become a chip
            for labelling, nats; 0 where there is no such tile.
        pixel_area_m2: area of a pixel on the ground.
        flood: whether permanent water is left out of the wet pixels.
        odd: share of the frame's scored crops that are unlike the training, 0…1; None where that
            was not measured.
    """

    pixels: int
    observed: int
    wet_sensitive: int
    wet_balanced: int
    entropy: float
    epistemic: float = 0.0
    tile_epistemic: float = 0.0
    pixel_area_m2: float = 1e6
    flood: bool = False
    odd: float | None = None

    @property
    def unobserved(self) -> float:
        """Share of cloud and nodata, 0…1."""
        return 1 - self.observed / self.pixels

    @property
    def wet(self) -> float:
        """Share of the observed pixels that are wet at the sensitive point, 0…1."""
        return self.wet_sensitive / max(1, self.observed)

    @property
    def confidence(self) -> float:
        """How sure the wet pixels are: ``1 - entropy / ln 2``, 0…1."""
        return min(max(1 - self.entropy / LN2, 0.0), 1.0)

    @property
    def value(self) -> float:
        """What news of the frame is worth: wet area in km² times confidence.

        The area is that of the pixels that the confidence speaks of.
        """
        pixels = self.wet_balanced or self.wet_sensitive
        return pixels * self.pixel_area_m2 / _M2_PER_KM2 * self.confidence


@dataclass(frozen=True)
class Decision:
    """What becomes of a frame, and why.

    Attributes:
        outcomes: in the order of `Outcome`; ``(Outcome.NOTHING,)`` alone.
        reason: the verdict, then every figure beside its limit; one line for the log.
        value: of the alert and the product, km² × confidence; larger goes down first.
        chips: how many tiles may become chips for labelling.
        chip_epistemic: the least mean mutual information of such a tile, nats.
    """

    outcomes: tuple[Outcome, ...]
    reason: str
    value: float = 0.0
    chips: int = 0
    chip_epistemic: float = 0.0

    @property
    def text(self) -> str:
        """The outcomes, for people."""
        return ", ".join(outcome.value for outcome in self.outcomes)


def decide(sight: Sight, limits: Limits, chips_today: int = 0) -> Decision:
    """Decide on one frame.

    Args:
        sight: what was seen.
        limits: what decides.
        chips_today: chips for labelling that were made in the last 24 hours.
    """
    news, verdict = _news(sight, limits)
    chips = _chips(sight, limits, chips_today)
    outcomes = news + ((Outcome.CHIP,) if chips else ())
    figures = "; ".join(_figures(sight, limits, chips_today))
    return Decision(
        outcomes or (Outcome.NOTHING,),
        f"{verdict}: {figures}",
        sight.value if news else 0.0,
        chips,
        0.0 if _is_odd(sight, limits) else limits.min_epistemic,
    )


def _is_odd(sight: Sight, limits: Limits) -> bool:
    return sight.odd is not None and sight.odd > limits.max_odd


def _news(sight: Sight, limits: Limits) -> tuple[tuple[Outcome, ...], str]:
    """Alert and product, and the verdict in words."""
    subject = "flood" if sight.flood else "water"
    if sight.unobserved > limits.max_unobserved:
        return (), "too little was observed"
    if _is_odd(sight, limits):
        return (), f"too unlike the training to speak of {subject}"
    if sight.wet < limits.min_wet or sight.wet_sensitive < max(1, limits.min_pixels):
        return (), f"too little may be {subject}"
    if sight.wet_balanced < max(1, limits.min_pixels):
        return (Outcome.ALERT,), f"{subject} is possible, too little is likely for a product"
    # Written so that a confidence that is no number is none.
    if not sight.confidence >= limits.min_confidence:
        return (Outcome.ALERT,), f"{subject} is possible, too unsure for a product"
    return (Outcome.ALERT, Outcome.PRODUCT), f"{subject} was seen"


def _chips(sight: Sight, limits: Limits, chips_today: int) -> int:
    """How many chips the frame may give."""
    worth = sight.tile_epistemic > 0 and (
        sight.tile_epistemic >= limits.min_epistemic or _is_odd(sight, limits)
    )
    if sight.unobserved > limits.max_unobserved or not worth:
        return 0
    return max(0, min(limits.max_chips, limits.max_chips_day - chips_today))


def _figures(sight: Sight, limits: Limits, chips_today: int) -> list[str]:
    """Every figure that decides, beside its limit."""
    odd = "not measured" if sight.odd is None else f"{sight.odd:.0%}"
    return [
        f"{sight.unobserved:.0%} not observed (at most {limits.max_unobserved:.0%})",
        f"odd crops {odd} (at most {limits.max_odd:.0%})",
        f"{sight.wet:.2%} of the observed pixels may be wet (at least {limits.min_wet:.2%}), "
        f"{sight.wet_sensitive} pixels may be and {sight.wet_balanced} are "
        f"(at least {limits.min_pixels})",
        f"confidence {sight.confidence:.2f} (at least {limits.min_confidence:.2f}), entropy "
        f"{sight.entropy:.4f} = aleatoric {sight.entropy - sight.epistemic:.4f} + epistemic "
        f"{sight.epistemic:.4f} nats",
        f"best tile for a label {sight.tile_epistemic:.4f} nats (at least "
        f"{limits.min_epistemic:.4f}), {chips_today} chips in 24 hours (at most "
        f"{limits.max_chips_day})",
    ]
